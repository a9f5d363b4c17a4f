"""Which logs are wanted: the questions to a node, the check of its answer, and what a header's bloom says of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from defiwatch.domain.frames import Header, RawLog
from defiwatch.domain.keccak import keccak
from defiwatch.protocols.spec import LogFilter

_MAX_ADDRESSES = 1000
"""Addresses in one question; Infura takes 5,000 parameters, others fewer."""
_BLOOM_BITS = 2048
_DOUBT = 0.01
"""Only a bloom that would claim a match by chance less often than this is taken as a sign."""


class Query(msgspec.Struct, frozen=True):
    """One `eth_getLogs` question without its blocks. () for addresses means from any address."""

    addresses: tuple[str, ...]
    topics: tuple[tuple[str, ...] | None, ...]

    def params(self) -> dict[str, object]:
        """Its part of the filter object."""
        kept: dict[str, object] = {}
        if self.addresses:
            kept["address"] = self.addresses
        if self.topics:
            kept["topics"] = self.topics
        return kept

    def halves(self) -> tuple[Query, Query] | None:
        """Two questions that together ask the same, for a node that finds this one too large; None if it is minimal."""
        if len(self.addresses) > 1:
            cut = len(self.addresses) // 2
            return Query(self.addresses[:cut], self.topics), Query(self.addresses[cut:], self.topics)
        first = self.topics[0] if self.topics else None
        if first is not None and len(first) > 1:
            cut = len(first) // 2
            return (
                Query(self.addresses, (first[:cut], *self.topics[1:])),
                Query(self.addresses, (first[cut:], *self.topics[1:])),
            )
        return None


class Wanted:
    """What a line's filters ask for: as questions (sorted: the same filters ask the same), and as a test of a log."""

    def __init__(self, filters: Sequence[LogFilter]) -> None:
        self.filters = tuple(filters)
        anywhere: set[str] = set()
        addresses: set[str] = set()
        topics: set[str] = set()
        for one in self.filters:
            if one.addresses is None:
                anywhere |= one.topics
            elif one.addresses:
                addresses |= one.addresses
                topics |= one.topics
        self._anywhere = frozenset(anywhere)
        pairs: dict[str, frozenset[str]] = {}
        for one in self.filters:
            for item in one.addresses or ():
                pairs[item] = pairs.get(item, frozenset()) | one.topics
        self._pairs = pairs
        queries: list[Query] = []
        if anywhere:
            queries.append(Query((), (tuple(sorted(anywhere)),)))
        if addresses and topics - anywhere:
            named = sorted(addresses)
            wanted = (tuple(sorted(topics - anywhere)),)
            queries += [
                Query(tuple(named[i : i + _MAX_ADDRESSES]), wanted) for i in range(0, len(named), _MAX_ADDRESSES)
            ]
        self.queries = tuple(queries)

    def admits(self, log: RawLog) -> bool:
        """Whether any filter matches the log."""
        if not log.topics:
            return False
        first = log.topics[0]
        if first in self._anywhere:
            return True
        topics = self._pairs.get(log.address) or self._pairs.get(log.address.lower())
        return topics is not None and first in topics

    def doubts(self, header: Header, logs: Iterable[RawLog]) -> bool:
        """Whether an answer without logs contradicts the header's bloom.

        True only if there are none, the bloom claims that some are there, and it is sparse enough to be believed: a
        full mainnet block sets most bits, so its bloom claims everything and proves nothing.
        """
        if any(True for _ in logs) or not header.logs_bloom or not self.queries:
            return False
        try:
            bloom = int(header.logs_bloom, 16)
        except ValueError:
            return False
        full = (bloom.bit_count() / _BLOOM_BITS) ** 3
        if bloom == 0 or full * len(self._anywhere) + sum(full * full * len(t) for t in self._pairs.values()) > _DOUBT:
            return False
        if any(_holds(bloom, item) for item in self._anywhere):
            return True
        return any(
            _holds(bloom, address) and any(_holds(bloom, topic) for topic in topics)
            for address, topics in self._pairs.items()
        )


def _holds(bloom: int, item: str) -> bool:
    mask = _mask(item)
    return bloom & mask == mask


@lru_cache(maxsize=65536)
def _mask(item: str) -> int:
    """The three bits that an address or topic sets (yellow paper, M3:2048)."""
    digest = keccak(bytes.fromhex(item[2:]))
    return sum({1 << (int.from_bytes(digest[i : i + 2]) & 2047) for i in (0, 2, 4)})
