"""P(liquidation): labels of frozen positions, both learnt when the horizon is over; better than the plain formula."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from defiwatch.models.liquidations import CorrectedProbability, FrozenLeg, Liquidations, Mark, factor_of
from defiwatch.state.lending.barrier import p_liquidation

DAY = 86_400.0
HOUR = 3600.0
HORIZONS = {"24h": DAY}


def legs(factor: float, price: float) -> tuple[FrozenLeg, ...]:
    return (FrozenLeg("WETH", 100.0 * factor, 0.0, Mark(price)), FrozenLeg("USDC", 0.0, 100.0, Mark(1.0)))


def watched(found: Liquidations, start: float, end: float, price: float) -> None:
    """The price stays where it is, seen every two hours until before `end`."""
    for step in range(int(start // (2 * HOUR)) + 1, int(end // (2 * HOUR))):
        found.observe(2 * HOUR * step, {"WETH": Mark(price)})


def test_a_frozen_position_moves_with_prices_and_indices() -> None:
    frozen = legs(1.05, 2000.0)
    assert factor_of(frozen, {}) == pytest.approx(1.05)
    assert factor_of(frozen, {"WETH": Mark(1800.0)}) == pytest.approx(0.945)
    assert factor_of(frozen, {"WETH": Mark(2000.0, supply_index=1.1)}) == pytest.approx(1.155)
    assert factor_of(frozen, {"USDC": Mark(1.0, debt_index=1.05)}) == pytest.approx(1.0)


def test_both_labels_come_when_the_horizon_is_over_and_not_before() -> None:
    found = Liquidations(HORIZONS)
    found.open_cases("falls", 0.0, {"24h": 0.3}, {}, legs(1.02, 100.0))
    found.open_cases("stays", 0.0, {"24h": 0.3}, {}, legs(1.50, 100.0))
    found.observe(HOUR, {"WETH": Mark(90.0)})
    found.observe(2 * HOUR, {"WETH": Mark(120.0)})
    assert (found.open, found.record("24h")[0]) == (2, 0)
    watched(found, 2 * HOUR, DAY, 120.0)
    found.observe(DAY, {"WETH": Mark(120.0)})
    assert (found.open, found.record("24h")[:2]) == (0, (2, 1))


def test_what_comes_after_the_horizon_does_not_count() -> None:
    found = Liquidations(HORIZONS)
    found.open_cases("a", 0.0, {"24h": 0.3}, {}, legs(1.02, 100.0))
    watched(found, 0.0, DAY, 100.0)
    found.observe(DAY + 1.0, {"WETH": Mark(50.0)})
    assert found.record("24h")[:2] == (1, 0)


@pytest.mark.parametrize("before", [90.0, 120.0])
def test_a_horizon_that_went_by_unseen_teaches_nothing_whatever_was_seen_of_it(before: float) -> None:
    found = Liquidations(HORIZONS)
    found.open_cases("a", 0.0, {"24h": 0.3}, {}, legs(1.02, 100.0))
    found.observe(HOUR, {"WETH": Mark(before)})
    found.observe(8 * HOUR, {"WETH": Mark(120.0)})
    watched(found, 8 * HOUR, DAY, 120.0)
    found.observe(DAY, {"WETH": Mark(120.0)})
    assert (found.open, found.record("24h")[0]) == (0, 0)


def test_what_the_owner_does_changes_no_label() -> None:
    """The case holds the position as it stood; nothing that is done to the position afterwards reaches it."""
    found = Liquidations(HORIZONS)
    found.open_cases("a", 0.0, {"24h": 0.3}, {}, legs(1.02, 100.0))
    found.open_cases("a", 0.06 * DAY, {"24h": 0.001}, {}, legs(9.0, 100.0))
    found.observe(HOUR, {"WETH": Mark(90.0)})
    watched(found, HOUR, 2.0 * DAY, 100.0)
    found.observe(2.0 * DAY, {"WETH": Mark(100.0)})
    assert found.record("24h")[:2] == (2, 1)


def test_a_position_has_a_case_now_and_then() -> None:
    found = Liquidations(HORIZONS)
    for minute in range(60):
        found.open_cases("a", 60.0 * minute, {"24h": 0.3}, {}, legs(1.1, 100.0))
    assert found.open == 1
    found.open_cases("b", 0.0, {"24h": 0.0}, {}, legs(5.0, 100.0))
    found.open_cases("c", 0.0, {"24h": 1.0}, {}, legs(0.9, 100.0))
    assert found.open == 1


def test_untaught_it_is_the_formula() -> None:
    found = Liquidations(HORIZONS)
    for formula in (0.0, 0.003, 0.4, 1.0):
        assert found.probability("24h", formula, {"gap": 3.0}) == formula


def walked(days: int, seed: int, *, jumps: float, known_sigma: float) -> Liquidations:
    """A price that walks in hours, with volatility regimes that the formula's sigma does not see, and jumps."""
    draw, found = random.Random(seed), Liquidations(HORIZONS)
    price, calm = 2000.0, True
    for hour in range(24 * days):
        time = HOUR * hour
        found.observe(time, {"WETH": Mark(price)})
        sigma = 0.4 if calm else 1.6
        regime = math.log(sigma / known_sigma)
        for i, factor in enumerate((1.02, 1.05, 1.1, 1.2)):
            formula = p_liquidation(factor, known_sigma, DAY, push_s=HOUR)
            found.open_cases(f"{i}", time, {"24h": formula}, {"volatility_regime": regime}, legs(factor, price))
        price *= math.exp(sigma / math.sqrt(365 * 24) * draw.gauss(0.0, 1.0))
        if draw.random() < jumps:
            price *= 0.93
        if draw.random() < 1.0 / (24 * 8):
            calm = not calm
    return found


