"""How far a position is from liquidation: by price, all together or one by one, and by time; and what a liquidation
would do.

Floats, from exact positions. Moves are relative: -0.12 is a fall by 12 %. Values in the position's base currency.
With K = Σ collateral·threshold and D = Σ debt, in value: health factor K/D.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Literal, TypeAlias

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import BPS, UINT256_MAX, WAD, YEAR_S, ratio

Closing: TypeAlias = Literal["whole", "half", "half_large"]
"""How much one call may take. whole: Morpho, Compound. half: Aave up to 3.2, half a debt above 0.95. half_large: from
3.3, that only where both sides are worth $2,000 or more, and half of all debt."""

_HALF_ABOVE = 0.95
_LARGE = 2000.0


class Move(msgspec.Struct, frozen=True):
    """The price of one asset at which the factor crosses 1, all else equal; in base-currency units for one whole
    asset."""

    asset: Address
    symbol: str
    price: float
    liquidation_price: float
    move: float
    exact: bool
    """Whether the price is the contract's own crossing, to the unit."""


class Toxic(msgspec.Struct, frozen=True):
    """A collateral whose seizure lowers the factor: it does below `below` = threshold·(1 + bonus)."""

    asset: Address
    symbol: str
    below: float
    inside: bool


class Take(msgspec.Struct, frozen=True):
    """What one liquidation call could take. Amounts in the assets' units, values in base-currency units.

    `profit` is the bonus before gas, swap and the protocol's part; `factor_after` the health factor that remains
    (infinite without debt). `whole` that no debt remains.
    """

    collateral: Address
    debt: Address
    repay: int
    seize: int
    repay_value: float
    seize_value: float
    profit: float
    factor_after: float
    whole: bool


def factor(position: Position) -> float:
    """The health factor as a plain number; infinity without debt."""
    return math.inf if position.health_factor >= UINT256_MAX else ratio(position.health_factor, WAD)


def sides(legs: tuple[Leg, ...]) -> tuple[float, float]:
    """K and D of some legs, from their exact values."""
    weighted = math.fsum(leg.collateral_base * leg.liquidation_threshold / BPS for leg in legs)
    return weighted, math.fsum(float(leg.debt_base) for leg in legs)


def common_shock(position: Position, moving: AbstractSet[Address] | None = None) -> float | None:
    """The fall of all `moving` assets together that brings the factor to 1: 0.05 is a fall by 5 %; negative: beyond
    already.

    By default the collateral falls and the debt stays: 1 − 1/HF, which is right where the debt does not move with it.
    With `moving` given, debt in those assets falls too: (1 − δ) = (D_o − K_o)/(K_m − D_m). None where no fall does
    it.
    """
    if position.unknown or position.debt_base == 0:
        return None
    if moving is None:
        value = factor(position)
        return 1.0 - 1.0 / value if value > 0.0 else None
    k_moving, d_moving = sides(tuple(leg for leg in position.legs if leg.asset in moving))
    k_other, d_other = sides(tuple(leg for leg in position.legs if leg.asset not in moving))
    if k_moving <= d_moving:
        return None
    left = (d_other - k_other) / (k_moving - d_moving)
    return 1.0 - left if left > 0.0 else None


def liquidation_price(position: Position, asset: Address) -> float | None:
    """The price of one asset at which K = D, all else equal: collateral, debt or both sides; None where none is above
    0.

    P = (D_o − K_o)/(a·LT − d) with the asset's own amounts a and d in whole units.
    """
    mine = tuple(leg for leg in position.legs if leg.asset == asset)
    if position.unknown or position.debt_base == 0 or not mine or mine[0].price <= 0:
        return None
    k_mine, d_mine = sides(mine)
    k_other, d_other = sides(tuple(leg for leg in position.legs if leg.asset != asset))
    slope = (k_mine - d_mine) / mine[0].price
    gap = d_other - k_other
    if slope == 0.0 or gap == 0.0 or (slope > 0.0) != (gap > 0.0):
        return None
    return gap / slope


