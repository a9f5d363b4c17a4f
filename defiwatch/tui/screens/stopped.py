"""The engine stopped with an error."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from defiwatch.tui.lines import plain


class Stopped(ModalScreen[bool]):
    """One line of what happened. Answers True to leave, False to look at what was last seen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "stay", "look around", priority=True)]

    def __init__(self, error: str, exit_code: int) -> None:
        super().__init__()
        self._error = error
        self._exit_code = exit_code

    def compose(self) -> ComposeResult:
        """The line and what to do."""
        with Vertical(classes="dialog -error") as box:
            box.border_title = "the engine stopped"
            yield Static(Content(plain(self._error)), classes="error")
            yield Static(
                Content.assemble(
                    ("any key", "bold $accent"),
                    f" leaves (exit code {self._exit_code})   ",
                    ("esc", "bold $accent"),
                    " looks at what was last seen",
                )
            )

    def on_key(self, event: events.Key) -> None:
        """Any key leaves."""
        event.stop()
        self.dismiss(True)

    def action_stay(self) -> None:
        """Keep the last picture on the screen."""
        self.dismiss(False)
