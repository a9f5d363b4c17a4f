"""Pools against their contracts: every quote, reserve and price equal to the unit, at every block, through a reorg."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.risk import Pool
from defiwatch.protocols import uniswap_v2
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.concentrated.prices import moved
from defiwatch.protocols.concentrated.walk import DEPTH_BPS
from defiwatch.protocols.ticks import TICKS
from defiwatch.protocols.uniswap_v3 import POOLS, V3State, quotes

from . import abi
from .chain import Call
from .deploy import deploy
from .fixtures import SEEDS
from .flows import SLOT0
from .follow import Follower
from .model import Devnet, PoolV3
from .node import Anvil, RpcError, available
from .scenario import Scenario

pytestmark = pytest.mark.devnet

QUOTE_IN = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
QUOTE_OUT = "quoteExactOutputSingle((address,address,uint256,uint24,uint160))"
QUOTED = "uint256,uint160,uint32,uint256"
JOINED_AT = 20
"""Steps of the story before the followers start: the pools are in mid-life, their ticks have to be read."""


@pytest.fixture(scope="module", params=[seed + 2 for seed in SEEDS])
def story(request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """A story under way: every position is open, some swaps are done."""
    reason = available()
    if reason is not None:
        pytest.skip(reason)
    with Anvil() as node:
        told = Scenario(deploy(node), seed=int(request.param))
        for step in islice(told.steps(), JOINED_AT):
            step.run()
        yield told


def ask(devnet: Devnet, calls: list[tuple[str, str, tuple[object, ...], str]]) -> list[tuple[Any, ...] | None]:
    """Calls (to, signature, arguments, what comes back) in one request; None where one reverts."""
    requests = [("eth_call", [{"to": to, "data": abi.encode(sig, *args)}, "latest"]) for to, sig, args, _ in calls]
    answers = devnet.chain.node.batch(requests)
    return [
        None if isinstance(answer, RpcError) else abi.decode(returns, answer)
        for answer, (_, _, _, returns) in zip(answers, calls, strict=True)
    ]


def state_of(follower: Follower, pool: str) -> V3State:
    state = follower.player.book.get(POOLS, pool)
    assert state is not None
    return state


def assert_v3_state(devnet: Devnet, follower: Follower) -> None:
    """slot0, liquidity and balances of every pool, as the contracts have them at the head."""
    calls: list[Call] = []
    for pool in devnet.v3.pools:
        calls += [Call(pool.address, "slot0()", (), SLOT0), Call(pool.address, "liquidity()", (), "uint128")]
        for symbol in (pool.token0, pool.token1):
            calls.append(Call(devnet.tokens[symbol].address, "balanceOf(address)", (pool.address,), "uint256"))
    rows = iter(devnet.chain.reads(calls))
    for pool in devnet.v3.pools:
        state = state_of(follower, pool.address)
        slot0, (liquidity,), (balance0,), (balance1,) = next(rows), next(rows), next(rows), next(rows)
        ours = (state.sqrt_price_x96, state.tick, state.liquidity, state.balance0, state.balance1)
        assert ours == (slot0[0], slot0[1], liquidity, balance0, balance1), pool.name


def assert_v3_ticks(devnet: Devnet, follower: Follower) -> None:
    """Every tick that is held, as the contract holds it; and no bit without its tick."""
    book = follower.player.book
    held = [(pool, tick, entry) for (pool, tick), entry in book.items(TICKS)]
    calls = [
        Call(pool, "ticks(int24)", (tick,), "uint128,int128,uint256,uint256,int56,uint160,uint32,bool")
        for pool, tick, _ in held
    ]
    for (pool, tick, entry), row in zip(held, devnet.chain.reads(calls), strict=True):
        assert (entry.gross, entry.net) == row[:2], (pool, tick)
    bits = sum(word.bit_count() for _, word in book.items(table.WORDS))
    assert bits == len(held)


def assert_v3_quotes(devnet: Devnet, follower: Follower, rng: random.Random) -> tuple[int, int]:
    """Quotes of many sizes equal QuoterV2's; returns how many there were and how many ticks they crossed."""
    asked: list[tuple[PoolV3, bool, bool, int]] = []
    calls: list[tuple[str, str, tuple[object, ...], str]] = []
    for pool in devnet.v3.pools:
        state = state_of(follower, pool.address)
        tokens = (devnet.tokens[pool.token0].address, devnet.tokens[pool.token1].address)
        for zero_for_one in (True, False):
            sell, buy = tokens if zero_for_one else tokens[::-1]
            for exact_in in (True, False):
                balance = state.balance0 if zero_for_one == exact_in else state.balance1
                for size in (1, 10 ** rng.uniform(-6, -2), 10 ** rng.uniform(-2, 0.3)):
                    amount = 1 if size == 1 else max(int(balance * size), 1)
                    asked.append((pool, zero_for_one, exact_in, amount))
                    row = (sell, buy, amount, pool.fee, 0)
                    calls.append((devnet.v3.quoter, QUOTE_IN if exact_in else QUOTE_OUT, (row,), QUOTED))
    crossed = compared = 0
    for (pool, zero_for_one, exact_in, amount), answer in zip(asked, ask(devnet, calls), strict=True):
        ours = quotes.quote_pool(
            follower.player.book,
            pool.address,
            zero_for_one=zero_for_one,
            amount_in=amount if exact_in else None,
            amount_out=None if exact_in else amount,
        )
        assert ours is not None
        if not ours.known:
            continue
        if answer is None:
            assert not ours.filled, (pool.name, zero_for_one, exact_in, amount)
            continue
        other = ours.amount_out if exact_in else ours.amount_in
        assert (other, ours.sqrt_price_x96) == answer[:2], (pool.name, zero_for_one, exact_in, amount)
        # The quoter counts an initialised tick that the price starts on, or stops at, by rules of its own.
        assert abs(ours.crossed - answer[2]) <= 1
        crossed += ours.crossed
        compared += 1
    return compared, crossed


