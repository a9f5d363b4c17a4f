"""Chainlink price feeds: a proxy's answers, from the events of the aggregator behind it.

A feed is named by its proxy, which emits nothing; the aggregator behind it does, and the proxy's owner may replace it
at any time without an event, so `aggregator()` is read again now and then. A proxy's round id is the aggregator's with
the number of aggregators so far (the phase) in the bits above 64.
smartcontractkit/chainlink@contracts-v0.8.0 src/v0.6/AggregatorProxy.sol:240-270, FluxAggregator.sol,
libocr AccessControlledOffchainAggregator (OCR1), OCR2Aggregator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact, PricePushed
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS, Address, ChainId, short
from defiwatch.domain.risk import Feed
from defiwatch.domain.text import harmless
from defiwatch.errors import ConfigError
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, decode, event, function, words
from defiwatch.protocols.erc20 import DECIMALS, read_text
from defiwatch.protocols.spec import Book, Instance, LogFilter, ProtocolSpec, Table

RECHECK_S = 600
"""Seconds of block time after which a proxy is asked again for its aggregator and its latest round."""

PHASE_OFFSET = 64

BOUNDS_AFTER_S = 3_600
"""Seconds of block time after an aggregator was met until its bounds are read: not while a start waits for reads."""

AGGREGATOR = function("aggregator()", "address")
DESCRIPTION = function("description()", "string")
LATEST_ROUND_DATA = function("latestRoundData()", "uint80,int256,uint256,uint256,uint80")

MIN_ANSWER = function("minAnswer()", "int192")
MAX_ANSWER = function("maxAnswer()", "int192")


class AnswerUpdated(Event, frozen=True):
    """The aggregator's answer of a round, in 10**-decimals of the quote unit; `updated_at` in Unix seconds."""

    current: int
    round_id: int
    updated_at: int


class NewRound(Event, frozen=True):
    """A round began."""

    round_id: int
    started_by: Address
    started_at: int


class Ocr1Transmission(Event, frozen=True):
    """Off-chain reporting, first version: the answer of a round with every oracle's observation."""

    aggregator_round_id: int
    answer: int
    transmitter: Address
    observations: tuple[int, ...]
    observers: str
    raw_report_context: str


class Ocr2Transmission(Event, frozen=True):
    """Off-chain reporting, second version."""

    aggregator_round_id: int
    answer: int
    transmitter: Address
    observations_timestamp: int
    observations: tuple[int, ...]
    observers: str
    juels_per_fee_coin: int
    config_digest: str
    epoch_and_round: int


ANSWER_UPDATED = event(
    "AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt)", AnswerUpdated
)
NEW_ROUND = event("NewRound(uint256 indexed roundId, address indexed startedBy, uint256 startedAt)", NewRound)
OCR1_TRANSMISSION = event(
    "NewTransmission(uint32 indexed aggregatorRoundId, int192 answer, address transmitter, int192[] observations,"
    " bytes observers, bytes32 rawReportContext)",
    Ocr1Transmission,
)
OCR2_TRANSMISSION = event(
    "NewTransmission(uint32 indexed aggregatorRoundId, int192 answer, address transmitter,"
    " uint32 observationsTimestamp, int192[] observations, bytes observers, int192 juelsPerFeeCoin,"
    " bytes32 configDigest, uint40 epochAndRound)",
    Ocr2Transmission,
)


class FeedState(msgspec.Struct, frozen=True):
    """One feed. `aggregator` and `description` are None, `decimals` -1, `round_id` 0 until they are known.

    `round_id` is the proxy's (phase in the bits above 64); `read_at` and `checked_at` are the block times at which
    the latest round and the aggregator were read last (0: never). `block` is that of the last change of the answer.
    """

    aggregator: Address | None = None
    description: str | None = None
    decimals: int = -1
    answer: int = 0
    round_id: int = 0
    updated_at: int = 0
    block: int = 0
    read_at: int = 0
    checked_at: int = 0
    answered_in_round: int = 0
    started_at: int = 0
    met_at: int = 0
    """The block time at which it pointed to its aggregator first."""
    min_answer: int | None = None
    """The aggregator's bounds; None: not read yet, 0: it has none."""
    max_answer: int | None = None

    @property
    def phase(self) -> int:
        """How many aggregators the proxy had; 0 where that is not known, or the feed has no proxy."""
        return self.round_id >> PHASE_OFFSET


FEEDS: Table[Address, FeedState] = Table("chainlink.feed")
PROXIES: Table[Address, tuple[Address, ...]] = Table("chainlink.proxies")
"""aggregator → the proxies that answer from it."""


_PAIR = re.compile(r"([^\s/]+)\s*/\s*([^\s/]+)")


def pair_of(description: str) -> tuple[str, str]:
    """Base and quote of a feed's description: "ETH / USD" gives ("ETH", "USD"); ("", "") where it names none."""
    match = _PAIR.search(description)
    return (match[1], match[2]) if match else ("", "")


