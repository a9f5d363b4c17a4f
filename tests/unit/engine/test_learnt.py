"""What a run has learnt, in its own file: read by whoever looks at the chain once."""

from __future__ import annotations

from pathlib import Path

import pytest

from defiwatch.config import parse
from defiwatch.engine.core import Engine
from defiwatch.engine.learnt import read_learnt, write_learnt
from defiwatch.errors import StoreError
from defiwatch.sinks.learnt import FILE_NAME, limits
from defiwatch.state.lending.pushes import Rhythm
from tests.unit.models.test_outlook import position, scenes

CONFIG = '[[chains]]\nname = "made_up"\nchain_id = 5\nrpc = ["http://127.0.0.1:9"]\nblock_time = 12\n'


def test_what_was_learnt_is_what_is_told(tmp_path: Path) -> None:
    engine = Engine(parse(CONFIG, "made up"))
    judge = engine.lines[5].judge
    for scene in scenes(600):
        judge.outlook.note(scene)
        judge.outlook.confirm(scene.at.number - 6)
    judge.rhythms = {"aave_v3:0xm:0x01": Rhythm(720.0, 1e-4, 0.005, 3600.0, "feed", 214, band_learnt=True)}
    engine.lines[5].clock.advance(1_000_000.0)
    engine.lines[5].limits["span"] = 800
    write_learnt(tmp_path, engine)
    found = read_learnt(tmp_path, 5)
    assert found is not None
    chain, outlook = found
    assert (chain.time, chain.rhythms) == (1_000_000.0, judge.rhythms)
    probe = position(2000.0, 1.05)
    assert outlook.chances(probe) == judge.outlook.chances(probe) != {}
    assert outlook.liquidations.open == 0 < judge.outlook.liquidations.open
    assert read_learnt(tmp_path, 6) is None
    assert (limits(tmp_path, 5), limits(tmp_path, 6)) == ({"span": 800}, {})


def test_nothing_kept_and_what_cannot_be_read(tmp_path: Path) -> None:
    assert read_learnt(tmp_path, 5) is None
    assert limits(tmp_path, 5) == {}
    (tmp_path / FILE_NAME).write_text("[]")
    with pytest.raises(StoreError, match="the next run replaces it"):
        read_learnt(tmp_path, 5)
    with pytest.raises(StoreError):
        write_learnt(tmp_path / "nowhere", Engine(parse(CONFIG, "made up")))
