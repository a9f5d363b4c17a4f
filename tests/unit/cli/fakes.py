"""A small engine behind the real door, and ways to run the command line on it.

It raises an alert in every block whose number is even (critical in every tenth) and clears it in the next.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, HeaderFrame, InputFrame, decode, encode
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot
from defiwatch.errors import RecordingError, SourceError
from defiwatch.session import Parts
from tests.unit.sinks.samples import START, alert, block, header, snapshot


class FakeEngine:
    """Implements `session.EngineLike`; remembers what it was fed."""

    made: ClassVar[list[FakeEngine]] = []

    def __init__(
        self,
        config: Config,
        *,
        mode: str = "live",
        on_alert: Callable[[Alert], None] | None = None,
        on_frame: Callable[[int, Frame], None] | None = None,
    ) -> None:
        self.config = config
        self.mode = mode
        self.fed: list[Frame] = []
        self.told: list[str] = []
        self.standing: dict[str, Alert] = {}
        self.warming: float | None = None
        self.events_per_s = 0.0
        self.midway = False
        self._on_alert = on_alert
        self._on_frame = on_frame
        self._fresh: list[str] = []
        self._time = float(START)
        FakeEngine.made.append(self)

    def feed(self, frame: Frame) -> list[Alert]:
        if self._on_frame is not None:
            self._on_frame(len(self.fed) + 1, frame)
        self.fed.append(frame)
        if not isinstance(frame, BlockFrame):
            return []
        number = int(frame.header.number, 16)
        self._time = float(int(frame.header.timestamp, 16))
        made = []
        if number % 2 == 0:
            made.append(
                alert(number, severity="warning" if number % 10 else "critical", key=f"k{number}", time=self._time)
            )
        elif number > 1:
            made.append(alert(number, state="cleared", key=f"k{number - 1}", time=self._time))
        for item in made:
            if item.state == "cleared":
                self.standing.pop(item.key, None)
            else:
                self.standing[item.key] = item
            if self._on_alert is not None:
                self._on_alert(item)
        return made

    def finish(self) -> list[Alert]:
        last = alert(999, key="finish", time=self._time)
        if self._on_alert is not None:
            self._on_alert(last)
        return [last]

    def header(self) -> HeaderFrame:
        return header()

    def events(self) -> int:
        return 0

    def snapshot(self) -> Snapshot:
        return snapshot(len(self.fed), alerts=tuple(self.standing.values()), time=self._time, warming=self.warming)

    def notices(self) -> list[str]:
        fresh, self._fresh = self._fresh, []
        return fresh

    def notice(self, text: str) -> None:
        self.told.append(text)
        self._fresh.append(text)


def replay(engine: FakeEngine, files: Sequence[Path], *, speed: float | None) -> Iterator[tuple[Frame, list[Alert]]]:
    assert speed is None
    for path in files:
        try:
            with gzip.open(path) as lines:
                for line in lines:
                    frame = decode(line)
                    yield frame, engine.feed(frame)
        except gzip.BadGzipFile as error:
            raise RecordingError(f"{path}: is no recording ({error})") from error


def live(
    blocks: int = 4, *, pause: float = 0.0, unreachable: bool = False, warm_up: bool = False, fault: bool = False
) -> Callable[..., object]:
    """A `run_live` that feeds blocks, then waits for the end unless it ran `once`."""

    async def run_live(
        engine: FakeEngine, *, lookback: int, duration: float | None, once: bool, stop: asyncio.Event
    ) -> None:
        if unreachable:
            raise SourceError("no source could be reached: wss://node.example/v2/0123456789abcdef0123 refused")
        if fault:
            raise ZeroDivisionError("division by zero at https://node.example/v2/0123456789abcdef0123")
        if warm_up:
            for share in (0.0, 0.5):
                engine.warming = share
                await asyncio.sleep(0.25)
            engine.warming = None
            await asyncio.sleep(0.25)
        engine.notice(f"lookback {lookback}")
        for number in range(1, blocks + 1):
            engine.feed(block(number))
            await asyncio.sleep(pause)
            if stop.is_set():
                return
        if once:
            return
        try:
            await asyncio.wait_for(stop.wait(), duration)
        except TimeoutError:
            return

    return run_live


def parts(**settings: object) -> Parts:
    """The fake engine's door."""
    return Parts(engine=FakeEngine, run_live=live(**settings), replay=replay)  # type: ignore[arg-type]


def recording(path: Path, blocks: int, *, first: int = 1) -> Path:
    """A recording of so many blocks, 12 seconds apart."""
    frames: list[Frame] = [header(), *(block(n) for n in range(first, first + blocks))]
    path.write_bytes(gzip.compress(b"".join(encode(frame) + b"\n" for frame in frames), mtime=0))
    return path


def inputs(engine: FakeEngine) -> list[str]:
    """The keys of what the user did, in the order the engine was told."""
    return [frame.key for frame in engine.fed if isinstance(frame, InputFrame)]