@pytest.mark.parametrize("seed", range(3))
def test_it_learns_what_the_formula_does_not_see(seed: int) -> None:
    n, positives, brier, formula = walked(500, seed, jumps=0.002, known_sigma=0.8).record("24h")
    assert n > 10_000
    assert 0.1 < positives / n < 0.6
    assert brier < 0.97 * formula


@pytest.mark.parametrize("seed", range(3))
def test_where_the_formula_is_right_it_stays_with_it(seed: int) -> None:
    draw, found = random.Random(seed), Liquidations(HORIZONS)
    price = 2000.0
    for hour in range(24 * 500):
        found.observe(HOUR * hour, {"WETH": Mark(price)})
        for i, factor in enumerate((1.02, 1.05, 1.1, 1.2)):
            formula = p_liquidation(factor, 0.8, DAY, push_s=HOUR)
            found.open_cases(f"{i}", HOUR * hour, {"24h": formula}, {"volatility_regime": 0.0}, legs(factor, price))
        price *= math.exp(0.8 / math.sqrt(365 * 24) * draw.gauss(0.0, 1.0) - 0.5 * 0.64 / (365 * 24))
    _, _, brier, formula = found.record("24h")
    assert brier < 1.02 * formula


def test_kept_and_taken_up_it_goes_on_the_same() -> None:
    one = walked(60, 5, jumps=0.0, known_sigma=0.8)
    other = Liquidations(HORIZONS)
    other.load(msgspec.json.decode(msgspec.json.encode(one.dump()), type=type(one.dump())))
    for found in (one, other):
        found.observe(61 * DAY, {"WETH": Mark(1500.0)})
    assert one.dump() == other.dump()
    assert one.report() == other.report()


def test_the_correction_is_a_probability() -> None:
    model = CorrectedProbability()
    draw = random.Random(6)
    for _ in range(500):
        p = draw.random()
        model.learn_one({"formula": p, "gap": draw.gauss(0.0, 5.0)}, draw.random() < p**2)
    for p in (1e-12, 0.01, 0.5, 0.99):
        found = model.predict_proba_one({"formula": p, "gap": 100.0})
        assert 0.0 < found[True] < 1.0
        assert found[True] + found[False] == pytest.approx(1.0)
    told = [model.predict_proba_one({"formula": p, "gap": 0.0})[True] for p in (0.1, 0.3, 0.5, 0.7)]
    assert told == sorted(told)
    assert told[1] < 0.3
