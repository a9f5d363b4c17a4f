"""The screen's side of an engine: a thread with a loop of its own, and what passes between the two."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from defiwatch.cli.ending import masked
from defiwatch.config import Config
from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot
from defiwatch.errors import DefiwatchError, ExitCode
from defiwatch.session import Parts, Session, Stop
from defiwatch.sinks.outlets import Outlets
from defiwatch.tui.feed import OnEnd

SNAPSHOT_S = 0.25
"""Between two snapshots at least."""
SHARE = 5
"""A snapshot takes at most one part in so many of the engine's time."""
SWITCH_S = 0.0005
"""How soon the interpreter hands over between threads, so that a key press does not wait for a model."""
JOIN_S = 20.0


class EngineFeed:
    """An engine on its own thread, as `tui.feed.Feed` wants it: live, or through `files`.

    `error` is what ended it, if something did, once the thread is over.
    """

    def __init__(
        self,
        config: Config,
        outlets: Outlets,
        *,
        mode: str,
        files: Sequence[Path] | None = None,
        speed: float | None = None,
        lookback: int = 300,
        picture: Path | None = None,
        parts: Parts | None = None,
    ) -> None:
        self.error: BaseException | None = None
        self._config = config
        self._outlets = outlets
        self._mode = mode
        self._files = files
        self._speed = speed
        self._lookback = lookback
        self._picture = picture
        self._parts = parts
        self._stop = Stop()
        self._session: Session | None = None
        self._early: list[InputFrame] = []
        self._early_notices: list[str] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._next = 0.0
        self._drawn = -1

    # What the screen calls.

    def start(
        self, post_snapshot: Callable[[Snapshot], None], post_alert: Callable[[Alert], None], on_end: OnEnd
    ) -> None:
        """Start the engine's thread; the three are called from it."""
        self._post_snapshot = post_snapshot
        self._post_alert = post_alert
        self._on_end = on_end
        sys.setswitchinterval(SWITCH_S)
        self._thread = threading.Thread(target=self._run, name="defiwatch-engine", daemon=True)
        self._thread.start()

    def send(self, frame: InputFrame) -> None:
        """Hand on what the user did; from any thread."""
        with self._lock:
            if self._session is None:
                self._early.append(frame)
            else:
                self._session.send(frame)

    def stop(self) -> None:
        """Drain and end the thread; again, or before `start`, is harmless."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    # What a sink calls, from any thread.

    def tell(self, text: str) -> None:
        """Show a notice."""
        with self._lock:
            if self._session is None:
                self._early_notices.append(text)
            else:
                self._session.tell(text)

    # What the session calls.

    def on_alert(self, alert: Alert) -> None:
        """Post it."""
        self._post_alert(alert)

    def on_notice(self, text: str) -> None:
        """Nothing to do: notices are in the snapshots."""

    def due(self, wall: float, frames: float) -> bool:  # noqa: ARG002 - the screen goes by the wall clock
        """Some times a second, if something came."""
        return wall >= self._next and self._session is not None and self._session.frames != self._drawn

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Post it, and leave the engine time for its work."""
        self._post_snapshot(snapshot)
        if self._session is not None:
            self._drawn = self._session.frames
            self._next = time.monotonic() + max(SNAPSHOT_S, SHARE * self._session.snapshot_cost)

    def on_end(self, snapshot: Snapshot) -> None:
        """Post how it stands at the end."""
        self._post_snapshot(snapshot)

    # The thread.

    def _run(self) -> None:
        code, text = int(ExitCode.OK), None
        try:
            self._work()
        except DefiwatchError as error:
            self.error = error
            code, text = int(error.exit_code), masked(str(error))
        except Exception as error:  # noqa: BLE001 - kept in `error`; the main thread tells it
            self.error = error
            code, text = (
                int(ExitCode.FAULT),
                masked(f"a fault of ours: {type(error).__name__}: {error}; -vv shows where"),
            )
        self._on_end(text, code)

    def _work(self) -> None:
        session = Session(
            self._config,
            mode=self._mode,
            listener=self,
            outlets=self._outlets,
            stop=self._stop,
            picture=self._picture,
            parts=self._parts,
        )
        with self._lock:
            self._session = session
            for text in self._early_notices:
                session.tell(text)
            for frame in self._early:
                session.send(frame)
        if self._files is None:
            session.live(lookback=self._lookback, duration=None, once=False)
        else:
            session.replay(self._files, speed=self._speed)


def show(
    config: Config,
    *,
    mode: str,
    title: str,
    files: Sequence[Path] | None = None,
    speed: float | None = None,
    lookback: int = 300,
    data_dir: Path | None = None,
    record: Path | None = None,
    force: bool = False,
    notify: bool = False,
    tell_fault: Callable[[BaseException], None],
) -> int:
    """The dashboard, until the user leaves; the exit code. `tell_fault` gets what ended the engine, if anything."""
    early: list[str] = []
    feeds: list[EngineFeed] = []
    outlets = Outlets.open(
        data_dir=data_dir,
        sinks=config.sinks if notify else None,
        record=record,
        force=force,
        tell=lambda text: feeds[0].tell(text) if feeds else early.append(text),
    )
    try:
        feed = EngineFeed(config, outlets, mode=mode, files=files, speed=speed, lookback=lookback, picture=data_dir)
        feeds.append(feed)
        for text in early:
            feed.tell(text)
        from defiwatch.tui.app import run

        code = run(feed, title=title)
    finally:
        outlets.close()
    if feed.error is not None:
        tell_fault(feed.error)
    return code
