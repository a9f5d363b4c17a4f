"""Morpho Blue as a protocol: isolated markets by 32-byte id under one address.

Deployment keys: `address`, and `pools` with the market ids to follow (none: every market whose creation was seen).
State follows from events; what no event tells is read: the oracle's price and the rate model's rate, at every block and
market by market, so that one oracle that reverts darkens its own market only. A position's base is the loan token.
morpho-blue@3085651 src/Morpho.sol.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain import risk
from defiwatch.domain.events import BlockRef, Event, Fact
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.ids import ZERO_ADDRESS, Address, ChainId, short
from defiwatch.domain.risk import Position
from defiwatch.errors import ConfigError
from defiwatch.protocols import erc20, reads
from defiwatch.protocols.abi import Call, decode, function
from defiwatch.protocols.erc20 import token_read, token_wants
from defiwatch.protocols.morpho_blue import events, shares
from defiwatch.protocols.morpho_blue.adaptive import RATE_AT_TARGET
from defiwatch.protocols.morpho_blue.apply import PROTOCOL, apply
from defiwatch.protocols.morpho_blue.positions import describe, position_of
from defiwatch.protocols.morpho_blue.state import (
    HOLDINGS,
    MARKETS,
    OPEN,
    PARAMS,
    PRICES,
    RATES,
    TARGETS,
    Answer,
    Holding,
    Market,
    Scene,
    market_id,
    put_holding,
    scene,
)
from defiwatch.protocols.spec import Book, Instance, K, LogFilter, ProtocolSpec, Scan, Table

ID_TO_PARAMS = function("idToMarketParams(bytes32)", "address,address,address,address,uint256")
MARKET = function("market(bytes32)", "uint128,uint128,uint128,uint128,uint128,uint128")
POSITION = function("position(bytes32,address)", "uint256,uint128,uint128")
PRICE = function("price()", "uint256")
BORROW_RATE = function(
    f"borrowRateView({PARAMS},(uint128,uint128,uint128,uint128,uint128,uint128))",
    "uint256",
)

_NOBODY = {"0x" + "0" * 40, ""}
_SCANNED = (events.BORROW.topic0, events.SUPPLY_COLLATERAL.topic0)


class MorphoBlue(Instance):
    """One Morpho contract, all its markets or some."""

    protocol = PROTOCOL
    events = events.EVENTS

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not deployment.address:
            raise ConfigError("morpho_blue: expected address = the Morpho contract's")
        for pool in deployment.pools:
            if len(pool) != 66:
                raise ConfigError(f"morpho_blue: expected 32-byte market ids in pools, got {pool!r}")
        self.address = deployment.address
        self._chosen = frozenset(deployment.pools)
        self._watched: tuple[Address, ...] = ()
        self._filter = LogFilter(frozenset({self.address}), frozenset(spec.topic0 for spec in self.events))

    def watch(self, accounts: Iterable[Address]) -> None:
        """Read these accounts' holdings in every market that is followed, whether an event named them or not."""
        self._watched = tuple(sorted(set(accounts)))

    def entered(self) -> Sequence[Scan]:
        """How to find the markets that the watched accounts ever entered; () where `pools` names the markets."""
        if self._chosen or not self._watched:
            return ()
        words = tuple("0x" + account[2:].rjust(64, "0") for account in self._watched)
        start = self.deployment.from_block
        own = (self.address,)
        return (
            Scan(f"morpho_blue:{self.address}:borrowed", own, ((events.BORROW.topic0,), None, words), start),
            Scan(
                f"morpho_blue:{self.address}:supplied",
                own,
                ((events.SUPPLY_COLLATERAL.topic0,), None, None, words),
                start,
            ),
        )

    def market_calls(self, logs: Iterable[RawLog]) -> Sequence[Call]:
        """The reads that make the markets of these logs known."""
        ids = sorted({log.topics[1].lower() for log in logs if len(log.topics) > 1})
        return [call for id_ in ids for call in (ID_TO_PARAMS.call(self.address, id_), MARKET.call(self.address, id_))]

    def filter(self, book: Book) -> LogFilter:  # noqa: ARG002 - always the same
        """All events of the contract: markets cannot be told apart by address."""
        return self._filter

    def _ids(self, book: Book) -> Iterator[tuple[str, Market]]:
        """The markets followed, with what is known of them, by id."""
        if self._chosen:
            for chosen in sorted(self._chosen):
                yield chosen, book.get(MARKETS, (self.address, chosen)) or Market()
            return
        found = [(key[1], market) for key, market in book.items(MARKETS) if key[0] == self.address]
        yield from sorted(found, key=lambda item: item[0])

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """What is not known at the start; at every block the price and the rate of each market with debt."""
        once: list[Call] = []
        now: list[Call] = []
        ready: list[str] = []
        for id_, market in self._ids(book):
            if not market.have_params:
                once.append(ID_TO_PARAMS.call(self.address, id_))
            if not market.have_totals:
                once.append(MARKET.call(self.address, id_))
            if not (market.have_params and market.have_totals):
                continue
            ready.append(id_)
            once += [
                POSITION.call(self.address, id_, account)
                for account in self._watched
                if not market.born and book.get(HOLDINGS, (self.address, id_, account)) is None
            ]
            now += self._of_block(book, at, id_, market)
        if ready:
            followed = frozenset(ready)
            for key, _ in sorted(book.items(OPEN)):
                if key[0] == self.address and key[1] in followed:
                    once.append(POSITION.call(self.address, key[1], key[2]))
        return [*reads.open_calls(book, at, [*once, *token_wants(book, at)]), *dict.fromkeys(now)]

    def _of_block(self, book: Book, at: BlockRef, id_: str, market: Market) -> Iterator[Call]:
        if market.totals.borrow_shares == 0:
            return
        price = book.get(PRICES, market.oracle)
        if market.oracle not in _NOBODY and (price is None or price.block < at.number):
            yield PRICE.call(market.oracle)
        if market.irm != ZERO_ADDRESS and market.totals.last_update < at.time:
            rate = book.get(RATES, (self.address, id_))
            if rate is None or rate.block < at.number:
                yield BORROW_RATE.call(market.irm, market.params, _market_words(market))

    def extras(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """The height of the rate curve of each market with debt, once: events carry it on."""
        calls = [
            RATE_AT_TARGET.call(market.irm, id_)
            for id_, market in self._ids(book)
            if market.have_params and market.have_totals and market.totals.borrow_shares
            if market.irm != ZERO_ADDRESS and book.get(TARGETS, (self.address, id_)) is None
        ]
        return reads.open_calls(book, at, calls)

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take one answer. One that is older than the last event of what it tells is left aside, and asked again."""
        kind, to = call.data[:10].lower(), call.to.lower()
        if to == self.address and kind in (ID_TO_PARAMS.selector, MARKET.selector, POSITION.selector):
            if reads.empty(call):
                reads.refuse(book, at, call)
                return True
            reads.accept(book, call)
            if kind == ID_TO_PARAMS.selector:
                self._take_params(book, at, call)
            elif kind == MARKET.selector:
                self._take_totals(book, at, call)
            else:
                self._take_holding(book, at, call)
            return True
        if kind == PRICE.selector and any(market.oracle == to for _, market in self._ids(book)):
            _answered(book, PRICES, to, at, call)
            return True
        if kind == BORROW_RATE.selector:
            return self._take_rate(book, at, call)
        if RATE_AT_TARGET.matches(call):
            return self._take_target(book, at, call)
        return token_read(book, at, call)

    def _take_params(self, book: Book, at: BlockRef, call: CallResult) -> None:
        (id_,) = ID_TO_PARAMS.arguments(call)
        loan, collateral, oracle, irm, lltv = decode(ID_TO_PARAMS.outputs, call.result or "")
        if loan == ZERO_ADDRESS and lltv == 0:
            book.notice(f"morpho_blue: there is no market {short(id_)} at {short(self.address)}")
            reads.refuse(book, at, call)
            return
        erc20.watch(book, loan)
        erc20.watch(book, collateral)
        market = book.get(MARKETS, (self.address, id_)) or Market()
        changed = msgspec.structs.replace(
            market, loan=loan, collateral=collateral, oracle=oracle, irm=irm, lltv=lltv, have_params=True
        )
        book.put(MARKETS, (self.address, id_), changed)

    def _take_totals(self, book: Book, at: BlockRef, call: CallResult) -> None:
        (id_,) = MARKET.arguments(call)
        market = book.get(MARKETS, (self.address, id_)) or Market()
        if at.number < market.block:
            return
        totals = shares.Totals(*decode(MARKET.outputs, call.result or ""))
        if market.have_totals and market.totals != totals:
            book.notice(f"morpho_blue: market {short(id_)} had moved on without an event; its totals were read again")
        book.put(MARKETS, (self.address, id_), msgspec.structs.replace(market, totals=totals, have_totals=True))

    def _take_holding(self, book: Book, at: BlockRef, call: CallResult) -> None:
        id_, account = POSITION.arguments(call)
        key = (self.address, id_, account)
        before = book.get(HOLDINGS, key)
        if before is not None and at.number < before.block:
            return
        supplied, borrowed, collateral = decode(POSITION.outputs, call.result or "")
        put_holding(book, key, Holding(supplied, borrowed, collateral, block=before.block if before else at.number))

    def _take_rate(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """A rate counts for the market state that it was asked with: any other is another's, or older."""
        params, state = BORROW_RATE.arguments(call)
        key = (self.address, market_id(params))
        market = book.get(MARKETS, key)
        if market is None or market.irm != call.to.lower() or _market_words(market) != state:
            return False
        _answered(book, RATES, key, at, call)
        return True

    def _take_target(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """The rate at target as of the market's last update; a model that does not know the question has none."""
        key = (self.address, RATE_AT_TARGET.arguments(call)[0])
        market = book.get(MARKETS, key)
        if market is None or market.irm != call.to.lower():
            return False
        if at.number >= market.block:
            empty = reads.empty(call)
            value = None if empty else decode(RATE_AT_TARGET.outputs, call.result or "")[0]
            book.put(TARGETS, key, Answer(value, at.number, reads.reason(call) if empty else ""))
        return True

    def scans(self, book: Book) -> Sequence[Scan]:
        """Who borrows, and, where `pools` names none, which markets there are: until all debt is accounted for."""
        found: list[Scan] = []
        start = self.deployment.from_block
        if not self._chosen:
            topics = ((events.CREATE_MARKET.topic0,),)
            found.append(Scan(f"morpho_blue:{self.address}:markets", (self.address,), topics, start))
        lacking = any(
            not market.have_totals or market.known_shares != market.totals.borrow_shares
            for _, market in self._ids(book)
        )
        if lacking:
            narrow = (tuple(sorted(self._chosen)),) if self._chosen else ()
            key = f"morpho_blue:{self.address}:{','.join(sorted(self._chosen)) or 'accounts'}"
            found.append(Scan(key, (self.address,), (_SCANNED, *narrow), start))
        return found

    def on_scan(self, book: Book, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:  # noqa: ARG002
        """Markets and accounts that are not known yet, as reads."""
        calls: dict[Call, None] = {}
        for log in logs:
            if log.address.lower() != self.address or len(log.topics) < 2:
                continue
            id_ = log.topics[1].lower()
            if log.topics[0] == events.CREATE_MARKET.topic0:
                if book.get(MARKETS, (self.address, id_)) is None:
                    calls[ID_TO_PARAMS.call(self.address, id_)] = None
                    calls[MARKET.call(self.address, id_)] = None
            elif log.topics[0] in _SCANNED and (not self._chosen or id_ in self._chosen):
                # Borrow has its owner as topic 2, SupplyCollateral as topic 3 (the caller comes first).
                place = 2 if log.topics[0] == events.BORROW.topic0 else 3
                if len(log.topics) <= place:
                    continue
                account = "0x" + log.topics[place][-40:].lower()
                holding = book.get(HOLDINGS, (self.address, id_, account))
                if holding is None or not holding.known:
                    calls[POSITION.call(self.address, id_, account)] = None
        return tuple(calls)

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Apply one event of a market that is followed."""
        if event.address != self.address:
            return ()
        id_ = getattr(event, "id", "")
        if self._chosen and id_ and id_ not in self._chosen:
            return ()
        return apply(book, at, event)

    def positions(self, book: Book, at: BlockRef) -> Iterable[Position]:
        """Every account with debt or collateral, market by market."""
        scenes: dict[str, Scene] = {
            id_: scene(book, (self.address, id_), market, at.time) for id_, market in self._ids(book)
        }
        for key, holding in book.items(HOLDINGS):
            if key[0] == self.address and key[1] in scenes:
                position = position_of(book, at, key[1], scenes[key[1]], key[2], holding)
                if position is not None:
                    yield position

    def position(self, book: Book, at: BlockRef, account: Address) -> Position | None:
        """The account's position with the lowest health factor; one that cannot be told comes before all others."""
        found = self.positions_of(book, at, account)
        return min(found, key=lambda p: (not p.unknown, p.health_factor, p.market)) if found else None

    def positions_of(self, book: Book, at: BlockRef, account: Address) -> list[Position]:
        """All positions of one account, by market."""
        found: list[Position] = []
        for id_, market in self._ids(book):
            holding = book.get(HOLDINGS, (self.address, id_, account))
            if holding is not None:
                it = scene(book, (self.address, id_), market, at.time)
                position = position_of(book, at, id_, it, account, holding)
                if position is not None:
                    found.append(position)
        return found

    def markets(self, book: Book, at: BlockRef) -> Iterable[risk.Market]:
        """Each market's loan side."""
        for id_, market in self._ids(book):
            key = (self.address, id_)
            yield describe(book, at, id_, scene(book, key, market, at.time), book.get(TARGETS, key))

    def price_sources(self, book: Book) -> dict[tuple[str, Address], Address]:
        """Each market's oracle, as the source of its collateral."""
        return {
            (id_, market.collateral): market.oracle for id_, market in self._ids(book) if market.oracle not in _NOBODY
        }

    def totals(self, book: Book, at: BlockRef, id_: str) -> Scene | None:
        """A market with interest up to the block's time, and the price last read; None for one that is not known."""
        market = book.get(MARKETS, (self.address, id_))
        return None if market is None else scene(book, (self.address, id_), market, at.time)

    def holding(self, book: Book, id_: str, account: Address) -> Holding | None:
        """One account's shares and collateral in one market."""
        return book.get(HOLDINGS, (self.address, id_, account))


def _market_words(market: Market) -> tuple[int, ...]:
    """The stored totals, as `market(id)` returns them and the rate model takes them."""
    totals = market.totals
    return (
        totals.supply_assets,
        totals.supply_shares,
        totals.borrow_assets,
        totals.borrow_shares,
        totals.last_update,
        totals.fee,
    )


def _answered(book: Book, table: Table[K, Answer], key: K, at: BlockRef, call: CallResult) -> None:
    """Keep an answer or a refusal, unless a later one is known."""
    before = book.get(table, key)
    if before is not None and at.number < before.block:
        return
    if reads.empty(call):
        answer = Answer(None, at.number, reads.reason(call))
    else:
        (value,) = decode(("uint256",), call.result or "")
        answer = Answer(value, at.number)
    book.put(table, key, answer)


MORPHO_BLUE = ProtocolSpec(
    name=PROTOCOL,
    title="Morpho Blue",
    events=events.EVENTS,
    create=MorphoBlue,
    keys=frozenset({"address", "pools", "label", "from_block"}),
)
