"""The barrier formula under an uncertain volatility: against a simulation, the plain formula, and itself as arrays."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from defiwatch.state.lending.barrier import HORIZONS, p_liquidation
from defiwatch.state.lending.chances import BLENDS, multiples, p_blended, p_many, p_uncertain

DAY = 86_400.0


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.5, 1.0])
def test_the_mean_square_of_the_volatility_is_kept(spread: float) -> None:
    found = multiples(spread)
    assert math.fsum(weight for _, weight in found) == pytest.approx(1.0)
    assert math.fsum(weight * times * times for times, weight in found) == pytest.approx(1.0)


def test_without_a_spread_it_is_the_barrier_formula() -> None:
    for factor in (1.001, 1.05, 1.5):
        plain = p_liquidation(factor, 0.8, DAY, push_s=3600.0)
        assert p_uncertain(factor, 0.8, DAY, spread=0.0, push_s=3600.0) == plain


def test_against_a_simulation_whose_volatility_is_drawn_first() -> None:
    """40,000 walks, each with its own volatility (ln σ normal, spread 0.5, mean square 0.8²), seen at 24 pushes: within
    a fifth of the distance that the plain formula is off, plus three standard errors."""
    rng = np.random.default_rng(5)
    walks, spread = 40_000, 0.5
    sigma = 0.8 * np.exp(spread * rng.standard_normal(walks) - spread * spread)
    path, least = np.zeros(walks), np.zeros(walks)
    for _ in range(24):
        step = sigma * math.sqrt(1.0 / 8766.0)
        path += step * rng.standard_normal(walks) - 0.5 * step * step
        least = np.minimum(least, path)
    for factor in (1.02, 1.1, 1.2, 1.3):
        seen = float((least < -math.log(factor)).mean())
        found = p_uncertain(factor, 0.8, DAY, spread=spread, push_s=3600.0)
        plain = p_liquidation(factor, 0.8, DAY, push_s=3600.0)
        error = 3.0 * math.sqrt(seen * (1.0 - seen) / walks)
        assert abs(found - seen) < 0.2 * abs(plain - seen) + error + 0.003, factor


def test_tails_are_fatter_and_near_one_it_is_surer_of_survival() -> None:
    def both(factor: float) -> tuple[float, float]:
        return p_uncertain(factor, 0.8, DAY, spread=0.5), p_liquidation(factor, 0.8, DAY)

    ours, plain = both(1.2)
    assert ours > 3.0 * plain
    ours, plain = both(1.01)
    assert ours < plain


def test_horizons_never_fall_and_each_leans_on_its_own_volatilities() -> None:
    assert set(BLENDS) == set(HORIZONS)
    for blend in BLENDS.values():
        assert blend.fast + blend.slow + blend.long == pytest.approx(1.0)
    found = p_blended(1.05, 2.0, 0.5, 0.3, push_s=600.0)
    assert list(found.values()) == sorted(found.values())
    calm, storm = p_blended(1.02, 0.3, 0.8, 0.8), p_blended(1.02, 1.6, 0.8, 0.8)
    assert storm["1h"] > 3.0 * calm["1h"]
    assert p_blended(1.05, 0.0, 0.0, 0.0) == dict.fromkeys(HORIZONS, 0.0)


def test_many_at_once_are_what_each_is_alone() -> None:
    draw = random.Random(1)
    rows = [
        (1.0 + 2.0 * draw.random() ** 3, 0.001 + 2.0 * draw.random(), draw.choice((0.0, 600.0, 9e4)))
        for _ in range(500)
    ]
    factors, sigmas, pushes = (np.array(column) for column in zip(*rows, strict=True))
    for seconds in HORIZONS.values():
        for spread in (0.0, 0.5):
            found = p_many(factors, sigmas, seconds, pushes, spread=spread)
            alone = [p_uncertain(f, s, seconds, spread=spread, push_s=p) for f, s, p in rows]
            assert found.tolist() == pytest.approx(alone, rel=1e-9, abs=1e-15)
