from __future__ import annotations

import io
import json
import threading

import msgspec
import pytest

from defiwatch.errors import StoreError
from defiwatch.sinks import jsonl
from defiwatch.sinks.jsonl import JsonLines, alert_line, snapshot_line
from tests.unit.sinks.samples import alert, snapshot


class Pipe(io.BytesIO):
    """Breaks, or fails, after some lines; blocks while `gate` is closed."""

    def __init__(self, *, breaks_after: int = 10**9, error: OSError | None = None) -> None:
        super().__init__()
        self.left = breaks_after
        self.error = error or BrokenPipeError()
        self.gate = threading.Event()
        self.gate.set()
        self.flushed = 0

    def write(self, data: object, /) -> int:
        self.gate.wait(20)
        if self.left == 0:
            raise self.error
        self.left -= 1
        return super().write(data)  # type: ignore[arg-type]

    def flush(self) -> None:
        self.flushed += 1


def never() -> None:
    raise AssertionError("the reader did not go away")


def test_a_line_an_alert_flushed_each() -> None:
    pipe = Pipe()
    lines = JsonLines(pipe, on_gone=never)
    sent = [alert(n) for n in range(5)]
    for item in sent:
        lines.put(alert_line(item))
    lines.close()
    assert [msgspec.json.decode(line, type=type(sent[0])) for line in pipe.getvalue().splitlines()] == sent
    assert pipe.flushed == 5


def test_an_alert_line_is_as_the_contract_has_it() -> None:
    decoded = json.loads(alert_line(alert(1)))
    assert list(decoded) == [
        "schema",
        "id",
        "key",
        "state",
        "kind",
        "severity",
        "score",
        "time",
        "title",
        "subject",
        "reasons",
        "evidence",
        "finality",
        "trust",
    ]
    assert decoded["schema"] == "defiwatch.alert/1"
    assert decoded["reasons"][1] == {
        "name": "flow",
        "value": 3.0,
        "points": 11.5,
        "text": "three times the usual flow",
    }


def test_cloudevents_envelope() -> None:
    decoded = json.loads(alert_line(alert(1), "cloudevents"))
    assert decoded["data"] == json.loads(alert_line(alert(1)))
    del decoded["data"]
    assert decoded == {
        "specversion": "1.0",
        "id": "id-1",
        "source": "urn:defiwatch:1:uniswap_v3",
        "type": "defiwatch.pool.anomaly",
        "subject": alert(1).key,
        "time": "2026-03-10T12:00:01Z",
        "datacontenttype": "application/json",
    }
    whole = json.loads(snapshot_line(snapshot(7), "2026-03-10T12:00:00Z", "cloudevents"))
    assert (whole["type"], whole["id"], whole["data"]["schema"]) == (
        "defiwatch.snapshot",
        "snapshot:7",
        "defiwatch.snapshot/1",
    )


def test_a_reader_that_went_away_is_no_error() -> None:
    gone = threading.Event()
    pipe = Pipe(breaks_after=2)
    lines = JsonLines(pipe, on_gone=gone.set)
    for n in range(5):
        lines.put(b"%d" % n)
    assert gone.wait(20)
    lines.put(b"5")
    lines.close()
    assert lines.gone
    assert pipe.getvalue() == b"0\n1\n"


def test_a_full_disk_is_told() -> None:
    gone = threading.Event()
    lines = JsonLines(Pipe(breaks_after=1, error=OSError(28, "No space left on device")), on_gone=gone.set)
    lines.put(b"a")
    lines.put(b"b")
    assert gone.wait(20), "the run must be told to stop"
    with pytest.raises(StoreError, match="standard output: No space left on device"):
        lines.close()


def test_a_stuck_reader_is_waited_for_unless_we_must_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "STUCK_S", 0.02)
    pipe = Pipe()
    pipe.gate.clear()
    lines = JsonLines(pipe, on_gone=never)
    lines.put(b"a")
    lines.put(b"b")
    asked: list[bool] = []

    def hurried() -> bool:
        asked.append(True)
        return len(asked) > 3

    with pytest.raises(StoreError, match="2 lines were not written"):
        lines.close(hurried)
    assert len(asked) == 4
    pipe.gate.set()
