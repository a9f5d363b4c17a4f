"""The running upper tail, against distributions whose tails are known."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.checks import common

from defiwatch.models.tails import UpperTail


def learnt(values: list[float], **parameters: float) -> UpperTail:
    tail = UpperTail(**parameters)
    for value in values:
        tail.update(value)
    return tail


def pareto(n: int, exponent: float, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [1e-3 * (1.0 - draw.random()) ** (-1.0 / exponent) for _ in range(n)]


@pytest.mark.parametrize("exponent", [1.2, 1.5, 2.5])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
def test_a_pareto_stream_is_told_its_own_tail(exponent: float, share: float) -> None:
    """P(X > x) = (1e-3 / x)^exponent."""
    tail = learnt(pareto(20_000, exponent))
    assert math.log10(tail.tail(1e-3 * share ** (-1.0 / exponent))) == pytest.approx(math.log10(share), abs=0.2)


@pytest.mark.parametrize(
    ("name", "share"), [("lognormal", 0.1), ("exponential", 0.1), ("lognormal", 0.5), ("exponential", 0.5)]
)
def test_quantiles_are_tracked_whatever_the_distribution(name: str, share: float) -> None:
    draw = random.Random(2)
    values = [draw.lognormvariate(-7.0, 2.0) if name == "lognormal" else draw.expovariate(100.0) for _ in range(20_000)]
    tail = learnt(values)
    beyond = sum(value > tail.at_tail(share) for value in values) / len(values)
    assert beyond == pytest.approx(share, rel=0.15)


def test_outliers_do_not_move_it() -> None:
    """One value in sixty a thousand times too large: the tail of what is usual stays where it is."""
    calm = pareto(6_000, 1.5)
    hit = [value for i, value in enumerate(calm) for value in ([value, 50.0] if i % 60 == 0 else [value])]
    clean, dirty = learnt(calm), learnt(hit)
    assert dirty.at_tail(0.1) == pytest.approx(clean.at_tail(0.1), rel=0.3)
    assert dirty.tail(50.0) < 1e-4


def test_a_new_regime_is_learnt() -> None:
    tail = learnt([value * factor for factor in (1.0, 30.0) for value in pareto(4_000, 1.5)])
    assert tail.at_tail(0.1) == pytest.approx(learnt(pareto(4_000, 1.5)).at_tail(0.1) * 30.0, rel=0.35)


def test_zeros_and_a_constant_are_no_surprise() -> None:
    tail = learnt([0.0] * 5_000)
    assert tail.tail(0.0) == 1.0
    constant = learnt([4.0] * 5_000, median=1.0, foot=3.0, floor=0.5)
    assert constant.tail(4.0) > 0.05
    assert constant.tail(400.0) < 1e-3


def test_the_young_are_cautious() -> None:
    tail = UpperTail()
    assert tail.tail(1.0, widen=0.7) > 2 * tail.tail(1.0)


@given(st.lists(st.floats(0.0, 1e9), max_size=60), st.lists(st.floats(0.0, 1e9), min_size=2, max_size=8))
def test_tails_are_probabilities_and_fall(history: list[float], asked: list[float]) -> None:
    tail = learnt(history)
    tails = [tail.tail(x) for x in sorted(asked)]
    assert all(0.0 < p <= 1.0 for p in tails)
    assert tails == sorted(tails, reverse=True)


@given(st.lists(st.floats(1e-6, 1e6), max_size=60), st.floats(1e-9, 0.94))
def test_at_tail_is_the_inverse(history: list[float], p: float) -> None:
    tail = learnt(history)
    value = tail.at_tail(p)
    if value > 2 * tail.floor:
        assert tail.tail(value) == pytest.approx(max(p, 1e-12), rel=1e-6)


def test_a_successor_knows_and_is_on_its_own() -> None:
    old = learnt(pareto(5_000, 1.5))
    young = old.successor()
    assert young.n == 0
    assert young.tail(0.05) == old.tail(0.05)
    for _ in range(500):
        young.update(10.0)
    assert old.tail(0.05) == learnt(pareto(5_000, 1.5)).tail(0.05)


def test_rivers_checks() -> None:
    checks: tuple[Callable[[Any], None], ...] = (
        common.check_repr,
        common.check_str,
        common.check_clone_same_class,
        common.check_clone_is_idempotent,
        common.check_init_has_default_params_for_tests,
        common.check_init_default_params_are_not_mutable,
        common.check_doc,
        common.check_clone_changes_memory_addresses,
        common.check_mutate_can_be_idempotent,
        common.check_pickling_supports_roundtrip,
        common.check_clone_with_new_params_applies,
        common.check_get_params_matches_signature,
    )
    for check in checks:
        check(UpperTail())
