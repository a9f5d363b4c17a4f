"""A bounded queue with a thread of its own: what every sink stands behind, so that none of them holds up the engine."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from defiwatch.errors import StoreError

T = TypeVar("T")


class Worker(Generic[T]):
    """Hands what is put in to `handle`, in order and in batches, on a thread of its own.

    A full queue makes `put` wait and `offer` say no. While `elastic` is set the queue grows beyond its bound instead: a
    sink sets it while what it writes to is broken, so that nothing is dropped and nobody waits. `idle_s`: `handle` is
    also called with an empty batch after that many seconds without work.
    """

    def __init__(
        self,
        name: str,
        handle: Callable[[list[T]], None],
        *,
        size: int = 10_000,
        batch: int = 1_000,
        idle_s: float | None = None,
    ) -> None:
        self.name = name
        self.elastic = False
        self.closing = threading.Event()
        """Set once `close` was called: a sink that waits to try again stops waiting."""
        self._handle = handle
        self._size = size
        self._batch = batch
        self._idle_s = idle_s
        self._items: deque[T] = deque()
        self._busy = 0
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"defiwatch-{name}", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Queue an item; waits while the queue is full. StoreError if the thread is gone."""
        with self._changed:
            while len(self._items) >= self._size and not (self.elastic or self.closing.is_set() or self._ended):
                self._changed.wait(0.2)
            if self._ended:
                raise StoreError(f"{self.name} has stopped")
            self._items.append(item)
            self._changed.notify_all()

    def offer(self, item: T) -> bool:
        """Queue an item unless the queue is full; says whether it was taken."""
        with self._changed:
            if self._ended or (len(self._items) >= self._size and not self.elastic):
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything queued so far was handled; False if `timeout` (seconds) passed first."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended or not (self._items or self._busy), timeout)

    def close(self, timeout: float | None = None) -> int:
        """Handle what is queued, then end the thread. Returns how many items were left after `timeout` seconds."""
        self.closing.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout)
        with self._changed:
            return len(self._items) + self._busy

    def _run(self) -> None:
        try:
            while (batch := self._take()) is not None:
                self._handle(batch)
                with self._changed:
                    self._busy = 0
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take(self) -> list[T] | None:
        """The next batch; [] after an idle time; None once closed and empty."""
        with self._changed:
            due = None if self._idle_s is None else time.monotonic() + self._idle_s
            while not self._items:
                if self.closing.is_set():
                    return None
                left = None if due is None else due - time.monotonic()
                if left is not None and left <= 0:
                    return []
                self._changed.wait(left)
            taken = [self._items.popleft() for _ in range(min(self._batch, len(self._items)))]
            self._busy = len(taken)
            self._changed.notify_all()
            return taken
