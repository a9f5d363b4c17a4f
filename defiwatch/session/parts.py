"""What a session needs of the engine, and of the face that listens to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec

from defiwatch.domain.frames import Frame, HeaderFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.view import Snapshot


class EngineLike(Protocol):
    """What a session needs of the engine."""

    events_per_s: float
    """What snapshots show; measured here, because the engine knows no wall clock."""

    @property
    def midway(self) -> bool:
        """Whether a block is not judged yet: no good moment to keep the state."""

    def events(self) -> int:
        """Events applied so far, on all chains."""

    def feed(self, frame: Frame) -> list[Alert]:
        """Take one frame: `on_frame` is called before it is applied, `on_alert` for each alert that follows."""

    def finish(self) -> list[Alert]:
        """A replay is over."""

    def header(self) -> HeaderFrame:
        """The first line of a recording that begins now."""

    def snapshot(self) -> Snapshot:
        """The whole as it stands."""

    def notices(self) -> list[str]:
        """What is to be told and was not handed out yet; snapshots show what was."""

    def notice(self, text: str) -> None:
        """Add to what is to be told."""


class KeeperLike(Protocol):
    """What keeps the engine's state over a restart."""

    def open(self) -> None:
        """Take up what is on disk."""

    def save(self) -> None:
        """Write what changed."""

    def close(self) -> None:
        """Let go of the disk."""


class Parts(msgspec.Struct, frozen=True):
    """The engine's door, as a session calls it."""

    engine: Callable[..., EngineLike]
    run_live: Callable[..., Awaitable[None]]
    replay: Callable[..., Iterable[tuple[Frame, list[Alert]]]]
    keeper: Callable[..., KeeperLike] | None = None


class Listener(Protocol):
    """A face, as a session sees it. Called on the session's thread."""

    def on_alert(self, alert: Alert) -> None:
        """An alert was made."""

    def on_notice(self, text: str) -> None:
        """Something that the user should know and is no alert; snapshots tell it too."""

    def due(self, wall: float, frames: float) -> bool:
        """Whether a snapshot is wanted now: by the monotonic clock, and by the frames' own time (Unix seconds)."""

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """The snapshot that was wanted."""

    def on_end(self, snapshot: Snapshot) -> None:
        """All frames were taken; how it stands at the end."""


def load_parts() -> Parts:
    """The engine itself; imported here because it takes seconds to load."""
    from defiwatch.engine import Engine, Keeper, replay, run_live

    return Parts(engine=Engine, run_live=run_live, replay=replay, keeper=Keeper)
