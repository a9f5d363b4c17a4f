"""Uniswap v4 against its own contracts: state, ticks, quotes and depth equal to the unit, through a reorg."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import Fact, LiquidityMoved, Swapped
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.concentrated.prices import MAX_TICK, MIN_TICK, moved, sqrt_price_at
from defiwatch.protocols.concentrated.walk import DEPTH_BPS
from defiwatch.protocols.ticks import TICKS
from defiwatch.protocols.uniswap_v4 import POOLS, V4State, slots

from . import abi
from .abi import encode
from .artifacts import bytecode
from .chain import Call, Tx
from .deploy import deploy
from .deploy_v4 import CORE, GAS, HOOK, KEY, PoolV4, UniswapV4, deploy_v4, modify, position, swap
from .fixtures import SEEDS
from .follow import Follower
from .model import Devnet
from .node import Anvil, RpcError, available

pytestmark = pytest.mark.devnet

PARAMS = f"({KEY},bool,uint128,bytes)"
BLOCKS = 40


@pytest.fixture(scope="module")
def chain() -> Iterator[Devnet]:
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with Anvil() as node:
        yield deploy(node)


def batch(devnet: Devnet, calls: list[tuple[str, str, tuple[object, ...], str]]) -> list[tuple[Any, ...] | None]:
    requests = [("eth_call", [{"to": to, "data": encode(sig, *args)}, "latest"]) for to, sig, args, _ in calls]
    return [
        None if isinstance(answer, RpcError) else abi.decode(returns, answer)
        for answer, (_, _, _, returns) in zip(devnet.chain.node.batch(requests), calls, strict=True)
    ]


def state_of(follower: Follower, pool: PoolV4) -> V4State:
    state = follower.player.book.get(POOLS, pool.id)
    assert state is not None
    return state


def assert_state(devnet: Devnet, v4: UniswapV4, follower: Follower) -> None:
    """Price, tick, fees and liquidity of every pool, and every tick that is held."""
    book = follower.player.book
    calls: list[Call] = []
    for pool in v4.pools:
        raw = bytes.fromhex(pool.id[2:])
        calls += [Call(v4.lens, "getSlot0(bytes32)", (raw,), "uint160,int24,uint24,uint24")]
        calls += [Call(v4.lens, "getLiquidity(bytes32)", (raw,), "uint128")]
    rows = iter(devnet.chain.reads(calls))
    for pool in v4.pools:
        state = state_of(follower, pool)
        ours = (state.sqrt_price_x96, state.tick, state.protocol_fee, state.lp_fee)
        assert ours == next(rows), pool
        assert (state.liquidity,) == next(rows)
    held = list(book.items(TICKS))
    calls = [
        Call(v4.lens, "getTickLiquidity(bytes32,int24)", (bytes.fromhex(pool[2:]), tick), "uint128,int128")
        for (pool, tick), _ in held
    ]
    for ((pool_id, tick), entry), row in zip(held, devnet.chain.reads(calls), strict=True):
        assert (entry.gross, entry.net) == row, (pool_id, tick)
    assert sum(word.bit_count() for _, word in book.items(table.WORDS)) == len(held)


def assert_quotes(devnet: Devnet, v4: UniswapV4, follower: Follower, rng: random.Random) -> tuple[int, int]:
    """Quotes equal the quoter's; returns how many there were and how many ticks they crossed."""
    asked: list[tuple[PoolV4, bool, bool, int]] = []
    calls: list[tuple[str, str, tuple[object, ...], str]] = []
    for pool in v4.pools:
        if pool.key[4] == HOOK:
            continue
        held = follower.player.instance.pool(follower.player.book, pool.id)
        assert held is not None
        for zero_for_one in (True, False):
            for exact_in in (True, False):
                base = held.depth[0 if zero_for_one == exact_in else 1]
                for size in (0.0, 10 ** rng.uniform(-5, -1), 10 ** rng.uniform(-1, 0.8)):
                    amount = max(int(base * size), 1)
                    name = "quoteExactInputSingle" if exact_in else "quoteExactOutputSingle"
                    asked.append((pool, zero_for_one, exact_in, amount))
                    row = (pool.key, zero_for_one, amount, b"")
                    calls.append((v4.quoter, f"{name}({PARAMS})", (row,), "uint256,uint256"))
    compared = crossed = 0
    for (pool, zero_for_one, exact_in, amount), answer in zip(asked, batch(devnet, calls), strict=True):
        ours = slots.quote_pool(
            follower.player.book,
            pool.id,
            zero_for_one=zero_for_one,
            amount_in=amount if exact_in else None,
            amount_out=None if exact_in else amount,
        )
        assert ours is not None
        if not ours.known:
            continue
        if answer is None:  # the quoter refuses what a pool cannot fill
            assert not ours.filled, (pool, zero_for_one, exact_in, amount)
            continue
        assert (ours.amount_out if exact_in else ours.amount_in) == answer[0], (pool, zero_for_one, exact_in, amount)
        compared, crossed = compared + 1, crossed + ours.crossed
    return compared, crossed


