"""How fast a replay goes."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """When a frame of a replay is due: `speed` 1 is as it happened, None as fast as it goes.

    Blocks are paced by the chain's clock and everything else by the wall's, each from its own first frame: a chain that
    was caught up, or a test chain, has another time than the ticks between its blocks.
    """

    def __init__(self, speed: float | None, wall: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._wall = wall
        self._origins: dict[str, tuple[float, float]] = {}

    def delay(self, frame_time: float | None, clock: str = "chain") -> float:
        """Seconds from now until a frame of that time is due; 0 or less if it is."""
        if self._speed is None or frame_time is None:
            return 0.0
        started, first = self._origins.setdefault(clock, (self._wall(), frame_time))
        return started + (frame_time - first) / self._speed - self._wall()
