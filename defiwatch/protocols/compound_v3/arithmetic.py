"""Comet's integer arithmetic: indices, rates, liquidity, absorption.

comet@d5a30b0 contracts/Comet.sol and CometCore.sol. Indices scaled by 1e15, factors and rates by 1e18 (rates a second),
prices in 1e-8, amounts in token units. A principal is positive for a supplier and negative for a borrower.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from defiwatch.domain.rates import usage_of
from defiwatch.domain.units import UINT256_MAX, WAD, YEAR_S

INDEX_SCALE = 10**15


class Totals(msgspec.Struct, frozen=True):
    """`totalsBasic`: as stored, without interest since `last_accrual` (Unix seconds)."""

    supply_index: int
    borrow_index: int
    supply_base: int
    """Sum of all positive principals."""
    borrow_base: int
    """Sum of all negative principals, as a positive number."""
    last_accrual: int
    pause_flags: int = 0


class Curve(msgspec.Struct, frozen=True):
    """One side's rate by utilisation: base, then a slope below and one above the kink. All 1e18, rates a second."""

    kink: int
    base: int
    low: int
    high: int

    def yearly(self, used: float) -> float:
        """As `RateCurve.yearly`, for the side of the borrowers."""
        return rate(self, usage_of(used, WAD)) * YEAR_S / WAD

    def ahead(self, used: float, trend: float, days: float) -> float:
        """As `RateCurve.ahead`: the curve stays where it is."""
        return self.yearly(used + trend * days)

    @property
    def daily(self) -> float:
        """As `RateCurve.daily`."""
        return 0.0


class Asset(msgspec.Struct, frozen=True):
    """One collateral asset: `getAssetInfo`. Factors 1e18, `scale` 10**decimals."""

    offset: int
    asset: str
    feed: str
    scale: int
    borrow_factor: int
    liquidate_factor: int
    liquidation_factor: int
    supply_cap: int


class Side(msgspec.Struct, frozen=True):
    """One collateral of an account: how much, at which price (None: it reverts)."""

    asset: Asset
    balance: int
    price: int | None


def mul_factor(n: int, factor: int) -> int:
    """n·factor, 1e18: Comet.sol mulFactor."""
    return n * factor // WAD


def present_supply(index: int, principal: int) -> int:
    """A positive principal today, rounded down: CometCore.sol presentValueSupply."""
    return principal * index // INDEX_SCALE


def present_borrow(index: int, principal: int) -> int:
    """A debt's principal (as a positive number) today, rounded down: CometCore.sol presentValueBorrow."""
    return principal * index // INDEX_SCALE


def present(totals: Totals, principal: int) -> int:
    """A balance today by the indices of `totals`; negative for debt."""
    if principal >= 0:
        return present_supply(totals.supply_index, principal)
    return -present_borrow(totals.borrow_index, -principal)


