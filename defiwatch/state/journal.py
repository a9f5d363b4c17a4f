"""The book of one chain, with a journal: every write can be undone, block by block.

A reorg pops blocks off the end. The journal keeps the last `depth` blocks; what is older is final here, and a deeper
reorg raises `JournalTooShortError`, after which the caller must start again from reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import ItemsView
from typing import Any, TypeVar

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import ChainId
from defiwatch.domain.keccak import keccak
from defiwatch.errors import DefiwatchError
from defiwatch.protocols.spec import Table

K = TypeVar("K")
V = TypeVar("V")

ABSENT: Any = object()
"""In a write: the key was not there before."""


class JournalTooShortError(DefiwatchError):
    """A reorg went further back than the journal remembers."""


class Entry:
    """One block's writes: (table, key, the value before)."""

    __slots__ = ("at", "saved", "writes")

    def __init__(self, at: BlockRef) -> None:
        self.at = at
        self.writes: list[tuple[str, Any, Any]] = []
        self.saved = -1
        """How many of the writes are on disk; -1: the block is not."""


class JournaledBook:
    """The state of one chain: named tables, journaled by block. Implements `protocols.spec.Book`."""

    def __init__(self, chain_id: ChainId, *, depth: int = 256) -> None:
        self._chain_id = chain_id
        self._tables: dict[str, dict[Any, Any]] = {}
        self._journal: deque[Entry] = deque()
        self._depth = depth
        self._writes: list[tuple[str, Any, Any]] | None = None
        self._notices: dict[str, int] = {}
        self._fresh: list[str] = []
        self._dirty: dict[tuple[str, Any], None] | None = None

    @property
    def chain_id(self) -> ChainId:
        """The chain this book is of."""
        return self._chain_id

    @property
    def head(self) -> BlockRef | None:
        """The block on top of the journal, None before the first."""
        return self._journal[-1].at if self._journal else None

    @property
    def blocks(self) -> list[BlockRef]:
        """The blocks that can still be undone, oldest first."""
        return [entry.at for entry in self._journal]

    def get(self, table: Table[K, V], key: K) -> V | None:
        """The value under `key`, None where there is none."""
        rows = self._tables.get(table.name)
        return None if rows is None else rows.get(key)

    def put(self, table: Table[K, V], key: K, value: V) -> None:
        """Set the value under `key`."""
        name = table.name
        rows = self._tables.get(name)
        if rows is None:
            rows = self._tables[name] = {}
        if self._writes is not None:
            self._writes.append((name, key, rows.get(key, ABSENT)))
        if self._dirty is not None:
            self._dirty[name, key] = None
        rows[key] = value

    def drop(self, table: Table[K, V], key: K) -> None:
        """Remove `key`; nothing happens where it is not."""
        rows = self._tables.get(table.name)
        if rows is None or key not in rows:
            return
        if self._writes is not None:
            self._writes.append((table.name, key, rows[key]))
        if self._dirty is not None:
            self._dirty[table.name, key] = None
        del rows[key]

    def items(self, table: Table[K, V]) -> ItemsView[K, V]:
        """All entries of a table."""
        return self._tables.get(table.name, {}).items()

    def size(self, table: Table[K, V]) -> int:
        """How many entries a table has."""
        return len(self._tables.get(table.name, ()))

    def notice(self, text: str) -> None:
        """Tell the user once that something was counted and skipped, or cannot be known."""
        count = self._notices.get(text, 0)
        self._notices[text] = count + 1
        if count == 0:
            self._fresh.append(text)

    def take_notices(self) -> list[str]:
        """The notices that were not handed out yet."""
        fresh, self._fresh = self._fresh, []
        return fresh

    @property
    def notices(self) -> dict[str, int]:
        """Every notice with how often it was met."""
        return dict(self._notices)

    def open(self, at: BlockRef) -> None:
        """Begin the block `at`: writes from here on belong to it."""
        entry = Entry(at)
        self._journal.append(entry)
        self._writes = entry.writes
        while len(self._journal) > self._depth:
            self._journal.popleft()

    def undo(self) -> BlockRef:
        """Take back the newest block whole; returns it. JournalTooShortError where nothing is left to undo."""
        if not self._journal:
            raise JournalTooShortError(f"chain {self._chain_id}: the journal keeps {self._depth} blocks")
        entry = self._journal.pop()
        for name, key, before in reversed(entry.writes):
            rows = self._tables.setdefault(name, {})
            if self._dirty is not None:
                self._dirty[name, key] = None
            if before is ABSENT:
                rows.pop(key, None)
            else:
                rows[key] = before
        self._writes = self._journal[-1].writes if self._journal else None
        return entry.at

    def track(self) -> None:
        """From now on remember which rows change, so that they can be kept on disk; what stands already counts too."""
        if self._dirty is None:
            self._dirty = {(name, key): None for name, rows in self._tables.items() for key in rows}

    def take_dirty(self) -> list[tuple[str, Any]]:
        """(table, key) of every row that changed since the last call."""
        dirty, self._dirty = self._dirty or {}, {}
        return list(dirty)

    def take_unsaved(self) -> list[Entry]:
        """The journal's blocks that changed since the last call; they count as kept then."""
        entries = [entry for entry in self._journal if entry.saved != len(entry.writes)]
        for entry in entries:
            entry.saved = len(entry.writes)
        return entries

    def refill(self, tables: dict[str, dict[Any, Any]], journal: list[Entry]) -> None:
        """Take up a state that was kept; the book must be empty."""
        self._tables = tables
        self._journal = deque(journal)
        for entry in journal:
            entry.saved = len(entry.writes)
        self._writes = journal[-1].writes if journal else None

    def digest(self) -> str:
        """A hash of the whole state, the same however it was reached; keys are sorted, empty tables do not count."""
        rows = {
            name: sorted((repr(key), repr(_plain(msgspec.to_builtins(value)))) for key, value in table.items())
            for name, table in sorted(self._tables.items())
            if table
        }
        return "0x" + keccak(repr(rows).encode()).hex()

    def tables(self) -> dict[str, dict[Any, Any]]:
        """Every table by name: for checkpoints and tests. Do not write to it."""
        return self._tables


def _plain(value: Any) -> Any:
    """`value` with whole floats as int: 12 and 12.0 are one number, whichever of them a field was given."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
