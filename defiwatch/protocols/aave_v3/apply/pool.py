"""Events of the pool: indices, flags, eMode, deficits, what the pool holds."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from defiwatch.domain.events import Event, Fact, LendingAction, LendingMoved, Liquidated
from defiwatch.domain.ids import Address
from defiwatch.protocols.aave_v3 import rays
from defiwatch.protocols.aave_v3.apply.handler import Handler, updated
from defiwatch.protocols.aave_v3.events import pool as e
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    DATA,
)

replace = msgspec.structs.replace


PROTOCOL = "aave_v3"


def _add_cash(ledger: Ledger, asset: Address, amount: int) -> None:
    reserve = ledger.reserve(asset)
    form = ledger.form
    if reserve is not None and (reserve.virtual or form.taylor or not form.virtual_balance):
        ledger.set_reserve(replace(reserve, cash=reserve.cash + amount))


def _moved(
    ledger: Ledger, event: e.Supply | e.Withdraw | e.Borrow | e.Repay, account: Address, action: LendingAction
) -> LendingMoved:
    return LendingMoved(
        protocol=PROTOCOL,
        market=ledger.market.pool,
        account=account,
        asset=event.reserve,
        action=action,
        amount=event.amount,
        tx=event.tx,
        log_index=event.log_index,
    )


def _supply(ledger: Ledger, event: e.Supply) -> Iterable[Fact]:
    _add_cash(ledger, event.reserve, event.amount)
    return (_moved(ledger, event, event.on_behalf_of, "supply"),)


def _withdraw(ledger: Ledger, event: e.Withdraw) -> Iterable[Fact]:
    _add_cash(ledger, event.reserve, -event.amount)
    return (_moved(ledger, event, event.user, "withdraw"),)


def _borrow(ledger: Ledger, event: e.Borrow) -> Iterable[Fact]:
    _add_cash(ledger, event.reserve, -event.amount)
    return (_moved(ledger, event, event.on_behalf_of, "borrow"),)


def _repay(ledger: Ledger, event: e.Repay) -> Iterable[Fact]:
    repaid = _moved(ledger, event, event.user, "repay")
    if event.use_atokens:  # what the repayer had supplied is taken for it
        return (_moved(ledger, event, event.repayer, "withdraw"), repaid)
    _add_cash(ledger, event.reserve, event.amount)
    return (repaid,)


def _back_unbacked(ledger: Ledger, event: e.BackUnbacked) -> None:
    _add_cash(ledger, event.reserve, event.amount + event.fee)
    reserve = ledger.reserve(event.reserve)
    if reserve is not None:  # the bridge's fee goes to the treasury by a rate that no event tells
        ledger.set_reserve(replace(reserve, have=reserve.have & ~DATA))


def _flash_loan(ledger: Ledger, event: e.FlashLoan) -> None:
    if event.interest_rate_mode != 0:
        return
    _add_cash(ledger, event.asset, event.premium)
    reserve = ledger.reserve(event.asset)
    if reserve is None:
        return
    form = ledger.form
    whole = form.premium_to_treasury
    part = event.premium if whole else rays.percent_mul(event.premium, ledger.market.premium_to_protocol)
    divide = rays.div_floor if form.directional else rays.div_half
    scaled = divide(part, reserve.liquidity_index)
    ledger.set_reserve(replace(reserve, accrued_to_treasury=reserve.accrued_to_treasury + scaled))


def _data_updated(ledger: Ledger, event: e.ReserveDataUpdated) -> None:
    reserve = ledger.reserve(event.reserve)
    if reserve is None:
        return
    reserve = updated(ledger, reserve)
    ledger.set_reserve(
        replace(
            reserve,
            liquidity_rate=event.liquidity_rate,
            liquidity_index=event.liquidity_index,
            variable_rate=event.variable_borrow_rate,
            variable_index=event.variable_borrow_index,
            updated=ledger.at.time,
            touches=reserve.touches + 1,
        )
    )


def _liquidation(ledger: Ledger, event: e.LiquidationCall) -> Iterable[Fact]:
    form = ledger.form
    _add_cash(ledger, event.debt_asset, event.debt_to_cover)
    if not event.receive_atoken:
        _add_cash(ledger, event.collateral_asset, -event.liquidated_collateral_amount)
    reserve = ledger.reserve(event.collateral_asset)
    if reserve is not None and reserve.have & DATA:
        if event.collateral_asset != event.debt_asset:
            if form.silent_update and event.receive_atoken and reserve.updated != ledger.at.time:
                ledger.set_reserve(replace(updated(ledger, reserve), touches=1))
        elif form.doubled_accrual and reserve.touched == ledger.at.number:
            first = reserve.touches == (1 if event.receive_atoken else 2)
            if first:
                total = reserve.accrued_to_treasury + reserve.accrual
                ledger.set_reserve(replace(reserve, accrued_to_treasury=total))
    yield Liquidated(
        protocol=PROTOCOL,
        market=ledger.market.pool,
        account=event.user,
        liquidator=event.liquidator,
        collateral_asset=event.collateral_asset,
        debt_asset=event.debt_asset,
        collateral_seized=event.liquidated_collateral_amount,
        debt_repaid=event.debt_to_cover,
        tx=event.tx,
        log_index=event.log_index,
    )


def _collateral(ledger: Ledger, asset: Address, user: Address, *, used: bool) -> None:
    reserve = ledger.reserve(asset)
    if reserve is None or reserve.id < 0:
        return
    account = ledger.meet(user)
    bit = 1 << reserve.id
    changed = account.collateral | bit if used else account.collateral & ~bit
    ledger.set_account(user, replace(account, collateral=changed))


def _enabled(ledger: Ledger, event: e.ReserveUsedAsCollateralEnabled) -> None:
    _collateral(ledger, event.reserve, event.user, used=True)


def _disabled(ledger: Ledger, event: e.ReserveUsedAsCollateralDisabled) -> None:
    _collateral(ledger, event.reserve, event.user, used=False)


def _emode_set(ledger: Ledger, event: e.UserEModeSet) -> None:
    account = ledger.meet(event.user)
    ledger.set_account(event.user, replace(account, emode=event.category_id, unknown_emode=False))
    if event.category_id:
        ledger.list_category(event.category_id)


def _minted_to_treasury(ledger: Ledger, event: e.MintedToTreasury) -> None:
    reserve = ledger.reserve(event.reserve)
    if reserve is not None:
        ledger.set_reserve(replace(reserve, accrued_to_treasury=0))


def _isolation_debt(ledger: Ledger, event: e.IsolationModeTotalDebtUpdated) -> None:
    reserve = ledger.reserve(event.asset)
    if reserve is not None:
        ledger.set_reserve(replace(reserve, isolation_debt=event.total_debt))


def _deficit(ledger: Ledger, asset: Address, amount: int) -> None:
    reserve = ledger.reserve(asset)
    if reserve is not None:
        ledger.set_reserve(replace(reserve, deficit=reserve.deficit + amount))


def _deficit_created(ledger: Ledger, event: e.DeficitCreated) -> None:
    _deficit(ledger, event.debt_asset, event.amount_created)


def _deficit_covered(ledger: Ledger, event: e.DeficitCovered) -> None:
    _deficit(ledger, event.reserve, -event.amount_covered)


ON_POOL: dict[type[Event], Handler] = {
    e.Supply: _supply,
    e.Withdraw: _withdraw,
    e.Borrow: _borrow,
    e.Repay: _repay,
    e.BackUnbacked: _back_unbacked,
    e.FlashLoan: _flash_loan,
    e.LiquidationCall: _liquidation,
    e.ReserveDataUpdated: _data_updated,
    e.ReserveUsedAsCollateralEnabled: _enabled,
    e.ReserveUsedAsCollateralDisabled: _disabled,
    e.UserEModeSet: _emode_set,
    e.MintedToTreasury: _minted_to_treasury,
    e.IsolationModeTotalDebtUpdated: _isolation_debt,
    e.DeficitCreated: _deficit_created,
    e.DeficitCovered: _deficit_covered,
}
