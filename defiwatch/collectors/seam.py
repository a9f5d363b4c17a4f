"""The seam between collectors and the engine.

A collector emits frames; `emit` returns once the line has taken the frame, so what the line still needs can be asked
right after. There is no queue between them: a slow engine makes the collector wait, which is the bound.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import Frame, RawLog
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import LogFilter, Scan

Emit: TypeAlias = Callable[[Frame], Awaitable[None]]


class Needs(Protocol):
    """What a chain's line needs. Cheap and pure: asked after every frame that was emitted."""

    def filters(self) -> Sequence[LogFilter]:
        """The logs that its instances ask for. A block's logs are those that any of them matches."""

    def wants(self) -> Sequence[Call]:
        """The reads still open at the line's head block. () once all were answered (an error is an answer)."""

    def scans(self) -> Sequence[Scan]:
        """The history that is still open."""

    def on_scan(self, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:
        """The calls that a piece of history leads to; their results are emitted as a `ReadsFrame`."""

    def searched(self, scan: Scan, first: int) -> None:
        """Everything of a scan from the block `first` on is searched, and the reads that it led to were emitted."""

    def blocks(self) -> Sequence[BlockRef]:
        """The line's own chain of blocks that can still be undone, oldest first; () at a cold start."""


class Collector(Protocol):
    """A source of frames. `run` lasts until it is cancelled or has nothing more to give (a recording)."""

    @property
    def name(self) -> str:
        """What faces call it; secrets masked."""

    async def run(self) -> None:
        """Emit frames. Raises SourceError only where nothing could ever be reached."""
