"""Balancer v2 against its own vault: balances and amounts to the unit, through a reorg, a new rate and a moving A."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import Fact, LiquidityMoved, Swapped
from defiwatch.protocols.balancer_v2 import POOLS, BalancerState
from defiwatch.protocols.balancer_v2 import state as pools

from . import abi
from .abi import encode, encode_arguments
from .chain import Call, Tx
from .deploy_balancer import (
    RATE_DURATION,
    RATE_PROVIDER,
    Balancer,
    BalancerPool,
    deploy_balancer,
    join,
    leave,
    set_rate,
    swap,
)
from .fixtures import SEEDS
from .follow import Follower
from .model import Devnet
from .node import RpcError

pytestmark = pytest.mark.devnet

QUERY = "queryBatchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],(address,bool,address,bool))"
BLOCKS = 30
ONE = 10**18


def state_of(follower: Follower, pool: BalancerPool) -> BalancerState:
    state = follower.player.book.get(POOLS, pool.id)
    assert state is not None
    return state


def real(pool: BalancerPool) -> list[int]:
    return [i for i, token in enumerate(pool.tokens) if token != pool.address]


def assert_state(devnet: Devnet, balancer: Balancer, follower: Follower) -> None:
    for pool in balancer.pools:
        raw = bytes.fromhex(pool.id[2:])
        state = state_of(follower, pool)
        calls = [
            Call(balancer.vault, "getPoolTokens(bytes32)", (raw,), "address[],uint256[],uint256"),
            Call(pool.address, "getSwapFeePercentage()", (), "uint256"),
            Call(pool.address, "getScalingFactors()", (), "uint256[]"),
        ]
        (tokens, balances, _), (fee,), (scaling,) = devnet.chain.reads(calls)
        assert state.tokens == tuple(token.lower() for token in tokens)
        assert (state.balances, state.fee, state.scaling) == (balances, fee, scaling)
        if pool.stable:
            amp, _, precision = devnet.chain.call(
                pool.address, "getAmplificationParameter()", returns="uint256,bool,uint256"
            )
            assert (state.amp, precision) == (amp, 1000)


def assert_quotes(devnet: Devnet, balancer: Balancer, follower: Follower, rng: random.Random) -> int:
    """Every pair both ways, given in and given out, equals queryBatchSwap; returns how many were compared."""
    asked: list[tuple[BalancerPool, int, int, bool, int]] = []
    requests: list[tuple[str, list[object]]] = []
    for pool in balancer.pools:
        state = state_of(follower, pool)
        for i, j in permutations(real(pool), 2):
            for given_in in (True, False):
                for size in (10 ** rng.uniform(-8, -3), 10 ** rng.uniform(-3, -0.53)):
                    amount = max(int(state.balances[i if given_in else j] * size), 1)
                    step = (bytes.fromhex(pool.id[2:]), 0, 1, amount, b"")
                    who = devnet.roles.lp
                    assets = [pool.tokens[i], pool.tokens[j]]
                    data = encode(QUERY, 0 if given_in else 1, [step], assets, (who, False, who, False))
                    asked.append((pool, i, j, given_in, amount))
                    requests.append(("eth_call", [{"to": balancer.vault, "data": data}, "latest"]))
    compared = 0
    for (pool, i, j, given_in, amount), answer in zip(asked, devnet.chain.node.batch(requests), strict=True):
        work = pools.amount_out if given_in else pools.amount_in
        if isinstance(answer, RpcError):
            with pytest.raises(ValueError, match=r"more than 30 %|does not hold"):
                work(state_of(follower, pool), pool.id, i, j, amount)
            continue
        ((paid, got),) = abi.decode("int256[]", answer)
        ours = work(state_of(follower, pool), pool.id, i, j, amount)
        assert ours == (-got if given_in else paid), (pool, i, j, given_in, amount)
        compared += 1
    return compared


def assert_depth(devnet: Devnet, balancer: Balancer, follower: Follower) -> None:
    """The stated size moves the price by 2 %, by the contracts' own amounts."""
    node = devnet.chain.node
    for pool in balancer.pools:
        held = follower.player.instance.pool(follower.player.book, pool.id)
        assert held is not None
        i, j = real(pool)[:2]
        for a, b, amount, wanted in ((i, j, held.depth[0], 0.98), (j, i, held.depth[1], 1 / 1.02)):
            assert amount > 0, pool
            before = pools.spot(state_of(follower, pool), pool.id, a, b)
            snapshot = node.snapshot()
            trader = devnet.roles.traders[0]
            tx = swap(trader, balancer.vault, pool, pool.tokens[a], pool.tokens[b], amount, given_in=True)
            devnet.chain.mine(node.timestamp() + 12, [tx])
            follower.catch_up()
            after = pools.spot(state_of(follower, pool), pool.id, a, b)
            assert after / before == pytest.approx(wanted, rel=2e-6), pool  # A moves on meanwhile
            follower.player.book.undo()
            node.revert(snapshot)
            devnet.chain.forget()


