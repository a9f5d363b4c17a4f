"""Walking back from the target along parent hashes until a block of ours is met; the logs of the blocks on the way.

Blocks and logs are asked for by hash: certain, whatever the node does meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.collectors.chain.ledger.asks import Key
from defiwatch.collectors.chain.ledger.stack import Stack
from defiwatch.domain.frames import Header, RawLog
from defiwatch.domain.ids import Hash
from defiwatch.domain.units import from_hex

_MAX_POOL = 4096
_MAX_LOGGED = 128
_LOGS_AT_ONCE = 8


class Joined(msgspec.Struct, frozen=True):
    """`path` (the target first) stands on our block at height `ancestor`; one below our oldest: on none kept."""

    path: tuple[Header, ...]
    ancestor: int


class Below(msgspec.Struct, frozen=True):
    """Nothing of ours stands, and the target's blocks go down to `number`, below where we meant to begin."""

    number: int


class Walk:
    """The headers that came so far, the way that they make, and the logs of the blocks on it."""

    def __init__(self) -> None:
        self.route: list[Header] = []
        """The blocks from the target (first) down to our next one (last), once they are joined."""
        self.stale = True
        """Whether something changed since the last `join`."""
        self.missing: tuple[Hash, int] | None = None
        """Hash and height of the parent that is not known yet."""
        self._headers: dict[Hash, Header] = {}
        self._logs: dict[Hash, tuple[RawLog, ...]] = {}
        self._windowed: set[Hash] = set()
        """Missing parents that were asked for by height already, without success."""
        self._descent = 0
        """How many answers the way down took so far."""

    def find(self, block_hash: Hash) -> Header | None:
        """The header of that hash."""
        return self._headers.get(block_hash)

    def keep(self, header: Header) -> None:
        """A header became known."""
        self._headers[header.hash] = header
        self.stale = True
        if len(self._headers) > _MAX_POOL:
            by_height = sorted(self._headers.values(), key=lambda kept: from_hex(kept.number), reverse=True)
            self._headers = {kept.hash: kept for kept in by_height[: _MAX_POOL // 2]}

    def put_logs(self, block_hash: Hash, logs: Sequence[RawLog]) -> None:
        """The logs of a block became known."""
        self._logs[block_hash] = tuple(logs)

    def forget_logs(self) -> None:
        """All logs are asked for again."""
        self._logs.clear()

    def forget(self, block_hash: Hash) -> None:
        """That block was handed out."""
        self._headers.pop(block_hash, None)
        if len(self._logs) > _MAX_LOGGED:
            ahead = {waiting.hash for waiting in self.route}
            self._logs = {kept: found for kept, found in self._logs.items() if kept in ahead}

    def start(self) -> None:
        """The target is another block: the way down begins anew."""
        self._descent = 0

    def clear(self) -> None:
        """There is no way, and none is looked for."""
        self.route = []
        self.missing = None

    def on_parent(self, header: Header) -> None:
        """The missing parent came."""
        self._descent += 1
        self.keep(header)

    def on_window(self, headers: Iterable[Header]) -> None:
        """Headers came that were asked for by height; the missing parent may be among them."""
        if self.missing is not None:
            self._windowed.add(self.missing[0])
        self._descent += 1
        for header in headers:
            self.keep(header)

    def needs(self, stack: Stack, header_batch: int) -> Iterable[Key]:
        """What to ask: the missing parent, or the logs of the blocks that come next."""
        if self.missing is not None:
            yield self._parent(*self.missing, stack, header_batch)
            return
        for header in self.route[: -_LOGS_AT_ONCE - 1 : -1]:
            if header.hash not in self._logs:
                yield ("logs", header.hash, 0, 0)

    def _parent(self, block_hash: Hash, number: int, stack: Stack, header_batch: int) -> Key:
        """How to ask for a parent: by hash, which is certain; by heights first where several will be missing."""
        if block_hash not in self._windowed:
            if number > stack.tip:
                low = max(stack.floor, stack.tip + 1, number - header_batch + 1)
            elif self._descent > 0:
                size = min(8 << (2 * min(self._descent - 1, 3)), header_batch)
                low = max(stack.floor, number - size + 1)
            else:
                low = number
            if low < number:
                return ("headers", "", low, number)
        return ("header", block_hash, 0, 0)

    def take(self, stack: Stack) -> tuple[Header, tuple[RawLog, ...]] | None:
        """The next block with its logs, None while something is missing."""
        if not self.route:
            return None
        header = self.route[-1]
        if not stack.carries(header):
            self.stale = True
            return None
        logs = self._logs.pop(header.hash, None)
        if logs is None:
            return None
        self.route.pop()
        return header, logs

    def join(self, header: Header, stack: Stack) -> Joined | Below | None:
        """Join the target to our chain; None if a parent is missing."""
        self.stale = False
        self.clear()
        floor = stack.floor
        path: list[Header] = []
        while True:
            number = from_hex(header.number)
            if stack.has(number, header.hash):
                return self._joined(path, number)
            if number < floor and not stack:
                return Below(number)
            path.append(header)
            if stack.has(number - 1, header.parent_hash):
                return self._joined(path, number - 1)
            if number <= floor:
                return self._joined(path, floor - 1)
            parent = self._headers.get(header.parent_hash)
            if parent is None or from_hex(parent.number) != number - 1:
                self.missing = (header.parent_hash, number - 1)
                return None
            header = parent

    def _joined(self, path: list[Header], ancestor: int) -> Joined:
        self._descent = 0
        self._windowed.clear()
        return Joined(tuple(path), ancestor)

    def leads(self, target: Header | None, header: Header, stack: Stack) -> bool:
        """Whether the target is `header`, or is known to stand on it."""
        current = target
        number = from_hex(header.number)
        while current is not None and from_hex(current.number) > number:
            below = from_hex(current.number) - 1
            if stack.has(below, current.parent_hash):
                return stack.has(number, header.hash)
            current = self._headers.get(current.parent_hash)
        return current is not None and current.hash == header.hash
