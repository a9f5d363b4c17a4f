"""The ground of every view: the top line, the views' line, tables, the filter and the keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Footer

from defiwatch.tui.screens.detail import Detail
from defiwatch.tui.screens.handling import Handling
from defiwatch.tui.widgets.filterline import Filterline
from defiwatch.tui.widgets.table import Table
from defiwatch.tui.widgets.tabs import Tab, Tabs
from defiwatch.tui.widgets.topline import Topline

TABS = (
    Tab("1", "overview", "overview"),
    Tab("2", "positions", "positions"),
    Tab("3", "pools", "pools"),
    Tab("4", "markets", "markets"),
    Tab("5", "prices", "prices"),
    Tab("6", "alerts", "alerts"),
    Tab("7", "sources", "sources"),
)


class Board(Handling):
    """One view. The app hands it every picture; its widgets are bound to it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/"),
        *Handling.HANDLING,
        Binding("escape", "show_all", "show all", show=False),
    ]

    AUTO_FOCUS = "Table"

    tab: ClassVar[str] = ""
    """The mode that this view is."""

    def compose(self) -> ComposeResult:
        """Top line, views, the view's own body, filter, keys."""
        yield Topline().data_bind(Board.picture)
        yield Tabs(TABS, self.tab).data_bind(Board.picture)
        yield from self.body()
        yield Filterline()
        yield Footer(compact=True, show_command_palette=False)

    def body(self) -> Iterable[Widget]:
        """The view's own widgets, bound to `Board.picture`."""
        yield from ()

    def on_mount(self) -> None:
        """The filter hides until it is asked for."""
        self.query_one(Filterline).display = False

    def _table(self) -> Table[Any] | None:
        if isinstance(self.focused, Table):
            return self.focused
        return next(iter(self.query(Table)), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - textual's signature
        """While one types, the letters are letters: the footer offers only what they still do."""
        typing = isinstance(self.focused, Filterline)
        return not (typing and action in ("filter", "ack", "snooze", "judge", "show_all"))

    # Filter.

    def action_filter(self) -> None:
        """Type words that rows must have."""
        line = self.query_one(Filterline)
        line.display = True
        line.focus()

    def action_show_all(self) -> None:
        """Drop the filter."""
        self.query_one(Filterline).value = ""

    @on(Filterline.Narrowed)
    def _narrow(self, message: Filterline.Narrowed) -> None:
        for table in self.query(Table):
            table.narrow(message.words)

    @on(Filterline.Left)
    def _leave_filter(self) -> None:
        self.query_one(Filterline).display = False
        table = next((table for table in self.query(Table) if table.rows), None) or self._table()
        if table is not None:
            table.focus()

    # Rows.

    @on(Table.Opened)
    def _open(self, message: Table.Opened) -> None:
        self.app.push_screen(Detail(message.table.kind, message.row, self.picture))

    # Alerts.

    def _keys(self) -> tuple[str, ...]:
        """The standing alerts that the row under the cursor means; words on the screen where there are none."""
        table = self._table()
        if table is None or table.row is None:
            self.notify("no row is chosen", markup=False, timeout=3)
            return ()
        if table.kind.alerts is None:
            self.notify(
                f"a {table.kind.name} has no alert to handle; choose a position, a pool or an alert",
                markup=False,
                timeout=4,
            )
            return ()
        keys = tuple(table.kind.alerts(table.row, self.picture))
        if not keys:
            self.notify(f"no alert stands on this {table.kind.name}", markup=False, timeout=3)
        return keys
