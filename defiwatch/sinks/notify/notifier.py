"""A notifier: one channel behind a bounded queue. What does not fit, or was not taken, is told later in a digest."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from defiwatch.domain.risk import SEVERITIES, Alert, Severity
from defiwatch.errors import DeliveryError
from defiwatch.sinks.notify.channel import Channel
from defiwatch.sinks.notify.digest import Digest
from defiwatch.sinks.worker import Worker

CLOSE_S = 15.0
"""How long a channel is waited for at the end."""


class Notifier:
    """Pushes alerts of at least `min_severity` through a channel and never makes the engine wait.

    `size` alerts wait in the queue; more than that go into a digest, and so do those that the channel refused. The
    digest follows the next alert that the channel takes, or is tried again after `retry_s` seconds.
    """

    def __init__(
        self,
        channel: Channel,
        min_severity: Severity,
        tell: Callable[[str], None],
        *,
        size: int = 64,
        retry_s: float = 30.0,
    ) -> None:
        self.channel = channel
        self._least = SEVERITIES.index(min_severity)
        self._tell = tell
        self._digest = Digest()
        self._lock = threading.Lock()
        self._down = False
        self._worker: Worker[Alert] = Worker(channel.name, self._push, size=size, batch=1, idle_s=retry_s)

    def put(self, alert: Alert) -> None:
        """Queue an alert, or count it into the digest; returns at once."""
        if SEVERITIES.index(alert.severity) >= self._least and not self._worker.offer(alert):
            with self._lock:
                self._digest.add(alert)

    def close(self) -> None:
        """Push what is queued, for a limited time; says what was not taken."""
        left = self._worker.close(CLOSE_S)
        if not left:
            self._push([])
        with self._lock:
            left += self._digest.count
        if left:
            self._tell(f"{self.channel.name}: {left} alerts were not delivered; they are in the history")
        self.channel.close()

    def _push(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            if not self._deliver(msgspec.json.encode(alert)):
                with self._lock:
                    self._digest.add(alert)
                return
        with self._lock:
            digest, self._digest = self._digest, Digest()
        if digest.count and not self._deliver(digest.message()):
            with self._lock:
                self._digest = digest.joined(self._digest)

    def _deliver(self, line: bytes) -> bool:
        try:
            self.channel.deliver(line, self._worker.closing.wait)
        except DeliveryError as error:
            if not self._down:
                self._tell(f"{self.channel.name}: {error}; what it missed follows in a digest")
            self._down = True
            return False
        if self._down:
            self._tell(f"{self.channel.name}: takes alerts again")
        self._down = False
        return True
