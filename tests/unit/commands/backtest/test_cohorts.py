"""Frozen positions: drawn with the snapshot's factors, and crossed when the protocol's price says so, not the
market's."""

from __future__ import annotations

import numpy as np
import pytest

from defiwatch.commands.backtest.cohorts import LIFE_S, WARM_S, Cohort, cohorts, unseen
from defiwatch.commands.backtest.market import Prices
from defiwatch.commands.backtest.snapshot import Rebased
from tests.unit.commands.backtest.made_up import DAY, HOUR, MINUTE, START, prices, stand, stands, walk


def cohort(path: list[float], factors: list[float]) -> tuple[Prices, Cohort]:
    found = Prices("x", {"ETH": [(START + MINUTE * i, price) for i, price in enumerate(path)]})
    rebased = Rebased([stand(str(i), factor) for i, factor in enumerate(factors)], found.assets)
    return found, Cohort(found, rebased, np.arange(len(factors)), 0)


def test_a_position_crosses_at_the_push_not_when_the_market_does() -> None:
    found, drawn = cohort([100.0, 99.7, 99.69, 99.4, 99.4, 90.0], [1.003, 1.0050001, 1.02, 1.2])
    assert found.protocol[:, 0].tolist() == [100.0, 100.0, 100.0, 99.4, 99.4, 90.0]
    assert drawn.crossed.tolist() == [START + 180.0, START + 180.0, START + 300.0, np.inf]
    assert drawn.alive(START + 179.0).tolist() == [0, 1, 2, 3]
    assert drawn.alive(START + 180.0).tolist() == [2, 3]


def test_what_it_did_once_it_crossed_does_not_matter() -> None:
    _, drawn = cohort([100.0, 90.0, 100.0, 100.0], [1.05])
    assert drawn.crossed.tolist() == [START + 60.0]


def test_exactly_one_is_not_below_one() -> None:
    _, drawn = cohort([100.0, 80.0, 80.0], [1.25])
    assert drawn.crossed.tolist() == [np.inf]


def test_every_position_is_drawn_once_a_week_with_its_own_factor() -> None:
    found = prices(30)
    rebased = Rebased(stands(20), found.assets)
    drawn = list(cohorts(found, rebased))
    born = [found.times[one.born] for one in drawn]
    assert born[0] == found.times[0] + WARM_S
    assert set(np.diff(born)) == {DAY}
    for one in drawn:
        assert (one.end - one.born) * found.step_s == LIFE_S
        at = found.protocol[one.born]
        factors = (one.weighted * at).sum(axis=1) / (one.debt * at).sum(axis=1)
        own = rebased.weighted[one.rows].sum(axis=1) / rebased.debt[one.rows].sum(axis=1)
        assert factors.tolist() == pytest.approx(own.tolist())
    assert sorted(row for one in drawn[:7] for row in one.rows.tolist()) == list(range(20))
    assert drawn[0].rows.tolist() == drawn[7].rows.tolist()


def test_no_label_reaches_past_the_end_or_over_a_hole_whatever_was_seen_before() -> None:
    found = prices(3)
    hidden = unseen(found, 5 * HOUR)
    assert np.flatnonzero(hidden).tolist() == list(range(len(hidden) - 5, len(hidden)))
    rows = [row for row in walk(4, HOUR, 0.8, 1) if not START + DAY < row[0] < START + 2 * DAY]
    holed = Prices("x", {"ETH": rows})
    hidden, first, last = unseen(holed, 5 * HOUR), *np.flatnonzero(holed.blind)[[0, -1]]
    assert np.flatnonzero(hidden[: last + 5]).tolist() == list(range(first - 5, last + 1))
