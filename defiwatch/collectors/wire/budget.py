"""A request budget, kept strictly: in no stretch of its window are more questions sent than it allows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from defiwatch.config.durations import rate

_STEPS = 60


class Budget:
    """`text` as in the configuration ("300/min"). ValueError if it is none. `clock` gives seconds, steadily."""

    def __init__(self, text: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.text = text
        self.limit = int(float(text.partition("/")[0]))
        """Questions in one window."""
        self.window = self.limit / rate(text) if self.limit else 1.0
        """Seconds."""
        self._clock = clock
        self._step = self.window / _STEPS
        self._sent: deque[tuple[float, float, int]] = deque()
        """Stretches of at most one step, oldest first: its first and last time, and how many were sent."""
        self._used = 0

    @property
    def used(self) -> int:
        """Questions that were sent in the window that ends now."""
        self._forget(self._clock())
        return self._used

    def wait(self, count: int) -> float:
        """Seconds until `count` questions may be sent; 0.0 if now. Infinity if they are more than the budget."""
        if count > self.limit:
            return float("inf")
        now = self._clock()
        self._forget(now)
        over = self._used + count - self.limit
        if over <= 0:
            return 0.0
        for _, last, sent in self._sent:
            over -= sent
            if over <= 0:
                return max(0.0, last + self.window - now)
        return self.window

    def spend(self, count: int) -> None:
        """`count` questions are sent now."""
        now = self._clock()
        self._used += count
        first = now
        if self._sent and now - self._sent[-1][0] < self._step:
            first, _, before = self._sent.pop()
            count += before
        self._sent.append((first, now, count))

    def _forget(self, now: float) -> None:
        while self._sent and self._sent[0][1] + self.window <= now:
            self._used -= self._sent.popleft()[2]
