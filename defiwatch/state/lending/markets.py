"""One lending market as a whole: how much of it is used, what suppliers could withdraw, how far its caps are, who
owes most."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Market, Position
from defiwatch.domain.units import ratio

TOP = 10


class Concentration(msgspec.Struct, frozen=True):
    """How few owe how much. `hhi` is Σ share², 1/n to 1; `equal` = 1/hhi, as many equal borrowers would give it.

    `top` holds the largest borrowers with their share of all debt, `top_share` their sum.
    """

    borrowers: int
    hhi: float
    equal: float
    top: tuple[tuple[Address, float], ...]
    top_share: float


class Usage(msgspec.Struct, frozen=True):
    """Parts 0..1, amounts in the asset's units. None where there is no cap, or nothing to divide by."""

    utilisation: float
    withdrawable: int
    withdrawable_share: float | None
    """Of what was supplied."""
    supply_cap_used: float | None
    borrow_cap_used: float | None
    supply_left: int | None
    borrow_left: int | None
    completeness: float | None
    """Debt on the book ÷ debt of the contract."""
    bad_debt_share: float | None
    """Of what was supplied."""


def usage(market: Market) -> Usage:
    """What a market's totals say. Utilisation is borrowed ÷ (cash + borrowed), as Aave counts it."""
    available = market.cash + market.borrowed
    return Usage(
        utilisation=ratio(market.borrowed, available) if available > 0 else 0.0,
        withdrawable=market.cash,
        withdrawable_share=min(1.0, ratio(market.cash, market.supplied)) if market.supplied > 0 else None,
        supply_cap_used=ratio(market.supplied, market.supply_cap) if market.supply_cap else None,
        borrow_cap_used=ratio(market.borrowed, market.borrow_cap) if market.borrow_cap else None,
        supply_left=max(0, market.supply_cap - market.supplied) if market.supply_cap else None,
        borrow_left=max(0, market.borrow_cap - market.borrowed) if market.borrow_cap else None,
        completeness=ratio(market.debt_known, market.borrowed) if market.borrowed else None,
        bad_debt_share=ratio(market.bad_debt, market.supplied) if market.supplied else None,
    )


def concentration(debts: Iterable[tuple[Address, float]], top: int = TOP) -> Concentration:
    """From (borrower, debt) pairs in any order; a borrower may come more than once. Debts of 0 do not count."""
    by_borrower: dict[Address, list[float]] = {}
    for account, debt in debts:
        if debt > 0.0:
            by_borrower.setdefault(account, []).append(debt)
    sums = {account: math.fsum(parts) for account, parts in by_borrower.items()}
    total = math.fsum(sums.values())
    if total <= 0.0:
        return Concentration(0, 0.0, 0.0, (), 0.0)
    shares = sorted(((account, debt / total) for account, debt in sums.items()), key=lambda item: (-item[1], item[0]))
    hhi = math.fsum(share * share for _, share in shares)
    largest = tuple(shares[:top])
    return Concentration(len(shares), hhi, 1.0 / hhi, largest, math.fsum(share for _, share in largest))


def debts_in(positions: Iterable[Position], asset: Address | None = None) -> Iterable[tuple[Address, float]]:
    """(account, debt) of each position, in value; of one asset only where it is named."""
    for position in positions:
        if not position.unknown:
            if asset is None:
                yield position.account, float(position.debt_base)
            else:
                yield position.account, float(sum(leg.debt_base for leg in position.legs if leg.asset == asset))
