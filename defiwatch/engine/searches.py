"""How far the searches through history have come, so that a restart goes on where they were left.

A search is of some contracts, begun at a height and done downwards from there; what comes after that height is
followed by events. A contract that no search covers (a reserve listed since) has one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.protocols.spec import Scan

_MARK = "@"


class Search(msgspec.Struct, frozen=True):
    """One search. `key` is the scan's with the height where it began, `next` the newest block that is not searched
    yet."""

    key: str
    addresses: tuple[Address, ...]
    next: int


def origin(key: str) -> str:
    """The key of the scan that a search is part of."""
    return key.partition(_MARK)[0]


class Searches:
    """Those of one line. Forgotten with the book that they filled (`books` counts how often it was begun anew)."""

    def __init__(self) -> None:
        self._kept: dict[str, Search] = {}
        self._books = 0

    def open(self, wanted: Iterable[Scan], head: BlockRef | None, books: int) -> list[Scan]:
        """What is still to be searched of the scans that are wanted; a search is begun for what none covers.

        A scan that is not wanted any more is done with: if it is wanted again, all of it is searched again.
        """
        if books != self._books:
            self._kept, self._books = {}, books
        if head is None:
            return []
        scans = {scan.key: scan for scan in wanted}
        self._kept = {key: search for key, search in self._kept.items() if origin(key) in scans}
        found: list[Scan] = []
        for name, scan in sorted(scans.items()):
            mine = [search for search in self._kept.values() if origin(search.key) == name]
            covered = {address for search in mine for address in search.addresses}
            rest = tuple(address for address in scan.addresses if address not in covered)
            if rest:
                begun = Search(f"{name}{_MARK}{head.number}", rest, head.number)
                self._kept[begun.key] = begun
                mine.append(begun)
            for search in mine:
                still = tuple(address for address in scan.addresses if address in search.addresses)
                if still and search.next >= scan.from_block:
                    found.append(msgspec.structs.replace(scan, key=search.key, addresses=still, until=search.next))
        return found

    def note(self, scan: Scan, first: int) -> None:
        """Everything of one of `open`'s scans from the block `first` on is searched."""
        search = self._kept.get(scan.key)
        if search is not None and first <= search.next:
            self._kept[scan.key] = msgspec.structs.replace(search, next=first - 1)

    def dump(self) -> tuple[Search, ...]:
        """All of them, by key."""
        return tuple(search for _, search in sorted(self._kept.items()))

    def load(self, kept: Sequence[Search], books: int) -> None:
        """Take up what `dump` gave, for a book that was taken up with it."""
        self._kept = {search.key: search for search in kept}
        self._books = books
