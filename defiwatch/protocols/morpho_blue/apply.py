"""Events to state. Shares, collateral and totals follow exactly: every write of the contract has its event.

morpho-blue@3085651 src/Morpho.sol, by function. An event of an account whose start is not known marks it as open; its
holding is then read whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from defiwatch.domain.events import BadDebt, BlockRef, Event, Fact, LendingAction, LendingMoved, Liquidated
from defiwatch.domain.ids import Address
from defiwatch.protocols.erc20 import watch
from defiwatch.protocols.morpho_blue import adaptive
from defiwatch.protocols.morpho_blue import events as e
from defiwatch.protocols.morpho_blue.shares import Totals
from defiwatch.protocols.morpho_blue.state import (
    HOLDINGS,
    MARKETS,
    RATES,
    RECIPIENT,
    TARGETS,
    Answer,
    Holding,
    Market,
    put_holding,
)
from defiwatch.protocols.spec import Book

replace = msgspec.structs.replace
PROTOCOL = "morpho_blue"


def apply(book: Book, at: BlockRef, event: Event) -> list[Fact]:
    """Apply one event of the contract to one of its markets. A log that was applied already is left out."""
    if isinstance(event, e.SetFeeRecipient):
        book.put(RECIPIENT, event.address, event.new_fee_recipient)
        return []
    handler = _HANDLERS.get(type(event))
    if handler is None:
        return []
    key = (event.address, getattr(event, "id", ""))
    market = book.get(MARKETS, key) or Market()
    if event.log_index >= 0 and (at.number, event.log_index) <= (market.block, market.log_index):
        return []
    book.put(MARKETS, key, replace(market, block=at.number, log_index=event.log_index))
    return handler(book, at, event) or []


def _totals(book: Book, event: Any, change: Callable[[Totals], Totals]) -> None:
    key = (event.address, event.id)
    market = book.get(MARKETS, key)
    if market is not None and market.have_totals:
        book.put(MARKETS, key, replace(market, totals=change(market.totals)))


def _holding(
    book: Book,
    at: BlockRef,
    event: Any,
    account: Address,
    change: Callable[[Holding], Holding],
    *,
    borrower: bool = True,
) -> None:
    """Change one holding. Who only supplies is followed where known, and not asked for."""
    key = (event.address, event.id, account)
    before = book.get(HOLDINGS, key)
    if before is None:
        market = book.get(MARKETS, (event.address, event.id))
        if market is None or not market.born:
            if borrower:
                put_holding(book, key, Holding(known=False, block=at.number))
            return
        before = Holding()
    put_holding(book, key, replace(change(before) if before.known else before, block=at.number))


def _create(book: Book, at: BlockRef, event: e.CreateMarket) -> None:
    """Morpho.sol:150-164."""
    loan, collateral, oracle, irm, lltv = event.market_params
    watch(book, loan)
    watch(book, collateral)
    market = book.get(MARKETS, (event.address, event.id)) or Market()
    market = replace(market, loan=loan, collateral=collateral, oracle=oracle, irm=irm, lltv=lltv)
    totals = Totals(last_update=at.time)
    book.put(
        MARKETS,
        (event.address, event.id),
        replace(market, totals=totals, have_params=True, have_totals=True, born=True),
    )


def _accrue(book: Book, at: BlockRef, event: e.AccrueInterest) -> None:
    """Morpho.sol:483-509. The event carries the rate it was made with, which a read of this block replaces."""

    def change(totals: Totals) -> Totals:
        return replace(
            totals,
            supply_assets=totals.supply_assets + event.interest,
            borrow_assets=totals.borrow_assets + event.interest,
            supply_shares=totals.supply_shares + event.fee_shares,
            last_update=at.time,
        )

    _adapt(book, at, event)
    _totals(book, event, change)
    recipient = book.get(RECIPIENT, event.address)
    if event.fee_shares and recipient is not None:

        def fee(holding: Holding) -> Holding:
            return replace(holding, supply_shares=holding.supply_shares + event.fee_shares)

        _holding(book, at, event, recipient, fee, borrower=False)
    key = (event.address, event.id)
    rate = book.get(RATES, key)
    if rate is None or rate.block < at.number:
        book.put(RATES, key, Answer(event.prev_borrow_rate, at.number - 1))


def _adapt(book: Book, at: BlockRef, event: e.AccrueInterest) -> None:
    """Move the rate at target as the rate model did. Where its rate is not the event's, it is read again."""
    key = (event.address, event.id)
    target, market = book.get(TARGETS, key), book.get(MARKETS, key)
    if target is None or target.value is None or market is None or not market.have_totals:
        return
    off = adaptive.off_target(adaptive.utilisation(market.totals))
    mean, end = adaptive.step(target.value, off, at.time - market.totals.last_update)
    if mean == event.prev_borrow_rate:
        book.put(TARGETS, key, Answer(end, at.number))
    else:
        book.drop(TARGETS, key)


_Moving = e.Supply | e.Withdraw | e.Borrow | e.Repay | e.SupplyCollateral | e.WithdrawCollateral