def assert_depth(devnet: Devnet, v4: UniswapV4, follower: Follower) -> None:
    """Really swapping the stated size moves the price to 2 % away; one unit less does not get there."""
    node = devnet.chain.node
    for pool in v4.pools[:3]:
        held = follower.player.instance.pool(follower.player.book, pool.id)
        assert held is not None
        before = state_of(follower, pool).sqrt_price_x96
        for zero_for_one, amount in ((True, held.depth[0]), (False, held.depth[1])):
            assert amount > 1
            target = moved(before, -DEPTH_BPS if zero_for_one else DEPTH_BPS)
            for size in (amount, amount - 1):
                snapshot = node.snapshot()
                trader = devnet.roles.traders[0]
                # Up to the target only: where no liquidity is left beyond it, the price would run to its end.
                tx = swap(trader, v4, pool, size, zero_for_one=zero_for_one, exact_in=True, limit=target)
                devnet.chain.mine(node.timestamp() + 12, [tx])
                raw = bytes.fromhex(pool.id[2:])
                after = devnet.chain.call(v4.lens, "getSlot0(bytes32)", raw, returns="uint160,int24,uint24,uint24")[0]
                node.revert(snapshot)
                devnet.chain.forget()
                assert (after == target) is (size == amount), (pool, zero_for_one, after, target)


def transactions(devnet: Devnet, v4: UniswapV4, rng: random.Random, follower: Follower) -> list[Tx]:
    """One block's worth: swaps of all sizes both ways, liquidity in and out. A draw may be one that is refused: no
    liquidity at all, or a price that is at its end."""
    txs: list[Tx] = []
    for pool in v4.pools:
        held = follower.player.instance.pool(follower.player.book, pool.id)
        assert held is not None
        state = state_of(follower, pool)
        for _ in range(rng.randrange(3)):
            zero_for_one = rng.random() < 0.5
            exact_in = rng.random() < 0.7
            amount = max(int(held.depth[0 if zero_for_one == exact_in else 1] * 10 ** rng.uniform(-5, 0)), 1)
            trader = rng.choice(devnet.roles.traders)
            txs.append(swap(trader, v4, pool, amount, zero_for_one=zero_for_one, exact_in=exact_in))
        if rng.random() < 0.4:
            txs.append(position(devnet, v4.modifier, pool, rng, state.tick))
        if rng.random() < 0.3:
            spacing = pool.key[3]
            middle = state.tick // spacing * spacing
            span = (v4.modifier, pool, middle - 7 * spacing, middle + 9 * spacing)
            txs += [modify(devnet.roles.lp, *span, 10**12), modify(devnet.roles.lp, *span, -(10**12))]
    return [replace(tx, may_fail=True) for tx in txs]


