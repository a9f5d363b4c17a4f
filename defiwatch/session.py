"""A session: one engine with its sinks, run live or through recordings. Both faces stand on it.

It owns what has to do with the wall clock and is no business of the engine: pacing a replay, taking what the user says,
asking for a snapshot now and then, stopping when told to.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from defiwatch.clock import time_of
from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, HeaderFrame, InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot
from defiwatch.errors import StoreError
from defiwatch.sinks.outlets import Outlets
from defiwatch.sinks.picture import write_picture

TICK_S = 0.1
"""How often a live session looks whether something is due."""
NAP_S = 0.05
"""How long a paced replay sleeps at most before it looks again."""
INBOX_S = 1.0
PICTURE_S = 30.0
KEEP_S = 10.0
"""Seconds between two writes of the state: what a kill costs at most is done again after the restart."""
FLUSH_S = 2.0


class EngineLike(Protocol):
    """What a session needs of the engine."""

    events_per_s: float
    """What snapshots show; measured here, because the engine knows no wall clock."""

    def events(self) -> int:
        """Events applied so far, on all chains."""

    def feed(self, frame: Frame) -> list[Alert]:
        """Take one frame: `on_frame` is called before it is applied, `on_alert` for each alert that follows."""

    def finish(self) -> list[Alert]:
        """A replay is over."""

    def header(self) -> HeaderFrame:
        """The first line of a recording that begins now."""

    def snapshot(self) -> Snapshot:
        """The whole as it stands."""

    def notices(self) -> list[str]:
        """What is to be told and was not handed out yet; snapshots show what was."""

    def notice(self, text: str) -> None:
        """Add to what is to be told."""


class KeeperLike(Protocol):
    """What keeps the engine's state over a restart."""

    def open(self) -> None:
        """Take up what is on disk."""

    def save(self) -> None:
        """Write what changed."""

    def close(self) -> None:
        """Let go of the disk."""


class Parts(msgspec.Struct, frozen=True):
    """The engine's door, as a session calls it."""

    engine: Callable[..., EngineLike]
    run_live: Callable[..., Awaitable[None]]
    replay: Callable[..., Iterable[tuple[Frame, list[Alert]]]]
    keeper: Callable[..., KeeperLike] | None = None


class Listener(Protocol):
    """A face, as a session sees it. Called on the session's thread."""

    def on_alert(self, alert: Alert) -> None:
        """An alert was made."""

    def on_notice(self, text: str) -> None:
        """Something that the user should know and is no alert; snapshots tell it too."""

    def due(self, wall: float, frames: float) -> bool:
        """Whether a snapshot is wanted now: by the monotonic clock, and by the frames' own time (Unix seconds)."""

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """The snapshot that was wanted."""

    def on_end(self, snapshot: Snapshot) -> None:
        """All frames were taken; how it stands at the end."""


class Stop:
    """The wish to stop, from a signal or from another thread. No locks, so that a signal handler may set it."""

    def __init__(self) -> None:
        self._set = False
        self._listeners: list[Callable[[], object]] = []

    def set(self) -> None:
        """Ask for the end; again is harmless."""
        self._set = True
        for listener in tuple(self._listeners):
            listener()

    def is_set(self) -> bool:
        """Whether it was asked for."""
        return self._set

    def listen(self, listener: Callable[[], object]) -> None:
        """Call `listener`, which must not block, when the end is asked for; at once if it was already."""
        self._listeners.append(listener)
        if self._set:
            listener()

    def forget(self, listener: Callable[[], object]) -> None:
        """Call it no more."""
        self._listeners.remove(listener)


