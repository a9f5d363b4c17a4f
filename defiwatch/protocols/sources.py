"""Where a lending market takes its prices from: what a price source is, told by the questions that it answers.

Aave's oracle asks one source an asset (`getSourceOfAsset`), which may be a plain feed, a feed behind an SVR that
holds rounds back, or an adapter: capped by a ratio that grows (CAPO for LSTs), capped by a fixed price (stables), a
fixed price, or a product of several. aave-v3-core@e0bfed1 AaveOracle.sol; bgd-labs/aave-capo@2c280ef
src/contracts/PriceCapAdapterBase.sol, PriceCapAdapterStable.sol. A Morpho oracle is most often a quotient of feeds:
morpho-org/morpho-blue-oracles src/morpho-chainlink/MorphoChainlinkOracleV2.sol.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.units import ratio
from defiwatch.errors import ReadError
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, Function, decode, function
from defiwatch.protocols.erc20 import read_text
from defiwatch.protocols.spec import Book, Table

Kind: TypeAlias = Literal["feed", "svr", "ratio_cap", "price_cap", "rate", "fixed", "quotient", "unknown"]
"""feed: a market price, pushed. svr: the same, its rounds released to searchers first. ratio_cap: base price × an
exchange rate that may only grow so fast. price_cap: a market price, at most a fixed one. rate: base price × an
exchange rate. fixed: a constant. quotient: feeds divided by feeds."""

READS_MARKET: frozenset[Kind] = frozenset({"feed", "svr", "price_cap", "quotient"})
"""Kinds whose price follows a market price of the asset itself; the others do not see its discount."""

GET_SOURCE = function("getSourceOfAsset(address)", "address")
DESCRIPTION = function("description()", "string")
IS_CAPPED = function("isCapped()", "bool")
RATIO = function("getRatio()", "int256")
SNAPSHOT_RATIO = function("getSnapshotRatio()", "uint256")
SNAPSHOT_TIME = function("getSnapshotTimestamp()", "uint256")
GROWTH_PER_SECOND = function("getMaxRatioGrowthPerSecond()", "uint256")
GROWTH_YEARLY = function("getMaxYearlyGrowthRatePercent()", "uint256")
BASE_FEED = function("BASE_TO_USD_AGGREGATOR()", "address")
PRICE_CAP = function("getPriceCap()", "int256")
STABLE_FEED = function("ASSET_TO_USD_AGGREGATOR()", "address")
FIXED_PRICE = function("price()", "int256")
AGGREGATOR = function("aggregator()", "address")
BASE_FEEDS = (function("BASE_FEED_1()", "address"), function("BASE_FEED_2()", "address"))
QUOTE_FEEDS = (function("QUOTE_FEED_1()", "address"), function("QUOTE_FEED_2()", "address"))

QUESTIONS: tuple[Function, ...] = (
    DESCRIPTION,
    IS_CAPPED,
    RATIO,
    SNAPSHOT_RATIO,
    SNAPSHOT_TIME,
    GROWTH_PER_SECOND,
    GROWTH_YEARLY,
    BASE_FEED,
    PRICE_CAP,
    STABLE_FEED,
    AGGREGATOR,
    *BASE_FEEDS,
    *QUOTE_FEEDS,
)
"""What a source is asked; what it does not have, it refuses, and that tells its kind."""


class Source(msgspec.Struct, frozen=True):
    """One asset's price source, as its answers describe it.

    Ratios in the adapter's own scale, `growth` a second in it, `snapshot_time` Unix seconds, `growth_yearly` in basis
    points, `price_cap` in the feed's units. `feed` is what pushes behind it ("" where none is known): the source
    itself for a plain one. A quotient has `over` (its price is their product) divided by `under`, and no `feed`
    unless one stands alone.
    """

    asset: Address
    address: Address
    kind: Kind
    description: str = ""
    feed: Address = ""
    capped: bool | None = None
    ratio: int = 0
    snapshot_ratio: int = 0
    snapshot_time: int = 0
    growth: int = 0
    growth_yearly: int = 0
    price_cap: int = 0
    over: tuple[Address, ...] = ()
    under: tuple[Address, ...] = ()

    @property
    def feeds(self) -> tuple[Address, ...]:
        """Every feed whose pushes move its price."""
        return (*self.over, *self.under) or ((self.feed,) if self.feed else ())

    def most(self, time: float) -> float:
        """The largest ratio that the cap lets through at `time`: snapshot + growth·(time − snapshot time). 0.0: no
        cap."""
        if self.kind != "ratio_cap":
            return 0.0
        return self.snapshot_ratio + self.growth * max(0.0, time - self.snapshot_time)

    def headroom(self, time: float, price: int = 0) -> float | None:
        """How far below its cap it stands, relative: 0.01 is 1 %, 0 or less is capped. None where nothing caps it.

        `price` is the price now, in the feed's units, for a price cap.
        """
        if self.kind == "ratio_cap" and self.ratio > 0:
            return self.most(time) / self.ratio - 1.0
        if self.kind == "price_cap" and self.price_cap > 0 and price > 0:
            return ratio(self.price_cap, price) - 1.0
        return None


def source_calls(address: Address) -> list[Call]:
    """The questions to one source."""
    return [question.call(address) for question in QUESTIONS]


def source_of(asset: Address, address: Address, answers: Sequence[CallResult]) -> Source:
    """What a source is, from its answers; refused questions are part of the answer."""
    told: dict[str, object] = {}
    for call in answers:
        question = next((item for item in QUESTIONS if item.matches(call)), None)
        if question is None or call.to.lower() != address or reads.empty(call):
            continue
        if question is DESCRIPTION:
            told[question.selector] = read_text(call.result or "", 64)
            continue
        try:
            told[question.selector] = decode(question.outputs, call.result or "")[0]
        except ReadError:
            continue

    def number(question: Function) -> int:
        value = told.get(question.selector, 0)
        return value if isinstance(value, int) else 0

    def text(question: Function) -> str:
        return str(told.get(question.selector, ""))

    description = text(DESCRIPTION)
    capped = told.get(IS_CAPPED.selector)
    kind: Kind = "unknown"
    if number(SNAPSHOT_RATIO):
        kind = "ratio_cap"
    elif number(PRICE_CAP):
        kind = "price_cap"
    elif number(RATIO):
        kind = "rate"
    elif AGGREGATOR.selector in told:
        kind = "svr" if "svr" in description.lower() else "feed"
    elif "fixed" in description.lower():
        kind = "fixed"
    over, under = (
        tuple(feed for feed in (text(question) for question in side) if feed not in ("", ZERO_ADDRESS))
        for side in (BASE_FEEDS, QUOTE_FEEDS)
    )
    if kind == "unknown" and (over or under):
        kind = "quotient"
    feed = text(BASE_FEED) or text(STABLE_FEED) or (address if kind in ("feed", "svr") else "")
    if kind == "quotient" and len(over) + len(under) == 1:
        feed = (*over, *under)[0]
    return Source(
        asset=asset,
        address=address,
        kind=kind,
        description=description,
        feed=feed,
        capped=bool(capped) if capped is not None else None,
        ratio=number(RATIO),
        snapshot_ratio=number(SNAPSHOT_RATIO),
        snapshot_time=number(SNAPSHOT_TIME),
        growth=number(GROWTH_PER_SECOND),
        growth_yearly=number(GROWTH_YEARLY),
        price_cap=number(PRICE_CAP),
        over=over if kind == "quotient" else (),
        under=under if kind == "quotient" else (),
    )


TOLD: Table[tuple[Address, str], str] = Table("sources.told")
"""(source, question) → its answer as it came, "" where it was refused."""

_CHANGING = frozenset(
    question.selector
    for question in (IS_CAPPED, RATIO, SNAPSHOT_RATIO, SNAPSHOT_TIME, GROWTH_PER_SECOND, GROWTH_YEARLY, PRICE_CAP)
)
_SELECTORS = frozenset(question.selector for question in QUESTIONS)


def unasked(book: Book, sources: Iterable[Address]) -> list[Call]:
    """The questions that these sources were never asked."""
    return [
        question.call(source)
        for source in sources
        for question in QUESTIONS
        if book.get(TOLD, (source, question.selector)) is None
    ]


def changing(book: Book, sources: Iterable[Address]) -> list[Call]:
    """The questions to these sources whose answers move: ratios and caps."""
    return [
        question.call(source)
        for source in sources
        for question in QUESTIONS
        if question.selector in _CHANGING and book.get(TOLD, (source, question.selector)) not in (None, "")
    ]


def concerns(call: CallResult) -> bool:
    """Whether an answer can be a source's."""
    return call.data.lower() in _SELECTORS


def take(book: Book, call: CallResult) -> None:
    """Keep a source's answer."""
    key, told = (call.to.lower(), call.data.lower()), "" if reads.empty(call) else call.result or ""
    if book.get(TOLD, key) != told:
        book.put(TOLD, key, told)


def known(book: Book, asset: Address, address: Address) -> Source | None:
    """What is known of a source; None while it was not asked."""
    told = []
    for question in QUESTIONS:
        answer = book.get(TOLD, (address, question.selector))
        if answer is None:
            return None
        told.append(answer)
    return _understood(asset, address, tuple(told))


@lru_cache(maxsize=4096)
def _understood(asset: Address, address: Address, told: tuple[str, ...]) -> Source:
    """Answers change seldom and are looked at in every block."""
    answers = [
        CallResult(to=address, data=call.data, result=answer or None, error=None if answer else "refused")
        for call, answer in zip(source_calls(address), told, strict=True)
    ]
    return source_of(asset, address, answers)
