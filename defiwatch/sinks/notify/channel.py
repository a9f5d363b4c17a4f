"""A channel: one place that takes lines, and says so when it does not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable


class Channel(ABC):
    """One place to push to. `name` is full: "exec.phone", "webhook.chat"."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def deliver(self, line: bytes, wait: Callable[[float], bool]) -> str:
        """Push one JSON object; returns in a few words what the other side answered.

        `wait(seconds)` sleeps before another try and returns True when there is no time for one. DeliveryError if it
        was not taken; the text never holds a secret.
        """

    def close(self) -> None:
        """Let go of what is open."""
        return
