"""What a watched wallet has of a pool, against what the contracts would pay it: burn, decreaseLiquidity, an exit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.risk import Stake
from defiwatch.protocols.reads import RETRY_BLOCKS
from defiwatch.protocols.registry import create
from defiwatch.protocols.spec import Instance
from defiwatch.protocols.uniswap_v4.positions import RANGES as RANGES_V4

from . import abi
from .chain import Tx
from .deploy_balancer import Balancer, BalancerPool, deploy_balancer, join, leave
from .deploy_balancer import swap as balancer_swap
from .deploy_uniswap import DEADLINE, ordered, positions_of
from .deploy_v4 import deploy_v4, modify
from .deploy_v4 import swap as v4_swap
from .driver import Driver
from .flows import swap
from .model import Devnet, PairV2
from .node import CHAIN_ID

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(200)]

ADD = "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)"
REMOVE = "removeLiquidity(address,address,uint256,uint256,uint256,address,uint256)"
MINT = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
MORE = "increaseLiquidity((uint256,uint256,uint256,uint256,uint256,uint256))"
LESS = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"


class Story:
    """One instance behind a driver that also reads what holds nothing up."""

    def __init__(self, devnet: Devnet, instance: Instance) -> None:
        self.devnet = devnet
        self.instance = instance
        self.driver = Driver(devnet.chain, [instance])

    def follow(self) -> None:
        """Bring the book to the head, with everything that is wanted there."""
        self.driver.follow()
        for _ in range(8):
            calls = self.instance.extras(self.driver.intake.book, self.driver.at)
            if not calls:
                return
            self.driver.read(calls)
            self.driver.answer()
        raise AssertionError("extras are wanted for ever")

    def mine(self, *txs: Tx) -> None:
        chain = self.devnet.chain
        chain.mine(chain.node.timestamp() + 12, list(txs))
        self.follow()

    def stakes(self) -> list[Stake]:
        return list(self.instance.stakes(self.driver.intake.book))

    def of(self, account: str, pool: str) -> list[Stake]:
        return [stake for stake in self.stakes() if (stake.account, stake.pool) == (account, pool)]


def story(
    devnet: Devnet, protocol: str, *wallets: str, address: str = "", positions: str = "", pools: Sequence[str] = ()
) -> Story:
    row = Deployment(chain="devnet", protocol=protocol, address=address, positions=positions, pools=tuple(pools))
    instance = create(CHAIN_ID, row)
    instance.mine(wallets)
    return Story(devnet, instance)


def burn(devnet: Devnet, pair: PairV2, owner: str, shares: int) -> tuple[int, ...]:
    """What the pair pays where its owner hands in shares now: both calls in one block that is thrown away."""
    calls = [
        {"from": owner, "to": pair.address, "data": abi.encode("transfer(address,uint256)", pair.address, shares)},
        {"from": owner, "to": pair.address, "data": abi.encode("burn(address)", owner)},
    ]
    (block,) = devnet.chain.node.rpc("eth_simulateV1", {"blockStateCalls": [{"calls": calls}]}, "latest")
    _, burned = block["calls"]
    assert burned["status"] == "0x1", burned
    return abi.decode("uint256,uint256", burned["returnData"])


def check_v2(it: Story, pair: PairV2, owner: str) -> Stake:
    (stake,) = it.of(owner, pair.address)
    assert stake.units == it.devnet.chain.value(pair.address, "balanceOf(address)", owner)
    assert stake.amounts == burn(it.devnet, pair, owner, stake.units)
    assert stake.unknown == ""
    return stake


def test_shares_of_a_pair(devnet: Devnet) -> None:
    chain, roles, tokens = devnet.chain, devnet.roles, devnet.tokens
    pair = devnet.v2.pairs[0]
    alice, lp = roles.traders[0], roles.lp
    first, second = tokens[pair.token0], tokens[pair.token1]
    it = story(devnet, "uniswap_v2", alice, lp, pools=[one.address for one in devnet.v2.pairs])
    it.follow()
    assert it.stakes() == []

    def add(owner: str, usd: float) -> Tx:
        amounts = [token.units(usd / devnet.start_prices[token.symbol]) for token in (first, second)]
        row = (first.address, second.address, *amounts, 0, 0, owner, DEADLINE)
        return Tx(owner, devnet.v2.router, abi.encode(ADD, *row), "add", gas=3_000_000)

    def trade() -> list[Tx]:
        return [
            swap(
                devnet, pair, roles.traders[1], first, second, first.units(40_000 / devnet.start_prices[first.symbol])
            ),
            swap(devnet, pair, roles.traders[2], second, first, second.units(25_000)),
        ]

    it.mine(add(alice, 77_000.0), *trade())
    stake = check_v2(it, pair, alice)
    assert not stake.exact  # what she had before is not known to who came later
    assert 0.01 < stake.units / stake.whole < 0.05
    assert stake.whole == chain.value(pair.address, "totalSupply()")

    # shares that are given away, and some that are handed in
    given = abi.encode("transfer(address,uint256)", alice, 10**12)
    approve = abi.encode("approve(address,uint256)", devnet.v2.router, abi.MAX_UINT256)
    row = (first.address, second.address, stake.units // 3, 0, 0, alice, DEADLINE)
    it.mine(
        Tx(lp, pair.address, given, "a gift"),
        Tx(alice, pair.address, approve, "approve"),
        Tx(alice, devnet.v2.router, abi.encode(REMOVE, *row), "remove", gas=3_000_000),
    )
    assert check_v2(it, pair, alice).units == stake.units + 10**12 - stake.units // 3
    assert it.of(lp, pair.address) == []  # it has more, but nothing says so: nothing is told

    # what came in is the least that it has; where the balance may be asked for it is known
    it.mine(add(lp, 1_000.0))
    (least,) = it.of(lp, pair.address)
    held = chain.value(pair.address, "balanceOf(address)", lp)
    assert 0 < least.units < held and not least.exact
    it.instance.watch([lp])
    it.follow()
    assert check_v2(it, pair, lp).exact
    it.instance.watch([])

    # with the protocol's part of the fee: `burn` mints it first, and so does what is told
    fee = abi.encode("setFeeTo(address)", roles.treasury)
    it.mine(Tx(roles.admin, devnet.v2.factory, fee, "the protocol takes its part"))
    it.mine(add(alice, 1_000.0))
    for _ in range(3):
        it.mine(*trade())
        stake = check_v2(it, pair, alice)
        assert stake.whole > chain.value(pair.address, "totalSupply()")
    assert check_v2(it, pair, lp).exact

    # a reorg takes it back
    before = it.of(alice, pair.address)
    snapshot = chain.node.snapshot()
    it.mine(add(alice, 500.0))
    assert it.of(alice, pair.address) != before
    chain.node.revert(snapshot)
    chain.forget()
    it.mine()
    assert it.driver.intake.reorgs == 1
    assert it.of(alice, pair.address) == before


def test_positions_of_a_concentrated_pool(devnet: Devnet) -> None:
    chain, roles, tokens = devnet.chain, devnet.roles, devnet.tokens
    manager = devnet.v3.positions
    pool = next(one for one in devnet.v3.pools if {one.token0, one.token1} == {"USDC", "WETH"} and one.fee == 3000)
    alice, bob, lp = roles.traders[0], roles.traders[1], roles.lp
    first, second = ordered(tokens, pool.token0, pool.token1)
    approve = abi.encode("approve(address,uint256)", manager, abi.MAX_UINT256)
    chain.mine(
        chain.node.timestamp() + 12,
        [Tx(who, token.address, approve, "approve") for who in (alice, bob) for token in (first, second)],
    )
    it = story(devnet, "uniswap_v3", alice, bob, positions=manager, pools=[one.address for one in devnet.v3.pools])
    it.follow()
    assert it.stakes() == []
    tick = chain.call(pool.address, "slot0()", returns="uint160,int24,uint16,uint16,uint16,uint8,bool")[1]
    middle = tick // pool.tick_spacing * pool.tick_spacing

    def mint(owner: str, lower: int, upper: int) -> Tx:
        amounts = [token.units(30_000 / devnet.start_prices[token.symbol]) for token in (first, second)]
        row = (first.address, second.address, pool.fee, lower, upper, *amounts, 0, 0, owner, DEADLINE)
        return Tx(owner, manager, abi.encode(MINT, row), "mint", gas=3_000_000)

    def check(owner: str) -> dict[int, Stake]:
        """Every position of the wallet: liquidity, amounts and range are the contract's."""
        found = {int(stake.position): stake for stake in it.of(owner, pool.address)}
        ids = positions_of(chain, devnet.v3, owner, pool, tokens)
        now = chain.call(pool.address, "slot0()", returns="uint160,int24,uint16,uint16,uint16,uint8,bool")[1]
        active = chain.value(pool.address, "liquidity()")
        for token in ids:
            row = chain.call(
                manager,
                "positions(uint256)",
                token,
                returns="uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128",
            )
            if row[7] == 0:
                assert token not in found
                continue
            stake = found[token]
            call = {"from": owner, "to": manager, "data": abi.encode(LESS, (token, row[7], 0, 0, DEADLINE))}
            paid = abi.decode("uint256,uint256", chain.node.rpc("eth_call", call, "latest"))
            assert (stake.units, stake.amounts, stake.exact) == (row[7], paid, True)
            assert stake.in_range is (row[5] <= now < row[6])
            assert stake.whole == (active if stake.in_range else 0)
        assert set(found) <= set(ids)
        return found

    wide, beside = 40 * pool.tick_spacing, 3 * pool.tick_spacing
    it.mine(
        mint(alice, middle - wide, middle + wide),
        mint(alice, middle + beside, middle + wide),
        mint(bob, -887220, 887220),
    )
    mine = check(alice)
    assert [stake.in_range for stake in mine.values()] == [True, False]
    assert len(check(bob)) == 1

    # the price moves through the second one's range, fees come in, liquidity goes in and out
    token = min(mine)
    amounts = [item.units(9_000 / devnet.start_prices[item.symbol]) for item in (first, second)]
    it.mine(
        swap(devnet, pool, roles.traders[2], second, first, second.units(150_000 / devnet.start_prices[second.symbol])),
        Tx(alice, manager, abi.encode(MORE, (token, *amounts, 0, 0, DEADLINE)), "more", gas=2_000_000),
    )
    assert [stake.in_range for stake in check(alice).values()] == [True, True]
    half = check(alice)[token].units // 2
    it.mine(Tx(alice, manager, abi.encode(LESS, (token, half, 0, 0, DEADLINE)), "less", gas=2_000_000))
    it.mine(
        swap(devnet, pool, roles.traders[2], first, second, first.units(400_000 / devnet.start_prices[first.symbol]))
    )
    assert check(alice)[token].units > 0

    # it is given to the other wallet, whole, and then to somebody who is not watched
    give = "transferFrom(address,address,uint256)"
    it.mine(Tx(alice, manager, abi.encode(give, alice, bob, token), "given"))
    assert token in check(bob) and token not in check(alice)
    it.mine(Tx(bob, manager, abi.encode(give, bob, lp, token), "given on"))
    assert token not in check(bob) and it.of(lp, pool.address) == []

    # who may be asked for is known whole, positions from before the watch included
    private = story(devnet, "uniswap_v3", lp, positions=manager, pools=[one.address for one in devnet.v3.pools])
    private.instance.watch([lp])
    private.follow()
    it = private
    assert not it.instance.unseen(it.driver.intake.book, pool.address)
    assert len(check(lp)) == len(positions_of(chain, devnet.v3, lp, pool, tokens)) >= 3


