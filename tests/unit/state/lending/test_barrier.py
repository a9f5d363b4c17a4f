"""P(liquidated) against checked values, a simulation, and its limits; and the volatility that goes into it."""

from __future__ import annotations

import math
import random

import pytest

from defiwatch.state.lending import barrier
from defiwatch.state.lending.volatility import Volatilities, net_weights
from tests.unit.state.lending.made_up import STETH, USDC, WBTC, WETH, leg, position

DAY = 86_400.0


@pytest.mark.parametrize(
    ("factor", "push", "expected", "within"),
    [(1.05, 0.0, 0.25, 0.006), (1.10, 0.0, 0.024, 0.001), (1.05, 3600.0, 0.205, 0.001)],
)
def test_checked_values(factor: float, push: float, expected: float, within: float) -> None:
    assert barrier.p_liquidation(factor, 0.8, DAY, push_s=push) == pytest.approx(expected, abs=within)


def test_against_a_simulation_of_hourly_pushes() -> None:
    """40,000 walks of 24 pushes, seen only at the pushes: the shifted barrier is within three standard errors."""
    rng = random.Random(5)
    sigma, walks = 0.8, 40_000
    step = sigma * math.sqrt(1 / 8760)
    drift = -0.5 * sigma * sigma / 8760
    barrier_at = -math.log(1.05)
    hits = 0
    for _ in range(walks):
        level = 0.0
        for _ in range(24):
            level += drift + step * rng.gauss(0.0, 1.0)
            if level <= barrier_at:
                hits += 1
                break
    told = barrier.p_liquidation(1.05, sigma, DAY, push_s=3600.0)
    error = math.sqrt(told * (1 - told) / walks)
    assert hits / walks == pytest.approx(told, abs=3 * error)
    assert abs(hits / walks - barrier.p_liquidation(1.05, sigma, DAY)) > 5 * error


def test_limits() -> None:
    assert barrier.p_liquidation(1.0, 0.5, DAY) == barrier.p_liquidation(0.9, 0.5, DAY) == 1.0
    assert barrier.p_liquidation(math.inf, 0.5, DAY) == barrier.p_liquidation(1.5, 0.5, 0.0) == 0.0
    assert barrier.p_liquidation(1.1, 0.0, DAY) == 0.0
    assert barrier.p_liquidation(1.0001, 0.0, 10 * 365 * DAY, drift=-0.1) == 1.0
    assert barrier.p_liquidation(1.02, 0.005, 7 * DAY) < 1e-12
    assert barrier.p_liquidation(1e6, 0.001, DAY) == 0.0
    assert barrier.p_liquidation(1.1, 5.0, 3650 * DAY) == pytest.approx(1.0)
    assert 0.0 < barrier.p_liquidation(1.5, 0.0005, DAY, drift=-200.0) <= 1.0


def test_longer_horizons_are_never_safer() -> None:
    found = barrier.p_horizons(1.05, 0.8, push_s=3600.0)
    assert list(found) == ["1h", "24h", "7d"]
    assert 0.0 < found["1h"] < found["24h"] < found["7d"] < 1.0


def test_what_is_said_of_small_probabilities() -> None:
    assert barrier.told(4e-14) == "< 0.1 %, excludes oracle, cap and rate jumps"
    assert [barrier.told(p) for p in (0.001, 0.0234, 0.25, 0.9999, 1.0)] == ["0.1 %", "2.3 %", "25 %", "100 %", "100 %"]


def feed(volatilities: Volatilities, days: float, sigmas: dict[str, float], seed: int = 3) -> None:
    """Prices every ten minutes: STETH follows WETH with a little noise of its own, the rest walk alone."""
    rng = random.Random(seed)
    levels = dict.fromkeys(sigmas, 0.0)
    scale = math.sqrt(600 / (365 * DAY))
    for i in range(int(days * 144)):
        for asset, sigma in sigmas.items():
            if asset != STETH:
                levels[asset] += sigma * scale * rng.gauss(0.0, 1.0)
        if STETH in sigmas:
            levels[STETH] = levels[WETH] + sigmas[STETH] * rng.gauss(0.0, 1.0)
        volatilities.observe(600.0 * i, {asset: math.exp(level) for asset, level in levels.items()})


def test_pairs_are_learnt_and_a_position_is_made_of_pairs() -> None:
    learnt = Volatilities()
    feed(learnt, 20, {WETH: 0.8, USDC: 0.01, WBTC: 0.6, STETH: 0.0001})
    assert learnt.sigma(WETH, USDC) == pytest.approx(0.8, rel=0.15)
    assert learnt.sigma(WETH, WBTC) == pytest.approx(1.0, rel=0.15)
    assert learnt.sigma(WETH, STETH) < 0.1
    plain = position(leg(WETH, 10), leg(USDC, debt=20_000))
    assert learnt.of_position(plain) == pytest.approx(learnt.sigma(WETH, USDC))
    loop = position(leg(STETH, 10), leg(WETH, debt=8))
    assert learnt.of_position(loop) == pytest.approx(learnt.sigma(STETH, WETH))
    mixed = position(leg(WETH, 10), leg(WBTC, 0.5), leg(USDC, debt=20_000))
    assert learnt.of_position(mixed) == pytest.approx(0.5, rel=0.15)  # half 0.8, half 0.6, apart from each other
    assert learnt.of_position(mixed) < learnt.of_position(plain)
    assert learnt.known(plain) > 2 * DAY
    assert learnt.known(position(leg(WETH, 1))) == math.inf


def test_before_much_was_seen_the_prior_stands() -> None:
    young = Volatilities()
    assert young.sigma(WETH, USDC) == pytest.approx(0.8)
    young.observe(0.0, {WETH: 1.0, USDC: 1.0})
    young.observe(600.0, {WETH: 1.0, USDC: 1.0})
    assert 0.75 < young.sigma(WETH, USDC) < 0.8
    assert young.sigma(WETH, WETH) == 0.0


def test_prices_between_the_steps_and_prices_that_are_none() -> None:
    learnt = Volatilities()
    assert learnt.observe(0.0, {WETH: 1.0, USDC: 1.0})
    assert not learnt.observe(599.0, {WETH: 2.0, USDC: 1.0})
    assert learnt.observe(600.0, {WETH: 1.0, USDC: 0.0})
    assert learnt.pairs == {}
    assert learnt.observe(1200.0, {WETH: 1.0, USDC: 1.0})
    assert learnt.pairs == {}  # the two returns are over different times
    assert learnt.observe(1800.0, {WETH: 1.0, USDC: 1.0})
    assert list(learnt.pairs) == [(WETH, USDC)]


def test_net_weights_sum_to_nothing() -> None:
    it = position(leg(WETH, 10, 2), leg(WBTC, 0.5), leg(USDC, debt=10_000))
    weights = net_weights(it)
    assert math.fsum(weights.values()) == pytest.approx(0.0, abs=1e-12)
    assert weights[USDC] == pytest.approx(-10_000 / 16_000)
    assert weights[WETH] == pytest.approx(0.5 - 6000 / 16_000)
    assert net_weights(position(leg(WETH, 1))) == {}
