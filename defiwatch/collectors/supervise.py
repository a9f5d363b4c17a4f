"""Several collectors at once: each as a task of its own, restarted when its source fails."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from defiwatch.collectors.seam import Collector, Emit
from defiwatch.domain.frames import HealthFrame
from defiwatch.domain.units import iso
from defiwatch.errors import SourceError

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_STEADY_AFTER = 60.0


async def supervise(
    required: Sequence[Collector],
    optional: Sequence[Collector],
    emit: Emit,
    *,
    restart: bool = True,
    first_pause: float = _FIRST_PAUSE,
    seed: int = 0,
    wall: Callable[[], float] = time.time,
) -> None:
    """Run collectors until the required ones are done; cancelling it cancels them all and waits for their end.

    One whose source fails (SourceError) is told as a `HealthFrame` (down) and started again after 1, 2, 4 … 60 s, give
    or take a quarter by `seed`; without `restart` it stays down and counts as done. If all required ones fail and none
    of them came to run steadily, or now runs longer than it took to fail, the first failure is raised: there is no
    source. Every other error is a fault of ours and is raised at once.
    """
    chance = random.Random(seed)  # noqa: S311 - spreads restarts, guards nothing
    loop = asyncio.get_running_loop()
    if not required and not optional:
        return
    needed = [_Run(one) for one in (required or optional)]
    others = [_Run(one) for one in optional] if required else []
    try:
        while True:
            now = loop.time()
            runs = [*needed, *others]
            for run in runs:
                run.start(now)
            waiting = [run.task for run in runs if run.task is not None]
            resting = [run.again_at for run in runs if run.again_at is not None]
            pause = None if not resting else max(0.0, min(resting) - now)
            if waiting:
                await asyncio.wait(waiting, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            elif pause is not None:
                await asyncio.sleep(pause)
            for run in runs:
                failure = run.settle(loop.time(), first_pause, chance)
                if failure is not None:
                    if not restart:
                        run.again_at = None
                    await emit(
                        HealthFrame(source=run.collector.name, state="down", time=iso(wall()), detail=str(failure))
                    )
            failures = [run.failure for run in needed if run.failure is not None and run.is_failing(loop.time())]
            if len(failures) == len(needed):
                raise failures[0]
            if all(run.done or (run.failure is not None and not restart) for run in needed):
                return
    finally:
        tasks = [run.task for run in (*needed, *others) if run.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Run:
    """One collector's life."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self.task: asyncio.Task[None] | None = None
        self.again_at: float | None = 0.0
        self.started_at = 0.0
        self.failures = 0
        self.failure: SourceError | None = None
        self._lasted = 0.0
        self.steady = False
        self.done = False

    def start(self, now: float) -> None:
        """Start it if it is due."""
        if self.task is None and not self.done and self.again_at is not None and self.again_at <= now:
            self.again_at = None
            self.started_at = now
            self.task = asyncio.create_task(self.collector.run(), name=self.collector.name)

    def is_failing(self, now: float) -> bool:
        """Whether its last failure still counts: it never ran steadily, nor does it run for longer than it then did."""
        return not self.steady and (self.task is None or now - self.started_at <= self._lasted)

    def settle(self, now: float, first_pause: float, chance: random.Random) -> SourceError | None:
        """Look whether it ended. Its source's failure is returned, a fault of ours raised."""
        if self.task is not None and not self.steady and now - self.started_at >= _STEADY_AFTER:
            self.steady = True
        if self.task is None or not self.task.done():
            return None
        task, self.task = self.task, None
        error = None if task.cancelled() else task.exception()
        if error is None:
            self.done = True
            return None
        if not isinstance(error, SourceError):
            raise error
        if now - self.started_at >= _STEADY_AFTER:
            self.failures = 0
        pause = min(first_pause * 2.0 ** min(self.failures, 10), _LONGEST_PAUSE)
        self.again_at = now + pause * chance.uniform(0.75, 1.25)
        self.failures += 1
        self.failure = error
        self._lasted = now - self.started_at
        return error
