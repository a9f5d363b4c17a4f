"""The rhythm of the prices that a lending market uses: how often each is pushed, and how far it moves at a push.

By asset, from the best there is: the rounds of the feed behind the market's price source, where it is followed; the
changes of the market's own price, read at every block; else what is usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Feed, Position
from defiwatch.domain.units import UINT256_MAX
from defiwatch.protocols.spec import Book, Table
from defiwatch.state import oracles
from defiwatch.state.lending.distances import factor
from defiwatch.state.lending.volatility import name_of, net_weights
from defiwatch.state.prices.assets import PEGGED, base_of


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
    squared: float = 0.0
    """Mean square of a push's relative move, forgotten likewise."""

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
    squared = before.squared + weight * (moved * moved - before.squared)
    return Pushes(time, price, before.count + 1, heartbeat, band, band_count, interval, squared)


LEAST_MOVE = 1e-4
"""A market's own price that moved less since its last push was not pushed: an exchange rate grows a little all the
time."""

PUSHES: Table[tuple[str, str, Address], Pushes] = Table("state.pushes.market")
"""(protocol, market, asset) → the changes of the market's price of it."""

Origin: TypeAlias = Literal["feed", "price", "usual"]

ENOUGH = 6
"""Pauses between pushes from which a rhythm counts as learnt."""

USUAL_S = 3600.0
"""Seconds between two pushes, where nothing else is known."""


class Rhythm(msgspec.Struct, frozen=True):
    """How a market's price of an asset moves: `interval` seconds between pushes on average, `squared` the mean square
    of a push's move, `band` (relative) and `heartbeat` (s) by which it is pushed.

    `origin`: the feed's own rounds, the changes of the market's price, or what is usual; `count` the pushes behind it,
    0 for the usual. `band` is None where nothing is known of it.
    """

    interval: float = USUAL_S
    squared: float = 0.0
    band: float | None = None
    heartbeat: float | None = None
    origin: Origin = "usual"
    count: int = 0
    band_learnt: bool = False

    @property
    def rate(self) -> float:
        """Variance a second that comes with its pushes."""
        return self.squared / self.interval if self.interval > 0.0 else 0.0


def usual(symbol: str) -> Rhythm:
    """What is usual of a feed of such an asset: 0.5 % and an hour, for a dollar-pegged one 0.25 % and a day, at most of
    whose pushes it hardly moved."""
    if PEGGED.get(base_of(symbol)) == "USD":
        return Rhythm(oracles.DAY_S, (oracles.STABLE_BAND / 10.0) ** 2, oracles.STABLE_BAND)
    return Rhythm(USUAL_S, oracles.VOLATILE_BAND**2, oracles.VOLATILE_BAND)


def of_feed(feed: Feed, pushes: oracles.Pushes) -> Rhythm | None:
    """The rhythm of a feed from its rounds; None where it has shown too few."""
    if len(pushes.intervals) < ENOUGH:
        return None
    return _learnt(feed.base, feed.quote, pushes.intervals, pushes.moves, pushes.count)


@lru_cache(maxsize=4096)
def _learnt(base: str, quote: str, intervals: tuple[int, ...], moves: tuple[float, ...], count: int) -> Rhythm:
    """Rounds come seldom and are looked at in every block."""
    feed, rounds = Feed(0, "", "", base, quote, 0, 0, 0), oracles.Pushes(0, 0, 0, intervals, moves)
    held_to = oracles.habit(feed, rounds)
    n = len(intervals)
    return Rhythm(
        interval=math.fsum(intervals) / n,
        squared=math.fsum(move * move for move in moves) / n,
        band=held_to.band,
        heartbeat=held_to.heartbeat if held_to.heartbeat_learnt else None,
        origin="feed",
        count=max(count, n + 1),
        band_learnt=held_to.band_learnt,
    )


def of_price(pushes: Pushes) -> Rhythm | None:
    """The rhythm of a market's own price from its changes; None where it has shown too few."""
    if pushes.count <= ENOUGH:
        return None
    learnt = pushes.band_count >= ENOUGH
    return Rhythm(
        interval=pushes.interval,
        squared=pushes.squared,
        band=pushes.band if learnt else None,
        origin="price",
        count=pushes.count,
        band_learnt=learnt,
    )


class Priced(msgspec.Struct, frozen=True):
    """A market's price of an asset, in the market's units for one whole asset."""

    symbol: str
    price: int


def priced(positions: Iterable[Position]) -> dict[tuple[str, str, Address], Priced]:
    """The prices that some positions show: (protocol, market, asset) → price."""
    found: dict[tuple[str, str, Address], Priced] = {}
    for position in positions:
        for leg in position.legs:
            key = (position.protocol, position.market, leg.asset)
            if leg.price > 0 and key not in found:
                found[key] = Priced(leg.symbol, leg.price)
    return found


def follow(book: Book, prices: Mapping[tuple[str, str, Address], Priced], at: BlockRef) -> None:
    """Note the pushes that a block's prices show: every price that moved since the last one."""
    for key, now in prices.items():
        before = book.get(PUSHES, key)
        price = float(now.price)
        if before is not None and abs(price / before.last_price - 1.0) < LEAST_MOVE:
            continue
        after = pushed(before or Pushes(), float(at.time), price)
        if after != before:
            book.put(PUSHES, key, after)


class Beat(msgspec.Struct, frozen=True):
    """The rhythm of a position's collateral-to-debt ratio: `interval` seconds between pushes of what moves it, `band`
    how far off its feeds may leave it, relative, None where a feed's band is not known."""

    interval: float = USUAL_S
    band: float | None = None


def beat(position: Position, rhythms: Mapping[Address, Rhythm]) -> Beat:
    """That of a position. Each asset's interval counts by its part in the movement: the square of its net weight times
    the variance that its pushes bring. An asset that is the market's own unit is never pushed.
    """
    weights = net_weights(position)
    parts: list[tuple[float, float]] = []
    band: float | None = 0.0
    for leg in position.legs:
        weight = weights.get(name_of(position, leg.asset), 0.0)
        if weight == 0.0 or fixed(position, leg.asset):
            continue
        rhythm = rhythms.get(leg.asset) or usual(leg.symbol)
        parts.append((weight * weight * rhythm.rate, rhythm.interval))
        band = None if band is None or rhythm.band is None else band + abs(weight) * rhythm.band
    movement = math.fsum(part for part, _ in parts)
    if movement > 0.0:
        return Beat(math.fsum(part * interval for part, interval in parts) / movement, band)
    return Beat(min((interval for _, interval in parts), default=USUAL_S), band)


def fixed(position: Position, asset: Address) -> bool:
    """Whether an asset is the unit that the position's market counts in."""
    return position.base != "USD" and any(
        leg.asset == asset and leg.price == 10**position.base_decimals for leg in position.legs
    )


def share_of_distance(position: Position, band: float | None) -> float:
    """The band as a share of ln(health factor), 0..10: from 1 on the feeds alone may hide the crossing."""
    value = factor(position) if position.debt_base and position.health_factor < UINT256_MAX else math.inf
    if band is None or not 1.0 < value < math.inf:
        return 0.0
    return min(10.0, band / math.log(value))
