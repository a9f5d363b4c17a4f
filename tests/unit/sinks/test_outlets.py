from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from defiwatch.config import ExecSink, Sinks
from defiwatch.domain.frames import InputFrame, decode
from defiwatch.errors import StoreError, UsageError
from defiwatch.sinks.history import FILE_NAME, Store
from defiwatch.sinks.outlets import Outlets
from defiwatch.sinks.picture import read_picture, write_picture
from tests.unit.sinks.samples import alert, frames, snapshot


def opened(tmp_path: Path, *, record: Path | None = None, sinks: Sinks | None = None) -> Outlets:
    return Outlets.open(data_dir=tmp_path / "data", sinks=sinks, record=record, force=False, tell=print)


def test_hands_on_to_every_sink(tmp_path: Path) -> None:
    out = tmp_path / "out"
    sinks = Sinks(exec={"file": ExecSink(command=("sh", "-c", f"cat >> {out}"), min_severity="critical")})
    outlets = opened(tmp_path, record=tmp_path / "r.gz", sinks=sinks)
    for frame in frames(3):
        outlets.frame(frame)
    outlets.alert(alert(1))
    outlets.alert(alert(2, severity="critical"))
    assert outlets.flush(60)
    outlets.close()
    with gzip.open(tmp_path / "r.gz") as lines:
        assert [decode(line) for line in lines] == frames(3)
    with Store(tmp_path / "data" / FILE_NAME) as store:
        assert [a.id for a in store.alerts()] == ["id-1", "id-2"]
    assert out.read_text().count("\n") == 1
    assert '"id-2"' in out.read_text()


def test_what_the_user_said_survives_the_run(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.said(InputFrame(action="ack", key="k", time="2026-03-10T12:00:00Z"))
    assert first.flush(60)
    assert first.fresh() == []
    first.close()
    second = opened(tmp_path)
    assert [frame.key for frame in second.standing()] == ["k"]
    second.close()


def test_nothing_asked_for_is_nothing_kept(tmp_path: Path) -> None:
    outlets = Outlets.open(data_dir=None, sinks=None, record=None, force=False, tell=print)
    outlets.frame(frames(0)[0])
    outlets.alert(alert(1))
    outlets.said(InputFrame(action="ack", key="k"))
    assert (outlets.standing(), outlets.fresh(), outlets.flush()) == ([], [], True)
    outlets.close()
    assert not list(tmp_path.iterdir())


def test_a_bad_history_leaves_no_empty_recording(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UsageError):
        opened(tmp_path, record=tmp_path / "r.gz")
    assert not (tmp_path / "r.gz").exists()


def test_an_existing_recording_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "r.gz").write_bytes(b"")
    with pytest.raises(UsageError, match="exists already"):
        opened(tmp_path, record=tmp_path / "r.gz")


def test_the_picture_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert read_picture(folder) is None
    for sequence in (1, 2):
        write_picture(folder, snapshot(sequence, alerts=(alert(1),)))
    assert read_picture(folder) == snapshot(2, alerts=(alert(1),))
    assert [path.name for path in folder.iterdir()] == ["snapshot.json"]


def test_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "snapshot.json").write_text('{"schema": 1}')
    with pytest.raises(StoreError, match=r"snapshot\.json: is not a snapshot of this version"):
        read_picture(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        write_picture(tmp_path / "file", snapshot())
