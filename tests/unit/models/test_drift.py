"""A change of regime is said, and relearnt faster than it would be; calm and single outliers are none."""

from __future__ import annotations

import math
import random

import msgspec

from defiwatch.config import Models as Settings
from defiwatch.domain.events import BlockRef
from defiwatch.domain.learning import Observation
from defiwatch.models import Models
from tests.unit.models.test_stage import observed, trades


def learnt(rows: list[Observation], without: frozenset[str] = frozenset(), *, a_block: int = 1) -> Models:
    """What was learnt of rows, `a_block` of them in each block."""
    models = Models(Settings(), without=without)
    for obs in blocks(rows, a_block=a_block):
        models.learn(obs)
    return models


def blocks(rows: list[Observation], first: int = 0, *, a_block: int = 1) -> list[Observation]:
    """The rows, `a_block` of them in each block from `first` on."""
    return [
        msgspec.structs.replace(obs, at=BlockRef(1, first + i // a_block, "", obs.at.time))
        for i, obs in enumerate(rows)
    ]


def test_calm_is_no_change_of_regime() -> None:
    kept = learnt(trades(6_000)).dump()
    assert kept.kinds["pool"].changes == 0


def test_single_extremes_are_no_change_of_regime() -> None:
    rows = trades(3_000)
    rows = [
        msgspec.structs.replace(obs, values={name: 1e3 * value for name, value in obs.values.items()})
        if i % 60 == 59
        else obs
        for i, obs in enumerate(rows)
    ]
    assert learnt(rows).dump().kinds["pool"].changes == 0


def test_a_change_is_said_and_relearnt_faster() -> None:
    calm, wild = trades(2_000, seed=1), trades(300, seed=2, scale=30.0)
    watching, blind = learnt(calm), learnt(calm, frozenset({"drift"}))
    surprise: dict[str, float] = {"watching": 0.0, "blind": 0.0}
    for obs in blocks(wild, 2_000):
        for name, models in (("watching", watching), ("blind", blind)):
            surprise[name] += math.fsum(-math.log10(f.tail) for f in models.score(obs).features)
            models.learn(obs)
    rows = {row.name: row for row in watching.report()}
    assert "changes of regime" in rows["pool tails"].note
    assert "changes of regime" not in {row.name: row for row in blind.report()}["pool tails"].note
    late = trades(50, seed=3, scale=30.0)
    after = [math.fsum(-math.log10(f.tail) for obs in late for f in m.score(obs).features) for m in (watching, blind)]
    assert after[0] < 0.93 * after[1]
    assert surprise["watching"] < surprise["blind"]


def test_a_burst_within_a_block_is_one_thing_that_happened() -> None:
    """Two hundred wild trades in a handful of blocks; the same trades in as many blocks are a change of regime."""
    rows = [*trades(2_000, seed=1), *trades(200, seed=2, scale=30.0), *trades(60, seed=3)]
    assert learnt(rows, a_block=40).dump().kinds["pool"].changes == 0
    assert learnt(rows).dump().kinds["pool"].changes > 0


def test_a_calm_is_a_change_too_and_what_it_makes_unusual_is_found_sooner() -> None:
    loud, quiet = trades(2_000, seed=1, scale=30.0), trades(300, seed=2)
    watching, blind = learnt([*loud, *quiet]), learnt([*loud, *quiet], frozenset({"drift"}))
    kept = watching.dump().kinds["pool"]
    assert kept.calmed == kept.changes == 1
    assert "1 to a calmer one" in {row.name: row for row in watching.report()}["pool tails"].note
    odd = trades(40, seed=3, scale=10.0)
    rare = [math.fsum(-math.log10(f.tail) for obs in odd for f in m.score(obs).features) for m in (watching, blind)]
    assert rare[0] > 1.02 * rare[1]
    assert kept.calmed and watching.dump().subjects[0][1].watch.unrest == 0, "a calm is no reason to be cautious"


def test_the_hour_of_the_day_is_learnt() -> None:
    """Trades ten times larger at noon: after a week one at noon is usual, and the same one at night is not."""
    draw = random.Random(5)
    rows = []
    for i in range(7 * 24 * 20):
        hour = i / 20.0
        scale = 10.0 if 11 <= hour % 24 < 13 else 1.0
        value = scale * 1e-4 * draw.paretovariate(3.0)
        rows.append(msgspec.structs.replace(observed({"size": value}), at=BlockRef(1, i, hex(i), int(hour * 3600))))
    aware, unaware = learnt(rows), learnt(rows, frozenset({"hours"}))

    def tail(models: Models, hour: float) -> float:
        at = BlockRef(1, 10**6, "0x1", int((7 * 24 + hour) * 3600))
        return models.score(msgspec.structs.replace(observed({"size": 1.5e-3}), at=at)).features[0].tail

    assert tail(aware, 12) > 5.0 * tail(aware, 3)
    assert tail(unaware, 12) == tail(unaware, 3)
    assert tail(aware, 3) < tail(unaware, 3)
