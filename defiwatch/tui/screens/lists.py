"""The views that are one table, with the reasons of the chosen row beside it where it is wide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from defiwatch.tui.kinds.alert import LOG, STANDING
from defiwatch.tui.kinds.kind import Kind, reasons
from defiwatch.tui.kinds.market import MARKET
from defiwatch.tui.kinds.model import MODEL
from defiwatch.tui.kinds.page import Page
from defiwatch.tui.kinds.pool import POOL
from defiwatch.tui.kinds.position import POSITION
from defiwatch.tui.kinds.price import PRICE
from defiwatch.tui.kinds.source import SOURCE
from defiwatch.tui.lines import Line
from defiwatch.tui.picture import Picture
from defiwatch.tui.screens.board import Board
from defiwatch.tui.widgets.sheet import Sheet
from defiwatch.tui.widgets.table import Table


class Lists(Board):
    """Tables above each other; beside them the page of the row under the cursor (wide terminals only)."""

    kinds: ClassVar[tuple[Kind[Any], ...]] = ()

    def body(self) -> Iterable[Widget]:
        """The tables and the page."""
        with Horizontal(classes="lists"):
            with Vertical(classes="tables"):
                for kind in self.kinds:
                    yield Table(kind, id=kind.name).data_bind(Board.picture)
            yield Sheet(self._write, id="aside")

    def _write(self, width: int) -> Sequence[Line]:
        table = self._table()
        if table is None or table.row is None:
            return [((" no row is chosen", "dim"),)]
        return reasons(table.kind, table.row, self.picture, width)

    def _rewrite(self) -> None:
        sheet = self.query_one("#aside", Sheet)
        if sheet.display and sheet.size:
            sheet.rewrite()

    @on(Table.Moved)
    def _follow(self, message: Table.Moved) -> None:
        if message.table is self._table():
            self._rewrite()

    def on_descendant_focus(self) -> None:
        """Another table's row is the chosen one now."""
        self._rewrite()


class Positions(Lists):
    """Every position."""

    tab = "positions"
    kinds = (POSITION,)


class Pools(Lists):
    """Every pool."""

    tab = "pools"
    kinds = (POOL,)


class Markets(Lists):
    """Every lending market."""

    tab = "markets"
    kinds = (MARKET,)


class Prices(Lists):
    """Every price and where it comes from."""

    tab = "prices"
    kinds = (PRICE,)


class Alerts(Lists):
    """What stands, and what changed."""

    tab = "alerts"
    kinds = (STANDING, LOG)


class Sources(Lists):
    """What feeds us, what learns, and what the user should know about both."""

    tab = "sources"
    kinds = (SOURCE, MODEL)

    def body(self) -> Iterable[Widget]:
        """The tables and the page, and the engine's notices below."""
        yield from super().body()
        yield Sheet(self._notices, id="notices")

    def watch_picture(self, picture: Picture) -> None:
        """Notices have no rows; they are a few lines."""
        notices = picture.snapshot.notices
        for sheet in self.query("#notices").results(Sheet):
            sheet.display = bool(notices)
            sheet.styles.height = min(8, len(notices) + sheet.gutter.height)
            sheet.entitle("Notices", f" {len(notices)}")
            sheet.rewrite()

    def _notices(self, width: int) -> Sequence[Line]:
        page = Page(width)
        for notice in self.picture.snapshot.notices:
            page.text(notice, "warn")
        return page.lines
