"""The wall clock as frames: the only way that silence becomes visible."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from defiwatch.collectors.seam import Emit
from defiwatch.domain.frames import TickFrame
from defiwatch.domain.units import iso


class Ticker:
    """Emits a `TickFrame` every `every` seconds, on the second where that is whole. Implements `seam.Collector`."""

    def __init__(self, emit: Emit, *, every: float = 1.0, wall: Callable[[], float] = time.time) -> None:
        self._emit = emit
        self._every = every
        self._wall = wall

    @property
    def name(self) -> str:
        """What faces call it."""
        return "clock"

    async def run(self) -> None:
        """Tick until cancelled. A tick that the engine kept waiting is not made up for."""
        while True:
            now = self._wall()
            await self._emit(TickFrame(iso(math.floor(now / self._every) * self._every)))
            now = self._wall()
            await asyncio.sleep(self._every - now % self._every)


async def tick(emit: Emit, *, every: float = 1.0) -> None:
    """Tick until cancelled: `Ticker` as a function."""
    await Ticker(emit, every=every).run()
