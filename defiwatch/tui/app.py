"""The app: it takes pictures from the feed, hands them to the screen on top, and sends what the user did."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import FrameType
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import iso
from defiwatch.domain.view import Snapshot
from defiwatch.tui.feed import Feed
from defiwatch.tui.messages import AlertArrived, FeedEnded, Handle, SnapshotArrived
from defiwatch.tui.picture import LOG_LENGTH, Picture
from defiwatch.tui.screens.board import TABS, Board
from defiwatch.tui.screens.detail import Detail
from defiwatch.tui.screens.help import Help
from defiwatch.tui.screens.lists import Alerts, Markets, Pools, Positions, Prices, Sources
from defiwatch.tui.screens.overview import Overview
from defiwatch.tui.screens.stopped import Stopped
from defiwatch.tui.theme import DARK, LIGHT, THEMES
from defiwatch.tui.widgets.tabs import Tabs

_DONE = {"ack": "acknowledged", "snooze": "snoozed", "noise": "called noise", "real": "called real"}

_SWITCH_INTERVAL_S = 0.0005
"""How long the engine's thread may hold the interpreter before a key gets its turn (default: ten times as long)."""


_WIDE = 120
"""Columns from which panels stand side by side."""

_TALL = 34
"""Rows from which the overview also lists what changed."""

_BURST_S = 0.05
"""Alerts that come within this time are drawn together."""


