"""Pools that are sold into: quotes are the protocols' own, falls are what they are called, routes are the best."""

from __future__ import annotations

from functools import lru_cache

import pytest

from defiwatch.commands.demo import bundled
from defiwatch.config import Config
from defiwatch.engine import Engine, replay
from defiwatch.engine.line import Line
from defiwatch.protocols.balancer_v2.state import BalancerState
from defiwatch.protocols.curve.state import CurveState
from defiwatch.protocols.uniswap_v3.quotes import quote_pool
from defiwatch.state.lending.depth import Depth, Pair, Ranges, Stable, Venue, Weighted, venues
from tests.unit.state.lending.made_up import STETH, USDC, WETH

A = 10**18


@lru_cache(maxsize=1)
def demo() -> tuple[Line, dict[str, Venue]]:
    engine = Engine(Config(), mode="demo")
    with bundled() as path:
        for _ in replay(engine, [path]):
            pass
    line = next(line for line in engine.lines.values() if line.intake.head is not None)
    head = line.intake.head
    assert head is not None
    return line, venues(line.intake.instances, line.intake.book, head)


def stable() -> Stable:
    state = CurveState(
        coins=(WETH, STETH),
        balances=(1000 * A, 1000 * A),
        rates=(A, A),
        ng=False,
        a_precision=100,
        amps=(20_000, 20_000, 0, 0),
        fee=4_000_000,
        admin_fee=5 * 10**9,
        offpeg=0,
    )
    return Stable(state, 1)


def weighted() -> Weighted:
    state = BalancerState(
        tokens=(WETH, USDC),
        balances=(1000 * A, 3_000_000 * 10**6),
        fee=3 * 10**15,
        weights=(A // 2, A // 2),
        scaling=(A, A * 10**12),
    )
    return Weighted("0x" + "ab" * 32, state)


def test_the_demos_pools_are_there_and_quote_as_their_protocol_does() -> None:
    line, found = demo()
    compared = 0
    for key, venue in found.items():
        if isinstance(venue, Ranges):
            for down in (True, False):
                amount = 10**18 if venue.price(0, 1) < 1 else 10**9
                ours = venue.sell(0 if down else 1, 1 if down else 0, amount)
                theirs = quote_pool(line.intake.book, key.split(":")[1], zero_for_one=down, amount_in=amount)
                if theirs is not None and theirs.filled and theirs.known:
                    assert ours is not None
                    assert ours[0] == theirs.amount_out
                    compared += 1
    assert compared >= 6
    assert sum(isinstance(venue, Pair) for venue in found.values()) >= 2


@pytest.mark.parametrize("fall", [0.05, 0.2, 0.3])
def test_a_fall_moves_the_price_by_what_it_says(fall: float) -> None:
    _, found = demo()
    moved = 0
    for venue in [*found.values(), weighted()]:
        for i, j in ((0, 1), (1, 0)):
            after = venue.fallen(i, j, fall)
            if after is not None:
                assert after.price(i, j) / venue.price(i, j) == pytest.approx(1.0 - fall, abs=2e-3)
                moved += 1
    assert moved >= 10


def test_a_stable_pool_falls_too() -> None:
    after = stable().fallen(0, 1, 0.05)
    assert after is not None
    assert after.price(0, 1) / stable().price(0, 1) == pytest.approx(0.95, abs=2e-3)


@pytest.mark.parametrize("venue", [stable(), weighted(), Pair((WETH, USDC), (1000 * A, 3_000_000 * 10**6), 3000)])
def test_selling_in_two_parts_pays_no_more_and_each_part_lowers_the_price(venue: Venue) -> None:
    whole = venue.sell(0, 1, 40 * A)
    first = venue.sell(0, 1, 20 * A)
    assert whole is not None
    assert first is not None
    second = first[1].sell(0, 1, 20 * A)
    assert second is not None
    assert 0 < second[0] < first[0]
    assert second[1].price(0, 1) < first[1].price(0, 1) < venue.price(0, 1)
    assert first[0] + second[0] == pytest.approx(whole[0], rel=1e-3)


def test_the_best_route_is_taken_and_a_hub_where_there_is_no_direct_one() -> None:
    small = Pair((WETH, USDC), (10 * A, 30_000 * 10**6), 3000)
    large = Pair((WETH, USDC), (1000 * A, 3_000_000 * 10**6), 3000)
    depth = Depth({"small": small, "large": large, "stable": stable()})
    direct = depth.quote(WETH, USDC, 5 * A)
    assert direct is not None
    assert [hop.key for hop in direct.hops] == ["large"]
    through = depth.quote(STETH, USDC, 5 * A)
    assert through is not None
    assert [hop.key for hop in through.hops] == ["stable", "large"]
    before = through.got
    depth.take(through)
    again = depth.quote(STETH, USDC, 5 * A)
    assert again is not None
    assert again.got < before
    assert not depth.routed(USDC, "0x" + "05" * 20)
