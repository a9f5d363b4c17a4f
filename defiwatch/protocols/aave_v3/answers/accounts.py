"""Answers about accounts: balances, flags, eMode."""

from __future__ import annotations

from typing import Any

import msgspec

from defiwatch.domain.frames import CallResult
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.answers.market import token_reserve
from defiwatch.protocols.aave_v3.answers.taker import Taker
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    SUPPLY,
    VARIABLE,
)

replace = msgspec.structs.replace


def user_configuration(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """getUserConfiguration: which reserves are collateral, and that there is no debt where no bit says so."""
    (address,) = views.USER_CONFIGURATION.arguments(call)
    word = answer[0]
    if word == 0 and ledger.account(address) is None:
        return
    account = ledger.meet(address)
    collateral = loans = place = 0
    while word:
        loans |= (word & 1) << place
        collateral |= (word >> 1 & 1) << place
        word >>= 2
        place += 1
    ledger.set_account(
        address,
        replace(
            account,
            collateral=collateral,
            unknown_collateral=False,
            unknown_borrowed=account.unknown_borrowed & loans,
            unknown_stable=account.unknown_stable & loans,
        ),
    )


def user_emode(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """getUserEMode."""
    (address,) = views.USER_EMODE.arguments(call)
    if answer[0] == 0 and ledger.account(address) is None:
        return
    ledger.set_account(address, replace(ledger.meet(address), emode=answer[0], unknown_emode=False))
    if answer[0]:
        ledger.list_category(answer[0])


def scaled_balance(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """scaledBalanceOf of an aToken or a variable debt token. Who has nothing and is not on record stays off it."""
    found = token_reserve(ledger, call)
    (address,) = views.SCALED_BALANCE.arguments(call)
    if found is None or found[0].id < 0 or (answer[0] == 0 and ledger.account(address) is None):
        return
    reserve, kind = found
    account = ledger.meet(address)
    if kind == SUPPLY:
        ledger.set_supplied(reserve, address, account, answer[0])
    elif kind == VARIABLE:
        ledger.set_borrowed(reserve, address, account, answer[0])


def stable_field(field: str) -> Taker:
    """A taker of one of the three reads that tell an account's stable debt; the principal comes last and settles it."""

    def take_field(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
        found = token_reserve(ledger, call)
        address = "0x" + call.data[34:74].lower()
        if found is None or found[0].id < 0 or (answer[0] == 0 and ledger.account(address) is None):
            return
        account = ledger.meet(address)
        holding = replace(account.holding(found[0].id), **{field: answer[0]})
        if field == "stable":
            stable, rate, updated = holding.stable, holding.stable_rate, holding.stable_updated
            ledger.set_stable(found[0], address, account, stable, rate, updated)
        else:
            others = [other for other in account.holdings if other.id != holding.id]
            holdings = tuple(sorted((*others, holding), key=lambda one: one.id))
            ledger.set_account(address, replace(account, holdings=holdings))

    return take_field
