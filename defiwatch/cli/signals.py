"""SIGINT and SIGTERM as a wish to stop: what runs drains and leaves."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from defiwatch.session import Stop


@contextlib.contextmanager
def stopping() -> Iterator[Stop]:
    """A `Stop` that the first SIGINT or SIGTERM sets; a second one interrupts at once. For the main thread.

    It is set already where the handler before it was `asked` and that was lost.
    """
    stop = Stop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    if any(getattr(handler, "asked", False) for handler in before.values()):
        stop.set()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
