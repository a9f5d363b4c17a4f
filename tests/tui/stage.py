"""A feed without an engine, and ways to read what stands on the screen."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot
from defiwatch.tui.app import DefiwatchApp
from defiwatch.tui.feed import OnEnd
from defiwatch.tui.widgets.table import Table
from tests.tui.samples import story

CRASH = 64
"""The step of the story with the most to see."""


class StillFeed:
    """Keeps what it is handed; a test plays the engine."""

    def __init__(self) -> None:
        self.sent: list[InputFrame] = []
        self.started = 0
        self.stopped = 0
        self.post_snapshot: Callable[[Snapshot], None]
        self.post_alert: Callable[[Alert], None]
        self.on_end: OnEnd

    def start(
        self, post_snapshot: Callable[[Snapshot], None], post_alert: Callable[[Alert], None], on_end: OnEnd
    ) -> None:
        """Begin."""
        self.started += 1
        self.post_snapshot, self.post_alert, self.on_end = post_snapshot, post_alert, on_end

    def send(self, frame: InputFrame) -> None:
        """Remember it."""
        self.sent.append(frame)

    def stop(self) -> None:
        """Count it."""
        self.stopped += 1


def dashboard(feed: StillFeed | None = None, **options: Any) -> DefiwatchApp:
    """An app with a feed that says nothing by itself."""
    return DefiwatchApp(feed or StillFeed(), **options)


async def play(pilot: Pilot[int], until: int = CRASH, since: int | None = None) -> None:
    """Show the story's last steps (from `since` on) one after the other."""
    app = pilot.app
    assert isinstance(app, DefiwatchApp)
    await pilot.pause()
    for step in range(max(0, until - 7) if since is None else since, until + 1):
        app.take(story(step))
    await pilot.pause()


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Press keys, each only when the one before has been dealt with."""
    for key in keys:
        await pilot.press(key)
        await pilot.pause()


def screen_text(app: DefiwatchApp) -> str:
    """All that stands on the screen, line by line."""
    lines: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in re.findall(
        r'<text class="[^"]*" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', app.export_screenshot()
    ):
        lines.setdefault(float(y), []).append((float(x), html.unescape(text).replace("\xa0", " ")))
    return "\n".join("".join(text for _, text in sorted(lines[y])) for y in sorted(lines))


def table(app: DefiwatchApp, name: str) -> Table[Any]:
    """A table of the screen on top, by its id."""
    return app.screen.query_one(f"#{name}", Table)


def shown(widget: Table[Any]) -> list[str]:
    """The lines of a table as they stand, its head first."""
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]