class Pace:
    """When a frame of a replay is due: `speed` 1 is as it happened, None as fast as it goes.

    Blocks are paced by the chain's clock and everything else by the wall's, each from its own first frame: a chain that
    was caught up, or a test chain, has another time than the ticks between its blocks.
    """

    def __init__(self, speed: float | None, wall: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._wall = wall
        self._origins: dict[str, tuple[float, float]] = {}

    def delay(self, frame_time: float | None, clock: str = "chain") -> float:
        """Seconds from now until a frame of that time is due; 0 or less if it is."""
        if self._speed is None or frame_time is None:
            return 0.0
        started, first = self._origins.setdefault(clock, (self._wall(), frame_time))
        return started + (frame_time - first) / self._speed - self._wall()


class _StoppedError(Exception):
    """Leaves a replay from inside a frame; never seen outside."""


def load_parts() -> Parts:
    """The engine itself; imported here because it takes seconds to load."""
    from defiwatch.engine import Engine, Keeper, replay, run_live

    return Parts(engine=Engine, run_live=run_live, replay=replay, keeper=Keeper)


def replayed(parts: Parts, config: Config, files: Sequence[Path]) -> Iterator[tuple[Frame, list[Alert]]]:
    """Every frame of recordings with the alerts that it led to; what their end leads to comes with a last header."""
    engine = parts.engine(config, mode="replay")
    yield from parts.replay(engine, files, speed=None)
    yield engine.header(), engine.finish()


class Session:
    """One run of one engine. `mode` is live, replay or demo; `picture` the folder to keep the last snapshot in."""

    def __init__(
        self,
        config: Config,
        *,
        mode: str,
        listener: Listener,
        outlets: Outlets,
        stop: Stop,
        picture: Path | None = None,
        parts: Parts | None = None,
    ) -> None:
        self.frames = 0
        self.alerts = 0
        self.snapshot_cost = 0.0
        """Seconds that the last snapshot took to make."""
        self._listener = listener
        self._outlets = outlets
        self._stop = stop
        self._picture = picture
        self._parts = parts or load_parts()
        self._said: deque[InputFrame] = deque()
        self._told: deque[str] = deque()
        self._pace = Pace(None)
        self._replaying = self._taking = False
        self._until: dict[str, float] = {}
        self._length: float | None = None
        self._time = 0.0
        self._inbox_at = self._notices_at = 0.0
        self._picture_at = time.monotonic() + PICTURE_S
        self._inbox_broken = False
        self._measured = (0, 0.0)
        self._keeper: KeeperLike | None = None
        self._keep_at = time.monotonic() + KEEP_S
        self.engine = self._parts.engine(config, mode=mode, on_alert=self._on_alert, on_frame=self._on_frame)

    def send(self, frame: InputFrame) -> None:
        """What the user did; from any thread."""
        self._said.append(frame)

    def tell(self, text: str) -> None:
        """A notice of a sink's; from any thread."""
        self._told.append(text)

    def live(self, *, lookback: int, duration: float | None, once: bool) -> None:
        """Run on the configured chains until told to stop, for `duration` seconds, or up to the head (`once`).

        SourceError if nothing could ever be reached.
        """
        self._open_ledger()
        self._outlets.frame(self.engine.header())
        for frame in self._outlets.standing():
            self.engine.feed(frame)
        try:
            asyncio.run(self._live(lookback, duration, once))
        finally:
            self._keep()
            if self._keeper is not None:
                self._keeper.close()
            self._notices()
        self._end()

    def replay(self, files: Sequence[Path], *, speed: float | None, duration: float | None = None) -> None:
        """Run recordings through the engine: `speed` times as fast as it happened (None: as fast as it goes), the first
        `duration` seconds of them by their own time. RecordingError for a file that is no recording.
        """
        self._pace = Pace(speed)
        self._replaying = True
        self._length = duration
        cut = False
        try:
            try:
                for _ in self._parts.replay(self.engine, files, speed=None):
                    pass
            except _StoppedError:
                cut = self._stop.is_set()
            if not cut:
                self.engine.finish()
        finally:
            self._notices()
        self._end()

    def _open_ledger(self) -> None:
        """Go on from what an earlier run kept in the data directory."""
        if self._picture is None or self._parts.keeper is None:
            return
        try:
            self._keeper = self._parts.keeper(self.engine, self._picture)
            self._keeper.open()
        except StoreError as error:
            self._keeper = None
            self.tell(f"the state of this run is not kept: {error}")

    def _keep(self) -> None:
        """Write the state, after every alert that it has told is on disk."""
        if self._keeper is None:
            return
        try:
            if self._outlets.flush(FLUSH_S):
                self._keeper.save()
        except StoreError as error:
            self._keeper = None
            self.tell(f"the state of this run is no longer kept: {error}")

    async def _live(self, lookback: int, duration: float | None, once: bool) -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(done.set)

        self._stop.listen(wake)
        running = asyncio.ensure_future(
            self._parts.run_live(self.engine, lookback=lookback, duration=duration, once=once, stop=done)
        )
        ticking = asyncio.create_task(self._ticks())
        try:
            await asyncio.wait((running, ticking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop.forget(wake)
            for task in (running, ticking):
                task.cancel()
            outcomes = await asyncio.gather(running, ticking, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                raise outcome

    async def _ticks(self) -> None:
        while True:
            self._tick(inbox=True)
            await asyncio.sleep(TICK_S)

    def _tick(self, *, inbox: bool = False) -> None:
        """What is due between frames."""
        wall = time.monotonic()
        while self._said:
            frame = self._said.popleft()
            self._take(frame)
            self._outlets.said(frame)
        if inbox and wall >= self._inbox_at:
            self._inbox_at = wall + INBOX_S
            self._read_inbox()
        if wall >= self._notices_at:
            self._notices_at = wall + TICK_S
            self._notices()
        if self._listener.due(wall, self._time):
            started = time.monotonic()
            self._measure(self._time if self._replaying else wall)
            snapshot = self.engine.snapshot()
            self.snapshot_cost = time.monotonic() - started
            self._listener.on_snapshot(snapshot)
        if inbox and wall >= self._keep_at:
            self._keep()
            self._keep_at = time.monotonic() + KEEP_S
        if self._picture is not None and inbox and wall >= self._picture_at:
            self._picture_at = wall + PICTURE_S
            self._keep_picture(self._picture)

    def _measure(self, now: float) -> None:
        """Events a second since the last snapshot; a replay's by its own time, so that its snapshots repeat."""
        events = self.engine.events()
        before, since = self._measured
        if since and now > since:
            self.engine.events_per_s = (events - before) / (now - since)
        self._measured = (events, now)

    def _take(self, frame: InputFrame) -> None:
        self._taking = True
        self.engine.feed(frame)
        self._taking = False

    def _read_inbox(self) -> None:
        try:
            for frame in self._outlets.fresh():
                self._take(frame)
            self._inbox_broken = False
        except StoreError as error:
            if not self._inbox_broken:
                self.tell(f"acks and snoozes of other commands cannot be read: {error}")
            self._inbox_broken = True

    def _keep_picture(self, folder: Path) -> None:
        try:
            write_picture(folder, self.engine.snapshot())
        except StoreError as error:
            self._picture = None
            self.tell(f"the last snapshot cannot be kept: {error}")

    def _end(self) -> None:
        if self._picture is not None:
            self._keep_picture(self._picture)
        self._notices()
        self._listener.on_end(self.engine.snapshot())

    def _notices(self) -> None:
        while self._told:
            self.engine.notice(self._told.popleft())
        for text in self.engine.notices():
            self._listener.on_notice(text)

    def _on_alert(self, alert: Alert) -> None:
        self.alerts += 1
        self._outlets.alert(alert)
        self._listener.on_alert(alert)

    def _on_frame(self, _sequence: int, frame: Frame) -> None:
        """Called before the engine applies a frame: here a replay waits for its time."""
        self.frames += 1
        if self._replaying and not self._taking:
            self._await(time_of(frame), "chain" if isinstance(frame, BlockFrame) else "wall")
        self._outlets.frame(frame)

    def _await(self, moment: float | None, clock: str) -> None:
        """Wait until a frame of that time is due; what the user does meanwhile is taken at once."""
        if moment is not None:
            if self._length is not None:
                until = self._until.setdefault(clock, moment + self._length)
                if moment > until:
                    raise _StoppedError
            self._time = max(self._time, moment)
        while True:
            if self._stop.is_set():
                raise _StoppedError
            self._tick()
            left = self._pace.delay(moment, clock)
            if left <= 0:
                return
            time.sleep(min(left, NAP_S))
