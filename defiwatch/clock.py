"""Time that comes from the frames, never from the wall, wherever it can change a result."""

from __future__ import annotations


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
