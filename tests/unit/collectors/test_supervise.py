"""Collectors that fail are told and started again; faults of ours come out; nothing is left running."""

from __future__ import annotations

import asyncio

import pytest

from defiwatch.collectors.supervise import supervise
from defiwatch.collectors.ticker import Ticker
from defiwatch.domain.frames import Frame, HealthFrame, TickFrame
from defiwatch.errors import SourceError


class Scripted:
    """Raises each of its failures in turn, then returns, or waits for ever."""

    def __init__(self, name: str, *failures: Exception, lasts: bool = False) -> None:
        self.name = name
        self.failures = list(failures)
        self.lasts = lasts
        self.starts = self.cancelled = 0
        self.lasting = asyncio.Event()

    async def run(self) -> None:
        self.starts += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        try:
            if self.lasts:
                self.lasting.set()
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Door:
    def __init__(self) -> None:
        self.frames: list[Frame] = []

    async def emit(self, frame: Frame) -> None:
        self.frames.append(frame)


async def test_it_ends_with_the_required_ones() -> None:
    needed, extra, door = Scripted("chain"), Scripted("quotes", lasts=True), Door()
    await supervise([needed], [extra], door.emit)
    assert (needed.starts, extra.cancelled, door.frames) == (1, 1, [])
    await supervise([], [], door.emit)


async def test_a_failed_source_is_told_and_started_again() -> None:
    door = Door()
    needed = Scripted("chain", lasts=True)
    extra = Scripted("quotes", SourceError("gone"), SourceError("gone again"), lasts=True)
    task = asyncio.create_task(supervise([needed], [extra], door.emit, first_pause=0.01, wall=lambda: 0.0))
    async with asyncio.timeout(5):
        await extra.lasting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert extra.starts == 3
    assert door.frames == [
        HealthFrame("quotes", "down", "1970-01-01T00:00:00Z", detail="gone"),
        HealthFrame("quotes", "down", "1970-01-01T00:00:00Z", detail="gone again"),
    ]
    assert (needed.cancelled, extra.cancelled) == (1, 1)


async def test_no_source_at_all() -> None:
    door = Door()
    with pytest.raises(SourceError, match="first"):
        await supervise(
            [Scripted("a", SourceError("first")), Scripted("b", SourceError("second"))],
            [Scripted("q", lasts=True)],
            door.emit,
            first_pause=10.0,
        )
    assert len(door.frames) == 2


async def test_one_of_two_is_enough() -> None:
    door = Door()
    async with asyncio.timeout(5):
        await supervise(
            [Scripted("a", SourceError("first")), Scripted("b")], [], door.emit, restart=False, first_pause=10.0
        )
    assert len(door.frames) == 1


async def test_one_that_came_back_is_a_source() -> None:
    """The first fails at once and is well then; when the second fails in turn, there still is a source."""

    class Late(Scripted):
        async def run(self) -> None:
            if not self.starts:
                await back.lasting.wait()
                await asyncio.sleep(0.05)
            await super().run()

    back, late, door = Scripted("a", SourceError("first"), lasts=True), Late("b", SourceError("second")), Door()
    task = asyncio.create_task(supervise([back, late], [], door.emit, first_pause=0.01))
    async with asyncio.timeout(5):
        while not late.starts > 1:
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [frame.source for frame in door.frames if isinstance(frame, HealthFrame)] == ["a", "b"]


async def test_a_fault_of_ours_is_raised_and_the_others_end() -> None:
    other = Scripted("b", lasts=True)
    with pytest.raises(ZeroDivisionError):
        await supervise([Scripted("a", ZeroDivisionError()), other], [], Door().emit)
    assert other.cancelled == 1


async def test_ticks_are_on_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.4
    frames: list[Frame] = []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def emit(frame: Frame) -> None:
        nonlocal now
        frames.append(frame)
        now += 0.1 if len(frames) != 2 else 2.5
        if len(frames) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr("defiwatch.collectors.ticker.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await Ticker(emit, wall=lambda: now).run()
    assert frames == [
        TickFrame("2023-11-14T22:13:20Z"),
        TickFrame("2023-11-14T22:13:21Z"),
        TickFrame("2023-11-14T22:13:24Z"),
        TickFrame("2023-11-14T22:13:25Z"),
    ]
