"""A run that was cut and taken up again tells what an uncut one tells."""

from __future__ import annotations

import gzip
import shutil
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

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


class Uncut(NamedTuple):
    """A run through all frames, whose state was kept on the way."""

    alerts: list[Alert]
    cuts: dict[float, tuple[Path, int, int]]
    """By share of the frames, the first moment from there on at which nothing is midway: the folder that keeps it, and
    how many frames and alerts come before."""
    midway: Path


def kept(engine: Engine, folder: Path, copy: Path) -> Path:
    """The state, kept in the run's folder, of which there is a copy then."""
    keeper = Keeper(engine, folder)
    keeper.save()
    keeper.close()
    return Path(shutil.copytree(folder, copy))


@pytest.fixture(scope="module")
def uncut(frames: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> Uncut:
    engine = Engine(Config(), mode="replay")
    told: list[Alert] = []
    cuts: dict[float, tuple[Path, int, int]] = {}
    midway: Path | None = None
    made = tmp_path_factory.mktemp("kept")
    (made / "run").mkdir()
    for index, frame in enumerate(frames):
        share = index / len(frames)
        due = next((cut for cut in CUTS if cut not in cuts and share >= cut), None)
        if due is not None and not engine.midway:
            cuts[due] = (kept(engine, made / "run", made / str(due)), index, len(told))
        if midway is None and share > 0.5 and isinstance(frame, ReadsFrame):
            assert engine.midway
            midway = kept(engine, made / "run", made / "midway")
        told += engine.feed(frame)
    assert midway is not None
    return Uncut(told, cuts, midway)


@pytest.mark.parametrize("share", CUTS)
def test_a_cut_between_two_blocks_is_not_seen(frames: list[Frame], uncut: Uncut, share: float) -> None:
    folder, index, before = uncut.cuts[share]
    engine = Engine(Config(), mode="replay")
    engine.feed(frames[0])
    keeper = Keeper(engine, folder)
    keeper.open()
    assert keeper.resumed
    after = [alert for frame in frames[index:] for alert in engine.feed(frame)]
    keeper.close()
    assert after == uncut.alerts[before:]
    assert after


def test_what_was_midway_is_judged_with_the_next_block(frames: list[Frame], uncut: Uncut) -> None:
    """Its reads are not made again: the positions count as judged with what is known, and not as never looked at."""
    again = Engine(Config(), mode="replay")
    again.feed(frames[0])
    keeper = Keeper(again, uncut.midway)
    keeper.open()
    assert again.midway
    keeper.close()
