"""What the kinds of oracles mean for a position: the health factor by the protocol's prices and by the market's, and
how wrong an oracle may be.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import BPS, YEAR_S
from defiwatch.protocols.sources import READS_MARKET, Kind
from defiwatch.state.lending.distances import factor, moves


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
