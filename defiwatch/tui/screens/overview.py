"""All at once: what is in danger, what is unusual, what just happened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.containers import Grid, Vertical
from textual.widget import Widget

from defiwatch.tui.kinds.alert import LOG, STANDING
from defiwatch.tui.kinds.market import MARKET
from defiwatch.tui.kinds.pool import POOL
from defiwatch.tui.kinds.position import POSITION
from defiwatch.tui.kinds.source import SOURCE
from defiwatch.tui.screens.board import Board
from defiwatch.tui.widgets.table import Table


class Overview(Board):
    """Positions, standing alerts and pools; where there is room also what changed, markets and sources."""

    tab: ClassVar[str] = "overview"

    def body(self) -> Iterable[Widget]:
        """Two columns where it is wide, a stack where it is not."""
        with Grid(id="overview"):
            yield Table(POSITION, id="positions").data_bind(Board.picture)
            with Vertical(id="alerts"):
                yield Table(STANDING, id="standing").data_bind(Board.picture)
                yield Table(LOG, id="log").data_bind(Board.picture)
            yield Table(POOL, id="pools").data_bind(Board.picture)
            with Vertical(id="beside"):
                yield Table(MARKET, id="markets").data_bind(Board.picture)
                yield Table(SOURCE, id="sources").data_bind(Board.picture)
