"""Screens on which alerts are acknowledged, put off and judged."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen

from defiwatch.tui.messages import Handle
from defiwatch.tui.picture import Picture
from defiwatch.tui.screens.snooze import Snooze
from defiwatch.tui.widgets.painted import BLANK


class Handling(Screen[None]):
    """A screen with a row of which alerts may stand; the app hands it every picture."""

    HANDLING: ClassVar[list[BindingType]] = [
        Binding("a", "ack", "ack"),
        Binding("z", "snooze", "snooze"),
        Binding("n", "judge('noise')", "call the alert noise", show=False),
        Binding("r", "judge('real')", "call the alert real", show=False),
    ]
    """The keys, for the screen's own list."""

    picture: reactive[Picture] = reactive(BLANK, always_update=True, init=False, repaint=False)

    @abstractmethod
    def _keys(self) -> tuple[str, ...]:
        """The standing alerts that are meant; where there are none, it says so on the screen."""

    def action_ack(self) -> None:
        """Acknowledge the alerts of the row."""
        if keys := self._keys():
            self.post_message(Handle("ack", keys))

    def action_judge(self, verdict: str) -> None:
        """Say that the alerts were noise, or real."""
        if keys := self._keys():
            self.post_message(Handle(verdict, keys))

    def action_snooze(self) -> None:
        """Ask for how long, then be silent about the alerts of the row."""
        if keys := self._keys():

            def chosen(hours: float | None) -> None:
                if hours is not None:
                    self.post_message(Handle("snooze", keys, hours))

            self.app.push_screen(Snooze(len(keys)), chosen)