class DefiwatchApp(App[int]):
    """The dashboard. Its result is the exit code."""

    CSS_PATH = "defiwatch.tcss"
    TITLE = "defiwatch"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "overview": Overview,
        "positions": Positions,
        "pools": Pools,
        "markets": Markets,
        "prices": Prices,
        "alerts": Alerts,
        "sources": Sources,
    }
    DEFAULT_MODE = "overview"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_WIDE, "-wide")]  # noqa: RUF012 - textual does not type it as ClassVar
    VERTICAL_BREAKPOINTS = [(0, "-low"), (_TALL, "-tall")]  # noqa: RUF012 - as above
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(tab.key, f"show('{tab.mode}')", tab.word, show=False) for tab in TABS),
        Binding("space", "pause", "pause"),
        Binding("t", "shade", "dark or light", show=False),
        Binding("colon", "command_palette", "commands", show=False),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False, priority=True),
    ]

    def __init__(self, feed: Feed, *, title: str = "defiwatch", theme: str = DARK.name, linger: bool = True) -> None:
        """`linger` False: an engine's error ends the app at once instead of waiting for a key."""
        super().__init__()
        self.title = title
        for own in THEMES:
            self.register_theme(own)
        self.theme = theme
        self.exit_code = 0
        self.error = ""
        self._feed = feed
        self._linger = linger
        self._picture = Picture()
        self._newest = self._picture
        self._seen: set[str] = set()
        self._due: Timer | None = None

    # The feed.

    def on_mount(self) -> None:
        """Paint first; what the engine imports is heavy."""
        if not self.is_headless:
            self._heed_signals()
        self.call_after_refresh(self._start)

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()

        def on_hangup(_number: int, _frame: FrameType | None) -> None:
            """The terminal is gone: what is still drawn goes nowhere, since a thread that failed to write it would be
            waited for without end."""
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(nowhere, descriptor)
            os.close(nowhere)
            loop.call_soon_threadsafe(self.exit, 0)

        try:
            loop.add_signal_handler(signal.SIGTERM, self.exit, 0)
            # Not as above: Textual draws anew at the SIGCONT that comes with it.
            signal.signal(signal.SIGHUP, on_hangup)
        except (AttributeError, NotImplementedError, RuntimeError, ValueError):
            return  # Windows, or not the main thread: the terminal's own ways remain.

    def _start(self) -> None:
        def ended(error: str | None, exit_code: int = 1) -> None:
            self._post(FeedEnded(error, exit_code))

        self._feed.start(
            lambda snapshot: self._post(SnapshotArrived(snapshot)), lambda alert: self._post(AlertArrived(alert)), ended
        )

    def _post(self, message: Message) -> None:
        """From any thread. Once the user has left there is nobody to tell."""
        try:
            self.post_message(message)
        except RuntimeError:
            # The loop was closed after post_message saw it open: the same as leaving a moment earlier.
            if self.is_running:
                raise

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        """The newest picture."""
        self.take(message.snapshot)

    def take(self, snapshot: Snapshot) -> None:
        """Make a snapshot the picture that is drawn (once the pause is over)."""
        self._newest.trails.take(snapshot)
        self._newest = replace(self._newest, snapshot=snapshot)
        self._record(tuple(reversed(snapshot.feed)))
        self._show()

    def on_alert_arrived(self, message: AlertArrived) -> None:
        """One change, shown at once, not with the next snapshot; a burst is shown together."""
        if self._record((message.alert,)) and self._due is None:
            self._due = self.set_timer(_BURST_S, self._show)

    def _record(self, alerts: tuple[Alert, ...]) -> bool:
        """Put changes that are new before the log (`alerts`: oldest first); whether there were any."""
        fresh = [alert for alert in alerts if alert.id not in self._seen]
        if not fresh:
            return False
        log = (*reversed(fresh), *self._newest.log)[:LOG_LENGTH]
        self._seen = {alert.id for alert in log}
        missed = self._newest.missed + len(fresh) if self._newest.paused else 0
        self._newest = replace(self._newest, log=log, missed=missed)
        return True

    def on_feed_ended(self, message: FeedEnded) -> None:
        """A replay is through, or the engine failed."""
        if message.error is None:
            self._newest = replace(self._newest, ended=True)
            self._show()
            return
        self.error, self.exit_code = message.error, message.exit_code
        self._newest = replace(self._newest, error=message.error, paused=False)
        self._show()
        if not self._linger:
            self.exit(self.exit_code, self.exit_code)
            return

        def answered(leave: bool | None) -> None:
            if leave:
                self.exit(self.exit_code, self.exit_code)

        self.push_screen(Stopped(message.error, message.exit_code), answered)

    # The picture.

    def _show(self) -> None:
        if self._due is not None:
            self._due.stop()
            self._due = None
        if self._newest.paused:
            held = self._picture.snapshot
            self._picture = replace(self._newest, snapshot=held, log=self._picture.log)
        else:
            self._picture = self._newest
        for screen in self.screen_stack:
            if isinstance(screen, Board | Detail):
                screen.picture = self._picture

    # What the user does.

    async def action_show(self, mode: str) -> None:
        """One of the views; pages that lie on it are closed."""
        while len(self.screen_stack) > 1:
            await self.pop_screen()
        await self.switch_mode(mode)
        self._show()

    async def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        """A click on a view's word."""
        await self.action_show(message.mode)

    def action_pause(self) -> None:
        """Hold the picture; the engine runs on, alerts are counted."""
        self._newest = replace(self._newest, paused=not self._newest.paused, missed=0)
        self._show()

    def action_shade(self) -> None:
        """Dark or light."""
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    async def action_help(self) -> None:
        """Keys, signs and words."""
        await self.push_screen(Help())

    async def action_quit(self) -> None:
        """Leave; after an engine's error with its code."""
        self.exit(self.exit_code, self.exit_code)

    def on_handle(self, message: Handle) -> None:
        """Send what the user did as input frames."""
        now = self._newest.snapshot.time
        until = iso(now + message.hours * 3600) if message.hours is not None else None
        for key in message.keys:
            self._feed.send(InputFrame(action=message.action, key=key, time=iso(now), until=until))
        number = len(message.keys)
        told = f"{number} {'alert' if number == 1 else 'alerts'} {_DONE[message.action]}"
        self.notify(f"{told} until {until}" if until else told, markup=False, timeout=3)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:  # noqa: ARG002 - textual\'s signature
        """What the command palette offers."""
        for tab in TABS:
            yield SystemCommand(
                f"View: {tab.word}", f"key {tab.key}", lambda mode=tab.mode: self.run_worker(self.action_show(mode))
            )
        yield SystemCommand("Pause or go on", "key space: hold the picture, the engine runs on", self.action_pause)
        yield SystemCommand("Dark or light", "key t", self.action_shade)
        yield SystemCommand("Theme", "choose among all themes", self.action_change_theme)
        yield SystemCommand("Help", "key ?: keys, signs and words", self.action_help)
        yield SystemCommand("Screenshot", "save the screen as SVG", self.deliver_screenshot)
        yield SystemCommand("Quit", "key q", self.action_quit)


def run(feed: Feed, *, title: str = "defiwatch", theme: str = DARK.name) -> int:
    """Show the dashboard until the user leaves; the exit code. The feed is stopped when the terminal is free again."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    app = DefiwatchApp(feed, title=title, theme=theme, linger=sys.stdin.isatty() and sys.stderr.isatty())
    try:
        result = app.run()
    finally:
        feed.stop()
    if app.error:
        sys.stderr.write(f"defiwatch: {app.error}\n")
    return app.return_code or 0 if result is None else result
