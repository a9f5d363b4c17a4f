"""The wish to stop."""

from __future__ import annotations

from collections.abc import Callable


class Stop:
    """The wish to stop, from a signal or from another thread. No locks, so that a signal handler may set it."""

    def __init__(self) -> None:
        self._set = False
        self._listeners: list[Callable[[], object]] = []

    def set(self) -> None:
        """Ask for the end; again is harmless."""
        self._set = True
        for listener in tuple(self._listeners):
            listener()

    def is_set(self) -> bool:
        """Whether it was asked for."""
        return self._set

    def listen(self, listener: Callable[[], object]) -> None:
        """Call `listener`, which must not block, when the end is asked for; at once if it was already."""
        self._listeners.append(listener)
        if self._set:
            listener()

    def forget(self, listener: Callable[[], object]) -> None:
        """Call it no more."""
        self._listeners.remove(listener)
