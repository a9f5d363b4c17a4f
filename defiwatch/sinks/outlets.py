"""What leaves a run beside the screen or stdout: history, channels, a recording; each behind its own queue."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from defiwatch.config import Sinks
from defiwatch.domain.frames import Frame, InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.errors import StoreError
from defiwatch.sinks.history import FILE_NAME, History, Inbox, Store
from defiwatch.sinks.notify import Notifier, notifiers
from defiwatch.sinks.recorder import Recorder


class Outlets:
    """The sinks of one run. `alert` and `frame` hand on; `close` drains all of them."""

    def __init__(
        self,
        *,
        history: History | None = None,
        inbox: Inbox | None = None,
        channels: tuple[Notifier, ...] = (),
        recorder: Recorder | None = None,
    ) -> None:
        self.recorder = recorder
        self._history = history
        self._inbox = inbox
        self._channels = channels

    @classmethod
    def open(
        cls,
        *,
        data_dir: Path | None,
        sinks: Sinks | None,
        record: Path | None,
        force: bool,
        tell: Callable[[str], None],
    ) -> Outlets:
        """Open what is asked for: a history in `data_dir`, the channels of `sinks`, a recording at `record`.

        UsageError or StoreError, before anything runs, for what cannot be opened.
        """
        history = inbox = None
        with ExitStack() as opened:
            if data_dir is not None:
                origin = uuid.uuid4().hex
                history = History(Store(data_dir / FILE_NAME), origin=origin, tell=tell)
                opened.callback(history.close)
                inbox = Inbox(Store(data_dir / FILE_NAME), origin=origin)
                opened.callback(inbox.close)
            channels = () if sinks is None else notifiers(sinks, tell)
            for channel in channels:
                opened.callback(channel.close)
            recorder = None if record is None else Recorder(record, force=force, tell=tell)
            opened.pop_all()
        return cls(history=history, inbox=inbox, channels=channels, recorder=recorder)

    def alert(self, alert: Alert) -> None:
        """Keep it, then push it."""
        if self._history is not None:
            self._history.put(alert)
        for channel in self._channels:
            channel.put(alert)

    def frame(self, frame: Frame) -> None:
        """Record it."""
        if self.recorder is not None:
            self.recorder.put(frame)

    def said(self, frame: InputFrame) -> None:
        """Keep what the user did in this run for a later start."""
        if self._history is not None:
            self._history.put(frame)

    def standing(self) -> list[InputFrame]:
        """What the user said before this run and still holds. StoreError if it cannot be read."""
        return [] if self._inbox is None else self._inbox.standing(time.time())

    def fresh(self) -> list[InputFrame]:
        """What the user said in other processes since the last call. StoreError if it cannot be read."""
        return [] if self._inbox is None else self._inbox.fresh()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until every alert is on disk; False if `timeout` (seconds) passed first."""
        return self._history is None or self._history.flush(timeout)

    def close(self) -> None:
        """Drain and close every sink; then StoreError if one of them did not keep all."""
        problem: StoreError | None = None
        for sink in (*self._channels, self._inbox, self.recorder, self._history):
            try:
                if sink is not None:
                    sink.close()
            except StoreError as error:
                problem = problem or error
        if problem is not None:
            raise problem
