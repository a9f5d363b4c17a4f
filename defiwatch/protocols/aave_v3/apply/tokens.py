"""Events of aTokens and debt tokens: who holds what, in scaled units."""

from __future__ import annotations

import msgspec

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.aave_v3 import indices, rays
from defiwatch.protocols.aave_v3.apply.handler import Handler, updated
from defiwatch.protocols.aave_v3.events import tokens as e
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    BORROWED,
    FIXED,
    MOVES,
    SUPPLIED,
    UPGRADING,
    VARIABLE,
    Moved,
    Reserve,
    Scaled,
)
from defiwatch.protocols.erc20 import Transfer

replace = msgspec.structs.replace


def _of(ledger: Ledger, event: Event) -> tuple[Reserve, str] | None:
    """The reserve (its place known) and the kind of the token that emitted."""
    token = ledger.token(event.address)
    reserve = None if token is None else ledger.reserve(token.asset)
    return None if token is None or reserve is None or reserve.id < 0 else (reserve, token.kind)


def _mint(ledger: Ledger, event: e.Mint) -> None:
    _scaled(ledger, event, event.on_behalf_of, event.value - event.balance_increase)


def _burn(ledger: Ledger, event: e.Burn) -> None:
    _scaled(ledger, event, event.holder, -(event.value + event.balance_increase))


def _scaled(ledger: Ledger, event: e.Mint | e.Burn, address: Address, delta: int) -> None:
    """A mint or burn of scaled tokens: `delta` is the change of the balance in units."""
    found = _of(ledger, event)
    if found is None:
        return
    reserve, kind = found
    is_debt = kind == VARIABLE
    form = ledger.form
    if is_debt:
        reserve = updated(ledger, reserve)
    account = ledger.meet(address)
    holding = account.holding(reserve.id)
    unknown = (account.unknown_borrowed if is_debt else account.unknown_supplied) >> reserve.id & 1
    before = holding.borrowed if is_debt else holding.supplied
    if unknown and form.directional:
        # The total moves by an amount that the unknown balance decides: read it again.
        have = reserve.have & ~(BORROWED if is_debt else SUPPLIED)
        ledger.set_reserve(replace(reserve, have=have))
        ledger.set_account(address, account)
        return
    after = indices.scaled_after(form, before, delta, event.index, is_debt=is_debt)
    since = ledger.book.get(UPGRADING, ledger.key)
    if since is not None:
        done = Scaled(event.address, address, before, delta, event.index, after)
        ledger.book.put(UPGRADING, ledger.key, (*since, done))
    if is_debt:
        reserve = replace(reserve, borrowed=reserve.borrowed + after - before)
    else:
        reserve = replace(reserve, supplied=reserve.supplied + after - before)
    ledger.set_reserve(reserve)
    if unknown:
        ledger.set_account(address, account)
    elif is_debt:
        ledger.set_borrowed(reserve, address, account, after)
    else:
        ledger.set_supplied(reserve, address, account, after)


def _balance_transfer(ledger: Ledger, event: e.BalanceTransfer) -> None:
    found = _of(ledger, event)
    if found is None:
        return
    scaled = event.value
    if ledger.form.plain_transfers and not _announced(ledger, event):
        scaled = rays.div_half(event.value, event.index)
    if event.sender == event.recipient:
        return
    # Both are met before either is written: in between, the balances known do not add up to the total.
    parties = [(event.sender, -scaled), (event.recipient, scaled)]
    accounts = [ledger.meet(address) for address, _ in parties]
    for (address, amount), account in zip(parties, accounts, strict=True):
        reserve = ledger.reserve(found[0].asset)
        if reserve is None or account.unknown_supplied >> found[0].id & 1:
            ledger.set_account(address, account)
        else:
            ledger.set_supplied(reserve, address, account, account.holding(reserve.id).supplied + amount)


def _announced(ledger: Ledger, event: e.BalanceTransfer) -> bool:
    """Whether this version of the aToken speaks of scaled units.

    From 3.0.2 the ERC-20 event comes first and BalanceTransfer is scaled; before, it comes last, the amount plain.
    """
    moved = ledger.book.get(MOVES, (ledger.key, event.address))
    return (
        moved is not None
        and (moved.tx, moved.sender, moved.recipient) == (event.tx, event.sender, event.recipient)
        and rays.div_half(moved.value, event.index) == event.value
    )


def _moved(ledger: Ledger, event: Transfer) -> None:
    if ledger.form.plain_transfers:
        moved = Moved(event.tx, event.sender, event.recipient, event.amount)
        ledger.book.put(MOVES, (ledger.key, event.address), moved)


def _stable_mint(ledger: Ledger, event: e.StableMint) -> None:
    found = _of(ledger, event)
    if found is None or found[1] != FIXED:
        return
    reserve, time = updated(ledger, found[0]), ledger.at.time
    total = indices.stable_balance(reserve.stable_principal, reserve.stable_rate, reserve.stable_updated, time)
    account = ledger.meet(event.on_behalf_of)
    # A burn smaller than the interest is told as a mint of the difference: then the total falls.
    grown = event.amount + (event.balance_increase if event.new_total_supply == total + event.amount else 0)
    principal = account.holding(reserve.id).stable + grown
    _stable_total(ledger, reserve, event.new_total_supply, event.avg_stable_rate)
    if account.unknown_stable >> reserve.id & 1:
        ledger.set_account(event.on_behalf_of, account)
    else:
        ledger.set_stable(reserve, event.on_behalf_of, account, principal, event.new_rate, time)


def _stable_burn(ledger: Ledger, event: e.StableBurn) -> None:
    found = _of(ledger, event)
    if found is None or found[1] != FIXED:
        return
    reserve = updated(ledger, found[0])
    account = ledger.meet(event.holder)
    holding = account.holding(reserve.id)
    _stable_total(ledger, reserve, event.new_total_supply if event.avg_stable_rate else 0, event.avg_stable_rate)
    if account.unknown_stable >> reserve.id & 1:
        ledger.set_account(event.holder, account)
    else:
        principal = holding.stable - event.amount
        ledger.set_stable(reserve, event.holder, account, principal, holding.stable_rate, ledger.at.time)


def _stable_total(ledger: Ledger, reserve: Reserve, total: int, rate: int) -> None:
    ledger.set_reserve(replace(reserve, stable_principal=total, stable_rate=rate, stable_updated=ledger.at.time))


ON_TOKEN: dict[type[Event], Handler] = {
    e.Mint: _mint,
    e.Burn: _burn,
    e.BalanceTransfer: _balance_transfer,
    Transfer: _moved,
    e.StableMint: _stable_mint,
    e.StableBurn: _stable_burn,
}
