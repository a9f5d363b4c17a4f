"""The app and its feed: first paint, snapshots that replace each other, alerts that do not, and the end."""

from __future__ import annotations

import threading

import msgspec
import pytest
from textual.app import App

from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot
from defiwatch.tui.app import DefiwatchApp, run
from defiwatch.tui.feed import OnEnd
from defiwatch.tui.messages import AlertArrived, SnapshotArrived
from defiwatch.tui.picture import LOG_LENGTH
from defiwatch.tui.screens.stopped import Stopped
from tests.tui.samples import changes, story
from tests.tui.stage import CRASH, StillFeed, dashboard, play, press, screen_text, table


async def test_the_first_frame_is_painted_before_the_feed_starts() -> None:
    seen: list[str] = []

    class Watcher(StillFeed):
        def start(self, post_snapshot, post_alert, on_end: OnEnd) -> None:  # type: ignore[no-untyped-def]
            super().start(post_snapshot, post_alert, on_end)
            seen.append(screen_text(app))

    feed = Watcher()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert feed.started == 1
        assert "no position yet: the engine is starting" in seen[0]


async def test_what_another_thread_posts_arrives() -> None:
    feed = StillFeed()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        news = changes(CRASH)

        def engine() -> None:
            for alert in news:
                feed.post_alert(alert)
            feed.post_snapshot(story(CRASH))

        thread = threading.Thread(target=engine)
        thread.start()
        thread.join()
        await pilot.pause()
        await pilot.pause()
        assert [alert.id for alert in table(app, "log").rows] == [alert.id for alert in reversed(news)]
        assert "treasury.eth" in screen_text(app)


async def test_newer_snapshots_replace_those_that_wait_but_no_alert_is_lost() -> None:
    feed = StillFeed()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        drawn: list[int] = []
        take = app.take

        def counting(snapshot: Snapshot) -> None:
            drawn.append(snapshot.sequence)
            take(snapshot)

        app.take = counting  # type: ignore[method-assign]
        alerts = [msgspec.structs.replace(changes(CRASH)[0], id=f"{at:08x}") for at in range(300)]
        for step in range(50):
            feed.post_snapshot(msgspec.structs.replace(story(5), sequence=step, feed=()))
        for alert in alerts:
            feed.post_alert(alert)
        await pilot.pause()
        await pilot.pause(0.1)
        assert drawn[-1] == 49
        assert len(drawn) < 50
        assert [alert.id for alert in table(app, "log").rows] == [alert.id for alert in reversed(alerts)]


async def test_alerts_are_no_snapshots_to_replace() -> None:
    first, second = SnapshotArrived(story(1)), SnapshotArrived(story(2))
    assert second.can_replace(first)
    alert = AlertArrived(changes(CRASH)[0])
    assert not alert.can_replace(first)
    assert not first.can_replace(alert)


async def test_an_alert_told_twice_stands_once_and_the_log_is_bounded() -> None:
    feed = StillFeed()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        before = len(table(app, "log").rows)
        for alert in changes(CRASH):
            feed.post_alert(alert)
        await pilot.pause(0.1)
        assert len(table(app, "log").rows) == before
        some = changes(CRASH)[0]
        many: list[Alert] = [msgspec.structs.replace(some, id=f"n{at}") for at in range(LOG_LENGTH + 50)]
        for alert in many:
            feed.post_alert(alert)
        await pilot.pause(0.1)
        rows = table(app, "log").rows
        assert len(rows) == LOG_LENGTH
        assert rows[0].id == many[-1].id


async def test_after_a_recording_the_screen_stays_and_keys_work() -> None:
    feed = StillFeed()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        feed.on_end(None)
        await pilot.pause()
        assert "recording ended" in screen_text(app)
        await press(pilot, "2", "enter")
        assert "health factor" in screen_text(app)
        await pilot.press("q")
    assert app.return_code == 0


async def test_an_engine_error_is_told_in_one_line_and_any_key_leaves_with_its_code() -> None:
    feed = StillFeed()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        feed.on_end("no source could be reached: [b]wss://x/***[/b] refused", 3)
        await pilot.pause()
        await pilot.pause()
        assert isinstance(app.screen, Stopped)
        text = screen_text(app)
        assert "[b]wss://x/***[/b] refused" in text
        assert "exit code 3" in text
        await pilot.press("x")
    assert app.return_code == 3
    assert app.return_value == 3


async def test_after_an_error_one_may_look_around_first() -> None:
    feed = StillFeed()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        feed.on_end("the disk is full")
        await pilot.pause()
        await press(pilot, "escape", "j", "enter")
        assert "ENGINE STOPPED" in screen_text(app)
        await pilot.press("q")
    assert app.return_code == 1


async def test_without_a_terminal_an_error_leaves_at_once() -> None:
    feed = StillFeed()
    app = dashboard(feed, linger=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        feed.on_end("the disk is full", 3)
        await pilot.pause()
    assert app.return_code == 3


async def test_the_engine_may_post_after_the_user_left() -> None:
    feed = StillFeed()
    app = dashboard(feed)
    async with app.run_test(size=(80, 24)) as pilot:
        await play(pilot)
        await pilot.press("q")
    feed.post_snapshot(story(CRASH))
    feed.on_end(None)


class _Quitter(StillFeed):
    """Ends with an error as soon as it starts."""

    def start(self, post_snapshot, post_alert, on_end: OnEnd) -> None:  # type: ignore[no-untyped-def]
        super().start(post_snapshot, post_alert, on_end)
        on_end("no source could be reached", 3)


def test_run_stops_the_feed_tells_the_error_and_answers_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed = _Quitter()
    monkeypatch.setattr(DefiwatchApp, "run", lambda self: App.run(self, headless=True, size=(80, 24)))
    assert run(feed) == 3
    assert feed.stopped == 1
    assert capsys.readouterr().err == "defiwatch: no source could be reached\n"