def transactions(devnet: Devnet, balancer: Balancer, rng: random.Random, follower: Follower) -> list[Tx]:
    txs: list[Tx] = []
    for pool in balancer.pools:
        state = state_of(follower, pool)
        for _ in range(rng.randrange(3)):
            i, j = rng.sample(real(pool), 2)
            given_in = rng.random() < 0.6
            amount = max(int(state.balances[i if given_in else j] * 10 ** rng.uniform(-6, -1.5)), 1)
            trader = rng.choice(devnet.roles.traders)
            txs.append(swap(trader, balancer.vault, pool, pool.tokens[i], pool.tokens[j], amount, given_in=given_in))
        if rng.random() < 0.3:
            amounts = [int(state.balances[i] * 0.01) for i in real(pool)]
            user = bytes.fromhex(encode_arguments("uint256,uint256[],uint256", 1, amounts, 0))
            txs.append(join(devnet, balancer.vault, pool, user))
        if rng.random() < 0.2:
            held = devnet.chain.value(pool.address, "balanceOf(address)", devnet.roles.lp)
            # Exactly so much of the pool's own token for one token of it.
            user = bytes.fromhex(encode_arguments("uint256,uint256,uint256", 0, held // 300, 0))
            txs.append(leave(devnet, balancer.vault, pool, user))
    return txs


def follow(devnet: Devnet, balancer: Balancer) -> Follower:
    ids = tuple(pool.id for pool in balancer.pools)
    deployment = Deployment(chain="devnet", protocol="balancer_v2", address=balancer.vault, pools=ids)
    follower = Follower(devnet.chain.node, deployment)
    follower.start()
    return follower


@pytest.mark.parametrize("seed", SEEDS)
def test_balancer_follows_through_everything(devnet: Devnet, seed: int) -> None:
    node, rng = devnet.chain.node, random.Random(seed)
    balancer = deploy_balancer(devnet)
    ids = tuple(pool.id for pool in balancer.pools)
    follower = follow(devnet, balancer)
    assert_state(devnet, balancer, follower)
    compared = 0
    facts: list[Fact] = []
    admin = devnet.roles.admin
    for number in range(BLOCKS):
        txs = transactions(devnet, balancer, rng, follower)
        if number == 6:
            data = encode("setSwapFeePercentage(uint256)", 77 * 10**14)
            txs.append(Tx(admin, balancer.pools[0].address, data, "fee"))
        if number == 10:
            set_rate(devnet, 119 * ONE // 100)
        if number == 18:
            end = node.timestamp() + 12 + 2 * 86_400
            data = encode("startAmplificationParameterUpdate(uint256,uint256)", 300, end)
            txs.append(Tx(admin, balancer.pools[2].address, data, "A moves"))
        devnet.chain.mine(node.timestamp() + 12, txs)
        if number == 14:
            node.reorg(2, [])
            devnet.chain.forget()
        facts += follower.catch_up()
        assert_state(devnet, balancer, follower)
        compared += assert_quotes(devnet, balancer, follower, rng)
    assert_depth(devnet, balancer, follower)
    assert compared > 1500
    assert follower.player.book.notices == {}
    for held in follower.player.instance.pools(follower.player.book):
        assert held.mismatches == 0
        assert (held.share > 0) is (held.id in ids[2:])
    assert {type(fact) for fact in facts} == {Swapped, LiquidityMoved}
    for fact in facts:
        if isinstance(fact, Swapped):
            assert fact.amount0 * fact.amount1 <= 0
            assert fact.price > 0


def test_a_rate_that_nobody_has_taken_yet(devnet: Devnet) -> None:
    """A swap asks the provider once the cache is over, and not a second earlier; the pool goes on telling the old."""
    chain, node = devnet.chain, devnet.chain.node
    balancer = deploy_balancer(devnet)
    pool = balancer.pools[3]
    token = devnet.tokens["wstETH"].address
    place = pool.tokens.index(token)
    cached = devnet.chain.call(
        pool.address, "getTokenRateCache(address)", token, returns="uint256,uint256,uint256,uint256"
    )
    assert cached[2] == RATE_DURATION
    expires = cached[3]
    follower = follow(devnet, balancer)
    old = state_of(follower, pool)
    asked = RATE_PROVIDER, encode("getRate()")

    def at(time: int, *txs: Tx) -> tuple[int, int]:
        """A block at that time: the rate a swap takes as we say it, and how many reads it cost, all held exact."""
        before = follower.calls
        chain.mine(time, list(txs))
        follower.catch_up()
        assert_state(devnet, balancer, follower)
        assert assert_quotes(devnet, balancer, follower, random.Random(time)) > 40
        return pools.factors(state_of(follower, pool))[place], follower.calls - before

    set_rate(devnet, 119 * ONE // 100)
    assert at(expires - 1) == (118 * ONE // 100, 0)
    assert at(expires) == (118 * ONE // 100, 0)
    assert asked not in follower.player.wants()
    held = follower.player.instance.pool(follower.player.book, pool.id)
    assert held is not None
    assert at(expires + 1) == (119 * ONE // 100, 1)
    assert state_of(follower, pool).scaling == old.scaling
    moved = follower.player.instance.pool(follower.player.book, pool.id)
    assert moved is not None
    assert moved.reserves == held.reserves
    assert moved.rates != held.rates
    assert moved.price != held.price
    assert moved.depth != held.depth
    assert_depth(devnet, balancer, follower)

    # What was read at a block goes with it: once for the block in its place, once for the next.
    node.reorg(1, [])
    chain.forget()
    set_rate(devnet, 120 * ONE // 100)
    assert at(expires + 40) == (120 * ONE // 100, 2)
    set_rate(devnet, 121 * ONE // 100)
    assert at(expires + 52) == (121 * ONE // 100, 1)

    # A swap takes the rate; from then on it holds for the time of the cache, whatever the provider says.
    trader = devnet.roles.traders[0]
    sold = swap(trader, balancer.vault, pool, devnet.tokens["WETH"].address, token, ONE, given_in=True)
    taken = expires + 64
    assert at(taken, sold) == (121 * ONE // 100, 0)
    assert state_of(follower, pool).scaling != old.scaling
    set_rate(devnet, 122 * ONE // 100)
    assert at(taken + RATE_DURATION) == (121 * ONE // 100, 0)
    assert at(taken + RATE_DURATION + 1) == (122 * ONE // 100, 1)

    # The owner gives the cache another duration, which takes the rate too.
    data = encode("setTokenRateCacheDuration(address,uint256)", token, 600)
    taken += RATE_DURATION + 13
    assert at(taken, Tx(devnet.roles.admin, pool.address, data, "duration")) == (122 * ONE // 100, 0)
    set_rate(devnet, 123 * ONE // 100)
    assert at(taken + 600) == (122 * ONE // 100, 0)
    assert at(taken + 601) == (123 * ONE // 100, 1)
    assert state_of(follower, pool).mismatches == 0
    assert follower.player.book.notices == {}

    late = follow(devnet, balancer)
    assert pools.factors(state_of(late, pool))[place] == 123 * ONE // 100
