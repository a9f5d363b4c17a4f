"""Seeded insertions into twelve calm hours: what ours finds, beside two plain baselines, at equal false alarms."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from defiwatch.commands.insertions import PLANS, SWAP, insert
from defiwatch.commands.trials import OURS, Trials, observations, run, table
from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame
from defiwatch.models.stage import PARTS
from tests.convert import v3_recording
from tests.replay.test_v3_day import FOLDER

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def day(data_folder: Path) -> list[Frame]:
    return v3_recording(data_folder / FOLDER)


def tried(day: list[Frame], seed: int) -> Trials:
    frames, inserted = insert(day, PLANS, seed)
    return run(observations(frames, Config()), inserted, Config().models)


@pytest.mark.parametrize("seed", [11, 12])
def test_ours_is_better_than_both_baselines_on_precision_and_recall(day: list[Frame], seed: int) -> None:
    trials = tried(day, seed)
    ours = trials.detectors[OURS]
    print(table(trials))
    for name in ("weighted z-score", "plain half-space trees"):
        other = trials.detectors[name]
        assert ours.false <= other.false
        assert ours.found >= other.found + 20
        assert (ours.precision or 0.0) > (other.precision or 0.0)
    assert {f"without {part}" for part in PARTS} < set(trials.detectors)
    assert all(ours.recall[name] == 1.0 for name in ("move 10 %", "move 30 %"))
    assert ours.recall["move 5 %"] >= 0.8


def test_insertions_are_seeded_and_go_where_they_say(day: list[Frame]) -> None:
    frames, inserted = insert(day, PLANS, 3)
    again, same = insert(day, PLANS, 3)
    assert (frames, inserted) == (again, same)
    assert inserted != insert(day, PLANS, 4)[1]
    assert len(inserted) == 6 * len(PLANS)
    blocks = {item.block: item for item in inserted}
    assert len(blocks) == len(inserted)
    for before, after in zip(day, frames, strict=True):
        if not isinstance(before, BlockFrame) or not isinstance(after, BlockFrame):
            assert before == after
            continue
        more = len(after.logs) - len(before.logs)
        item = blocks.get(int(after.header.number, 16))
        assert more == ({"move": 2, "burst": 15, "wash": 24}[item.plan.kind] if item else 0)
        kept = [log for log in after.logs if log in before.logs]
        assert msgspec.json.encode(kept) == msgspec.json.encode(list(before.logs))
        assert all(log.topics[0] == SWAP for log in after.logs if log not in before.logs)