def principal_of(totals: Totals, balance: int) -> int:
    """The principal of a balance: supply rounded down, debt rounded up (CometCore.sol principalValue…)."""
    if balance >= 0:
        return balance * INDEX_SCALE // totals.supply_index
    return -((-balance * INDEX_SCALE + totals.borrow_index - 1) // totals.borrow_index)


def utilisation(totals: Totals) -> int:
    """Borrowed ÷ supplied at the stored indices, 1e18; 0 without supply. Comet.sol:483-491."""
    supplied = present_supply(totals.supply_index, totals.supply_base)
    borrowed = present_borrow(totals.borrow_index, totals.borrow_base)
    return 0 if supplied == 0 else borrowed * WAD // supplied


def rate(curve: Curve, utilised: int) -> int:
    """The rate a second at a utilisation, 1e18: Comet.sol:449-477."""
    if utilised <= curve.kink:
        return curve.base + mul_factor(curve.low, utilised)
    return curve.base + mul_factor(curve.low, curve.kink) + mul_factor(curve.high, utilised - curve.kink)


def accrue(totals: Totals, supply: Curve, borrow: Curve, time: int) -> Totals:
    """The totals with interest up to `time`: one linear step at the stored utilisation (accruedInterestIndices).

    Linear a step: accruing twice over half the time is not accruing once over the whole.
    """
    elapsed = time - totals.last_accrual
    if elapsed <= 0:
        return totals
    utilised = utilisation(totals)
    return msgspec.structs.replace(
        totals,
        supply_index=totals.supply_index + mul_factor(totals.supply_index, rate(supply, utilised) * elapsed),
        borrow_index=totals.borrow_index + mul_factor(totals.borrow_index, rate(borrow, utilised) * elapsed),
        last_accrual=time,
    )


def debt_value(totals: Totals, principal: int, base_price: int, base_scale: int) -> int:
    """What a borrower owes, in 1e-8 of the price unit, rounded down (signedMulPrice rounds toward zero)."""
    return -present(totals, principal) * base_price // base_scale if principal < 0 else 0


def weighted_value(side: Side) -> int:
    """A collateral's value times its liquidation factor; both roundings down. 0 where it counts nothing."""
    if side.asset.liquidate_factor == 0 or side.price is None:
        return 0
    return mul_factor(side.balance * side.price // side.asset.scale, side.asset.liquidate_factor)


def health_factor(weighted: int, debt: int) -> int:
    """Weighted collateral ÷ debt value in wad, rounded down; 2**256-1 without debt.

    Below 1e18 if and only if weighted < debt, which is Comet's own condition (Comet.sol:566-600).
    """
    return UINT256_MAX if debt == 0 else weighted * WAD // debt


def liquidatable(
    totals: Totals, principal: int, base_price: int | None, base_scale: int, sides: Sequence[Side]
) -> bool:
    """`isLiquidatable` on these totals: pass the stored ones for its own answer, accrued ones for what `absorb` sees.

    Collateral is added up in the order of the assets and only as far as needed, so a price that reverts matters only
    where it is reached: ValueError then, as the contract reverts.
    """
    if principal >= 0:
        return False
    if base_price is None:
        raise ValueError("the base price reverts")
    liquidity = -debt_value(totals, principal, base_price, base_scale)
    for side in sides:
        if side.balance == 0:
            continue
        if liquidity >= 0:
            return False
        if side.asset.liquidate_factor == 0:
            continue
        if side.price is None:
            raise ValueError(f"the price of {side.asset.asset} reverts")
        liquidity += weighted_value(side)
    return liquidity < 0


class Absorption(msgspec.Struct, frozen=True):
    """What `absorb` does to an account: base paid out of reserves, the new balance, and what no collateral covers."""

    base_paid_out: int
    balance: int
    shortfall: int


def absorb(totals: Totals, principal: int, base_price: int, base_scale: int, sides: Sequence[Side]) -> Absorption:
    """The whole account is taken and credited Σ value·liquidationFactor: Comet.sol:1183-1240. `totals` accrued."""
    value = sum(
        mul_factor(side.balance * side.price // side.asset.scale, side.asset.liquidation_factor)
        for side in sides
        if side.price is not None
    )
    old = present(totals, principal)
    new = old + value * base_scale // base_price
    return Absorption(max(0, new) - old, max(0, new), max(0, -new))


def storefront_price(asset: Asset, price: int, store_front_factor: int) -> int:
    """The price at which absorbed collateral is sold: p·(1 − storeFrontPriceFactor·(1 − LF)), Comet.sol:1274-1286."""
    return mul_factor(price, WAD - mul_factor(store_front_factor, WAD - asset.liquidation_factor))


def quote(asset: Asset, price: int, base_price: int, base_amount: int, base_scale: int, store_front_factor: int) -> int:
    """How much collateral `base_amount` buys: quoteCollateral."""
    discounted = storefront_price(asset, price, store_front_factor)
    return base_price * base_amount * asset.scale // discounted // base_scale


def collateral_crossing(side: Side, weighted: int, debt: int) -> int | None:
    """The highest price of one collateral at which the account can be liquidated; None if none decides."""
    factor = side.asset.liquidate_factor
    need = debt - (weighted - weighted_value(side))
    if side.balance == 0 or factor == 0 or need <= 0:
        return None
    value = -(-need * WAD // factor)
    price = -(-value * side.asset.scale // side.balance) - 1
    return price if price > 0 else None


def base_crossing(owed: int, weighted: int, base_scale: int) -> int | None:
    """The lowest price of the base asset at which a debt of `owed` units can be liquidated; None without debt."""
    return None if owed == 0 else -(-(weighted + 1) * base_scale // owed)
