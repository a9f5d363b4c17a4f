"""When a warning begins and ends, what its lead is, and which are false."""

from __future__ import annotations

import numpy as np
import pytest

from defiwatch.commands.backtest.cohorts import Cohort
from defiwatch.commands.backtest.leads import Warnings
from defiwatch.commands.backtest.market import Prices
from defiwatch.commands.backtest.results import LeadTimes, RuleResult
from defiwatch.commands.backtest.snapshot import Rebased
from defiwatch.config import Alerts
from tests.unit.commands.backtest.made_up import DAY, HOUR, START, stand

RULE = "P(24h) from 5%"


def followed(path: list[float], told: list[float], factor: float = 1.2) -> dict[str, RuleResult]:
    """One position over hours of `path`, told `told`, seen to the end of its life there."""
    found = Prices("x", {"ETH": [(START + HOUR * i, price) for i, price in enumerate(path)]})
    rebased = Rebased([stand("a", factor)], found.assets)
    drawn = Cohort(found, rebased, np.arange(1), 0)
    end = START + HOUR * (len(path) - 1)
    warnings = Warnings(Alerts())
    for i, p in enumerate(told):
        time = START + HOUR * i
        rows = drawn.alive(time)
        if len(rows):
            factors = np.full(1, factor * found.protocol[i, 0] / path[0])
            warnings.look(drawn, rows, time, end, factors, np.full(1, p))
    warnings.close(end)
    return warnings.results()


def test_the_lead_is_from_the_beginning_of_the_warning_that_stood() -> None:
    found = followed([100.0] * 9 + [80.0] * 3, [0.01, 0.06, 0.03, 0.02, 0.06, 0.04, 0.03, 0.1, 0.2])[RULE]
    assert (found.crossings, found.warned, found.drawn) == (1, 1, 0)
    assert found.lead_s == LeadTimes(5 * HOUR, 5 * HOUR)
    assert (found.warnings, found.false) == (2, 0)


def test_one_that_stood_when_it_was_drawn_has_no_lead_of_its_own() -> None:
    found = followed([100.0] * 3 + [80.0] * 2, [0.06, 0.06, 0.06])[RULE]
    assert (found.crossings, found.warned, found.drawn, found.lead_s) == (1, 1, 1, None)


def test_a_crossing_without_a_warning_and_a_warning_without_a_crossing() -> None:
    found = followed([100.0] * 4 + [80.0] * 2, [0.01] * 4)[RULE]
    assert (found.crossings, found.warned, found.warnings) == (1, 0, 0)
    found = followed([100.0] * 40, [0.01, 0.3, 0.2, 0.01] + [0.01] * 35)[RULE]
    assert (found.crossings, found.warnings, found.false) == (0, 1, 1)
    assert found.false_per_position_day == pytest.approx(1.0 / (38 * HOUR / DAY))


def test_a_crossing_within_a_day_of_its_beginning_makes_a_warning_right_also_if_it_had_ended() -> None:
    path = [100.0] * 22 + [80.0] * 30
    found = followed(path, [0.01, 0.3, 0.01] + [0.01] * 19)[RULE]
    assert (found.crossings, found.warned, found.warnings, found.false) == (1, 0, 1, 0)
    late = followed([100.0] * 30 + [80.0] * 30, [0.01, 0.3, 0.01] + [0.01] * 27)[RULE]
    assert (late.warnings, late.false) == (1, 1)


def test_the_health_factors_lines() -> None:
    found = followed([100.0, 100.0, 92.0, 90.0, 85.0, 80.0], [0.0] * 5)
    assert found["health factor below 1.1"].lead_s == LeadTimes(2 * HOUR, 2 * HOUR)
    assert found["health factor below 1.03"].lead_s == LeadTimes(HOUR, HOUR)
