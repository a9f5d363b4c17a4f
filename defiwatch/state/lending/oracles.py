"""Where a lending market takes its prices from, and what that means: oracle kinds, caps, bands, and the dual health
factor.

Aave's oracle asks one source an asset (`getSourceOfAsset`), which may be a plain feed, a feed behind an SVR that
holds rounds back, or an adapter: capped by a ratio that grows (CAPO for LSTs), capped by a fixed price (stables), a
fixed price, or a product of several. aave-v3-core@e0bfed1 AaveOracle.sol; bgd-labs/aave-capo@2c280ef
src/contracts/PriceCapAdapterBase.sol, PriceCapAdapterStable.sol.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import BPS, YEAR_S, ratio
from defiwatch.errors import ReadError
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, Function, decode, function
from defiwatch.protocols.erc20 import read_text
from defiwatch.state.lending.distances import factor, moves

Kind: TypeAlias = Literal["feed", "svr", "ratio_cap", "price_cap", "rate", "fixed", "unknown"]
"""feed: a market price, pushed. svr: the same, its rounds released to searchers first. ratio_cap: base price × an
exchange rate that may only grow so fast. price_cap: a market price, at most a fixed one. rate: base price × an
exchange rate. fixed: a constant."""

READS_MARKET: frozenset[Kind] = frozenset({"feed", "svr", "price_cap"})
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
SVR_PRIMARY = function("getPrimaryPriceFeed()", "address")

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
)
"""What a source is asked; what it does not have, it refuses, and that tells its kind."""


class Source(msgspec.Struct, frozen=True):
    """One asset's price source, as its answers describe it.

    Ratios in the adapter's own scale, `growth` a second in it, `snapshot_time` Unix seconds, `growth_yearly` in basis
    points, `price_cap` in the feed's units. `feed` is what pushes behind it ("" where none is known): the source
    itself for a plain one.
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
    feed = text(BASE_FEED) or text(STABLE_FEED) or (address if kind in ("feed", "svr") else "")
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
    )


class Pushes(msgspec.Struct, frozen=True):
    """What a feed's pushes have taught of it. Times in seconds, `band` relative (0.005 is 0.5 %); 0.0 while not known.

    A push that moved the price by about its band, long before its heartbeat, is due to the band; one that hardly
    moved it, after the longest pause so far, to the heartbeat.
    """

    last_time: float = 0.0
    last_price: float = 0.0
    count: int = 0
    heartbeat: float = 0.0
    band: float = 0.0
    band_count: int = 0
    interval: float = 0.0
    """Mean time between pushes, exponentially forgotten over about twenty."""

    @property
    def push_s(self) -> float:
        """How often it pushes, seconds: what the barrier formula takes. Its heartbeat while little was seen."""
        return self.interval or self.heartbeat


MOVED_PART = 0.5
"""A push after less than this part of the heartbeat was not due to it."""


def pushed(before: Pushes, time: float, price: float) -> Pushes:
    """The same after one more push at `time` (Unix seconds). Out of order or without a price it changes nothing."""
    if not price > 0.0 or not math.isfinite(price) or (before.count and time <= before.last_time):
        return before
    if before.count == 0:
        return Pushes(last_time=time, last_price=price, count=1)
    pause = time - before.last_time
    moved = abs(price / before.last_price - 1.0)
    heartbeat = max(before.heartbeat, pause)
    band, band_count = before.band, before.band_count
    if pause < MOVED_PART * heartbeat and moved > 0.0:
        # The smallest of such moves lies just above the band; slow forgetting lets a band that was widened be seen.
        band = moved if band_count == 0 else min(moved, band + 0.02 * (moved - band))
        band_count += 1
    weight = max(0.05, 1.0 / before.count)
    interval = before.interval + weight * (pause - before.interval)
    return Pushes(time, price, before.count + 1, heartbeat, band, band_count, interval)


class DualLeg(msgspec.Struct, frozen=True):
    """One asset by both prices, in base-currency units for one whole asset. `deviation` is market ÷ protocol − 1."""

    asset: Address
    symbol: str
    kind: Kind
    protocol_price: float
    market_price: float | None
    deviation: float | None
    seen: bool
    """Whether the protocol's price follows the market's at all."""


class Dual(msgspec.Struct, frozen=True):
    """The health factor by the protocol's prices and by the market's, None where a market price is missing.

    `coming` is the factor that the protocol itself will see, once prices that follow the market have caught up:
    assets whose oracle never reads the market keep the protocol's price. `sentence` says how wrong the oracle may be.
    """

    protocol: float
    market: float | None
    coming: float | None
    legs: tuple[DualLeg, ...]
    sentence: str


def dual(
    position: Position, market_prices: Mapping[Address, float], kinds: Mapping[Address, Kind] | None = None
) -> Dual:
    """Both factors. `market_prices`: base-currency units (as floats) for one whole asset, where a market price is
    known."""
    found: list[DualLeg] = []
    by_market = [0.0, 0.0]
    by_coming = [0.0, 0.0]
    whole = not position.unknown and position.debt_base > 0
    for leg in position.legs:
        kind = (kinds or {}).get(leg.asset, "unknown")
        price = market_prices.get(leg.asset)
        seen = kind in READS_MARKET or kind == "unknown"
        deviation = price / leg.price - 1.0 if price is not None and leg.price > 0 else None
        found.append(DualLeg(leg.asset, leg.symbol, kind, float(leg.price), price, deviation, seen))
        if not leg.collateral_base and not leg.debt_base:
            continue
        if deviation is None:
            whole = False
            continue
        weighted = leg.collateral_base * leg.liquidation_threshold / BPS
        for sums, moved in ((by_market, deviation), (by_coming, deviation if seen else 0.0)):
            sums[0] += weighted * (1.0 + moved)
            sums[1] += leg.debt_base * (1.0 + moved)
    return Dual(
        protocol=factor(position),
        market=by_market[0] / by_market[1] if whole and by_market[1] > 0.0 else None,
        coming=by_coming[0] / by_coming[1] if whole and by_coming[1] > 0.0 else None,
        legs=tuple(found),
        sentence=sentence(position),
    )


def sentence(position: Position) -> str:
    """How wrong the oracle may be: "liquidated if the oracle of WETH is 3.1 % too high"; "" where nothing can be
    said."""
    nearest = moves(position)
    if position.unknown or not nearest:
        return ""
    first = nearest[0]
    name = first.symbol or first.asset
    if factor(position) < 1.0:
        return f"liquidatable now; not so if the oracle of {name} is {abs(first.move) * 100:.1f} % wrong"
    # A true price of (1 + move) times the oracle's: the oracle says 1/(1 + move) − 1 more than is true.
    wrong = (1.0 / (1.0 + first.move) - 1.0) * 100.0
    return f"liquidated if the oracle of {name} is {abs(wrong):.1f} % too {'high' if wrong > 0 else 'low'}"


def yearly(growth: int, snapshot_ratio: int) -> float:
    """A ratio cap's growth a second as a rate a year, relative to its snapshot."""
    return growth * YEAR_S / snapshot_ratio if snapshot_ratio else 0.0
