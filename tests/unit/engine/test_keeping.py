"""A run that was cut and taken up again tells what an uncut one tells."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path

import pytest

from defiwatch.config import Config
from defiwatch.domain.frames import Frame, ReadsFrame, decode
from defiwatch.domain.risk import Alert
from defiwatch.engine import Engine, Keeper

CUTS = (0.3, 0.7)


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    packed = files("defiwatch").joinpath("demo", "crash.jsonl.gz").read_bytes()
    return [decode(line) for line in gzip.decompress(packed).splitlines()]


@pytest.fixture(scope="module")
def uncut(frames: list[Frame]) -> list[Alert]:
    engine = Engine(Config(), mode="replay")
    return [alert for frame in frames for alert in engine.feed(frame)]


def between_blocks(frames: list[Frame], share: float, folder: Path) -> tuple[list[Alert], int]:
    """The alerts up to the first moment from that share on at which nothing is midway; the state is kept then."""
    engine = Engine(Config(), mode="replay")
    told: list[Alert] = []
    for index, frame in enumerate(frames):
        if index >= share * len(frames) and not engine.midway:
            keeper = Keeper(engine, folder)
            keeper.save()
            keeper.close()
            return told, index
        told += engine.feed(frame)
    raise AssertionError("always midway")


@pytest.mark.parametrize("share", CUTS)
def test_a_cut_between_two_blocks_is_not_seen(
    frames: list[Frame], uncut: list[Alert], share: float, tmp_path: Path
) -> None:
    before, index = between_blocks(frames, share, tmp_path)
    engine = Engine(Config(), mode="replay")
    engine.feed(frames[0])
    keeper = Keeper(engine, tmp_path)
    keeper.open()
    assert keeper.resumed
    after = [alert for frame in frames[index:] for alert in engine.feed(frame)]
    keeper.close()
    assert after
    assert [*before, *after] == uncut


def test_what_was_midway_is_judged_with_the_next_block(frames: list[Frame], tmp_path: Path) -> None:
    """Its reads are not made again: the positions count as judged with what is known, and not as never looked at."""
    engine = Engine(Config(), mode="replay")
    start = len(frames) // 2
    cut = next(i for i, frame in enumerate(frames) if i > start and isinstance(frame, ReadsFrame))
    for frame in frames[:cut]:
        engine.feed(frame)
    assert engine.midway
    keeper = Keeper(engine, tmp_path)
    keeper.save()
    keeper.close()
    again = Engine(Config(), mode="replay")
    again.feed(frames[0])
    keeper = Keeper(again, tmp_path)
    keeper.open()
    assert again.midway
    keeper.close()