def exits(devnet: Devnet, vault: str, pool: BalancerPool, owner: str, shares: int) -> tuple[int, ...]:
    """What the pool's own `queryExit` pays for shares, in proportion, by the vault's order without its own token."""
    chain, raw = devnet.chain, bytes.fromhex(pool.id[2:])
    tokens, balances, last = chain.call(vault, "getPoolTokens(bytes32)", raw, returns="address[],uint256[],uint256")
    kind = 2 if pool.stable else 1
    data = bytes.fromhex(abi.encode_arguments("uint256,uint256", kind, shares))
    _, paid = chain.call(
        pool.address,
        "queryExit(bytes32,address,address,uint256[],uint256,uint256,bytes)",
        *(raw, owner, owner, balances, last, 0, data),
        returns="uint256,uint256[]",
    )
    return tuple(amount for token, amount in zip(tokens, paid, strict=True) if token.lower() != pool.address.lower())


def test_shares_of_a_balancer_pool(devnet: Devnet) -> None:
    """From before the pools were made, so that nothing is unknown; then liquidity in and out, and swaps."""
    chain, lp = devnet.chain, devnet.roles.lp
    start = chain.node.height()
    balancer: Balancer = deploy_balancer(devnet)
    it = story(devnet, "balancer_v2", lp, address=balancer.vault, pools=[pool.id for pool in balancer.pools])
    for _ in range(RETRY_BLOCKS):  # what was refused before the pools were there is asked again so much later
        chain.mine(chain.node.timestamp() + 12)
    it.driver.follow(start)
    it.follow()

    def check() -> list[int]:
        held = []
        for pool in balancer.pools:
            (stake,) = it.of(lp, pool.id)
            held.append(chain.value(pool.address, "balanceOf(address)", lp))
            assert (stake.units, stake.exact, stake.unknown) == (held[-1], True, "")
            assert stake.amounts == exits(devnet, balancer.vault, pool, lp, held[-1])
            assert 0.99 < stake.units / stake.whole <= 1.0
        return held

    first = check()
    txs: list[Tx] = []
    for pool, shares in zip(balancer.pools, first, strict=True):
        amounts = [10_000 + i for i, token in enumerate(pool.tokens) if token != pool.address]
        paid_in = bytes.fromhex(abi.encode_arguments("uint256,uint256[],uint256", 1, amounts, 0))
        taken = bytes.fromhex(abi.encode_arguments("uint256,uint256,uint256", 0, shares // 300, 0))
        txs += [join(devnet, balancer.vault, pool, paid_in), leave(devnet, balancer.vault, pool, taken)]
    it.mine(*txs)
    assert check() != first
    pool = balancer.pools[0]
    size = devnet.tokens["WETH"].units(3)
    sell = devnet.tokens["WETH"].address
    buy = next(token for token in pool.tokens if token != sell)
    trader = devnet.roles.traders[0]
    it.mine(balancer_swap(trader, balancer.vault, pool, sell, buy, size, given_in=True))
    check()


def test_positions_at_the_manager_of_v4(devnet: Devnet) -> None:
    """Of the contract that changed them there, which no token stands for: liquidity and amounts are the manager's."""
    chain, lp = devnet.chain, devnet.roles.lp
    start = chain.node.height() + 1
    v4 = deploy_v4(devnet)
    it = story(devnet, "uniswap_v4", v4.modifier, address=v4.manager)
    it.driver.follow(start)
    it.follow()
    pools = {pool.id: pool for pool in v4.pools if pool.key[4] == abi.ZERO}
    found = [stake for stake in it.stakes() if stake.pool in pools]
    assert len(found) > 100
    assert {stake.in_range for stake in found} == {True, False}
    held = [row for _, row in it.driver.intake.book.items(RANGES_V4)]
    places = {(row.pool, row.liquidity): (row.lower, row.upper) for row in held}
    sample = found[:: len(found) // 12]
    take = [(stake, *places[stake.pool, stake.units]) for stake in sample]
    # what waits in fees is paid out first, so that what is left to be paid is the liquidity alone
    trades = [
        v4_swap(devnet.roles.traders[0], v4, pool, 10**9, zero_for_one=True, exact_in=True) for pool in pools.values()
    ]
    it.mine(*trades, *(modify(lp, v4.modifier, pools[stake.pool], low, high, 0) for stake, low, high in take))
    now = {(stake.pool, stake.units): stake for stake in it.stakes()}
    for stake, low, high in take:
        raw = bytes.fromhex(stake.pool[2:])
        asked = "getPositionInfo(bytes32,address,int24,int24,bytes32)"
        row = chain.call(v4.lens, asked, raw, v4.modifier, low, high, b"\0" * 32, returns="uint128,uint256,uint256")
        assert row[0] == stake.units
        out = modify(lp, v4.modifier, pools[stake.pool], low, high, -stake.units)
        (delta,) = abi.words(chain.node.rpc("eth_call", {"from": lp, "to": out.to, "data": out.data}, "latest"))
        assert now[stake.pool, stake.units].amounts == (delta >> 128, delta & (1 << 128) - 1)
