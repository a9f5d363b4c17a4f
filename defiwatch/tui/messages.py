"""What the engine's thread posts to the app, and what every screen may ask of it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot


@dataclass
class SnapshotArrived(Message):
    """A newer picture of the whole; only the newest matters."""

    snapshot: Snapshot

    def can_replace(self, message: Message) -> bool:
        """A snapshot that waits behind another takes its place."""
        return isinstance(message, SnapshotArrived)


@dataclass
class AlertArrived(Message):
    """One change in the life of an alert; never replaced, never dropped."""

    alert: Alert


@dataclass
class FeedEnded(Message):
    """Nothing more comes: `error` None after a replay's last frame."""

    error: str | None
    exit_code: int


@dataclass
class Handle(Message):
    """Do `action` (ack, snooze, noise, real) on these standing alerts; `hours`: how long to snooze."""

    action: str
    keys: tuple[str, ...]
    hours: float | None = None
