"""Answers about the market, its reserves, their tokens and prices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.answers.taker import Taker
from defiwatch.protocols.aave_v3.forms import NEWEST, Form
from defiwatch.protocols.aave_v3.indices import scaled_after
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    BORROWED,
    CASH,
    DATA,
    FIXED,
    LIST,
    PRICES,
    REVISION,
    STABLE,
    SUPPLIED,
    SUPPLY,
    SYMBOL,
    UPGRADING,
    VARIABLE,
    Price,
    Reserve,
    Scaled,
)
from defiwatch.protocols.erc20 import SYMBOL_LIMIT, read_text

replace = msgspec.structs.replace


def market_field(field: str, bit: int) -> Taker:
    """A taker that writes one field of the market."""

    def take_field(ledger: Ledger, _: CallResult, answer: tuple[Any, ...]) -> None:
        ledger.set_market(replace(ledger.market, **{field: answer[0], "have": ledger.market.have | bit}))

    return take_field


def revision_of(ledger: Ledger, _: CallResult, answer: tuple[Any, ...]) -> None:
    """POOL_REVISION. What a new revision tells otherwise is asked again."""
    revision = answer[0]
    if not 0 < revision <= NEWEST:
        ledger.book.notice(
            f"aave_v3 pool {ledger.market.pool}: revision {revision} is not known; the rules of {NEWEST} (3.7) are used"
        )
    market, before = ledger.market, ledger.form
    ledger.set_market(replace(market, revision=revision, have=market.have | REVISION))
    after = ledger.form
    since = ledger.book.get(UPGRADING, ledger.key)
    if since is not None:
        ledger.book.drop(UPGRADING, ledger.key)
        if before.directional != after.directional:
            _scale_again(ledger, since)
    if market.revision and _emode_rules(before) != _emode_rules(after):
        # The upgrade itself may write what it brought (bitmaps, flags) without an event.
        ledger.set_market(replace(ledger.market, probed=0))
    if market.revision and before.virtual_balance != after.virtual_balance:
        for reserve in ledger.reserves():
            ledger.set_reserve(replace(reserve, have=reserve.have & ~CASH))


def _scale_again(ledger: Ledger, since: Iterable[Scaled]) -> None:
    """What was minted and burned after the upgrade, before its revision was known, by the rules of that revision."""
    shifts: dict[tuple[Address, Address], int] = {}
    for done in since:
        token = ledger.token(done.token)
        if token is None:
            continue
        pair, is_debt = (done.token, done.account), token.kind == VARIABLE
        before = done.before + shifts.get(pair, 0)
        after = scaled_after(ledger.form, before, done.delta, done.index, is_debt=is_debt)
        shifts[pair] = after - done.after
    for (address, owner), shift in shifts.items():
        token, account = ledger.token(address), ledger.account(owner)
        reserve = None if token is None else ledger.reserve(token.asset)
        if token is None or reserve is None or account is None:
            continue
        held = account.holding(reserve.id)
        if token.kind == VARIABLE:
            if account.unknown_borrowed >> reserve.id & 1:
                ledger.set_reserve(replace(reserve, have=reserve.have & ~BORROWED))
            elif shift:
                reserve = replace(reserve, borrowed=reserve.borrowed + shift)
                ledger.set_reserve(reserve)
                ledger.set_borrowed(reserve, owner, account, held.borrowed + shift)
        elif account.unknown_supplied >> reserve.id & 1:
            ledger.set_reserve(replace(reserve, have=reserve.have & ~SUPPLIED))
        elif shift:
            reserve = replace(reserve, supplied=reserve.supplied + shift)
            ledger.set_reserve(reserve)
            ledger.set_supplied(reserve, owner, account, held.supplied + shift)


def _emode_rules(form: Form) -> tuple[bool, ...]:
    return form.liquid_emode, form.zero_threshold_counts, form.isolated_emode


def reserves_list(ledger: Ledger, _: CallResult, answer: tuple[Any, ...]) -> None:
    """getReservesList."""
    for asset in answer[0]:
        ledger.list_reserve(asset)
    ledger.set_market(replace(ledger.market, assets=tuple(sorted(answer[0])), have=ledger.market.have | LIST))


def reserve_data(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """getReserveData: the same fifteen words in every revision."""
    (asset,) = views.RESERVE_DATA.arguments(call)
    word, li, lr, vi, vr, _, updated, place, a_token, stable, variable, strategy, treasury, _, isolation = answer
    if int(a_token, 16) == 0:
        return
    if ledger.market.have & REVISION and not ledger.form.stable_debt:
        stable = ZERO_ADDRESS
    reserve = ledger.list_reserve(asset)
    ledger.set_reserve(
        replace(
            reserve,
            configuration=word,
            liquidity_index=li,
            liquidity_rate=lr,
            variable_index=vi,
            variable_rate=vr,
            updated=updated,
            id=place,
            a_token=a_token,
            variable_token=variable,
            stable_token=stable,
            strategy=strategy,
            accrued_to_treasury=treasury,
            isolation_debt=isolation,
            have=reserve.have | DATA,
        )
    )
    ledger.list_token(a_token, asset, SUPPLY)
    ledger.list_token(variable, asset, VARIABLE)
    ledger.list_token(stable, asset, FIXED)


def reserve_field(field: str, bit: int = 0) -> Taker:
    """A taker that writes one field of the reserve that the call named."""

    def take_field(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
        reserve = ledger.reserve("0x" + call.data[34:74].lower())
        if reserve is not None:
            ledger.set_reserve(replace(reserve, **{field: answer[0], "have": reserve.have | bit}))

    return take_field


def symbol(ledger: Ledger, call: CallResult, _: tuple[Any, ...]) -> None:
    """The underlying token's symbol."""
    reserve = ledger.reserve(call.to.lower())
    if reserve is not None:
        symbol = read_text(call.result or "", SYMBOL_LIMIT)
        ledger.set_reserve(replace(reserve, symbol=symbol, have=reserve.have | SYMBOL))


