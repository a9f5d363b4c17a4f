"""Rates between two assets, prices in dollars, and the price that several sources agree on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["oracle", "venue", "dex", "assumed"]

WEIGHT: dict[Kind, int] = {"oracle": 2, "venue": 2, "dex": 1, "assumed": 1}

ORDER: dict[Kind, int] = {"oracle": 0, "venue": 1, "dex": 2, "assumed": 3}

NO_DEPTH = 1e-9
"""The weight of a pool whose balances are not known, in dollars."""


class Rate(msgspec.Struct, frozen=True):
    """`rate` units of `quote` for one `base`. `depth`: units of the quote that stand behind it (pools)."""

    base: str
    quote: str
    rate: float
    source: str
    kind: Kind
    time: float
    fresh: bool = True
    confidence: float | None = None
    depth: float = 0.0


class Price(msgspec.Struct, frozen=True):
    """One source's price of one asset, in dollars for one whole unit. `time` is the source's own, Unix seconds.

    `confidence` is the half width of the source's own interval as a part of the price; None where it gave none.
    """

    asset: str
    symbol: str
    price: float
    source: str
    kind: Kind
    time: float
    fresh: bool
    confidence: float | None = None
    depth: float = 0.0
    """Dollars on the other side of the pool; 0.0 where it is no pool or its balances are not known."""


class Consensus(msgspec.Struct, frozen=True):
    """The price of one asset: the weighted median of its fresh sources (oracle and venue 2, all pools together 1).

    `kind` is the most trusted kind among them; `spread` the highest over the lowest, less 1. Where all are old, the
    newest stands alone and `fresh` is False.
    """

    asset: str
    symbol: str
    price: float
    time: float
    kind: Kind
    sources: int
    spread: float
    fresh: bool


class Deviation(msgspec.Struct, frozen=True):
    """How far two fresh sources of one asset are apart: `high` over `low`, less 1."""

    asset: str
    symbol: str
    relative: float
    high: Price
    low: Price


def weighted_median(pairs: Iterable[tuple[float, float]]) -> float:
    """The value at which half of the weight is reached; the mean of the two where it is reached between them.

    `pairs` of (value, positive weight), at least one.
    """
    ordered = sorted(pairs)
    half = math.fsum(weight for _, weight in ordered) / 2.0
    reached = 0.0
    for i, (value, weight) in enumerate(ordered):
        reached += weight
        if reached == half and i + 1 < len(ordered):
            return (value + ordered[i + 1][0]) / 2.0
        if reached >= half:
            return value
    return ordered[-1][0]


def votes_of(prices: Sequence[Price]) -> list[Price]:
    """The sources as they vote: each oracle and venue for itself, all pools as one (their median by depth)."""
    pools = [price for price in prices if price.kind == "dex"]
    votes = [price for price in prices if price.kind != "dex"]
    if pools:
        middle = weighted_median((price.price, max(price.depth, NO_DEPTH)) for price in pools)
        near = min(pools, key=lambda price: (abs(price.price - middle), -price.depth, price.source))
        votes.append(near)
    return votes


def agree(prices: Sequence[Price]) -> Consensus:
    """What the sources of one asset agree on. At least one price, all of the same asset."""
    votes = votes_of(prices)
    fresh = [price for price in votes if price.fresh]
    counted = fresh or [max(votes, key=lambda price: (price.time, price.source))]
    value = weighted_median((price.price, WEIGHT[price.kind]) for price in counted)
    low, high = min(price.price for price in counted), max(price.price for price in counted)
    return Consensus(
        asset=counted[0].asset,
        symbol=counted[0].symbol,
        price=value,
        time=max(price.time for price in counted),
        kind=counted[0].kind,
        sources=len(counted),
        spread=high / low - 1.0,
        fresh=bool(fresh),
    )
