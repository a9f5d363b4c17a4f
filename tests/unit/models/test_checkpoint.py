"""Checkpoints: a restart in mid-stream gives the same as none; what is damaged or foreign is refused."""

from __future__ import annotations

import hashlib
import pickle

import msgspec
import pytest

from defiwatch.config import Models as Settings
from defiwatch.domain.events import BlockRef
from defiwatch.domain.learning import Observation
from defiwatch.errors import StoreError
from defiwatch.models import AlertBudget, Models
from defiwatch.models.checkpoint import SCHEMA, Checkpoint, pack, unpack
from tests.unit.models.test_stage import observed, trades


def stream() -> list[Observation]:
    """Three pools of different kinds of calm over four days, one of which changes its regime."""
    pools = [
        trades(900, seed=1, pool="a"),
        trades(900, seed=2, pool="b", scale=20.0),
        trades(450, seed=3, pool="c") + trades(450, seed=4, pool="c", scale=40.0),
    ]
    rows = [obs for group in zip(*pools, strict=True) for obs in group]
    rows = [
        msgspec.structs.replace(obs, at=BlockRef(1, i, hex(i), 1_700_000_000 + 128 * i)) for i, obs in enumerate(rows)
    ]
    return rows + [observed({"removed": 0.01 * i, "outflow": 0.0}, kind="drain") for i in range(20)]


def checkpoint(models: Models, budget: AlertBudget | None = None) -> Checkpoint:
    return Checkpoint({"1": models.dump()}, budget.dump() if budget else None, cursor={"1": "123"})


@pytest.mark.parametrize("cut", [0, 30, 64, 700, 1500, 2600])
def test_a_restart_in_mid_stream_gives_the_same_scores_as_none(cut: int) -> None:
    rows = stream()
    through, before = Models(Settings()), Models(Settings())
    for obs in rows[:cut]:
        through.learn(obs)
        before.learn(obs)
    after = Models(Settings())
    after.load(unpack(pack(checkpoint(before))).models["1"])
    for obs in rows[cut:]:
        assert after.score(obs) == through.score(obs)
        after.learn(obs)
        through.learn(obs)
    assert after.report() == through.report()
    assert pack(checkpoint(after)) == pack(checkpoint(through))


def test_reading_does_not_change_what_goes_on() -> None:
    rows = stream()[:800]
    looked, alone = Models(Settings()), Models(Settings())
    for i, obs in enumerate(rows):
        looked.learn(obs)
        alone.learn(obs)
        if i % 100 == 0:
            looked.dump()
    assert looked.dump() == alone.dump()


def sealed(body: bytes, schema: str = SCHEMA) -> bytes:
    return msgspec.json.encode({"schema": schema, "sha256": hashlib.sha256(body).hexdigest()}) + b"\n" + body


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no first line"),
        (b"\x00\xff\n{}", "first line cannot be read"),
        (pickle.dumps({"models": {}}), "checkpoint"),
        (b'{"schema":"x"}\n{}', "first line cannot be read"),
        (sealed(b"{}", "defiwatch.checkpoint/9"), "defiwatch.checkpoint/9"),
        (sealed(b'{"models":{}}')[:-1], "damaged"),
        (sealed(b"{}"), "content cannot be read"),
        (sealed(b'{"models":{"1":7}}'), "content cannot be read"),
        (sealed(b"\xff"), "content cannot be read"),
    ],
)
def test_what_is_damaged_or_foreign_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(StoreError, match=why):
        unpack(data)


def test_a_flipped_bit_is_seen() -> None:
    models = Models(Settings())
    for obs in stream()[:100]:
        models.learn(obs)
    data = bytearray(pack(checkpoint(models)))
    for place in (len(data) // 3, len(data) // 2, len(data) - 2):
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(StoreError, match="damaged"):
            unpack(bytes(damaged))


def test_models_of_other_settings_are_refused_and_nothing_changes() -> None:
    models, other = Models(Settings()), Models(Settings(seed=8))
    for obs in stream()[:100]:
        models.learn(obs)
        other.learn(obs)
    before = other.dump()
    with pytest.raises(StoreError, match="seed"):
        other.load(models.dump())
    assert other.dump() == before


def test_a_forest_of_other_trees_is_refused() -> None:
    models = Models(Settings())
    for obs in stream()[:100]:
        models.learn(obs)
    kept = models.dump()
    kind = kept.kinds["pool"]
    forest = msgspec.structs.replace(kind.forest, reference=kind.forest.reference[:-1])
    foreign = msgspec.structs.replace(kept, kinds={"pool": msgspec.structs.replace(kind, forest=forest)})
    with pytest.raises(StoreError, match="forest"):
        Models(Settings()).load(foreign)


def test_the_budget_and_the_cursor_go_with_it() -> None:
    budget = AlertBudget("3/week", 2.7)
    budget.admits("pool.anomaly", 5.0, 1_700_000_000.0)
    found = unpack(pack(checkpoint(Models(Settings()), budget)))
    assert found.budget == budget.dump()
    assert found.cursor == {"1": "123"}