def liquidation_allowed(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """The sentinel's isLiquidationAllowed."""
    ledger.book.put(PRICES, (ledger.key, call.to.lower()), Price(int(answer[0]), ledger.at.number))


def cash(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """balanceOf(aToken) on the underlying, before pools kept a virtual balance."""
    reserve = ledger.reserve(call.to.lower())
    (holder,) = views.TOKEN_BALANCE.arguments(call)
    if reserve is not None and holder == reserve.a_token and not ledger.form.virtual_balance:
        ledger.set_reserve(replace(reserve, cash=answer[0], have=reserve.have | CASH))


def price(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """The oracle's getAssetPrice."""
    (asset,) = views.ASSET_PRICE.arguments(call)
    ledger.book.put(PRICES, (ledger.key, asset), Price(answer[0], ledger.at.number))


def token_reserve(ledger: Ledger, call: CallResult) -> tuple[Reserve, str] | None:
    """The reserve and the kind of the token that was asked; None if it is none of ours."""
    token = ledger.token(call.to.lower())
    reserve = None if token is None else ledger.reserve(token.asset)
    return None if token is None or reserve is None else (reserve, token.kind)


def scaled_supply(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """scaledTotalSupply. One that differs from what events made of it means that an event was missed."""
    found = token_reserve(ledger, call)
    if found is None:
        return
    reserve, kind = found
    if kind not in (SUPPLY, VARIABLE):
        return
    bit, before = (SUPPLIED, reserve.supplied) if kind == SUPPLY else (BORROWED, reserve.borrowed)
    if reserve.have & bit and before != answer[0]:
        name = reserve.symbol or reserve.asset
        ledger.book.notice(
            f"aave_v3: the {kind} of {name} differs from its contract's: an event was missed, reading again"
        )
    if kind == SUPPLY:
        ledger.set_reserve(replace(reserve, supplied=answer[0], have=reserve.have | bit))
    else:
        ledger.set_reserve(replace(reserve, borrowed=answer[0], have=reserve.have | bit))


def stable_supply(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    """getSupplyData of a stable debt token."""
    found = token_reserve(ledger, call)
    if found is not None:
        principal, _, rate, updated = answer
        changed = replace(found[0], stable_principal=principal, stable_rate=rate, stable_updated=updated)
        ledger.set_reserve(replace(changed, have=changed.have | STABLE))