def _moved(book: Book, event: _Moving, action: LendingAction, *, collateral: bool = False) -> list[Fact]:
    market = book.get(MARKETS, (event.address, event.id)) or Market()
    return [
        LendingMoved(
            protocol=PROTOCOL,
            market=event.id,
            account=event.on_behalf,
            asset=market.collateral if collateral else market.loan,
            action=action,
            amount=event.assets,
            tx=event.tx,
            log_index=event.log_index,
        )
    ]


def _supply(book: Book, at: BlockRef, event: e.Supply | e.Withdraw) -> list[Fact]:
    """Morpho.sol:169-230."""
    sign = 1 if isinstance(event, e.Supply) else -1

    def change(totals: Totals) -> Totals:
        return replace(
            totals,
            supply_assets=totals.supply_assets + sign * event.assets,
            supply_shares=totals.supply_shares + sign * event.shares,
        )

    def own(holding: Holding) -> Holding:
        return replace(holding, supply_shares=holding.supply_shares + sign * event.shares)

    _totals(book, event, change)
    _holding(book, at, event, event.on_behalf, own, borrower=False)
    return _moved(book, event, "supply" if isinstance(event, e.Supply) else "withdraw")


def _borrow(book: Book, at: BlockRef, event: e.Borrow) -> list[Fact]:
    """Morpho.sol:235-266."""

    def change(totals: Totals) -> Totals:
        return replace(
            totals,
            borrow_assets=totals.borrow_assets + event.assets,
            borrow_shares=totals.borrow_shares + event.shares,
        )

    def own(holding: Holding) -> Holding:
        return replace(holding, borrow_shares=holding.borrow_shares + event.shares)

    _totals(book, event, change)
    _holding(book, at, event, event.on_behalf, own)
    return _moved(book, event, "borrow")


def _repaid(totals: Totals, assets: int, shares: int) -> Totals:
    """What is repaid may be one unit more than the total: Morpho.sol:288."""
    return replace(
        totals,
        borrow_assets=max(0, totals.borrow_assets - assets),
        borrow_shares=totals.borrow_shares - shares,
    )


def _repay(book: Book, at: BlockRef, event: e.Repay) -> list[Fact]:
    """Morpho.sol:269-298."""

    def own(holding: Holding) -> Holding:
        return replace(holding, borrow_shares=holding.borrow_shares - event.shares)

    _totals(book, event, lambda totals: _repaid(totals, event.assets, event.shares))
    _holding(book, at, event, event.on_behalf, own)
    return _moved(book, event, "repay")


def _collateral(book: Book, at: BlockRef, event: e.SupplyCollateral | e.WithdrawCollateral) -> list[Fact]:
    """Morpho.sol:303-342."""
    change = event.assets if isinstance(event, e.SupplyCollateral) else -event.assets

    def own(holding: Holding) -> Holding:
        return replace(holding, collateral=holding.collateral + change)

    _holding(book, at, event, event.on_behalf, own)
    return _moved(book, event, "supply" if change > 0 else "withdraw", collateral=True)


def _liquidate(book: Book, at: BlockRef, event: e.Liquidate) -> list[Fact]:
    """Morpho.sol:347-418."""

    def change(totals: Totals) -> Totals:
        after = _repaid(totals, event.repaid_assets, event.repaid_shares)
        return replace(
            after,
            borrow_assets=after.borrow_assets - event.bad_debt_assets,
            supply_assets=after.supply_assets - event.bad_debt_assets,
            borrow_shares=after.borrow_shares - event.bad_debt_shares,
        )

    def own(holding: Holding) -> Holding:
        return replace(
            holding,
            borrow_shares=holding.borrow_shares - event.repaid_shares - event.bad_debt_shares,
            collateral=holding.collateral - event.seized_assets,
        )

    _totals(book, event, change)
    _holding(book, at, event, event.borrower, own)
    key = (event.address, event.id)
    market = book.get(MARKETS, key) or Market()
    facts: list[Fact] = [
        Liquidated(
            protocol=PROTOCOL,
            market=event.id,
            account=event.borrower,
            liquidator=event.caller,
            collateral_asset=market.collateral,
            debt_asset=market.loan,
            collateral_seized=event.seized_assets,
            debt_repaid=event.repaid_assets,
            tx=event.tx,
            log_index=event.log_index,
        )
    ]
    if event.bad_debt_assets:
        book.put(MARKETS, key, replace(market, bad_debt=market.bad_debt + event.bad_debt_assets))
        facts.append(
            BadDebt(
                protocol=PROTOCOL,
                market=event.id,
                account=event.borrower,
                asset=market.loan,
                amount=event.bad_debt_assets,
                tx=event.tx,
                log_index=event.log_index,
            )
        )
    return facts


def _set_fee(book: Book, at: BlockRef, event: e.SetFee) -> None:  # noqa: ARG001 - one shape for all
    """Morpho.sol:123-138."""
    _totals(book, event, lambda totals: replace(totals, fee=event.new_fee))


_HANDLERS: dict[type[Event], Callable[[Book, BlockRef, Any], list[Fact] | None]] = {
    e.CreateMarket: _create,
    e.AccrueInterest: _accrue,
    e.Supply: _supply,
    e.Withdraw: _supply,
    e.Borrow: _borrow,
    e.Repay: _repay,
    e.SupplyCollateral: _collateral,
    e.WithdrawCollateral: _collateral,
    e.Liquidate: _liquidate,
    e.SetFee: _set_fee,
}