class Chainlink(Instance):
    """Feeds by their proxies. An address without `aggregator()` is taken as an aggregator itself."""

    protocol = "chainlink"
    events = (ANSWER_UPDATED, NEW_ROUND, OCR1_TRANSMISSION, OCR2_TRANSMISSION)

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not deployment.feeds:
            raise ConfigError("chainlink: expected feeds = [addresses of proxies]")
        self._feeds = tuple(dict.fromkeys(deployment.feeds))
        self._feed_set = frozenset(self._feeds)
        self._topics = frozenset(spec.topic0 for spec in self.events)
        self._filter = LogFilter(frozenset(), self._topics)

    def filter(self, book: Book) -> LogFilter:
        """The events of the aggregators behind its feeds."""
        states = (book.get(FEEDS, proxy) for proxy in self._feeds)
        addresses = frozenset(state.aggregator for state in states if state is not None and state.aggregator)
        if addresses != self._filter.addresses:
            self._filter = LogFilter(addresses, self._topics)
        return self._filter

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Decimals and description once; the aggregator and the latest round at the start and every RECHECK_S."""
        calls: list[Call] = []
        for proxy in self._feeds:
            state = book.get(FEEDS, proxy) or FeedState()
            if state.checked_at == 0 or at.time - state.checked_at >= RECHECK_S:
                calls.append(AGGREGATOR.call(proxy))
            if state.decimals < 0:
                calls.append(DECIMALS.call(proxy))
            if state.description is None:
                calls.append(DESCRIPTION.call(proxy))
            if state.read_at == 0 or at.time - state.read_at >= RECHECK_S:
                calls.append(LATEST_ROUND_DATA.call(proxy))
            if state.aggregator and state.met_at and at.time - state.met_at >= BOUNDS_AFTER_S:
                calls += [MIN_ANSWER.call(state.aggregator)] if state.min_answer is None else []
                calls += [MAX_ANSWER.call(state.aggregator)] if state.max_answer is None else []
        return reads.open_calls(book, at, calls)

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take one answer of a proxy, or of the aggregator behind it."""
        proxy, question = call.to.lower(), call.data.lower()
        if question in _BOUNDS:
            return self._bound(book, at, call, proxy, question)
        if proxy not in self._feed_set or question not in _QUESTIONS:
            return False
        state = book.get(FEEDS, proxy) or FeedState()
        if reads.empty(call):
            reads.refuse(book, at, call)
            if question == AGGREGATOR.selector and state.aggregator is None and state.decimals >= 0:
                self._point(book, proxy, state, proxy, at)
            return True
        reads.accept(book, call)
        result = call.result or ""
        if question == AGGREGATOR.selector:
            (aggregator,) = decode(AGGREGATOR.outputs, result)
            self._point(book, proxy, state, aggregator, at)
        elif question == DECIMALS.selector:
            book.put(FEEDS, proxy, msgspec.structs.replace(state, decimals=(words(result) or (-1,))[0]))
        elif question == DESCRIPTION.selector:
            book.put(FEEDS, proxy, msgspec.structs.replace(state, description=read_text(result, 64)))
        else:
            self._latest(book, proxy, state, result, at)
        return True

    def _bound(self, book: Book, at: BlockRef, call: CallResult, aggregator: Address, question: str) -> bool:
        """The least or greatest answer of an aggregator; one that refuses to say has none."""
        value = 0
        if reads.empty(call):
            reads.refuse(book, at, call)
        else:
            (value,) = decode(MIN_ANSWER.outputs, call.result or "")
        mine = [proxy for proxy in book.get(PROXIES, aggregator) or () if proxy in self._feed_set]
        for proxy in mine:
            state = book.get(FEEDS, proxy) or FeedState()
            if question == MIN_ANSWER.selector:
                book.put(FEEDS, proxy, msgspec.structs.replace(state, min_answer=value))
            else:
                book.put(FEEDS, proxy, msgspec.structs.replace(state, max_answer=value))
        return bool(mine)

    def _point(self, book: Book, proxy: Address, state: FeedState, aggregator: Address, at: BlockRef) -> None:
        """Note which aggregator a proxy answers from; a new one brings another phase, so the round is read again."""
        if aggregator == ZERO_ADDRESS:
            aggregator = ""
        before = state.aggregator
        changed = msgspec.structs.replace(state, aggregator=aggregator, checked_at=at.time)
        if before != aggregator:
            changed = msgspec.structs.replace(changed, met_at=at.time, min_answer=None, max_answer=None)
        if before is not None and before != aggregator:
            changed = msgspec.structs.replace(changed, read_at=0)
            book.notice(f"chainlink: the feed {short(proxy)} answers from another aggregator, {short(aggregator)}")
        book.put(FEEDS, proxy, changed)
        if before == aggregator:
            return
        if before:
            rest = tuple(name for name in book.get(PROXIES, before) or () if name != proxy)
            if rest:
                book.put(PROXIES, before, rest)
            else:
                book.drop(PROXIES, before)
        if aggregator:
            book.put(PROXIES, aggregator, tuple(sorted({*(book.get(PROXIES, aggregator) or ()), proxy})))

    def _latest(self, book: Book, proxy: Address, state: FeedState, result: str, at: BlockRef) -> None:
        """Take the proxy's own latest round: it heals whatever an event did not tell."""
        round_id, answer, started_at, updated_at, answered = decode(LATEST_ROUND_DATA.outputs, result)
        if at.number < state.block:
            return
        fresh = msgspec.structs.replace(state, read_at=at.time, started_at=started_at, answered_in_round=answered)
        told = (state.round_id, state.answer, state.updated_at)
        if told != (round_id, answer, updated_at):
            if state.round_id >> PHASE_OFFSET == round_id >> PHASE_OFFSET and state.read_at:
                book.notice(
                    f"chainlink: the feed {short(proxy)} had moved on without an event; its answer was read again"
                )
            fresh = msgspec.structs.replace(
                fresh, round_id=round_id, answer=answer, updated_at=updated_at, block=at.number
            )
        book.put(FEEDS, proxy, fresh)

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """An aggregator's answer is the answer of every feed that points to it. One answer told twice counts once."""
        if isinstance(event, AnswerUpdated):
            answer, round_id, updated_at = event.current, event.round_id, event.updated_at
        elif isinstance(event, Ocr1Transmission | Ocr2Transmission):
            answer, round_id, updated_at = event.answer, event.aggregator_round_id, at.time
        else:
            return ()
        facts: list[Fact] = []
        for proxy in book.get(PROXIES, event.address) or ():
            state = book.get(FEEDS, proxy)
            if proxy in self._feed_set and state is not None:
                fact = self._push(book, at, event, proxy, state, (answer, round_id, updated_at))
                if fact is not None:
                    facts.append(fact)
        return facts

    def _push(
        self,
        book: Book,
        at: BlockRef,
        event: Event,
        proxy: Address,
        state: FeedState,
        told: tuple[int, int, int],
    ) -> PricePushed | None:
        answer, aggregator_round, updated_at = told
        round_id = (state.phase << PHASE_OFFSET) | aggregator_round
        if (round_id, answer, updated_at) == (state.round_id, state.answer, state.updated_at):
            return None
        if round_id < state.round_id:
            return None
        changed = msgspec.structs.replace(
            state,
            answer=answer,
            round_id=round_id,
            updated_at=updated_at,
            block=at.number,
            answered_in_round=round_id,
            started_at=state.started_at if answer == state.answer else updated_at,
        )
        book.put(FEEDS, proxy, changed)
        feed = self._feed(book, proxy)
        return PricePushed(
            feed=proxy,
            protocol=self.protocol,
            base=feed.base,
            quote=feed.quote,
            answer=answer,
            decimals=feed.decimals,
            round_id=round_id,
            updated_at=updated_at,
            tx=event.tx,
            log_index=event.log_index,
        )

    def feeds(self, book: Book) -> Iterable[Feed]:
        """Its feeds as they stand, in the order of the configuration."""
        return [self._feed(book, proxy) for proxy in self._feeds]

    def _feed(self, book: Book, proxy: Address) -> Feed:
        state = book.get(FEEDS, proxy) or FeedState()
        base, quote = pair_of(state.description or "")
        if not base:
            label = self.deployment.label if len(self._feeds) == 1 else ""
            base, quote = pair_of(label)
        sequencer = "sequencer" in (state.description or self.deployment.label).lower()
        reasons = [
            reason
            for reason, holds in (
                ("aggregator not read", not state.aggregator),
                ("decimals not read", state.decimals < 0),
                ("no round read", state.round_id == 0),
                ("the description names no pair", state.description is not None and not base and not sequencer),
                ("description not read", state.description is None and not base),
                ("the answer is not positive", state.round_id != 0 and state.answer <= 0 and not sequencer),
            )
            if holds
        ]
        return Feed(
            chain_id=self.chain_id,
            protocol=self.protocol,
            address=proxy,
            base=base or harmless(state.description or short(proxy), 24),
            quote=quote,
            answer=state.answer,
            decimals=max(state.decimals, 0),
            updated_at=state.updated_at,
            round_id=state.round_id,
            block=state.block,
            unknown="; ".join(reasons),
            answered_in_round=state.answered_in_round,
            started_at=state.started_at,
            min_answer=state.min_answer or 0,
            max_answer=state.max_answer or 0,
            sequencer=sequencer,
        )


_QUESTIONS = frozenset({AGGREGATOR.selector, DECIMALS.selector, DESCRIPTION.selector, LATEST_ROUND_DATA.selector})
_BOUNDS = frozenset({MIN_ANSWER.selector, MAX_ANSWER.selector})

CHAINLINK = ProtocolSpec(
    name="chainlink",
    title="Chainlink feeds",
    events=Chainlink.events,
    create=Chainlink,
    keys=frozenset({"feeds", "label"}),
)
