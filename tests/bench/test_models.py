"""What the model stage costs an event, beside river's half-space trees out of the box, on the same trades."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from river import anomaly

from defiwatch.config import Models as Settings
from defiwatch.domain.events import BlockRef
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Subject
from defiwatch.features import FEATURES
from defiwatch.models import Models
from defiwatch.models.kind import SubjectModel
from defiwatch.models.scaler import SurprisalScaler

EVENTS = 3000


def trades(pools: int = 20) -> list[Observation]:
    draw = random.Random(11)
    subjects = [Subject("pool", 1, "p", str(i), str(i)) for i in range(pools)]
    return [
        Observation(
            draw.choice(subjects),
            "pool",
            {name: 1e-3 * draw.paretovariate(1.5) for name in FEATURES["pool"]},
            BlockRef(1, i, "0x0", i),
        )
        for i in range(EVENTS)
    ]


def stage(observations: list[Observation]) -> Models:
    models = Models(Settings())
    for obs in observations:
        models.score(obs)
        models.learn(obs)
    return models


def out_of_the_box(observations: list[Observation]) -> Any:
    """One of river's for all pools, on features squeezed into [0, 1] by hand: what it asks for."""
    forest: Any = anomaly.HalfSpaceTrees(seed=7)
    for obs in observations:
        x = {name: min(1.0, 20.0 * value) for name, value in obs.values.items()}
        forest.score_one(x)
        forest.learn_one(x)
    return forest


def seconds(run: Callable[[list[Observation]], Any], observations: list[Observation]) -> float:
    begun = time.perf_counter()
    run(observations)
    return time.perf_counter() - begun


def test_the_model_stage(benchmark: Any) -> None:
    observations = trades()
    benchmark.extra_info["events"] = EVENTS
    benchmark.pedantic(stage, args=(observations,), rounds=3)
    benchmark.extra_info["us_per_event"] = 1e6 * benchmark.stats.stats.min / EVENTS


def test_half_space_trees_out_of_the_box(benchmark: Any) -> None:
    observations = trades()
    benchmark.pedantic(out_of_the_box, args=(observations,), rounds=3)
    benchmark.extra_info["us_per_event"] = 1e6 * benchmark.stats.stats.min / EVENTS


def test_the_stage_costs_a_small_multiple_of_one_forest(benchmark: Any) -> None:
    """Interleaved, the best of three each: the stage has seven running tails a pool and a kind beside the forest."""
    observations = trades()
    pairs = [(seconds(stage, observations), seconds(out_of_the_box, observations)) for _ in range(3)]
    ours, rivers = min(a for a, _ in pairs), min(b for _, b in pairs)
    benchmark.extra_info.update(us_ours=1e6 * ours / EVENTS, us_rivers=1e6 * rivers / EVENTS, ratio=ours / rivers)
    benchmark.pedantic(lambda: None, rounds=1)
    assert ours / rivers < 8


def test_ten_thousand_pools_fit(benchmark: Any) -> None:
    """At most 10 KB a pool beside the shared forests; a forest a pool would take 9.9 GB."""
    grown = SubjectModel(SurprisalScaler())
    for obs in trades(1)[:300]:
        grown.learn(obs.values, 0.4, obs.at.number)
    size = grown.scaler._raw_memory_usage + grown.watch.size
    benchmark.extra_info["bytes_per_pool"] = size
    benchmark.pedantic(grown.scaler.successor, rounds=100)
    assert size <= 10 * 1024
