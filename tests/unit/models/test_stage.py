"""The facade: scores first, learns later; deterministic; new subjects start from their kind."""

from __future__ import annotations

import random

import pytest

from defiwatch.config import Models as Settings
from defiwatch.domain.events import BlockRef
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Subject
from defiwatch.features import FEATURES
from defiwatch.models import Models
from defiwatch.models.priors import PRIORS


def observed(values: dict[str, float], pool: str = "a", *, kind: str = "pool", learnable: bool = True) -> Observation:
    return Observation(Subject("pool", 1, "p", pool, pool), kind, values, BlockRef(1, 1, "0x1", 1), learnable=learnable)


def trades(n: int, seed: int = 5, pool: str = "a", scale: float = 1.0) -> list[Observation]:
    draw = random.Random(seed)
    return [
        observed(
            {
                "move": scale * 1e-4 * draw.paretovariate(1.5),
                "block_move": scale * 1e-4 * draw.paretovariate(1.5),
                "deviation": scale * 1e-3 * draw.paretovariate(3.0),
                "size": scale * 1e-5 * draw.paretovariate(1.2),
                "flow": 1e-3 * draw.random(),
                "pace": float(draw.randint(1, 3)),
                "gap": 12.0 * draw.randint(0, 5),
            },
            pool,
        )
        for _ in range(n)
    ]


def learnt(observations: list[Observation], **settings: int) -> Models:
    models = Models(Settings(**settings))
    for obs in observations:
        models.learn(obs)
    return models


def test_scoring_learns_nothing() -> None:
    models, other = learnt(trades(300)), learnt(trades(300))
    for obs in trades(200, seed=6):
        models.score(obs)
        models.score(observed(obs.values, "never seen"))
    assert models.report() == other.report()
    for obs in trades(50, seed=7):
        assert models.score(obs) == other.score(obs)


def test_the_same_observations_give_the_same_scores_and_the_seed_counts() -> None:
    probe = trades(20, seed=8)
    assert [learnt(trades(300)).score(o) for o in probe] == [learnt(trades(300)).score(o) for o in probe]
    assert [learnt(trades(300)).score(o).joint for o in probe] != [
        learnt(trades(300), seed=8).score(o).joint for o in probe
    ]


def test_an_extreme_trade_is_rare_in_the_feature_that_is_extreme() -> None:
    models = learnt(trades(500))
    usual = trades(1, seed=9)[0]
    extreme = observed({**usual.values, "move": 0.05})
    rarest = min(models.score(extreme).features, key=lambda f: f.tail)
    assert rarest.name == "move"
    assert rarest.tail < 1e-3
    assert rarest.value == 0.05
    assert rarest.low <= rarest.usual <= rarest.high < 0.05
    assert min(f.tail for f in models.score(usual).features) > 1e-3


def test_an_unusual_combination_lies_in_a_thin_place() -> None:
    models = learnt(trades(1500))
    usual = [models.score(obs) for obs in trades(200, seed=10)]
    odd = observed(
        {"move": 2e-3, "block_move": 2e-3, "deviation": 8e-3, "size": 5e-4, "flow": 9e-4, "pace": 3.0, "gap": 60.0}
    )
    assert models.score(odd).joint > sorted(s.joint for s in usual)[180]
    assert models.score(odd).tail < sorted(s.tail for s in usual)[20]


def test_young_subjects_say_so_and_start_from_their_kind() -> None:
    """A pool whose kind moves a hundred times more than the prior is not alarmed by what its kind does every day."""
    wild = trades(2000, scale=100.0)
    informed, cold = learnt(wild), Models(Settings())
    newcomer = observed({"move": 0.05}, "new")
    assert informed.score(newcomer).young
    assert informed.score(newcomer).seen == 0
    assert informed.score(newcomer).features[0].tail > 5 * cold.score(newcomer).features[0].tail
    assert not informed.score(wild[0]).young
    for obs in trades(59, pool="new"):
        informed.learn(obs)
    assert informed.score(newcomer).young
    informed.learn(trades(1, pool="new")[0])
    assert not informed.score(newcomer).young


def test_subjects_do_not_share_their_history() -> None:
    models = learnt([*trades(600, pool="calm"), *trades(600, pool="wild", scale=100.0)])
    move = {"move": 0.03}
    assert (
        models.score(observed(move, "calm")).features[0].tail
        < 0.1 * models.score(observed(move, "wild")).features[0].tail
    )


def test_what_was_only_looked_at_teaches_nothing() -> None:
    models = learnt(trades(100))
    before = models.report()
    models.learn(observed({"deviation": 0.5}, learnable=False))
    models.learn(observed({}))
    assert models.report() == before


def test_values_that_are_no_numbers_are_left_out() -> None:
    models = learnt(trades(100))
    models.learn(observed({"move": float("nan"), "size": float("inf")}))
    surprise = models.score(observed({"move": float("nan"), "size": 0.1}))
    assert [f.name for f in surprise.features] == ["size"]


def test_a_kind_that_has_no_prior_works() -> None:
    models = Models(Settings())
    for i in range(200):
        models.learn(observed({"a": 0.01 + i * 1e-5, "b": 2.0}, kind="novel"))
    assert models.score(observed({"a": 50.0, "b": 2.0}, kind="novel")).features[0].tail < 1e-3


def test_the_record_is_measured_before_learning() -> None:
    """Of values drawn from one distribution about 1 % lie beyond the 1 % line, seen from what came before them."""
    rows = {row.name: row for row in learnt(trades(4000)).report()}
    tails, forest = rows["pool tails"], rows["pool forest"]
    assert tails.events == 4000
    assert tails.value == pytest.approx(0.01, abs=0.008)
    assert forest.events == 4000 - 64
    assert forest.value == pytest.approx(0.01, abs=0.01)
    assert "1 subjects, 0 young" in tails.note


def test_every_feature_has_a_prior() -> None:
    assert {kind: tuple(names) for kind, names in PRIORS.items()} == {k: tuple(names) for k, names in FEATURES.items()}
