"""Where the dashboard's pictures come from, as it sees it. The command line wires it to an engine's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from defiwatch.domain.frames import InputFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot


class OnEnd(Protocol):
    """Called once when there is nothing more to come."""

    def __call__(self, error: str | None, exit_code: int = 1) -> None:
        """`error` None: it ended well (a replay is through). Else one line for people, and an exit code."""


class Feed(Protocol):
    """A running engine, reduced to what a face needs. Nothing here may block the caller for long."""

    def start(
        self, post_snapshot: Callable[[Snapshot], None], post_alert: Callable[[Alert], None], on_end: OnEnd
    ) -> None:
        """Start the engine's thread. The three callables may be called from any thread.

        A snapshot may be replaced by a newer one before it is drawn; alerts all arrive, in order.
        """

    def send(self, frame: InputFrame) -> None:
        """What the user did: ack, snooze, noise, real."""

    def stop(self) -> None:
        """Drain and end the thread; may be called more than once, and before `start`."""
