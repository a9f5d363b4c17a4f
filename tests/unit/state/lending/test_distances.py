"""Distances against values worked out by hand, and against the exact path."""

from __future__ import annotations

import math

import msgspec
import pytest

from defiwatch.domain.units import UINT256_MAX, WAD, YEAR_S
from defiwatch.state.lending import distances, exact
from tests.unit.state.lending.made_up import BASE, STETH, USDC, WBTC, WETH, leg, position


def test_a_plain_loan() -> None:
    """10 ETH at 3,000 with threshold 80 % against 20,000: HF 1.2, gone at 2,500."""
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    assert it.health_factor == 12 * WAD // 10
    assert distances.common_shock(it) == pytest.approx(1 / 6)
    assert distances.liquidation_price(it, WETH) == pytest.approx(2500 * BASE)
    assert distances.liquidation_price(it, USDC) == pytest.approx(1.2 * BASE)
    assert [(m.symbol, round(m.move, 6), m.exact) for m in distances.moves(it)] == [
        ("WETH", -0.166667, False),
        ("USDC", 0.2, False),
    ]


def test_an_asset_on_both_sides() -> None:
    """10 ETH supplied, 2 ETH and 12,000 owed: (10·0.8 − 2)·P = 12,000."""
    it = position(leg(WETH, 10, 2), leg(USDC, debt=12_000))
    assert distances.liquidation_price(it, WETH) == pytest.approx(2000 * BASE)
    assert distances.common_shock(it, {WETH}) == pytest.approx(1 / 3)
    assert distances.common_shock(it) == pytest.approx(1 - 18_000 / 24_000)


def test_a_short() -> None:
    """30,000 USDC against 5 ETH: liquidated by a rise, to 4,800; no common fall does it."""
    it = position(leg(USDC, 30_000), leg(WETH, debt=5))
    assert distances.liquidation_price(it, WETH) == pytest.approx(4800 * BASE)
    assert distances.common_shock(it, {WETH}) is None
    assert distances.common_shock(it, {USDC}) == pytest.approx(1 - 15_000 / 24_000)


def test_where_no_price_decides() -> None:
    safe = position(leg(WETH, 10), leg(WBTC, 10), leg(USDC, debt=100))
    assert distances.liquidation_price(safe, WETH) is None
    assert distances.moves(position(leg(WETH, 1))) == []
    assert distances.common_shock(position(leg(WETH, 1))) is None
    assert distances.common_shock(position(leg(WETH, 1), leg(USDC, debt=1), unknown="no price")) is None
    assert distances.factor(position(leg(WETH, 1))) == math.inf


def test_the_contracts_own_crossing_comes_first() -> None:
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    it = msgspec.structs.replace(it, liquidation_prices={WETH: 2500 * BASE - 1})
    first = distances.moves(it)[0]
    assert (first.liquidation_price, first.exact) == (2500 * BASE - 1, True)


def test_carry() -> None:
    """HF 1.02 at 10 % net is 72 days."""
    seconds = distances.carry_time(1.02, 0.12, 0.02)
    assert seconds is not None and seconds / 86_400 == pytest.approx(72, abs=0.5)
    assert distances.carry_time(1.0, 0.1, 0.0) == 0.0
    assert distances.carry_time(1.5, 0.03, 0.03) is None
    assert distances.carry_time(math.inf, 0.1, 0.0) is None
    it = position(leg(WETH, 10), leg(WBTC, 0.5), leg(USDC, debt=10_000), leg(STETH, debt=1))
    rates = {WETH: (0.02, 0.03), WBTC: (0.0, 0.01), USDC: (0.05, 0.08), STETH: (0.0, 0.01)}
    found = distances.net_rates(it, rates)
    assert found is not None
    cost, earned = found
    assert cost == pytest.approx((10_000 * 0.08 + 3500 * 0.01) / 13_500)
    assert earned == pytest.approx(0.01)
    assert distances.net_rates(it, {WETH: (0.0, 0.0)}) is None
    assert YEAR_S == 365 * 86_400


def test_the_toxic_zone_is_where_a_liquidation_makes_it_worse() -> None:
    below = 0.8 * 1.05
    for debt, inside in ((23_000, False), (26_000, False), (28_000, False), (29_000, True)):
        it = position(leg(WETH, 10), leg(USDC, debt=debt))
        (zone,) = distances.toxic(it)
        assert zone.below == pytest.approx(below)
        assert zone.inside is inside
        taken = distances.best_take(it, "half")
        assert taken is not None
        if distances.factor(it) < 1.0 and not taken.whole:
            assert (taken.factor_after < distances.factor(it)) is inside


def test_what_a_liquidator_would_take() -> None:
    it = position(leg(WETH, 10), leg(WBTC, 0.01, bonus=11_000), leg(USDC, debt=24_800))
    assert 0.95 < distances.factor(it) < 1.0
    half = distances.take(it, "half_large")
    assert half is not None
    assert (half.collateral, half.debt) == (WETH, USDC)
    assert half.repay_value == pytest.approx(12_400 * BASE)
    assert half.seize == pytest.approx(12_400 * 1.05 / 3000 * 10**18, rel=1e-9)
    assert half.profit == pytest.approx(620 * BASE)
    whole = distances.take(it, "whole")
    assert whole is not None and whole.whole and whole.factor_after == math.inf
    assert distances.take(position(leg(WETH, 10), leg(USDC, debt=20_000)), "whole") is None
    small = distances.take(position(leg(WETH, 0.5), leg(USDC, debt=1230)), "half_large")
    assert small is not None and small.whole  # under $2,000 all of it may go
    underwater = distances.take(position(leg(WETH, 1), leg(USDC, debt=4000)), "whole")
    assert underwater is not None
    assert underwater.seize == 10**18 and underwater.repay_value == pytest.approx(3000 / 1.05 * BASE)
    assert underwater.factor_after == 0.0


def test_exact_what_ifs() -> None:
    legs = position(leg(WETH, 10), leg(USDC, debt=20_000)).legs
    assert exact.plain(exact.shocked(legs, {WETH: -0.2})) == 96 * WAD // 100
    assert exact.plain(exact.with_amounts(legs, USDC, debt=-(10**30))) == UINT256_MAX
    assert exact.plain(exact.with_prices(legs, {WETH: 2500 * BASE})) == WAD
    assert exact.plain(exact.with_prices(legs, {WETH: 2500 * BASE - 1})) < WAD
