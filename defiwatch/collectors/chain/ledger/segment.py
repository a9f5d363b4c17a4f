"""A stretch of old blocks that is fetched whole: headers in batches, logs in ranges, joined by hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

from defiwatch.collectors.chain.ledger.asks import Key
from defiwatch.collectors.chain.ledger.stack import Stack
from defiwatch.domain.frames import Header, RawLog
from defiwatch.domain.ids import Hash
from defiwatch.domain.units import from_hex

Fit: TypeAlias = Literal["open", "misfit", "fork", "whole"]
"""How the parts of a segment fit: some are missing, two contradict each other, it does not stand on our tip, all do."""


class Segment:
    """The blocks `first`..`last`, both included: whole once every header links to the one before and has its logs."""

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        self.headers: dict[int, Header] = {}
        self.logs: dict[Hash, tuple[RawLog, ...]] = {}
        self.unlogged: set[int] = set(range(first, last + 1))
        """Heights whose logs are not known yet."""
        self.single: set[int] = set()
        """Heights whose logs are asked by hash: too many for a range, or doubted."""
        self.pause = 0.0
        """Nothing is asked before this time: its parts did not fit."""
        self._misfits = 0

    def forget_logs(self, after: int) -> None:
        """What lies after the height `after` is asked again."""
        self.logs.clear()
        self.single.clear()
        self.unlogged = set(range(max(after + 1, self.first), self.last + 1))

    def put_headers(self, headers: Iterable[Header]) -> None:
        """Take headers."""
        for header in headers:
            self.headers[from_hex(header.number)] = header

    def put_range(self, first: int, last: int, logs: Sequence[RawLog]) -> bool:
        """Take the logs of a range; False if any of them lies outside or says not which block it is of."""
        by_hash: dict[Hash, list[RawLog]] = {}
        for log in logs:
            if log.block_hash is None or log.block_number is None or not first <= from_hex(log.block_number) <= last:
                return False
            by_hash.setdefault(log.block_hash, []).append(log)
        for block_hash, found in by_hash.items():
            self.logs[block_hash] = tuple(found)
        self.unlogged.difference_update(range(first, last + 1))
        return True

    def put_logs(self, header: Header, logs: tuple[RawLog, ...]) -> bool:
        """Take the logs of one block that was asked by hash; False if it was not."""
        number = from_hex(header.number)
        if number not in self.single or self.headers[number].hash != header.hash:
            return False
        self.logs[header.hash] = logs
        self.single.discard(number)
        self.unlogged.discard(number)
        return True

    def find(self, block_hash: Hash) -> Header | None:
        """The header of that hash."""
        return next((header for header in self.headers.values() if header.hash == block_hash), None)

    def needs(self, open_keys: Iterable[Key], header_batch: int, log_range: int) -> Iterable[Key]:
        """What is still to ask, beside what was asked already."""
        asked: dict[str, set[int]] = {"headers": set(), "range": set()}
        for kind, _, first, last in open_keys:
            if kind in asked:
                asked[kind].update(range(first, last + 1))
        lacking = set(range(self.first, self.last + 1)) - set(self.headers)
        for first, last in pieces(lacking - asked["headers"], header_batch):
            yield ("headers", "", first, last)
        for first, last in pieces(self.unlogged - self.single - asked["range"], log_range):
            yield ("range", "", first, last)
        for number in sorted(self.single):
            if number in self.headers:
                yield ("logs", self.headers[number].hash, 0, 0)

    @property
    def has_headers(self) -> bool:
        """Whether every header is there."""
        return len(self.headers) == self.last - self.first + 1

    @property
    def whole(self) -> bool:
        """Whether everything is there."""
        return self.has_headers and not self.unlogged

    def take(self, stack: Stack) -> tuple[Header, tuple[RawLog, ...]] | None:
        """The next block with its logs; None if it does not stand on our tip, so that a fork has to be looked for."""
        header = self.headers[stack.tip + 1 if stack else self.first]
        return (header, self.logs.pop(header.hash, ())) if stack.carries(header) else None

    def examine(self, stack: Stack, now: float) -> Fit:
        """Judge what there is so far; parts that do not fit are asked anew after a pause, longer each time."""
        if not self.has_headers:
            return "open"
        if not self.mend(stack.tip):
            self._misfits += 1
            self.pause = now + min(0.1 * 2.0**self._misfits, 8.0)
            return "misfit"
        if self.first == stack.tip + 1 and not stack.carries(self.headers[self.first]):
            return "fork"
        return "whole" if self.whole else "open"

    def mend(self, after: int) -> bool:
        """Whether the parts fit; if not, those that do not are dropped and asked again.

        They do not where the chain changed between two answers: a header's parent is not the header before it (all from
        the one under the break up are dropped), or logs name blocks that no header has (all are). Heights up to `after`
        were handed out already.
        """
        for number in range(self.first + 1, self.last + 1):
            if self.headers[number].parent_hash != self.headers[number - 1].hash:
                for dropped in range(number - 1, self.last + 1):
                    self.headers.pop(dropped)
                self.forget_logs(after)
                return False
        if not self.unlogged and set(self.logs) - {header.hash for header in self.headers.values()}:
            self.headers.clear()
            self.forget_logs(after)
            return False
        return True

    def doubt(self, after: int, doubts: Callable[[Header, Sequence[RawLog]], bool]) -> list[Hash]:
        """The blocks above the height `after` whose logs cannot be whole; they are asked again by hash."""
        found: list[Hash] = []
        for number, header in self.headers.items():
            if number > after and doubts(header, self.logs.get(header.hash, ())):
                self.single.add(number)
                self.unlogged.add(number)
                found.append(header.hash)
        return found


def pieces(numbers: Iterable[int], size: int) -> list[tuple[int, int]]:
    """Heights as ranges (both ends included) of at most `size`."""
    found: list[tuple[int, int]] = []
    first = last = -2
    for number in sorted(numbers):
        if number == last + 1 and number - first < size:
            last = number
        else:
            if first >= 0:
                found.append((first, last))
            first = last = number
    if first >= 0:
        found.append((first, last))
    return found


def ordered(logs: Sequence[RawLog]) -> tuple[RawLog, ...]:
    """Logs by their index in the block, each once."""
    if len(logs) < 2 or any(log.log_index is None for log in logs):
        return tuple(logs)
    by_index = {from_hex(log.log_index or "0x0"): log for log in logs}
    return tuple(by_index[i] for i in sorted(by_index))
