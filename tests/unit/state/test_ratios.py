from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from defiwatch.state.ratios import LEARNT_S, LIMIT, Ratio, learn

DAY = 86_400.0


def taught(observed: list[float], step: float = 600.0, start: Ratio | None = None) -> Ratio:
    ratio = start
    begin = 0.0 if start is None else start.time + step
    for i, value in enumerate(observed):
        ratio = learn(ratio, value, begin + step * i)
    assert ratio is not None
    return ratio


def test_it_is_the_mean_of_what_the_market_says_and_not_judged_by_before_six_hours() -> None:
    young = taught([1.18, 1.1812, 1.1788] * 10)
    assert not young.learnt
    assert abs(young.value - 1.18) < 0.0005
    old = taught([1.18, 1.1812, 1.1788] * 15)
    assert old.learnt
    assert abs(old.value - 1.18) < 0.0005


def test_it_follows_what_staking_pays() -> None:
    ratio = taught([1.18 * math.exp(0.03 * (i * 600.0) / (365 * DAY)) for i in range(6 * 24 * 60)])
    grown = 1.18 * math.exp(0.03 * 60 / 365)
    assert abs(ratio.value / grown - 1.0) < 0.0005


def test_a_day_of_a_fall_does_not_become_the_ratio() -> None:
    ratio = taught([1.18] * 300)
    after = taught([1.10] * 144, start=ratio)
    assert 0.0 < 1.0 - after.value / 1.18 < 0.003


def test_an_older_sample_changes_nothing() -> None:
    ratio = taught([1.18] * 10)
    assert learn(ratio, 1.0, ratio.time) == ratio
    assert learn(ratio, 1.0, ratio.time - 5.0) == ratio


@given(st.floats(1e-3, 1e3), st.floats(1.0, 1e7))
def test_one_sample_moves_a_learnt_ratio_by_less_than_its_limit(observed: float, later: float) -> None:
    ratio = Ratio(1.18, 0.0, LEARNT_S)
    after = learn(ratio, observed, LEARNT_S + later)
    assert abs(math.log(after.value / ratio.value)) <= LIMIT
