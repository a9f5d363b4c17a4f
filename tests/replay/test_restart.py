"""What was learnt, kept over a restart: an engine that takes it up judges as the one that learnt it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from defiwatch.config import Config, Models
from defiwatch.domain.frames import Frame
from defiwatch.engine.core import Engine
from defiwatch.models.checkpoint import pack, unpack
from tests.convert import v3_recording
from tests.replay.test_v3_day import FOLDER

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def day(data_folder: Path) -> list[Frame]:
    return v3_recording(data_folder / FOLDER)


def played(day: list[Frame], config: Config | None = None) -> Engine:
    engine = Engine(config or Config(), mode="replay")
    for frame in day:
        engine.feed(frame)
    return engine


def test_what_was_learnt_is_taken_up_whole(day: list[Frame]) -> None:
    data = pack(played(day).checkpoint({"1": "18940951"}))
    engine = Engine(Config(), mode="replay")
    engine.restore(unpack(data))
    engine.feed(day[0])
    assert pack(engine.checkpoint({"1": "18940951"})) == data
    assert unpack(data).cursor == {"1": "18940951"}
    assert engine.notices() == []
    assert {row.name: row for row in engine.snapshot().models}["pool tails"].events > 2800


def test_two_runs_keep_the_same_bytes(day: list[Frame]) -> None:
    assert pack(played(day).checkpoint()) == pack(played(day).checkpoint())


def test_models_of_another_seed_start_anew_and_it_is_told(day: list[Frame]) -> None:
    kept = played(day[:200]).checkpoint()
    engine = Engine(msgspec.structs.replace(Config(), models=Models(seed=8)), mode="replay")
    engine.restore(kept)
    engine.feed(day[0])
    assert any("start anew" in notice for notice in engine.notices())
    assert [row for row in engine.snapshot().models if row.kind == "pool"] == []
