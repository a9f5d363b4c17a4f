"""A table that paints only what changed: whole rows are compared by what they would show, and only visible ones.

A stock DataTable repaints everything on every cell update; at ten pictures a second that is a whole core. Here the cost
of a picture is a few microseconds a row for filter and order, and the drawing of those visible lines that differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from defiwatch.tui.kinds.kind import Column, Kind
from defiwatch.tui.lines import Line, fit, plain, wrap
from defiwatch.tui.picture import Picture
from defiwatch.tui.widgets.painted import Painted

R = TypeVar("R")


class Table(ScrollView, Painted, Generic[R], can_focus=True):
    """The rows of one kind. The cursor follows its row, not its place; until it is moved it stays at the top."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "reasons"),
        Binding("s", "order", "sort"),
        Binding("S", "turn", "reverse order", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("pagedown,ctrl+d", "leap(1)", "page down", show=False),
        Binding("pageup,ctrl+u", "leap(-1)", "page up", show=False),
        Binding("home,g", "top", "first", show=False),
        Binding("end,G", "bottom", "last", show=False),
    ]

    @dataclass
    class Opened(Message):
        """A row's reasons are wanted."""

        table: Table[Any]
        row: object

    @dataclass
    class Moved(Message):
        """The cursor stands on another row, or its row was drawn anew; None: there is none."""

        table: Table[Any]
        row: object | None

    def __init__(self, kind: Kind[R], *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - textual's own name
        super().__init__(id=id, classes=classes)
        self.kind = kind
        self.words: tuple[str, ...] = ()
        self._sorted: int | None = None
        self._falling = False
        self._rows: Sequence[R] = ()
        self._held: str | None = None
        self._cursor = 0
        self._layout: list[tuple[Column[R], int, int]] = []
        self._laid_for = -1
        self._drawn: dict[int, tuple[tuple[Line, ...], bool, Strip]] = {}
        self._notice: list[str] = []

    # What others ask.

    @property
    def rows(self) -> Sequence[R]:
        """The rows as shown: filtered and in order."""
        return self._rows

    @property
    def row(self) -> R | None:
        """The row under the cursor."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    @property
    def cursor(self) -> int:
        """The place of the cursor among `rows`."""
        return self._cursor

    def narrow(self, words: tuple[str, ...]) -> None:
        """Show only rows that have all of these (lower-case) words somewhere."""
        if words != self.words:
            self.words = words
            self._take(self.picture)

    # Pictures in.

    def watch_picture(self, picture: Picture) -> None:
        """Take the rows of a new picture and mark the lines that differ."""
        self._take(picture)

    def _take(self, picture: Picture) -> None:
        rows = self.kind.rows(picture)
        total = len(rows)
        if self.words:
            told = self.kind.words
            rows = [row for row in rows if all(word in plain(told(row)).lower() for word in self.words)]
        if self._sorted is not None:
            rows = _in_order(rows, self.kind.columns[self._sorted], self._falling)
        was_empty = not self._rows
        followed = self._in_sight(self._cursor)
        self._rows = rows
        self._cursor = self._find_cursor()
        self._entitle(picture, total)
        height = len(rows) + 1
        if self.virtual_size.height != height:
            self.virtual_size = Size(self.room, height)
            if self.scroll_y > (lowest := max(0, height - self.size.height)):
                self.scroll_to(y=lowest, animate=False)
        if was_empty or not rows:
            self._notice = self._words_for_nothing(picture, total)
            self._forget()
        elif followed:
            self._show_cursor()
        self._mark_changes()
        self.post_message(self.Moved(self, self.row))

    def _find_cursor(self) -> int:
        if self._held is None:
            return 0
        key = self.kind.key
        for place, row in enumerate(self._rows):
            if key(row) == self._held:
                return place
        return max(0, min(self._cursor, len(self._rows) - 1))

    def _entitle(self, picture: Picture, total: int) -> None:
        shown = len(self._rows)
        notes = [f"{shown} of {total}" if self.words else f"{total}"] if total else []
        if self.words:
            notes.append(f"/{' '.join(self.words)}")
        if self.kind.summary and (told := self.kind.summary(picture)):
            notes.append(told)
        if total:
            column = None if self._sorted is None else self.kind.columns[self._sorted]
            notes.append(self.kind.ordered if column is None else f"by {column.title} {'▾' if self._falling else '▴'}")
        self.entitle(self.kind.title, f" {' · '.join(notes)}" if notes else "")

    def _words_for_nothing(self, picture: Picture, total: int) -> list[str]:
        if total:
            return [f"none of {total} has “{' '.join(self.words)}”: esc shows all"]
        return [self.kind.awaited(picture)]

    # Lines out.

    def _columns(self) -> list[tuple[Column[R], int, int]]:
        """The columns that fit, each with its left edge and width."""
        width = self.room
        if self._laid_for == width:
            return self._layout
        gap = 2 if width >= 110 else 1
        chosen = list(self.kind.columns)
        while len(chosen) > 1 and sum(column.width + gap for column in chosen) - gap > width:
            last = max(column.rank for column in chosen)
            if last == 0:
                break
            chosen = [column for column in chosen if column.rank != last]
        spare = max(0, width - sum(column.width + gap for column in chosen) + gap)
        shares = sum(column.grow for column in chosen)
        missing = max(0, sum(column.width + gap for column in chosen) - gap - width)
        self._layout = []
        self._drawn = {}
        left = 0
        for column in chosen:
            size = column.width
            if missing and column.grow:
                cut = min(missing, max(0, size - column.least))
                size -= cut
                missing -= cut
            elif column.grow and shares:
                part = spare * column.grow // shares
                size += part
                spare -= part
                shares -= column.grow
            self._layout.append((column, left, size))
            left += size + gap
        self._laid_for = width
        return self._layout

    def _cells(self, row: R) -> tuple[Line, ...]:
        picture = self.picture
        stale = self.kind.is_stale(row, picture.snapshot.time)
        cells: list[Line] = []
        for column, _, size in self._columns():
            cell = tuple((plain(text), ink) for text, ink in column.draw(row, picture))
            if stale:
                cell = tuple((text, "dim" if _fades(ink) else ink) for text, ink in cell)
            cells.append(fit(cell, size, column.right))
        return tuple(cells)

    def render_line(self, y: int) -> Strip:
        """The head of the columns, then the rows in sight."""
        if y == 0:
            return self._head()
        place = self.scroll_offset.y + y - 1
        if place < len(self._rows):
            return self._line(place)
        if not self._rows:
            told = [row for text in self._notice for row in wrap(text, max(10, self.room - 4))]
            if y - 1 < len(told):
                return self.paint((("  ", "text"), (told[y - 1], "dim")), self.room)
        return Strip.blank(self.room, self.rich_style)

    def _head(self) -> Strip:
        pieces: list[tuple[str, str]] = []
        edge = 0
        for column, left, size in self._columns():
            pieces.append((" " * (left - edge), "text"))
            sorted_by = self._sorted is not None and column is self.kind.columns[self._sorted]
            title = f"{column.title}{'▾' if self._falling else '▴'}" if sorted_by else column.title
            pieces.extend(fit(((title, "accent" if sorted_by else "faint"),), size, column.right))
            edge = left + size
        return self.paint(tuple(pieces), self.room)

    def _line(self, place: int) -> Strip:
        self._columns()  # Forgets what was drawn for another width.
        under = self.has_focus and place == self._cursor
        kept = self._drawn.get(place)
        if kept is not None and kept[1] == under:
            return kept[2]
        cells = kept[0] if kept is not None else self._cells(self._rows[place])
        drawn = self._strip(cells, under)
        self._drawn[place] = (cells, under, drawn)
        return drawn

    def _strip(self, cells: tuple[Line, ...], under: bool) -> Strip:
        pieces: list[tuple[str, str]] = []
        edge = 0
        for (_, left, size), cell in zip(self._columns(), cells, strict=True):
            if left > edge:
                pieces.append((" " * (left - edge), "text"))
            pieces.extend(cell)
            edge = left + size
        over: Style | None = self.inks["cursor"] if under else None
        return self.paint(tuple(pieces), self.room, over)

    def _mark_changes(self) -> None:
        """Compare what the lines in sight show with what they should, and mark those that differ."""
        if not self.size or not self.is_mounted:
            return
        self._columns()
        top, sight = self.scroll_offset.y, self._sight()
        kept: dict[int, tuple[tuple[Line, ...], bool, Strip]] = {}
        for place in range(top, min(top + sight, len(self._rows))):
            old = self._drawn.get(place)
            cells = self._cells(self._rows[place])
            under = self.has_focus and place == self._cursor
            if old is not None and old[0] == cells and old[1] == under:
                kept[place] = old
                continue
            kept[place] = (cells, under, self._strip(cells, under))
            self._mark(place)
        gone = [place for place in self._drawn if place not in kept and top <= place < top + sight]
        for place in gone:
            self._mark(place)
        self._drawn = kept

    def _mark(self, place: int) -> None:
        self.refresh(Region(0, place + 1 - self.scroll_offset.y, self.room, 1))

    def _forget(self) -> None:
        self._drawn = {}
        self._laid_for = -1
        self.refresh()

    def _sight(self) -> int:
        return max(0, self.size.height - 1)

    def _in_sight(self, place: int) -> bool:
        top = self.scroll_offset.y
        return top <= place < top + self._sight()

    def _show_cursor(self) -> None:
        top, sight = self.scroll_offset.y, self._sight()
        if sight and self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif sight and self._cursor >= top + sight:
            self.scroll_to(y=self._cursor - sight + 1, animate=False)

    # What changes the lines from outside.

    def notify_style_update(self) -> None:
        """The theme, or the focus's colours, changed."""
        super().notify_style_update()
        self._drawn = {}

    def on_resize(self) -> None:
        """Columns are laid out again."""
        self._forget()
        self._show_cursor()

    def watch_has_focus(self, _has_focus: bool) -> None:
        """The cursor shows only where keys go."""
        super().watch_has_focus(_has_focus)
        self._mark(self._cursor)

    # Keys and mouse.

    def _go(self, place: int) -> None:
        if not self._rows:
            return
        old, self._cursor = self._cursor, max(0, min(place, len(self._rows) - 1))
        self._held = self.kind.key(self._rows[self._cursor])
        self._mark(old)
        self._mark(self._cursor)
        self._show_cursor()
        self.post_message(self.Moved(self, self.row))

    def action_move(self, step: int) -> None:
        """One row on or back."""
        self._go(self._cursor + step)

    def action_leap(self, pages: int) -> None:
        """A screenful on or back."""
        self._go(self._cursor + pages * max(1, self._sight() - 1))

    def action_top(self) -> None:
        """The first row; from here on the cursor stays at the top, whatever stands there."""
        self._go(0)
        self._held = None

    def action_bottom(self) -> None:
        """The last row."""
        self._go(len(self._rows) - 1)

    def action_open(self) -> None:
        """Ask for the reasons of the row under the cursor."""
        if self.row is not None:
            self.post_message(self.Opened(self, self.row))

    def action_order(self) -> None:
        """Sort by the next column that is shown, and after the last in the kind's own order again."""
        shown = [column for column, _, _ in self._columns() if column.order is not None]
        places = [place for place, column in enumerate(self.kind.columns) if any(column is other for other in shown)]
        later = [place for place in places if self._sorted is None or place > self._sorted]
        self.order_by(later[0] if later else None)

    def action_turn(self) -> None:
        """Sort the other way round."""
        if self._sorted is not None:
            self.order_by(self._sorted, not self._falling)

    def order_by(self, place: int | None, falling: bool | None = None) -> None:
        """Sort by the column at `place` of the kind's columns; None: the kind's own order."""
        self._sorted = place
        self._falling = (
            (self.kind.columns[place].falling if falling is None else falling) if place is not None else False
        )
        self.refresh(Region(0, 0, self.room, 1))
        self._take(self.picture)

    def on_click(self, event: events.Click) -> None:
        """The head sorts; a row is chosen by one click and opened by a second."""
        at = event.get_content_offset(self)
        if at is None:
            return
        event.stop()
        if at.y == 0:
            self._click_head(at.x)
            return
        place = self.scroll_offset.y + at.y - 1
        if place >= len(self._rows):
            return
        again = place == self._cursor and self._held is not None
        self._go(place)
        if again or event.chain >= 2:
            self.action_open()

    def _click_head(self, x: int) -> None:
        for column, left, size in self._columns():
            if left <= x <= left + size and column.order is not None:
                place = next(at for at, other in enumerate(self.kind.columns) if other is column)
                self.order_by(place, not self._falling if place == self._sorted else None)
                return


def _fades(ink: str) -> bool:
    return not ink.startswith("chip-") and ink not in ("warn", "faint", "track")


def _in_order(rows: Sequence[R], column: Column[R], falling: bool) -> Sequence[R]:
    """Sorted by the column; what it cannot tell comes last both ways; equals stay in the kind's own order."""
    order = column.order
    if order is None:
        return rows
    told = [(value, row) for row in rows if (value := order(row)) is not None]
    told.sort(key=lambda pair: pair[0], reverse=falling)
    return [row for _, row in told] + [row for row in rows if order(row) is None]