@pytest.mark.parametrize("seed", SEEDS)
def test_v4_follows_through_everything(chain: Devnet, seed: int) -> None:
    node, rng = chain.chain.node, random.Random(seed + 10)
    before = chain.chain.nonce(chain.roles.admin)
    manager = abi.create_address(chain.roles.admin, before)
    early = Follower(node, Deployment(chain="devnet", protocol="uniswap_v4", address=manager))
    early.start()
    v4 = deploy_v4(chain)
    assert v4.manager == manager
    early.catch_up()
    assert [pool.id for pool in early.player.instance.pools(early.player.book)] == [pool.id for pool in v4.pools]
    # One that joins later, told the ids alone: the past tells their keys.
    late = Follower(
        node, Deployment(chain="devnet", protocol="uniswap_v4", address=manager, pools=tuple(p.id for p in v4.pools))
    )
    late.player.block(late._ref(node.height()))
    join(late, node)
    late.read()
    assert late.player.instance.scans(late.player.book) == ()
    compared = crossed = 0
    facts: list[Fact] = []
    for number in range(BLOCKS):
        txs = transactions(chain, v4, rng, late)
        if number == 8:
            admin = chain.roles.admin
            txs.append(Tx(admin, manager, encode("setProtocolFeeController(address)", admin), "fee controller"))
            for pool, fee in ((v4.pools[0], 100 + (700 << 12)), (v4.pools[2], 1000 + (0 << 12))):
                data = encode(f"setProtocolFee({KEY},uint24)", pool.key, fee)
                txs.append(Tx(admin, manager, data, "protocol fee"))
        if number == 12:
            data = encode(f"donate({KEY},uint256,uint256,bytes)", v4.pools[0].key, 10**6, 10**6, b"")
            txs.append(Tx(chain.roles.lp, v4.donor, data, "donation", gas=GAS))
        if number == 15:
            # Without an event: only a read of the pool can tell it.
            data = encode(f"forcePoolFeeUpdate({KEY},uint24)", v4.pools[3].key, 4400)
            txs.append(Tx(chain.roles.admin, HOOK, data, "the hook's fee"))
            txs.append(Tx(chain.roles.admin, HOOK, encode("setFee(uint24)", 4400), "the hook's fee"))
            trader = chain.roles.traders[0]
            txs.append(swap(trader, v4, v4.pools[3], 10**15, zero_for_one=True, exact_in=True))
        chain.chain.mine(node.timestamp() + 12, txs)
        if number == 20:
            newest = node.height()
            gone = node.block(newest)["hash"]
            node.reorg(3, [])
            chain.chain.forget()
            assert node.block(newest)["hash"] != gone
        early.catch_up()
        new = late.catch_up()
        facts += new if number > 20 else []  # what a reorg took back is no history
        assert_state(chain, v4, early)
        assert_state(chain, v4, late)
        if number % 4 == 0 or 19 <= number <= 21:
            for follower in (early, late):
                more, ticks = assert_quotes(chain, v4, follower, rng)
                compared, crossed = compared + more, crossed + ticks
    assert_depth(chain, v4, late)
    assert compared > 500
    assert crossed > 1000
    for follower in (early, late):
        assert follower.player.book.notices == {}
        for held in follower.player.instance.pools(follower.player.book):
            assert held.mismatches == 0
            assert ("hooked" in held.unknown) is (held.id == v4.pools[3].id)
            assert ("hooked" in held.label) is (held.id == v4.pools[3].id)
    assert_signs(facts)


def assert_signs(facts: list[Fact]) -> None:
    """A trade pays one token in and takes the other out, as every protocol here says it."""
    swaps = [fact for fact in facts if isinstance(fact, Swapped)]
    assert len(swaps) > 30
    rising = 0
    last: dict[str, float] = {}
    for fact in swaps:
        assert fact.amount0 * fact.amount1 <= 0
        before = last.get(fact.pool, 0.0)
        if before and fact.price != before and fact.amount1 > 0:
            assert fact.price > before  # token 1 came in, so token 0 is worth more of it
            rising += 1
        last[fact.pool] = fact.price
    assert rising > 10
    moves = [fact for fact in facts if isinstance(fact, LiquidityMoved)]
    assert {fact.share > 0 for fact in moves if fact.share} == {True, False}


def join(follower: Follower, node: Anvil) -> None:
    """Search the past as the program does, and hand what it leads to back as answers."""
    instance, book = follower.player.instance, follower.player.book
    (scan,) = instance.scans(book)
    topics = [None if part is None else list(part) for part in scan.topics]
    query = {"fromBlock": "0x0", "toBlock": "latest", "address": list(scan.addresses), "topics": topics}
    logs = [msgspec.convert(log, RawLog) for log in node.rpc("eth_getLogs", query)]
    answers: list[CallResult] = []
    for call in instance.on_scan(book, scan, logs):
        (answer,) = node.batch([("eth_call", [{"to": call.to, "data": call.data}, "latest"])])
        assert isinstance(answer, RpcError)  # the pool is there already
        answers.append(CallResult(to=call.to, data=call.data, error=answer.data or "0x"))
    assert follower.player.read(answers) == [True] * len(answers)


def test_tick_math_is_the_contracts(chain: Devnet) -> None:
    """The contract's own tick of prices at, and one below, where ours say that a tick begins."""
    node, rng = chain.chain.node, random.Random(2)
    admin = chain.roles.admin
    manager = chain.chain.deploy(admin, bytecode(CORE, "PoolManager"), "PoolManager", "address", admin)
    chain.chain.mine(node.timestamp() + 12)
    sample = [MIN_TICK + 1, MAX_TICK - 1, 0, 1, -1, *(rng.randrange(MIN_TICK + 1, MAX_TICK) for _ in range(2000))]
    weth, usdc = chain.tokens["WETH"].address, chain.tokens["USDC"].address
    low, high = sorted((weth, usdc), key=lambda item: int(item, 16))
    key = (low, high, 77, 33, "0x" + "0" * 40)
    calls: list[tuple[str, str, tuple[object, ...], str]] = []
    for tick in sample:
        for price in (sqrt_price_at(tick), sqrt_price_at(tick) - 1):
            calls.append((manager, f"initialize({KEY},uint160)", (key, price), "int24"))
    answers = batch(chain, calls)
    assert [row[0] if row else None for row in answers] == [t for tick in sample for t in (tick, tick - 1)]
