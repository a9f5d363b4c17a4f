"""What we say of an Aave v3 market, as rows of integers in a fixed order, to hold against the contracts' answers."""

from __future__ import annotations

from defiwatch.domain.events import BlockRef
from defiwatch.protocols.aave_v3 import AaveV3, indices
from defiwatch.protocols.aave_v3.account import AccountData
from defiwatch.protocols.aave_v3.forms import Form
from defiwatch.protocols.aave_v3.state import Reserve
from defiwatch.protocols.spec import Book

Row = tuple[int, ...]

RESERVE_WORDS = (0, 1, 2, 3, 4, 6, 7, 12, 14)
"""Which of getReserveData's words a reserve's row begins with: configuration, indices and rates, time, id, treasury,
isolated debt."""


def reserve_row(form: Form, reserve: Reserve, time: int) -> Row:
    """Those words; income and debt index of now; deficit, liquidity, grace period; both scaled totals."""
    return (
        *(reserve.configuration, reserve.liquidity_index, reserve.liquidity_rate),
        *(reserve.variable_index, reserve.variable_rate, reserve.updated, reserve.id),
        *(reserve.accrued_to_treasury, reserve.isolation_debt),
        *(indices.income(reserve, time), indices.debt(form, reserve, time)),
        *(reserve.deficit, reserve.cash, reserve.grace_until, reserve.supplied, reserve.borrowed),
    )


def account_row(instance: AaveV3, book: Book, at: BlockRef, user: str) -> Row | str:
    """getUserAccountData's six values, or why it cannot be told: then the call itself reverts."""
    data = instance.account_data(book, at, user)
    if not isinstance(data, AccountData):
        return data
    return (data.collateral, data.debt, data.available, data.threshold, data.ltv, data.health_factor)


def holding_row(instance: AaveV3, book: Book, at: BlockRef, user: str, ids: list[int]) -> Row:
    """The configuration word, the eMode category, and both scaled balances in each reserve of `ids`."""
    known = instance.ledger(book, at).meet(user)
    word = sum(1 << 2 * i + 1 for i in range(128) if known.collateral >> i & 1)
    word |= sum(1 << 2 * holding.id for holding in known.holdings if holding.borrowed)
    balances = [known.holding(i) for i in ids]
    return (word, known.emode, *(n for held in balances for n in (held.supplied, held.borrowed)))
