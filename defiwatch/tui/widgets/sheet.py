"""A page of lines that scrolls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from defiwatch.tui.lines import Line, fit, strip
from defiwatch.tui.widgets.painted import Painted


class Sheet(ScrollView, Painted, can_focus=True):
    """Shows what `write` gives for a width; only lines that differ are painted again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "down", show=False),
        Binding("up,k", "scroll_up", "up", show=False),
        Binding("pagedown,ctrl+d", "page_down", "page down", show=False),
        Binding("pageup,ctrl+u", "page_up", "page up", show=False),
        Binding("home,g", "scroll_home", "top", show=False),
        Binding("end,G", "scroll_end", "bottom", show=False),
    ]

    def __init__(self, write: Callable[[int], Sequence[Line]], *, id: str | None = None) -> None:  # noqa: A002 - textual's own name
        super().__init__(id=id)
        self._write = write
        self._lines: Sequence[Line] = ()
        self._strips: dict[int, Strip] = {}

    @property
    def lines(self) -> Sequence[Line]:
        """What is written now."""
        return self._lines

    def rewrite(self) -> None:
        """Write the page again and mark the lines that differ."""
        if not self.size:
            return
        lines = tuple(self._write(self.room))
        if len(lines) > self.size.height and not self.show_vertical_scrollbar:
            lines = tuple(self._write(self.room - 1))  # The scrollbar that these lines bring takes a cell of each.
        old, self._lines = self._lines, lines
        if self.virtual_size.height != len(self._lines):
            self.virtual_size = Size(self.room, len(self._lines))
        top = self.scroll_offset.y
        for place in range(top, top + self.size.height):
            before = old[place] if place < len(old) else ()
            after = self._lines[place] if place < len(self._lines) else ()
            if before != after:
                self._strips.pop(place, None)
                self.refresh(Region(0, place - top, self.room, 1))
        for place in list(self._strips):
            if not top <= place < top + self.size.height:
                del self._strips[place]

    def render_line(self, y: int) -> Strip:
        """One line of the page."""
        place = self.scroll_offset.y + y
        if place >= len(self._lines):
            return Strip.blank(self.room, self.rich_style)
        if place not in self._strips:
            line = fit(self._lines[place], self.room)
            self._strips[place] = strip(line, self.inks, self.rich_style)
        return self._strips[place]

    def on_resize(self) -> None:
        """Lines are broken again."""
        self._strips = {}
        self.rewrite()
        self.refresh()

    def notify_style_update(self) -> None:
        """The theme changed."""
        super().notify_style_update()
        self._strips = {}
