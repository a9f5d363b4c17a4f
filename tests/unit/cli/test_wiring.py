from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from defiwatch.cli.wiring import EngineFeed
from defiwatch.config import Config
from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot
from defiwatch.session import Parts
from defiwatch.sinks.outlets import Outlets
from defiwatch.tui.feed import Feed
from tests.unit.cli.fakes import FakeEngine, inputs, parts, recording

AGAINST: type[Feed] = EngineFeed
"""The screen's own idea of a feed, held against ours by the type checker."""


@pytest.fixture(autouse=True)
def switch_interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


class Screen:
    """Takes what a feed posts."""

    def __init__(self) -> None:
        self.snapshots: list[tuple[float, Snapshot]] = []
        self.alerts: list[Alert] = []
        self.ended: list[tuple[str | None, int]] = []
        self.over = threading.Event()

    def post_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append((time.monotonic(), snapshot))

    def post_alert(self, alert: Alert) -> None:
        self.alerts.append(alert)

    def on_end(self, error: str | None, exit_code: int = 1) -> None:
        self.ended.append((error, exit_code))
        self.over.set()


def feed(door: Parts, *, files: list[Path] | None = None, speed: float | None = None) -> EngineFeed:
    return EngineFeed(
        Config(), Outlets(), mode="live" if files is None else "demo", files=files, speed=speed, parts=door
    )


def started(source: EngineFeed) -> Screen:
    screen = Screen()
    source.start(screen.post_snapshot, screen.post_alert, screen.on_end)
    return screen


def wait_for(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def test_every_alert_a_few_snapshots_and_the_end(tmp_path: Path) -> None:
    source = feed(parts(), files=[recording(tmp_path / "r.gz", 2000)])
    screen = started(source)
    assert screen.over.wait(30)
    source.stop()
    assert len(screen.alerts) == 2000, "2..2000 and the end's"
    assert screen.snapshots[-1][1].sequence == 2001
    assert screen.ended == [(None, 0)]
    assert source.error is None


def test_at_most_four_snapshots_a_second(tmp_path: Path) -> None:
    source = feed(parts(blocks=10**6, pause=0.005))
    screen = started(source)
    wait_for(lambda: len(screen.snapshots) >= 4)
    source.stop()
    moments = [moment for moment, _ in screen.snapshots[:4]]
    assert all(later - earlier >= 0.24 for earlier, later in itertools.pairwise(moments))
    assert screen.ended == [(None, 0)]


def test_nothing_new_is_nothing_posted() -> None:
    source = feed(parts(blocks=1))
    screen = started(source)
    wait_for(lambda: screen.snapshots)
    time.sleep(0.6)
    assert len(screen.snapshots) == 1
    source.stop()


def test_what_the_user_does_reaches_the_engine_also_when_it_was_early() -> None:
    source = feed(parts(blocks=1))
    source.send(InputFrame(action="ack", key="early"))
    started(source)
    wait_for(lambda: inputs(FakeEngine.made[-1]) == ["early"])
    source.send(InputFrame(action="snooze", key="later"))
    wait_for(lambda: inputs(FakeEngine.made[-1]) == ["early", "later"])
    source.stop()


def test_notices_of_sinks_are_shown() -> None:
    source = feed(parts(blocks=1))
    source.tell("early")
    started(source)
    wait_for(lambda: "early" in FakeEngine.made[-1].told)
    source.tell("later")
    wait_for(lambda: "later" in FakeEngine.made[-1].told)
    source.stop()


def test_an_error_is_one_line_with_its_exit_code_and_no_secret() -> None:
    screen = started(feed(parts(unreachable=True)))
    assert screen.over.wait(20)
    assert screen.ended == [("no source could be reached: wss://node.example/v2/*** refused", 3)]


def test_a_fault_of_ours_is_told_too() -> None:
    source = feed(parts(fault=True))
    screen = started(source)
    assert screen.over.wait(20)
    source.stop()
    assert screen.ended == [
        (
            "a fault of ours: ZeroDivisionError: division by zero at https://node.example/v2/***; -vv shows where",
            1,
        )
    ]
    assert isinstance(source.error, ZeroDivisionError)


def test_stopping_is_harmless_before_the_start_and_again(tmp_path: Path) -> None:
    source = feed(parts(), files=[recording(tmp_path / "r.gz", 50)], speed=1.0)
    source.stop()
    source.stop()
    screen = started(source)
    assert screen.over.wait(20)
    source.stop()
    assert screen.ended == [(None, 0)]


def test_a_slow_replay_stops_at_once(tmp_path: Path) -> None:
    source = feed(parts(), files=[recording(tmp_path / "r.gz", 50)], speed=0.001)
    screen = started(source)
    wait_for(lambda: screen.snapshots)
    source.stop()
    assert screen.over.is_set()
    assert sys.getswitchinterval() == pytest.approx(0.0005)
