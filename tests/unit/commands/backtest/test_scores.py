"""Brier scores, reliability and the block bootstrap, against what is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from defiwatch.commands.backtest.scores import EDGES, FACTORS, RESAMPLES, Static, Tally, resampled

DAY = 86_400.0


def test_brier_skill_and_difference_by_hand() -> None:
    tally = Tally(("a", "b"))
    label = np.array([True, False, False, False])
    tally.add(0.0, [np.array([0.5, 0.1, 0.1, 0.0]), np.array([1.0, 1.0, 0.0, 0.0])], label)
    found = tally.result(1)
    assert (found.n, found.crossed, found.base_rate, found.days) == (4, 1, 0.25, 1)
    assert found.forecasts["a"].brier == pytest.approx((0.25 + 0.01 + 0.01) / 4)
    assert found.forecasts["a"].skill == pytest.approx(1.0 - 0.0675 / 0.1875)
    assert found.forecasts["a"].worse is None
    worse = found.forecasts["b"].worse
    assert worse is not None
    assert worse.value == pytest.approx(0.25 - 0.0675)
    assert worse.low is None
    assert [(b.n, b.crossed, b.observed) for b in found.reliability] == [(1, 0, None), (2, 0, None), (1, 1, None)]


def test_a_rate_needs_five_of_each() -> None:
    for n, crossed, told in ((100, 4, False), (100, 5, True), (100, 96, False), (9, 5, False), (10, 5, True)):
        tally = Tally(("a",))
        tally.add(0.0, [np.full(n, 0.25)], np.arange(n) < crossed)
        (only,) = tally.result(1).reliability
        assert (only.low, only.high) == (0.2, 0.3)
        assert (only.observed is not None) == told


def days(n: int, cases: int, seed: int, rho: float) -> Tally:
    """Each day's cases share a frequency that follows that of the day before by `rho`; "a" tells the true mean, "b"
    nothing."""
    draw, tally, level = np.random.default_rng(seed), Tally(("a", "b")), 0.0
    for day in range(n):
        level = rho * level + np.sqrt(1.0 - rho * rho) * draw.standard_normal()
        label = draw.random(cases) < (0.4 if level > 0.0 else 0.1)
        tally.add(DAY * day, [np.full(cases, 0.25), np.full(cases, 0.5)], label)
    return tally


def test_the_interval_holds_the_truth_as_often_as_it_says_and_a_day_is_one_sample() -> None:
    """60 draws of 60 independent days of 50 cases each: about 57 of the intervals of the mean hold 0.25."""
    held, widths = 0, []
    for seed in range(60):
        (only,) = days(60, 50, seed, 0.0).result(1).reliability
        assert only.observed is not None
        low, high = only.observed.low or 0.0, only.observed.high or 0.0
        held += low <= 0.25 <= high
        widths.append(high - low)
    assert 51 <= held <= 59
    assert np.mean(widths) > 2.0 * 2 * 1.96 * np.sqrt(0.25 * 0.75 / 3000)


def test_longer_blocks_are_wider_where_days_hang_together() -> None:
    tally = days(200, 50, 1, 0.9)
    wide, narrow = (tally.result(block).forecasts["b"].worse for block in (10, 1))
    assert wide is not None
    assert narrow is not None
    assert wide.value == narrow.value
    assert (wide.high or 0.0) - (wide.low or 0.0) > 1.5 * ((narrow.high or 0.0) - (narrow.low or 0.0))


def test_blocks_are_of_consecutive_days_and_the_same_at_each_run() -> None:
    rows = np.arange(20.0)[:, None]
    days = [*range(11), *range(50, 59)]
    found, again = resampled(rows, days, 2), resampled(rows, days, 2)
    assert found is not None
    assert again is not None
    assert found.shape == (RESAMPLES, 1)
    assert np.array_equal(found, again)
    tagged = np.array([[1.0, 0.0]] * 11 + [[0.0, 1.0]] * 9)
    whole = resampled(tagged, days, 2)
    assert whole is not None
    assert set(np.unique(whole % 2.0)) == {0.0}
    assert resampled(rows, days, 6) is None


def test_the_same_day_of_two_recordings_is_one_sample() -> None:
    tally = Tally(("a",))
    for _ in range(3):
        tally.add(DAY * 5, [np.full(4, 0.5)], np.array([True, False, True, False]))
    assert (tally.result(1).days, tally.result(1).n) == (1, 12)


def test_static_frequencies_and_the_threshold_with_the_fewest_errors() -> None:
    static = Static()
    assert (static.threshold, static.table(np.array([1.2])).tolist()) == (1.0, [0.0])
    rng = np.random.default_rng(2)
    factors = 1.0 + rng.random(20_000)
    crossed = rng.random(20_000) < np.where(factors < 1.05, 0.9, 0.1)
    static.learn(factors[:9_000], crossed[:9_000])
    static.learn(factors[9_000:], crossed[9_000:])
    assert static.threshold == 1.05
    assert static.table(np.array([1.045, 1.5])).tolist() == pytest.approx([0.9, 0.1], abs=0.05)
    assert static.n.sum() == 20_000


def test_edges_cover_everything() -> None:
    assert (EDGES[0], EDGES[-1], FACTORS[0], FACTORS[-1]) == (0.0, 1.0, 1.0, 3.0)
    assert list(EDGES) == sorted(EDGES)
    assert list(FACTORS) == sorted(FACTORS)
    tally = Tally(("a",))
    tally.add(0.0, [np.array([0.0, 1.0])], np.array([False, True]))
    assert [(b.low, b.n) for b in tally.result(1).reliability] == [(0.0, 1), (0.9, 1)]