def assert_v3_depth(devnet: Devnet, follower: Follower) -> None:
    """A swap of the stated size moves the contract's price by 2 %, and one unit less does not."""
    calls: list[tuple[str, str, tuple[object, ...], str]] = []
    wanted: list[tuple[str, int, bool]] = []
    for pool in devnet.v3.pools:
        held = follower.player.instance.pool(follower.player.book, pool.address)
        assert isinstance(held, Pool)
        price = state_of(follower, pool.address).sqrt_price_x96
        tokens = (devnet.tokens[pool.token0].address, devnet.tokens[pool.token1].address)
        for amount, (sell, buy), bps in zip(held.depth, (tokens, tokens[::-1]), (-DEPTH_BPS, DEPTH_BPS), strict=True):
            assert amount > 1, pool.name
            for size in (amount, amount - 1):
                wanted.append((pool.name, moved(price, bps), size == amount))
                calls.append((devnet.v3.quoter, QUOTE_IN, ((sell, buy, size, pool.fee, 0),), QUOTED))
    for (name, target, whole), answer in zip(wanted, ask(devnet, calls), strict=True):
        assert answer is not None
        after = answer[1]
        falls = wanted.index((name, target, True)) % 4 == 0
        there = after <= target if falls else after >= target
        assert there is whole, (name, after, target)


def assert_v2(devnet: Devnet, follower: Follower, rng: random.Random) -> None:
    """Reserves, amounts out and in, and depth of every pair, as the contracts have them."""
    book, router = follower.player.book, devnet.v2.router
    reserves = devnet.chain.reads(
        [Call(p.address, "getReserves()", (), "uint112,uint112,uint32") for p in devnet.v2.pairs]
    )
    for pair, row in zip(devnet.v2.pairs, reserves, strict=True):
        held = follower.player.instance.pool(book, pair.address)
        assert held is not None
        assert (*held.reserves, held.time) == row
        for x, y in (row[:2], row[1::-1]):
            amount_in, amount_out = max(int(x * 10 ** rng.uniform(-9, 1)), 1), max(int(y * rng.random()), 1)
            (out,) = devnet.chain.call(router, "getAmountOut(uint256,uint256,uint256)", amount_in, x, y)
            (paid,) = devnet.chain.call(router, "getAmountIn(uint256,uint256,uint256)", amount_out, x, y)
            assert uniswap_v2.get_amount_out(amount_in, x, y) == out
            assert uniswap_v2.get_amount_in(amount_out, x, y) == paid
        for amount, (x, y), (up, down) in zip(held.depth, (row[:2], row[1::-1]), ((98, 100), (100, 102)), strict=True):
            for size in (amount, amount - 1):
                (out,) = devnet.chain.call(router, "getAmountOut(uint256,uint256,uint256)", size, x, y)
                assert ((y - out) * x * down <= y * (x + size) * up) is (size == amount)


def test_v2_and_v3_follow_the_whole_story(story: Scenario) -> None:
    devnet, rng = story.devnet, random.Random(5)
    node = devnet.chain.node
    v2 = Follower(
        node, Deployment(chain="devnet", protocol="uniswap_v2", pools=tuple(p.address for p in devnet.v2.pairs))
    )
    v3 = Follower(
        node, Deployment(chain="devnet", protocol="uniswap_v3", pools=tuple(p.address for p in devnet.v3.pools))
    )
    for follower in (v2, v3):
        follower.start()
    compared = crossed = reorgs = 0
    for step in story.steps():
        before = v3.player.book.head
        assert before is not None
        step.run()
        reorgs += node.block(before.number)["hash"] != before.hash
        for follower in (v2, v3):
            follower.catch_up()
        assert_v3_state(devnet, v3)
        if step.index % 12 == 0 or step.phase in ("reorg", "drain"):
            assert_v3_ticks(devnet, v3)
            assert_v2(devnet, v2, rng)
            assert_v3_depth(devnet, v3)
            more, ticks = assert_v3_quotes(devnet, v3, rng)
            compared, crossed = compared + more, crossed + ticks
    assert reorgs == 1
    assert compared > 1000
    assert crossed > 50
    for pool in v3.player.instance.pools(v3.player.book):
        assert pool.mismatches == 0
    assert v3.player.book.notices == {}
