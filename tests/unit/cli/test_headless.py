from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from defiwatch.commands.schema import schema
from defiwatch.config import Config
from defiwatch.errors import ExitCode, SourceError
from defiwatch.headless import Options, Places, run
from defiwatch.session import Stop
from defiwatch.sinks.history import FILE_NAME, Store
from tests.unit.cli.fakes import parts, recording


class Outcome:
    """What a run printed and left with."""

    def __init__(self, code: ExitCode, stdout: bytes, words: str) -> None:
        self.code = code
        self.lines = [json.loads(line) for line in stdout.splitlines()]
        self.bytes = stdout
        self.words = words

    @property
    def ids(self) -> list[str]:
        return [line["id"] for line in self.lines if line.get("schema") == "defiwatch.alert/1"]


def ran(
    *, files: list[Path] | None = None, places: Places | None = None, fake: dict[str, Any] | None = None, **options: Any
) -> Outcome:
    stdout, stderr = io.BytesIO(), io.StringIO()
    if files is None:
        options.setdefault("once", True)
    code = run(
        Config(),
        Options(**options),
        places or Places(),
        stop=Stop(),
        files=files,
        mode="live" if files is None else "replay",
        stdout=stdout,
        stderr=stderr,
        parts=parts(**(fake or {})),
    )
    return Outcome(code, stdout.getvalue(), stderr.getvalue())


def test_alerts_as_lines_and_words_apart(tmp_path: Path) -> None:
    outcome = ran(files=[recording(tmp_path / "r.gz", 4)])
    assert outcome.ids == ["id-2", "id-3", "id-4", "id-999"]
    for line in outcome.lines:
        jsonschema.validate(line, schema("alert"))
    assert outcome.code == ExitCode.OK
    assert outcome.words.startswith("defiwatch: 5 frames, 4 alerts, 4 printed, in ")


def test_the_same_frames_print_the_same_bytes(tmp_path: Path) -> None:
    path = recording(tmp_path / "r.gz", 200)
    first = ran(files=[path], snapshot_every=100.0)
    assert ran(files=[path], snapshot_every=100.0).bytes == first.bytes


def test_severity_filters_lines_and_fail_on_looks_at_all(tmp_path: Path) -> None:
    path = recording(tmp_path / "r.gz", 12)
    assert ran(files=[path], min_severity="critical").ids == ["id-10"]
    assert ran(files=[path], fail_on="critical", min_severity="critical").code == ExitCode.FOUND
    short = recording(tmp_path / "short.gz", 9)
    assert ran(files=[short], fail_on="critical").code == ExitCode.OK
    assert ran(files=[short], fail_on="warning").code == ExitCode.FOUND
    assert ran(files=[short], fail_on="info", min_severity="critical").code == ExitCode.FOUND


def test_cleared_alerts_do_not_fail(tmp_path: Path) -> None:
    path = recording(tmp_path / "r.gz", 1, first=11)
    outcome = ran(files=[path], duration=0.0, fail_on="info")
    assert [line["state"] for line in outcome.lines] == ["cleared", "raised"]
    assert outcome.lines[1]["id"] == "id-999"


def test_once_prints_what_stands_at_the_end() -> None:
    assert ran(fake={"blocks": 4}).ids == ["id-4"]
    assert ran(fake={"blocks": 5}).ids == []
    assert ran(fake={"blocks": 11}, fail_on="critical").code == ExitCode.OK, "it was cleared before the end"
    assert ran(fake={"blocks": 10}, fail_on="critical").code == ExitCode.FOUND


def test_once_in_a_replay(tmp_path: Path) -> None:
    assert ran(files=[recording(tmp_path / "r.gz", 6)], once=True).ids == ["id-6"]


def test_snapshot_lines_follow_the_frames_time(tmp_path: Path) -> None:
    outcome = ran(files=[recording(tmp_path / "r.gz", 12)], snapshot_every=48.0)
    kinds = [line.get("id") or f"snapshot at {line['sequence']}" for line in outcome.lines]
    assert kinds == [
        "id-2",
        "id-3",
        "id-4",
        "snapshot at 5",
        "id-5",
        "id-6",
        "id-7",
        "id-8",
        "snapshot at 9",
        "id-9",
        "id-10",
        "id-11",
        "id-12",
        "id-999",
        "snapshot at 13",
    ]
    for line in outcome.lines:
        jsonschema.validate(line, schema("snapshot" if "sequence" in line else "alert"))


def test_cloudevents(tmp_path: Path) -> None:
    path = recording(tmp_path / "r.gz", 4)
    events = ran(files=[path], form="cloudevents", snapshot_every=1000.0).lines
    assert [event["type"] for event in events] == ["defiwatch.pool.anomaly"] * 4 + ["defiwatch.snapshot"]
    assert {event["specversion"] for event in events} == {"1.0"}


def test_words_by_verbosity() -> None:
    assert ran(verbosity=-1).words == ""
    assert "defiwatch: lookback 300\n" in ran(verbosity=0).words


def test_progress_while_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defiwatch.headless.PROGRESS_S", 0.01)
    words = ran(fake={"warm_up": True}).words.splitlines()
    assert words[:3] == [
        "defiwatch: ethereum: warming up, 00 %, at block 23,000,001",
        "defiwatch: ethereum: warming up, 50 %, at block 23,000,001",
        "defiwatch: ethereum: warm",
    ]


def test_history_and_recording(tmp_path: Path) -> None:
    places = Places(data_dir=tmp_path / "data", record=tmp_path / "r.gz")
    outcome = ran(places=places, once=False, duration=0.05, fake={"blocks": 6})
    with Store(tmp_path / "data" / FILE_NAME) as store:
        assert [a.id for a in store.alerts()] == outcome.ids == ["id-2", "id-3", "id-4", "id-5", "id-6"]
    again = ran(files=[tmp_path / "r.gz"])
    assert again.ids[:-1] == outcome.ids, "a replay of the recording says what the live run said"


def test_what_was_printed_is_drained_before_an_error_leaves(tmp_path: Path) -> None:
    stdout = io.BytesIO()
    with pytest.raises(SourceError):
        run(
            Config(),
            Options(),
            Places(data_dir=tmp_path),
            stop=Stop(),
            stdout=stdout,
            stderr=io.StringIO(),
            parts=parts(unreachable=True),
        )
    assert stdout.getvalue() == b""
    with Store(tmp_path / FILE_NAME) as store:
        assert store.size() == 0
