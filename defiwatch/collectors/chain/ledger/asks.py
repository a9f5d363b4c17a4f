"""What the ledger asks for, and the bookkeeping of its questions: open, failed, given up.

Each question has a number of its own; an answer to one that was given up is ignored.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from defiwatch.domain.ids import Hash

_SLOWEST_RETRY = 8.0
_LATEST_PATIENCE = 10.0


class AskLatest(msgspec.Struct, frozen=True):
    """The node's newest block now, asked afresh: what it says counts more than any notice before it."""

    id: int
    attempt: int = 0


class AskHeader(msgspec.Struct, frozen=True):
    """The header of that hash."""

    id: int
    hash: Hash
    attempt: int = 0


class AskHeaders(msgspec.Struct, frozen=True):
    """The headers of these heights, both ends included, as the node's chain has them now."""

    id: int
    first: int
    last: int
    attempt: int = 0


class AskLogs(msgspec.Struct, frozen=True):
    """The wanted logs of the block of that hash."""

    id: int
    hash: Hash
    attempt: int = 0


class AskRange(msgspec.Struct, frozen=True):
    """The wanted logs of these heights, both ends included."""

    id: int
    first: int
    last: int
    attempt: int = 0


Ask: TypeAlias = AskLatest | AskHeader | AskHeaders | AskLogs | AskRange

Key: TypeAlias = tuple[str, Hash, int, int]
"""A question without its number: kind, hash or "", first and last height or 0."""


class Sent(msgspec.Struct, frozen=True):
    """An open question. `version` is the filter's at the time: logs for an older one are of no use."""

    key: Key
    deadline: float
    version: int


class Delay(msgspec.Struct, frozen=True):
    """A question that failed: how often, and when to ask again."""

    attempt: int
    until: float


class Questions:
    """The questions of one ledger. Times in seconds of any steady clock; `patience` is when one counts as lost."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.version = 0
        self._number = 0
        self._open: dict[int, Sent] = {}
        self._keys: dict[Key, int] = {}
        self._delays: dict[Key, Delay] = {}

    def __len__(self) -> int:
        return len(self._open)

    def is_open(self, key: Key) -> bool:
        """Whether it was asked and not answered yet."""
        return key in self._keys

    def open_keys(self) -> list[Key]:
        """The questions that wait for an answer."""
        return list(self._keys)

    def attempts(self, key: Key) -> int:
        """How often it failed."""
        delay = self._delays.get(key)
        return 0 if delay is None else delay.attempt

    def until(self, key: Key) -> float:
        """When it may be asked again after a failure; the distant past if it never failed."""
        delay = self._delays.get(key)
        return float("-inf") if delay is None else delay.until

    def ask(self, key: Key, now: float) -> Ask:
        """Open a question."""
        self._number += 1
        kind, block_hash, first, last = key
        patience = min(self.patience, _LATEST_PATIENCE) if kind == "latest" else self.patience
        self._open[self._number] = Sent(key, now + patience, self.version)
        self._keys[key] = self._number
        attempt = self.attempts(key)
        if kind == "latest":
            return AskLatest(self._number, attempt)
        if kind == "header":
            return AskHeader(self._number, block_hash, attempt)
        if kind == "headers":
            return AskHeaders(self._number, first, last, attempt)
        if kind == "logs":
            return AskLogs(self._number, block_hash, attempt)
        return AskRange(self._number, first, last, attempt)

    def close(self, ask: int) -> Sent | None:
        """Take a question out; None if it was given up before."""
        sent = self._open.pop(ask, None)
        if sent is not None:
            self._keys.pop(sent.key, None)
        return sent

    def answered(self, key: Key) -> None:
        """It was answered well: its failures are forgotten."""
        self._delays.pop(key, None)

    def failed(self, key: Key, now: float, delay: float = 0.0) -> int:
        """It failed: asked again at once the first time, then later and later, at least after `delay`. How often."""
        attempt = self.attempts(key) + 1
        wait = 0.0 if attempt == 1 else min(0.25 * 2.0 ** (attempt - 2), _SLOWEST_RETRY)
        self._delays[key] = Delay(attempt, now + max(delay, wait))
        if len(self._delays) > 1024:
            self._delays = {kept: d for kept, d in self._delays.items() if d.until > now}
        return attempt

    def lost(self, now: float) -> list[int]:
        """The numbers of those that waited too long."""
        return [number for number, sent in self._open.items() if sent.deadline <= now]

    def outdate(self) -> None:
        """The filter changed: open questions for logs are given up."""
        self.version += 1
        for number, sent in list(self._open.items()):
            if sent.key[0] in ("logs", "range"):
                self.close(number)

    def wakes(self, now: float) -> list[float]:
        """Times at which a question is lost, or may be asked again."""
        times = [sent.deadline for sent in self._open.values()]
        times += [delay.until for delay in self._delays.values() if delay.until > now]
        return times
