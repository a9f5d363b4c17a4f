"""Lines to a stream: one JSON object a line, flushed line by line, behind a queue and a thread of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import msgspec

from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot
from defiwatch.errors import StoreError
from defiwatch.sinks.worker import Worker

Format: TypeAlias = Literal["jsonl", "cloudevents"]

STUCK_S = 5.0
"""How long a reader that takes nothing is waited for once we were asked to leave."""


class ByteStream(Protocol):
    """What lines are written to."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""

    def flush(self) -> object:
        """Send it on."""


class CloudEvent(msgspec.Struct, frozen=True):
    """The CloudEvents 1.0 envelope in its JSON format (https://github.com/cloudevents/spec, v1.0.2)."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: Alert | Snapshot


def alert_line(alert: Alert, form: Format = "jsonl") -> bytes:
    """An alert as one line without its newline."""
    if form == "jsonl":
        return msgspec.json.encode(alert)
    return msgspec.json.encode(
        CloudEvent(
            specversion="1.0",
            id=alert.id,
            source=f"urn:defiwatch:{alert.subject.chain_id}:{alert.subject.protocol}",
            type=f"defiwatch.{alert.kind}",
            subject=alert.key,
            time=alert.time,
            datacontenttype="application/json",
            data=alert,
        )
    )


def snapshot_line(snapshot: Snapshot, time: str, form: Format = "jsonl") -> bytes:
    """A snapshot as one line without its newline; `time` is its own, ISO 8601."""
    if form == "jsonl":
        return msgspec.json.encode(snapshot)
    return msgspec.json.encode(
        CloudEvent(
            specversion="1.0",
            id=f"snapshot:{snapshot.sequence}",
            source="urn:defiwatch",
            type="defiwatch.snapshot",
            subject="snapshot",
            time=time,
            datacontenttype="application/json",
            data=snapshot,
        )
    )


class JsonLines:
    """Writes lines to a stream. A reader that went away (`| head`) is no error: `on_gone` is called, on the thread."""

    def __init__(self, stream: ByteStream, *, on_gone: Callable[[], None], size: int = 10_000) -> None:
        self.gone = False
        self._stream = stream
        self._on_gone = on_gone
        self._problem: OSError | None = None
        self._worker: Worker[bytes] = Worker("stdout", self._write, size=size, batch=1)

    def put(self, line: bytes) -> None:
        """Queue a line (without its newline); waits while the queue is full."""
        if not (self.gone or self._problem):
            self._worker.put(line)

    def close(self, hurried: Callable[[], bool] = lambda: False) -> None:
        """Write what is queued, however long the reader (a pager) takes; once `hurried()`, only as long as it reads on.

        StoreError if the stream failed, or was given up.
        """
        left = self._worker.close(STUCK_S)
        while left:
            before, left = left, self._worker.close(STUCK_S)
            if hurried() and left == before:
                raise StoreError(f"standard output took nothing for {STUCK_S:g} s: {left} lines were not written")
        if self._problem is not None:
            raise StoreError(f"standard output: {self._problem.strerror or self._problem}") from self._problem

    def _write(self, lines: list[bytes]) -> None:
        for line in lines:
            if self.gone or self._problem:
                return
            try:
                self._stream.write(line + b"\n")
                self._stream.flush()
            except BrokenPipeError:
                self.gone = True
                self._on_gone()
            except OSError as error:
                self._problem = error
                self._on_gone()
