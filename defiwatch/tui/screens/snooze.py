"""For how long to be silent."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

CHOICES = (
    ("1", "30 minutes", 0.5),
    ("2", "2 hours", 2.0),
    ("3", "8 hours", 8.0),
    ("4", "1 day", 24.0),
    ("5", "1 week", 168.0),
)


class Snooze(ModalScreen[float | None]):
    """Answers with hours, or None where the user thought better of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "back"),
        *(Binding(key, f"choose({hours})", name, show=False) for key, name, hours in CHOICES),
        Binding("j", "step(1)", show=False),
        Binding("k", "step(-1)", show=False),
    ]

    def __init__(self, alerts: int) -> None:
        super().__init__()
        self._alerts = alerts

    def compose(self) -> ComposeResult:
        """A short list."""
        with Vertical(classes="dialog") as box:
            box.border_title = f"snooze {self._alerts} {'alert' if self._alerts == 1 else 'alerts'}"
            yield OptionList(
                *(Option(Content.assemble((key, "bold"), f"  {name}"), id=key) for key, name, _ in CHOICES),
                compact=True,
            )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or a click."""
        self.dismiss(CHOICES[event.option_index][2])

    def action_step(self, step: int) -> None:
        """The letters that move in every table move here."""
        choices = self.query_one(OptionList)
        if step > 0:
            choices.action_cursor_down()
        else:
            choices.action_cursor_up()

    def action_choose(self, hours: float) -> None:
        """A digit."""
        self.dismiss(hours)

    def action_leave(self) -> None:
        """No snooze."""
        self.dismiss(None)