def moves(position: Position) -> list[Move]:
    """Each asset's own crossing, nearest first: the contract's where the position has it, else by the closed form."""
    found: list[Move] = []
    for leg in position.legs:
        if leg.price <= 0 or any(item.asset == leg.asset for item in found):
            continue
        exact = position.liquidation_prices.get(leg.asset)
        price = float(exact) if exact is not None else liquidation_price(position, leg.asset)
        if price is not None and price > 0.0:
            move = price / leg.price - 1.0
            found.append(Move(leg.asset, leg.symbol, float(leg.price), price, move, exact is not None))
    return sorted(found, key=lambda item: (abs(item.move), item.asset))


def net_rates(position: Position, rates: Mapping[Address, tuple[float, float]]) -> tuple[float, float] | None:
    """What the debt costs and the collateral earns, a year, weighted as they count; None where a rate is missing.

    `rates` maps an asset to (supply, borrow). Interest of an asset itself (staking) is not in them.
    """
    weighted, debt = sides(position.legs)
    if weighted <= 0.0 or debt <= 0.0:
        return None
    cost: list[float] = []
    earned: list[float] = []
    for leg in position.legs:
        rate = rates.get(leg.asset)
        if leg.debt_base and rate is None:
            return None
        if rate is not None:
            cost.append(leg.debt_base * rate[1])
            earned.append(leg.collateral_base * leg.liquidation_threshold / BPS * rate[0])
    return math.fsum(cost) / debt, math.fsum(earned) / weighted


def carry_time(health_factor: float, borrow_rate: float, supply_rate: float) -> float | None:
    """Seconds until interest alone brings the factor to 1: ln(HF)/(r_b − r_s). None: it never does."""
    if health_factor <= 1.0:
        return 0.0
    if borrow_rate <= supply_rate or not math.isfinite(health_factor):
        return None
    return math.log(health_factor) / (borrow_rate - supply_rate) * YEAR_S


def toxic(position: Position) -> list[Toxic]:
    """The collaterals by when their liquidation makes the position worse: HF < threshold·(1 + bonus)."""
    value = factor(position)
    found = [
        Toxic(leg.asset, leg.symbol, below, value < below)
        for leg in position.legs
        if leg.collateral_base and leg.liquidation_threshold and leg.liquidation_bonus
        for below in (leg.liquidation_threshold * leg.liquidation_bonus / (BPS * BPS),)
    ]
    return sorted(found, key=lambda item: (-item.below, item.asset))


def closable(position: Position, debt: Leg, collateral: Leg, closing: Closing) -> float:
    """How much of one debt leg, as a value, one call may repay."""
    value = factor(position)
    owed = float(debt.debt_base)
    if closing == "whole" or value <= _HALF_ABOVE:
        return owed
    if closing == "half":
        return owed / 2.0
    large = _LARGE * 10.0**position.base_decimals
    if collateral.collateral_base >= large and owed >= large:
        return min(owed, position.debt_base / 2.0)
    return owed


def take(position: Position, closing: Closing) -> Take | None:
    """What a liquidator would take: the pair of collateral and debt that pays most. None while the factor is 1 or
    above.

    Floats and one rule for all revisions; a protocol's own `plan` is exact where there is one.
    """
    if position.unknown or factor(position) >= 1.0:
        return None
    return best_take(position, closing)


def best_take(position: Position, closing: Closing) -> Take | None:
    """The same, were it liquidatable now; None where it has no collateral or no debt."""
    weighted, owed = sides(position.legs)
    found: list[tuple[float, Address, Address, Take]] = []
    for collateral in position.legs:
        if not collateral.collateral_base or not collateral.liquidation_threshold or collateral.price <= 0:
            continue
        bonus = max(1.0, collateral.liquidation_bonus / BPS)
        for debt in position.legs:
            if not debt.debt_base or debt.price <= 0:
                continue
            repay = min(closable(position, debt, collateral, closing), collateral.collateral_base / bonus)
            seize = repay * bonus
            left = owed - repay
            kept = weighted - seize * collateral.liquidation_threshold / BPS
            done = left <= owed * 1e-12
            item = Take(
                collateral=collateral.asset,
                debt=debt.asset,
                repay=min(debt.debt, int(repay / debt.price * 10**debt.decimals)),
                seize=min(collateral.collateral, int(seize / collateral.price * 10**collateral.decimals)),
                repay_value=repay,
                seize_value=seize,
                profit=seize - repay,
                factor_after=math.inf if done else kept / left,
                whole=done,
            )
            found.append((-item.profit, item.collateral, item.debt, item))
    return min(found, key=lambda entry: entry[:3])[3] if found else None
