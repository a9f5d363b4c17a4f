"""Time that comes from the frames, never from the wall, wherever it can change a result."""

from __future__ import annotations

from defiwatch.domain.frames import BlockFrame, Frame, HeaderFrame, ReadsFrame, RemovedFrame, VerifiedFrame
from defiwatch.domain.units import from_iso


def time_of(frame: Frame) -> float | None:
    """The frame's own time in Unix seconds; None where it carries none, or one that cannot be read."""
    try:
        if isinstance(frame, BlockFrame):
            return float(int(frame.header.timestamp, 16))
        if isinstance(frame, HeaderFrame | ReadsFrame | RemovedFrame | VerifiedFrame):
            return None
        return from_iso(frame.time)
    except ValueError:
        return None


class Clock:
    """A line's clock: it follows the frames and never goes back, also when a reorg takes the block time back."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0.0
        """Unix seconds; 0.0 before the first frame."""

    def advance(self, seconds: float) -> float:
        """Move on to `seconds` if that is later; returns the time now."""
        self.now = max(self.now, seconds)
        return self.now
