"""Morpho Blue's integer arithmetic: shares, interest, health, liquidation.

morpho-blue@3085651 src/Morpho.sol, src/libraries/{MathLib,SharesMathLib,ConstantsLib}.sol. Assets in token units;
prices in loan units per collateral unit, scaled by 1e36; LLTV, rates and factors in wad. Checked against the contract's
bytecode in tests/devnet/test_morpho_exact.py.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.units import UINT256_MAX, WAD

VIRTUAL_SHARES = 10**6
VIRTUAL_ASSETS = 1
PRICE_SCALE = 10**36
CURSOR = 3 * 10**17
MAX_INCENTIVE = 115 * 10**16


class Totals(msgspec.Struct, frozen=True):
    """A market's stored totals, in the order of `market(id)`. `last_update` in Unix seconds, `fee` in wad."""

    supply_assets: int = 0
    supply_shares: int = 0
    borrow_assets: int = 0
    borrow_shares: int = 0
    last_update: int = 0
    fee: int = 0


def up(x: int, y: int, down: int) -> int:
    """x·y/down rounded up: MathLib.sol:32-34."""
    return -(-x * y // down)


def to_shares_down(assets: int, total_assets: int, total_shares: int) -> int:
    """SharesMathLib.sol:27-29."""
    return assets * (total_shares + VIRTUAL_SHARES) // (total_assets + VIRTUAL_ASSETS)


def to_shares_up(assets: int, total_assets: int, total_shares: int) -> int:
    """SharesMathLib.sol:37-39."""
    return up(assets, total_shares + VIRTUAL_SHARES, total_assets + VIRTUAL_ASSETS)


def to_assets_down(shares: int, total_assets: int, total_shares: int) -> int:
    """SharesMathLib.sol:32-34."""
    return shares * (total_assets + VIRTUAL_ASSETS) // (total_shares + VIRTUAL_SHARES)


def to_assets_up(shares: int, total_assets: int, total_shares: int) -> int:
    """SharesMathLib.sol:42-44."""
    return up(shares, total_assets + VIRTUAL_ASSETS, total_shares + VIRTUAL_SHARES)


def compounded(rate: int, seconds: int) -> int:
    """e^(rate·seconds) − 1 by its first three terms, wad: MathLib.sol:38-44."""
    first = rate * seconds
    second = first * first // (2 * WAD)
    third = second * first // (3 * WAD)
    return first + second + third


def accrue(totals: Totals, rate: int, time: int) -> Totals:
    """The totals with interest up to `time` (Unix seconds), at `rate` wad a second: Morpho.sol:483-509."""
    elapsed = time - totals.last_update
    if elapsed <= 0:
        return totals
    interest = totals.borrow_assets * compounded(rate, elapsed) // WAD
    supply_assets = totals.supply_assets + interest
    fee_amount = interest * totals.fee // WAD
    fee_shares = to_shares_down(fee_amount, supply_assets - fee_amount, totals.supply_shares) if totals.fee else 0
    return Totals(
        supply_assets,
        totals.supply_shares + fee_shares,
        totals.borrow_assets + interest,
        totals.borrow_shares,
        time,
        totals.fee,
    )


def max_borrow(collateral: int, price: int, lltv: int) -> int:
    """What may be owed against `collateral`, loan units: Morpho.sol:535-536."""
    return collateral * price // PRICE_SCALE * lltv // WAD


def health_factor(collateral: int, price: int, lltv: int, borrowed: int) -> int:
    """`max_borrow` ÷ debt in wad, rounded down; 2**256-1 without debt.

    Rounding down makes it exact where it matters: it is below 1e18 if and only if max_borrow < borrowed, which is when
    `_isHealthy` (Morpho.sol:527-539) is false.
    """
    if borrowed == 0:
        return UINT256_MAX
    return max_borrow(collateral, price, lltv) * WAD // borrowed


def liquidation_price(collateral: int, lltv: int, borrowed: int) -> int | None:
    """The highest oracle price at which the position can be liquidated; None without debt, or where none saves it.

    P* = debt·1e36/(collateral·LLTV), settled in the contract's two roundings.
    """
    if borrowed == 0:
        return None
    if collateral == 0 or lltv == 0:
        return None
    value = up(borrowed, WAD, lltv)  # the least collateral value that covers the debt
    return up(value, PRICE_SCALE, collateral) - 1


def incentive(lltv: int) -> int:
    """The liquidation incentive factor, wad: min(1.15, 1/(1 − 0.3·(1 − LLTV))), Morpho.sol:364-369."""
    return min(MAX_INCENTIVE, WAD * WAD // (WAD - CURSOR * (WAD - lltv) // WAD))


class Liquidation(msgspec.Struct, frozen=True):
    """What `liquidate` would do, amounts in token units; `bad_debt` is taken from the suppliers."""

    seized: int
    repaid: int
    repaid_shares: int
    bad_debt: int = 0
    bad_debt_shares: int = 0


def liquidate(
    totals: Totals, collateral: int, shares: int, price: int, lltv: int, *, seized: int = 0, repaid_shares: int = 0
) -> Liquidation | None:
    """`liquidate` (Morpho.sol:347-409) on accrued totals, by collateral to seize or by shares to repay.

    None where it would revert: the position is healthy, or more is asked for than there is.
    """
    if (seized == 0) == (repaid_shares == 0) or shares == 0:
        return None
    if health_factor(collateral, price, lltv, to_assets_up(shares, totals.borrow_assets, totals.borrow_shares)) >= WAD:
        return None
    factor = incentive(lltv)
    if seized:
        quoted = up(seized, price, PRICE_SCALE)
        repaid_shares = to_shares_up(up(quoted, WAD, factor), totals.borrow_assets, totals.borrow_shares)
    elif price == 0:
        return None
    else:
        worth = to_assets_down(repaid_shares, totals.borrow_assets, totals.borrow_shares) * factor // WAD
        seized = worth * PRICE_SCALE // price
    repaid = to_assets_up(repaid_shares, totals.borrow_assets, totals.borrow_shares)
    if repaid_shares > shares or seized > collateral:
        return None
    if seized < collateral:
        return Liquidation(seized, repaid, repaid_shares)
    left = shares - repaid_shares
    assets = max(0, totals.borrow_assets - repaid)
    bad = min(assets, to_assets_up(left, assets, totals.borrow_shares - repaid_shares))
    return Liquidation(seized, repaid, repaid_shares, bad, left)


def largest(totals: Totals, collateral: int, shares: int, price: int, lltv: int) -> Liquidation | None:
    """The most that one call can take: the whole debt where its worth is in collateral, else the whole collateral.

    There is no close factor. None for a healthy position.
    """
    whole = liquidate(totals, collateral, shares, price, lltv, repaid_shares=shares)
    if whole is not None or collateral == 0:
        return whole
    return liquidate(totals, collateral, shares, price, lltv, seized=collateral)
