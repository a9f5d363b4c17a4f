"""The line to type a filter into; it is there only while one types."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ScreenStackError
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input
from textual.widgets.input import Selection


class Filterline(Input):
    """Words that a row must have, all of them, in any order; enter keeps them, escape drops them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", "keep"),
        Binding("down", "keep", "keep", show=False),
        Binding("escape", "drop", "show all", key_display="esc"),
    ]

    @dataclass
    class Narrowed(Message):
        """The words as typed so far, in lower case."""

        words: tuple[str, ...]

    @dataclass
    class Left(Message):
        """Typing is over."""

    def __init__(self) -> None:
        super().__init__(placeholder="filter: words of a row, such as weth aave", compact=True)
        self.cursor_blink = False

    def _watch_selection(self, selection: Selection) -> None:
        """From Python 3.12 on a screen's widgets are mounted before it is on the stack: nothing is selected then."""
        with suppress(ScreenStackError):
            super()._watch_selection(selection)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow while one types."""
        event.stop()
        self.post_message(self.Narrowed(tuple(event.value.lower().split())))

    def action_keep(self) -> None:
        """Back to the table, with the filter on."""
        self.post_message(self.Left())

    def action_drop(self) -> None:
        """Back to the table, everything shown."""
        self.value = ""
        self.post_message(self.Left())
