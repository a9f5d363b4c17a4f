"""The whole of it on made-up walks: nothing that is told knows the future, and labels are those of frozen positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from defiwatch.commands.backtest.market import Prices
from defiwatch.commands.backtest.results import LiquidationBacktest
from defiwatch.commands.backtest.run import OURS, PLAIN, PUSHES, Told
from defiwatch.commands.backtest.scores import TABLE, THRESHOLD
from defiwatch.commands.backtest.snapshot import Stand
from defiwatch.commands.backtest.trial import NAMES, Trial
from defiwatch.config import Alerts
from tests.unit.commands.backtest.made_up import HOUR, START, prices, stands, walk


def told(recorded: Prices, people: Sequence[Stand]) -> tuple[list[Told], LiquidationBacktest]:
    trial = Trial(people, Alerts())
    rows: list[Told] = []
    trial.on_told = rows.append
    trial.run(recorded, "halves")
    return rows, trial.result()


def test_truncating_the_future_changes_nothing_that_was_told_before() -> None:
    rows = walk(7, HOUR, 0.9, 5)
    whole, _ = told(Prices("x", {"ETH": rows}), stands(40))
    crash = [*rows[:120], *((time, price * 0.6) for time, price in rows[120:])]
    for other in (rows[:120], crash):
        less, _ = told(Prices("x", {"ETH": other}), stands(40))
        shared = [item for item in less if item.time < rows[120][0]]
        assert len(shared) > 60
        assert shared[-1].chances[OURS]["24h"].any()
        for one, again in zip(whole, shared, strict=False):
            assert (one.time, one.index, one.issued) == (again.time, again.index, again.issued)
            assert np.array_equal(one.factors, again.factors)
            for name in one.chances:
                for horizon, p in one.chances[name].items():
                    assert np.array_equal(p, again.chances[name][horizon]), (name, horizon)


def test_every_forecast_is_a_probability_and_ours_never_falls_with_the_horizon() -> None:
    rows, _ = told(prices(5), stands(40))
    for one in rows:
        for by_horizon in one.chances.values():
            assert all(((p >= 0.0) & (p <= 1.0)).all() for p in by_horizon.values())
        ours = one.chances[OURS]
        assert (ours["1h"] <= ours["24h"]).all()
        assert (ours["24h"] <= ours["7d"]).all()


def test_an_hour_is_not_scored_on_hourly_prices_and_a_week_not_without_a_week_to_come() -> None:
    _, found = told(prices(16), stands(20))
    assert found.horizons["1h"].n == 0
    assert found.horizons["1h"].unseen == "walk (one price in 60 min)"
    assert found.horizons["24h"].days == 7
    assert set(found.horizons["24h"].forecasts) == set(NAMES)
    assert found.horizons["7d"].days == 1
    _, short = told(prices(7), stands(20))
    assert short.horizons["7d"].n == 0


def test_on_a_true_walk_the_barrier_formula_is_right() -> None:
    """Where the price is what the formula assumes, the mean told is the share that crosses, and ours is hardly worse
    than the discrete formula and better than the continuous one."""
    trial = Trial(stands(80), Alerts())
    trial.run(prices(5, seed=9, sigma=0.8), "tuning")
    for seed in range(3):
        trial.run(prices(10, seed=seed, sigma=0.8), "scored")
    found = trial.result()
    day = found.horizons["24h"]
    assert day.base_rate is not None
    assert day.days == 7
    ours, discrete = day.forecasts[OURS], day.forecasts[PUSHES]
    assert ours.brier < 1.03 * discrete.brier
    assert ours.brier < day.forecasts[PLAIN].brier
    assert ours.mean == pytest.approx(day.base_rate, rel=0.3)
    assert discrete.mean == pytest.approx(day.base_rate, rel=0.3)
    assert found.warnings["P(24h) from 5%"].crossings > 5


def test_where_the_volatility_changes_ours_is_better_than_a_static_table() -> None:
    trial = Trial(stands(100), Alerts())
    trial.run(prices(6, seed=1, sigma=0.4, name="calm"), "tuning")
    trial.run(prices(16, seed=2, sigma=1.6, name="storm"), "scored")
    day = trial.result().horizons["24h"]
    for name in (TABLE, THRESHOLD):
        worse = day.forecasts[name].worse
        assert worse is not None
        assert worse.low is not None
        assert worse.low > 0.0
    assert [one.part for one in trial.recordings] == ["tuning", "scored"]


def test_both_labels_are_learnt_at_the_end_of_the_horizon() -> None:
    """The price falls, steps up and down: positions cross soon; what is learnt is both kinds, and only once a day is
    over."""
    rows = [(START + HOUR * i, 2000.0 * (1.0 - 0.0015 * i + 0.01 * (i % 2))) for i in range(24 * 5)]
    learnt: dict[int, dict[str, tuple[int, int]]] = {}
    for days in (3, 5):
        trial = Trial(stands(40), Alerts())
        trial.run(Prices("x", {"ETH": rows[: 24 * days]}), "tuning")
        assert trial._learnt is not None
        assert not trial._learnt.open
        learnt[days] = {name: (one.n, one.positives) for name, one in trial._learnt.horizons.items()}
    assert learnt[3]["24h"] == (0, 0)
    n, positives = learnt[5]["24h"]
    assert 0 < positives < n
    assert learnt[5]["7d"] == (0, 0)
    assert learnt[5]["1h"] == (0, 0)
