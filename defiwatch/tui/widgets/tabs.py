"""The second line: the views, by number."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.strip import Strip

from defiwatch.tui.lines import Piece, width_of
from defiwatch.tui.widgets.painted import Painted


@dataclass(frozen=True, slots=True)
class Tab:
    """One view: the key that opens it, the mode it is, its word."""

    key: str
    mode: str
    word: str


class Tabs(Painted):
    """All views on one line; a click opens one."""

    @dataclass
    class Chosen(Message):
        """A view is wanted."""

        mode: str

    def __init__(self, tabs: tuple[Tab, ...], current: str) -> None:
        super().__init__()
        self._tabs = tabs
        self._current = current
        self._spans: list[tuple[int, int, str]] = []
        self._told = ""

    def watch_picture(self) -> None:
        """Only the marks beside the words can have changed."""
        told = "/".join(self._mark(tab.mode)[0] for tab in self._tabs)
        if told != self._told:
            self._told = told
            self.refresh()

    def _mark(self, mode: str) -> Piece:
        snapshot = self.picture.snapshot
        if mode == "alerts":
            critical = sum(row.alert.severity == "critical" and not row.acked for row in snapshot.alerts)
            return (f" {critical}C", "bad-strong") if critical else ("", "text")
        if mode == "sources":
            bad = sum(row.state != "live" for row in snapshot.sources) + len(snapshot.notices)
            return (f" {bad}!", "warn") if bad else ("", "text")
        return ("", "text")

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - one line
        """The line; remembers where each word stands, for clicks."""
        pieces: list[Piece] = [(" ", "text")]
        self._spans = []
        gap = "   " if self.size.width >= 100 else " "
        for tab in self._tabs:
            start = width_of(pieces)
            here = tab.mode == self._current
            if here:
                pieces.append((f" {tab.key} {tab.word} ", "chip-accent"))
            else:
                pieces += [(tab.key, "accent"), (f" {tab.word}", "dim")]
            pieces.append(self._mark(tab.mode))
            self._spans.append((start, width_of(pieces), tab.mode))
            pieces.append((gap, "text"))
        return self.paint(tuple(pieces), self.size.width)

    def on_click(self, event: events.Click) -> None:
        """Open the view under the pointer."""
        at = event.get_content_offset(self)
        if at is None:
            return
        for start, end, mode in self._spans:
            if start <= at.x < end:
                event.stop()
                self.post_message(self.Chosen(mode))
                return
