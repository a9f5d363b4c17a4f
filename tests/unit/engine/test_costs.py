"""What models cost: measured live by a clock that is handed in, in the report card and nowhere else."""

from __future__ import annotations

import itertools

import msgspec

from defiwatch.config import Config
from defiwatch.config import Models as Settings
from defiwatch.engine.core import Engine
from defiwatch.engine.costs import EVERY, Meter, TimedModels, TimedOutlook
from defiwatch.models import Models
from tests.unit.models.test_outlook import learnt, position, scenes
from tests.unit.models.test_stage import trades


class Ticks:
    """A clock on which every look takes a microsecond."""

    def __init__(self) -> None:
        self.looks = itertools.count()

    def __call__(self) -> float:
        return next(self.looks) * 1e-6


def test_one_call_in_many_is_timed_and_the_first_is() -> None:
    meter = Meter(Ticks())
    due = [meter.due("a") for _ in range(2 * EVERY)]
    assert due[0] and due[EVERY] and sum(due) == 2
    assert meter.us("a") is None
    meter.take("a", 3e-6)
    meter.take("b", 2e-6)
    assert meter.us("a", "b", "never") == 5.0


def test_each_part_of_the_stage_has_its_cost_and_what_is_learnt_is_the_same() -> None:
    timed, plain = TimedModels(Settings(), Ticks()), Models(Settings())
    for obs in trades(200):
        assert timed.score(obs) == plain.score(obs)
        timed.learn(obs)
        plain.learn(obs)
    assert msgspec.json.encode(timed.dump()) == msgspec.json.encode(plain.dump())
    costs = {row.name: row.cost_us for row in timed.report()}
    assert all((costs[f"pool {part}"] or 0.0) > 0.0 for part in ("tails", "forest", "calibration"))
    bare = [msgspec.structs.replace(row, cost_us=None) for row in timed.report()]
    assert bare == list(plain.report())
    assert all(row.cost_us is None for row in plain.report())


def test_forecasts_and_probabilities_have_theirs() -> None:
    timed, plain = learnt(scenes(900), TimedOutlook(Ticks())), learnt(scenes(900))
    where = position(2_000.0, 1.1)
    assert timed.chances(where) == plain.chances(where) != {}
    assert timed.dump() == plain.dump()
    costs = {row.name: row.cost_us for row in timed.report()}
    assert costs["volatility forecast"] and costs["utilisation forecast"] and costs["P(liquidation) 24h"]


def test_only_a_live_run_is_timed() -> None:
    config = Config()
    for mode in ("replay", "demo"):
        judge = Engine(config, mode=mode).lines[0].judge
        assert type(judge.models) is Models
    live = Engine(config, mode="live").lines[0].judge
    assert isinstance(live.models, TimedModels) and isinstance(live.outlook, TimedOutlook)
