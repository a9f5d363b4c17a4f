"""The rate that an endpoint was found to take. Nobody names it beforehand: it is learnt from refusals."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

_LOWEST = 4.0
_UNBOUND = 1000.0
_ANY = 2**31
_DOUBLED_AFTER = 3.0
_LESS = 0.5
_NOTHING = 1e-6


class Rate:
    """No bound until the endpoint refuses; then half of what it was sent in the second before.

    Once three seconds' worth were sent without another refusal the bound doubles, until there is none again. `learnt`:
    questions a second, from an earlier run; it begins at twice that, since endpoints change. `clock` gives seconds,
    steadily.
    """

    def __init__(self, learnt: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.learnt = learnt
        """Questions a second after the last refusal; 0 where it never refused."""
        self.turn = asyncio.Lock()
        """Held by who waits: they are sent in the order they came, or polls would pass what they led to for ever."""
        self._clock = clock
        self._allowed = 2.0 * learnt if learnt else None
        self._refused_at = float("-inf")
        self._good = 0
        self._free_at = float("-inf")
        self._sent: deque[tuple[float, int]] = deque()

    @property
    def limit(self) -> int:
        """Questions that one batch may have at most."""
        return _ANY if self._allowed is None else int(self._allowed)

    def wait(self) -> float:
        """Seconds until questions may be sent; 0.0 if now."""
        left = self._free_at - self._clock()
        return 0.0 if self._allowed is None or left < _NOTHING else left

    def spend(self, count: int) -> None:
        """`count` questions are sent now."""
        now = self._clock()
        self._sent.append((now, count))
        while self._sent[0][0] < now - 1.0:
            self._sent.popleft()
        if self._allowed is None:
            return
        self._free_at = max(self._free_at, now) + count / self._allowed
        self._good += count
        if self._good >= _DOUBLED_AFTER * self._allowed:
            self._good = 0
            self._allowed = 2 * self._allowed if 2 * self._allowed <= _UNBOUND else None

    def refused(self) -> None:
        """The endpoint refused for rate. What is refused within a second of the first counts as one refusal."""
        now = self._clock()
        if now - self._refused_at < 1.0:
            return
        sent = sum(count for at, count in self._sent if at > now - 1.0)
        self._allowed = max(_LOWEST, _LESS * sent)
        self._refused_at = self._free_at = now
        self._good = 0
        self.learnt = int(self._allowed)
