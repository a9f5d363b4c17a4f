"""The history as a sink, and the way back: what other processes (`alerts ack`) want told to the engine."""

from __future__ import annotations

from collections.abc import Callable

from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import from_iso
from defiwatch.errors import StoreError
from defiwatch.sinks.history.store import Store
from defiwatch.sinks.worker import Worker

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 30.0


class History:
    """Keeps every alert. Nothing is dropped: while the file cannot be written the queue grows, and the user is told."""

    def __init__(self, store: Store, *, origin: str, tell: Callable[[str], None], size: int = 10_000) -> None:
        self._store = store
        self._origin = origin
        self._tell = tell
        self._unkept = 0
        self._worker: Worker[Alert | InputFrame] = Worker("history", self._keep, size=size)

    def put(self, item: Alert | InputFrame) -> None:
        """Queue an alert, or what the user did in this process."""
        self._worker.put(item)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until what was put is on disk; False if `timeout` (seconds) passed first."""
        return self._worker.flush(timeout)

    def close(self) -> None:
        """Write what is queued and close the file. StoreError if something could not be kept."""
        self._worker.close()
        self._store.close()
        if self._unkept:
            raise StoreError(f"{self._store.path}: {self._unkept} alerts could not be kept")

    def _keep(self, items: list[Alert | InputFrame]) -> None:
        pause = FIRST_RETRY_S
        while True:
            try:
                self._store.append([item for item in items if isinstance(item, Alert)])
                break
            except StoreError as error:
                if not self._worker.elastic:
                    self._tell(f"history: alerts wait in memory: {error}")
                    self._worker.elastic = True
                if self._worker.closing.wait(pause):
                    self._unkept += sum(isinstance(item, Alert) for item in items)
                    return
                pause = min(2 * pause, LONGEST_RETRY_S)
        if self._worker.elastic:
            self._worker.elastic = False
            self._tell("history: alerts are kept again")
        for item in items:
            if isinstance(item, InputFrame):
                try:
                    self._store.add_input(item, self._origin)
                except StoreError as error:
                    self._tell(f"history: the {item.action} of {item.key} holds for this run only: {error}")


class Inbox:
    """What the user said elsewhere: read once at the start (`standing`), and then as it comes (`fresh`)."""

    def __init__(self, store: Store, *, origin: str) -> None:
        self._store = store
        self._origin = origin
        self._seen = store.last_input()

    def standing(self, now: float) -> list[InputFrame]:
        """What was said before this run and still holds at `now` (Unix seconds), in the order it was said.

        A snooze holds until it is over; an ack until the alert that it was for is cleared or retracted; a judgement
        (noise, real) always.
        """
        last: dict[tuple[str, str], tuple[int, InputFrame]] = {}
        for n, frame in self._store.inputs():
            if n <= self._seen:
                last[frame.action, frame.key] = (n, frame)
        frames = [frame for _, frame in sorted(last.values(), key=lambda pair: pair[0])]
        return [frame for frame in frames if self._holds(frame, now)]

    def fresh(self) -> list[InputFrame]:
        """What other processes added since the last call."""
        found = self._store.inputs(after=self._seen, not_from=self._origin)
        if found:
            self._seen = found[-1][0]
        return [frame for _, frame in found]

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def _holds(self, frame: InputFrame, now: float) -> bool:
        if frame.action == "snooze":
            return frame.until is not None and from_iso(frame.until) > now
        if frame.action == "ack":
            said = from_iso(frame.time)
            over = (a for a in self._store.alerts(since=said, key=frame.key) if a.state in ("cleared", "retracted"))
            return next(over, None) is None
        return frame.action in ("noise", "real")
