"""The reasons of one row: the score's parts, what it rests on, and the row as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer

from defiwatch.domain.risk import Alert
from defiwatch.domain.view import AlertRow, PositionRow
from defiwatch.tui.kinds.kind import Kind, reasons
from defiwatch.tui.kinds.market import MARKET
from defiwatch.tui.kinds.page import Page
from defiwatch.tui.kinds.pool import POOL
from defiwatch.tui.kinds.position import POSITION
from defiwatch.tui.lines import Line, plain
from defiwatch.tui.picture import Picture
from defiwatch.tui.screens.handling import Handling
from defiwatch.tui.widgets.sheet import Sheet
from defiwatch.tui.widgets.topline import Topline


class Detail(Handling):
    """Follows its row through the pictures; when the row leaves, its last state stays and says so."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,left,h", "dismiss", "back", key_display="esc"),
        Binding("v", "raw", "JSON"),
        Binding("y", "copy", "copy"),
        Binding("c", "copy_name", "copy address", show=False),
        Binding("o", "subject", "subject"),
        *Handling.HANDLING,
    ]

    AUTO_FOCUS = "Sheet"

    def __init__(self, kind: Kind[Any], row: object, picture: Picture) -> None:
        super().__init__()
        self.kind = kind
        self.row = row
        self._key = kind.key(row)
        self._gone_at: float | None = None
        self._raw = False
        self.set_reactive(Detail.picture, picture)

    def compose(self) -> ComposeResult:
        """Top line, page, keys."""
        yield Topline().data_bind(Detail.picture)
        yield Sheet(self._write)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """The page's title."""
        self._entitle()

    def watch_picture(self, picture: Picture) -> None:
        """Find the row as it stands now and write the page again."""
        found = self.kind.find(picture, self._key)
        if found is not None:
            self.row, self._gone_at = found, None
        elif self._gone_at is None:
            self._gone_at = picture.snapshot.time
        if self.is_mounted:
            self._entitle()
            for sheet in self.query(Sheet):
                sheet.rewrite()

    def _entitle(self) -> None:
        gone = "  no longer listed: as it was last seen" if self._gone_at is not None else ""
        self.query_one(Sheet).entitle(self.kind.name, gone)

    def _write(self, width: int) -> Sequence[Line]:
        if not self._raw:
            return reasons(self.kind, self.row, self.picture, width)
        page = Page(width)
        for row in self._json().splitlines():
            for start in range(0, len(row), width):
                page.line((row[start : start + width], "text"))
        return page.lines

    def _json(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self.row), indent=2).decode()

    # Keys.

    def action_raw(self) -> None:
        """The row as JSON, and back."""
        self._raw = not self._raw
        sheet = self.query_one(Sheet)
        sheet.scroll_to(y=0, animate=False)
        sheet.rewrite()

    def action_copy(self) -> None:
        """The row's JSON to the clipboard."""
        self.app.copy_to_clipboard(self._json())
        self.notify("JSON copied", markup=False, timeout=2)

    def action_copy_name(self) -> None:
        """What one would paste into a block explorer: the account, the transaction, or the key."""
        row = self.row
        if isinstance(row, PositionRow):
            name = row.account
        elif (alert := _alert(row)) is not None:
            name = alert.evidence.tx or alert.subject.id
        else:
            name = self._key
        self.app.copy_to_clipboard(name)
        self.notify(f"copied {plain(name)}", markup=False, timeout=3)

    def _subject(self) -> tuple[Kind[Any], object] | None:
        alert = _alert(self.row)
        if alert is None:
            return None
        kinds: tuple[Kind[Any], ...] = (POSITION, POOL, MARKET)
        for kind in kinds:
            for row in kind.rows(self.picture):
                if alert.key.startswith(f"{kind.key(row)}:"):
                    return kind, row
        return None

    def action_subject(self) -> None:
        """What the alert is about, as it stands now."""
        found = self._subject()
        if found is None:
            self.notify("its subject is not on the screen's lists", markup=False, timeout=3)
        else:
            self.app.push_screen(Detail(*found, self.picture))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - textual's signature
        """Keys that mean nothing on this kind of row are not offered."""
        if action == "subject":
            return _alert(self.row) is not None
        if action in ("ack", "snooze", "judge"):
            return self.kind.alerts is not None
        return True

    def _keys(self) -> tuple[str, ...]:
        keys = tuple(self.kind.alerts(self.row, self.picture)) if self.kind.alerts else ()
        if not keys:
            self.notify(f"no alert stands on this {self.kind.name}", markup=False, timeout=3)
        return keys


def _alert(row: object) -> Alert | None:
    return row if isinstance(row, Alert) else row.alert if isinstance(row, AlertRow) else None
