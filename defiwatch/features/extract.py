"""The facade: facts and blocks in, observations out. Everything remembered is in the book, so a reorg undoes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeAlias

import msgspec

from defiwatch.domain.events import BlockRef, Fact, LiquidityMoved, Swapped
from defiwatch.domain.ids import short
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Pool, Subject
from defiwatch.features import drains, pools
from defiwatch.features.catalogue import DRAIN, FLOW, SWAP
from defiwatch.features.pools import TRACES, TraceKey
from defiwatch.protocols.spec import Book

PoolOf: TypeAlias = Callable[[str, str], Pool | None]
"""(protocol, pool id) → the pool as it stands, None where it is not known."""

_NOTHING = 1e-3
"""What left a pool that is less than this share is not worth an observation."""


class Features:
    """Turns facts into observations. `drain_window` in seconds.

    `on_fact` for every fact of a block in order, then `on_block` once; both within the block that is open in the book.
    """

    def __init__(self, drain_window: float) -> None:
        self._piece = max(drain_window, 1.0) / drains.PIECES
        self._traded: dict[TraceKey, None] = {}
        self._moved: dict[tuple[str, str], None] = {}

    def on_fact(self, book: Book, at: BlockRef, fact: Fact, pool: Pool | None) -> Iterable[Observation]:
        """What one fact shows. A pool's first trade shows nothing yet: there is no past to compare it with."""
        if isinstance(fact, Swapped):
            return self._swapped(book, at, fact, pool)
        if isinstance(fact, LiquidityMoved):
            self._moved[fact.protocol, fact.pool] = None
            key = (fact.protocol, fact.pool)
            trace = book.get(drains.DRAINS, key) or drains.DrainTrace()
            book.put(drains.DRAINS, key, drains.moved(trace, self._number(at), fact.share))
        return ()

    def on_block(
        self, book: Book, at: BlockRef, pool_of: PoolOf, standing: Collection[tuple[str, str]] = ()
    ) -> Iterable[Observation]:
        """What the block shows now that it is closed: of every pool that traded or whose liquidity moved in it, and of
        the `standing` ones ((protocol, pool id) with an alert), which are looked at again until they are calm."""
        traded, touched = sorted(self._traded), set(self._moved)
        self._traded, self._moved = {}, {}
        found: list[Observation] = []
        for pair in traded:
            touched.add(pair[:2])
            found += self._closed(book, at, pair, pool_of(pair[0], pair[1]))
        for key in sorted(touched | set(standing)):
            found += self._drained(book, at, key, pool_of(*key), touched=key in touched, watched=key in standing)
        quiet = set(standing) - {pair[:2] for pair in traded}
        if quiet:
            for pair in sorted(pair for pair, _ in book.items(TRACES) if pair[:2] in quiet):
                found += self._quiet(book, at, pair, pool_of(pair[0], pair[1]))
        return found

    def _number(self, at: BlockRef) -> int:
        return int(at.time // self._piece)

    def _swapped(self, book: Book, at: BlockRef, fact: Swapped, pool: Pool | None) -> Iterable[Observation]:
        key = pools.trace_key(fact)
        self._traded[key] = None
        before = book.get(TRACES, key)
        if before is None or before.decimals != (pool.decimals if pool else ()):
            book.put(TRACES, key, pools.first(fact, at, pool))
            return ()
        now = pools.after(before, fact, at, pool)
        book.put(TRACES, key, now)
        values = pools.swap_values(before, now, fact, pool, at)
        return (
            Observation(
                subject=_subject(at, fact.protocol, fact.pool, pool),
                kind=SWAP,
                values=values,
                at=at,
                tx=fact.tx,
                log_index=fact.log_index,
                facts=pools.swap_facts(before, now),
            ),
        )

    def _closed(self, book: Book, at: BlockRef, key: TraceKey, pool: Pool | None) -> Iterable[Observation]:
        trace = book.get(TRACES, key)
        if trace is None:
            return ()
        values = pools.block_values(trace, pool)
        book.put(TRACES, key, msgspec.structs.replace(trace, reserves=pool.reserves if pool else ()))
        return (Observation(_subject(at, key[0], key[1], pool), FLOW, values, at, facts=pools.block_facts(trace)),)

    def _quiet(self, book: Book, at: BlockRef, key: TraceKey, pool: Pool | None) -> Iterable[Observation]:
        trace = book.get(TRACES, key)
        if trace is None:
            return ()
        price, mean = trace.price, pools.mean_at(trace, at.time)
        still = msgspec.structs.replace(
            trace, close=price, mean=mean, trades=0, volume=0.0, net=pools.flow_at(trace, at.time)[0]
        )
        values = {name: value for name, value in pools.block_values(still, None).items() if name == "deviation"}
        subject = _subject(at, key[0], key[1], pool)
        return (Observation(subject, FLOW, values, at, facts=pools.block_facts(still), learnable=False),)

    def _drained(
        self, book: Book, at: BlockRef, key: tuple[str, str], pool: Pool | None, *, touched: bool, watched: bool
    ) -> Iterable[Observation]:
        trace = book.get(drains.DRAINS, key)
        if not drains.measured(pool):
            if trace is not None:
                book.drop(drains.DRAINS, key)
            return ()
        if touched:
            trace = drains.settled(trace or drains.DrainTrace(), self._number(at), pool)
            book.put(drains.DRAINS, key, trace)
        if trace is None:
            return ()
        values = drains.drain_values(trace, self._number(at))
        if not watched and max(values.values()) < _NOTHING:
            return ()
        return (Observation(_subject(at, *key, pool), DRAIN, values, at, learnable=touched),)


def _subject(at: BlockRef, protocol: str, pool_id: str, pool: Pool | None) -> Subject:
    return Subject("pool", at.chain_id, protocol, pool_id, pool.label if pool else short(pool_id))
