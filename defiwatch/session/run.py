"""One run: the engine between its sinks and a face, live or through recordings."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from defiwatch.clock import time_of
from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.errors import StoreError
from defiwatch.session import parts as door
from defiwatch.session.pace import Pace
from defiwatch.session.parts import KeeperLike, Listener, Parts
from defiwatch.session.stop import Stop
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
OVERDUE_S = 30.0
"""How much later it is written at most, while every look finds a block that is not judged yet."""
FLUSH_S = 2.0


class _StoppedError(Exception):
    """Leaves a replay from inside a frame; never seen outside."""


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
        self._parts = parts or door.load_parts()
        self._said: deque[InputFrame] = deque()
        self._told: deque[str] = deque()
        self._pace = Pace(None)
        self._replaying = self._taking = False
        self._until: dict[str, float] = {}
        self._length: float | None = None
        self._times: dict[str, float] = {}
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
        if self._listener.due(wall, self._time()):
            started = time.monotonic()
            self._measure(self._time() if self._replaying else wall)
            snapshot = self.engine.snapshot()
            self.snapshot_cost = time.monotonic() - started
            self._listener.on_snapshot(snapshot)
        if inbox:
            self._keep_when_due(wall)
        if self._picture is not None and inbox and wall >= self._picture_at:
            self._picture_at = wall + PICTURE_S
            self._keep_picture(self._picture)

    def _keep_when_due(self, wall: float) -> None:
        """Write the state if it is time: between two blocks, as what a block still waits for is not asked again after a
        restart; if reads are long in coming, in the midst of one."""
        if self._keeper is None or wall < self._keep_at:
            return
        if self.engine.midway and wall < self._keep_at + OVERDUE_S:
            return
        self._keep()
        self._keep_at = time.monotonic() + KEEP_S

    def _time(self) -> float:
        """A replay's own time: the chain's where it holds blocks, for its ticks may be of another day."""
        return self._times.get("chain") or self._times.get("wall", 0.0)

    def _measure(self, now: float) -> None:
        """Events a second since the last snapshot; a replay's by its own time, so that its snapshots repeat."""
        events = self.engine.events()
        before, since = self._measured
        if now == since:
            return  # The same block: what came of it counts once the clock has moved.
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
        self._keep_when_due(time.monotonic())
        if self._replaying and not self._taking:
            self._await(time_of(frame), _clock(frame))
        self._outlets.frame(frame)

    def _await(self, moment: float | None, clock: str) -> None:
        """Wait until a frame of that time is due; what the user does meanwhile is taken at once."""
        if moment is not None:
            if self._length is not None:
                until = self._until.setdefault(clock, moment + self._length)
                if moment > until:
                    raise _StoppedError
            self._times[clock] = max(self._times.get(clock, 0.0), moment)
        while True:
            if self._stop.is_set():
                raise _StoppedError
            self._tick()
            left = self._pace.delay(moment, clock)
            if left <= 0:
                return
            time.sleep(min(left, NAP_S))


def _clock(frame: Frame) -> str:
    """Whose time a frame goes by: a scout's blocks are far ahead of those of the gap between which they came."""
    if not isinstance(frame, BlockFrame):
        return "wall"
    return "head" if frame.ahead else "chain"
