"""The facade: facts and blocks in, observations out. Everything remembered is in the book, so a reorg undoes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias

import msgspec

from defiwatch.domain.events import (
    BlockRef,
    Fact,
    LendingMoved,
    Liquidated,
    LiquidityMoved,
    PricePushed,
    Swapped,
    Transferred,
)
from defiwatch.domain.ids import Address, short
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Feed, Market, Pool, Subject
from defiwatch.domain.units import to_float
from defiwatch.features import drains, feeds, lending, pools, transfers
from defiwatch.features.catalogue import DRAIN, FEED, FLOW, MARKET, SWAP, TRANSFER
from defiwatch.features.pools import TRACES, TraceKey
from defiwatch.protocols.erc20 import symbol_of, token_of
from defiwatch.protocols.spec import Book

PoolOf: TypeAlias = Callable[[str, str], Pool | None]
"""(protocol, pool id) → the pool as it stands, None where it is not known."""

TOKENS_PROTOCOL = "erc20"

_NOTHING = 1e-3
"""What left a pool that is less than this share is not worth an observation."""


class Features:
    """Turns facts into observations. `drain_window` in seconds; `unit` gives the dollars for one whole token.

    `on_fact` for every fact of a block in order, then `on_block` once, and `on_whole` once its reads are in; all within
    the block that is open in the book.
    """

    def __init__(self, drain_window: float, unit: Callable[[Address], float | None] = lambda _: None) -> None:
        self._unit = unit
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
        elif isinstance(fact, LendingMoved | Liquidated):
            place = lending.fact_key(fact)
            book.put(lending.MARKET_TRACES, place, lending.happened(book.get(lending.MARKET_TRACES, place), at, fact))
            if isinstance(fact, Liquidated):
                self._seized(book, at, fact)
        elif isinstance(fact, PricePushed):
            feed = (fact.protocol, fact.feed)
            book.put(feeds.FEED_TRACES, feed, feeds.pushed(book.get(feeds.FEED_TRACES, feed), at, fact))
        elif isinstance(fact, Transferred) and fact.amount > 0 and fact.sender != fact.recipient:
            return self._transferred(book, at, fact)
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

    def on_whole(
        self,
        book: Book,
        at: BlockRef,
        oracles: Iterable[tuple[Feed, float | None]],
        markets: Iterable[Market],
        standing: Mapping[str, Collection[tuple[str, str]]],
    ) -> Iterable[Observation]:
        """What the block shows now that its reads are in: of every feed that pushed and every market that was used.

        `oracles`: each feed, and how far it is from what others say (|ln|, None where nobody does). `standing`: by kind
        ((protocol, subject id) with an alert), what is looked at again until it is calm. A block that is looked at a
        second time shows nothing new.
        """
        found: list[Observation] = []
        for feed, away in oracles:
            found += self._feed(book, at, feed, away, watched=(feed.protocol, feed.address) in standing.get(FEED, ()))
        for market in markets:
            found += self._market(book, at, market, watched=(market.protocol, market.id) in standing.get(MARKET, ()))
        for protocol, token in sorted(standing.get(TRANSFER, ())):
            found += self._still(book, at, protocol, token)
        return found

    def seized(self, book: Book, at: BlockRef) -> tuple[str, ...]:
        """The positions ("protocol:market:account") that were liquidated in the block, sorted."""
        return tuple(sorted(":".join(key) for key, block in book.items(lending.SEIZED) if block == at.number))

    def _seized(self, book: Book, at: BlockRef, fact: Liquidated) -> None:
        for key in [key for key, block in book.items(lending.SEIZED) if block != at.number]:
            book.drop(lending.SEIZED, key)
        book.put(lending.SEIZED, (fact.protocol, fact.market, fact.account), at.number)

    def _feed(
        self, book: Book, at: BlockRef, feed: Feed, away: float | None, *, watched: bool
    ) -> Iterable[Observation]:
        key = (feed.protocol, feed.address)
        trace = book.get(feeds.FEED_TRACES, key)
        if trace is None or feed.sequencer or feed.unknown or trace.looked == at.number:
            return ()
        pair = f"{feed.base}/{feed.quote}" if feed.quote else feed.base or short(feed.address)
        subject = Subject("feed", at.chain_id, feed.protocol, feed.address, pair)
        if trace.block != at.number or trace.fresh:
            values = {} if away is None else {"away": away}
            return (Observation(subject, FEED, {"push": 0.0} | values, at, learnable=False),) if watched else ()
        book.put(feeds.FEED_TRACES, key, msgspec.structs.replace(trace, looked=at.number))
        return (
            Observation(
                subject,
                FEED,
                feeds.push_values(trace, away),
                at,
                tx=trace.tx,
                log_index=trace.log_index,
                facts=feeds.push_facts(trace),
            ),
        )

    def _market(self, book: Book, at: BlockRef, market: Market, *, watched: bool) -> Iterable[Observation]:
        key = lending.market_key(market)
        trace = book.get(lending.MARKET_TRACES, key)
        if trace is None or market.unknown or trace.looked == at.number:
            return ()
        used = trace.block == at.number
        values = lending.market_values(trace, at, market, quiet=not used)
        facts = lending.market_facts(trace, market)
        facts |= self._worth(market.asset, to_float(market.supplied, market.decimals))
        if used:
            book.put(lending.MARKET_TRACES, key, lending.seen(trace, at, market))
        if not values or not (used or watched):
            return ()
        subject = Subject("market", at.chain_id, market.protocol, market.id, market.label or short(market.id))
        place = (trace.tx, trace.log_index) if used else ("", -1)
        return (Observation(subject, MARKET, values, at, place[0], place[1], facts, learnable=used),)

    def _transferred(self, book: Book, at: BlockRef, fact: Transferred) -> Iterable[Observation]:
        before = book.get(transfers.TOKEN_TRACES, fact.token)
        now = transfers.transferred(before, at, fact)
        book.put(transfers.TOKEN_TRACES, fact.token, now)
        if before is None:
            return ()
        known = token_of(book, fact.token)
        return (
            Observation(
                _token(book, at, TOKENS_PROTOCOL, fact.token),
                TRANSFER,
                transfers.transfer_values(before, now, fact.amount),
                at,
                tx=fact.tx,
                log_index=fact.log_index,
                facts=self._worth(fact.token, to_float(fact.amount, known.units)) if known.known else {},
            ),
        )

    def _still(self, book: Book, at: BlockRef, protocol: str, token: Address) -> Iterable[Observation]:
        trace = book.get(transfers.TOKEN_TRACES, token)
        if trace is None or trace.time == at.time:
            return ()
        values = transfers.quiet_values(trace, at.time)
        return (Observation(_token(book, at, protocol, token), TRANSFER, values, at, learnable=False),)

    def _worth(self, token: Address, units: float) -> dict[str, float]:
        """Whole tokens, and the dollars for one where it has a price."""
        usd = self._unit(token)
        return {"units": units} if usd is None else {"units": units, "usd": usd}

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


def _token(book: Book, at: BlockRef, protocol: str, token: Address) -> Subject:
    return Subject("token", at.chain_id, protocol, token, symbol_of(book, token))


def _subject(at: BlockRef, protocol: str, pool_id: str, pool: Pool | None) -> Subject:
    return Subject("pool", at.chain_id, protocol, pool_id, pool.label if pool else short(pool_id))
