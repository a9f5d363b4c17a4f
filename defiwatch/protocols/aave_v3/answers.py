"""What an answer means. It is understood from its calldata alone, so that a recording is enough; the rest is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.text import harmless
from defiwatch.errors import ReadError
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.forms import NEWEST, Form
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    BORROWED,
    CASH,
    CATEGORIES,
    CONFIGURATOR,
    DATA,
    DEFICIT,
    FAILED,
    FIXED,
    GRACE,
    LIST,
    ORACLE,
    POOL,
    PREMIUM,
    PRICES,
    REVISION,
    SENTINEL,
    SOURCE,
    STABLE,
    SUPPLIED,
    SUPPLY,
    SYMBOL,
    UNIT,
    VARIABLE,
    Category,
    Price,
    Reserve,
)
from defiwatch.protocols.abi import Function, decode
from defiwatch.protocols.erc20 import SYMBOL_LIMIT, read_text

replace = msgspec.structs.replace

Taker: TypeAlias = Callable[[Ledger, CallResult, tuple[Any, ...]], None]
"""Writes one answer to the book: the call, and its decoded values."""


def take(ledger: Ledger, call: CallResult) -> bool:
    """Take one answer; True if it was understood. ReadError if it is malformed."""
    to = call.to.lower()
    market = ledger.market
    if ledger.at.number < market.block:
        return False  # of an older block than the state is of
    if to == ledger.key:
        table = _PROVIDER
    elif market.pool and to == market.pool:
        table = _POOL
    elif market.oracle and to == market.oracle:
        table = _ORACLE
    elif to == market.sentinel and to != ZERO_ADDRESS:
        table = _SENTINEL
    elif ledger.token(to) is not None:
        table = _TOKEN
    elif ledger.reserve(to) is not None:
        table = _ASSET
    else:
        return False
    entry = table.get(call.data[:10].lower())
    if entry is None:
        return False
    asked, taker = entry
    answer = asked.result(call)
    if answer is None:
        ledger.book.put(FAILED, (to, call.data), ledger.at.number)
        _failed(ledger, to, asked, call)
    else:
        taker(ledger, call, answer)
    return True


def _failed(ledger: Ledger, to: Address, asked: Function, call: CallResult) -> None:
    """An answer that is an error: for a price it is the answer, for what a fork may lack it counts as none."""
    if asked is views.LIQUIDATION_ALLOWED:
        ledger.book.put(PRICES, (ledger.key, to), Price(None, ledger.at.number, reason(call)))
    elif asked is views.ASSET_PRICE:
        (asset,) = asked.arguments(call)
        ledger.book.put(PRICES, (ledger.key, asset), Price(None, ledger.at.number, reason(call)))
    elif asked is views.TOKEN_SYMBOL:
        _have(ledger, to, SYMBOL)
    elif asked.selector in _OPTIONAL:
        (asset,) = asked.arguments(call)
        _have(ledger, asset, _OPTIONAL[asked.selector])
    elif asked.selector in _OPTIONAL_MARKET:
        ledger.set_market(replace(ledger.market, have=ledger.market.have | _OPTIONAL_MARKET[asked.selector]))


def _have(ledger: Ledger, asset: Address, bit: int) -> None:
    reserve = ledger.reserve(asset)
    if reserve is not None:
        ledger.set_reserve(replace(reserve, have=reserve.have | bit))


def reason(call: CallResult) -> str:
    """Why a call reverted: the text of Error(string), else the selector of its error, "0x" where it gave none."""
    data = call.error
    for _ in range(2):  # a node's error object, which some nest once more
        if isinstance(data, dict):
            data = data.get("data")
    if not isinstance(data, str) or not data.startswith("0x"):
        return "0x"
    if data.startswith("0x08c379a0"):
        try:
            return harmless(str(decode(("string",), "0x" + data[10:])[0]), 80)
        except ReadError:
            return data[:10]
    return data[:10]


# The market


def _of_market(field: str, bit: int) -> Taker:
    """A taker that writes one field of the market."""

    def take_field(ledger: Ledger, _: CallResult, answer: tuple[Any, ...]) -> None:
        ledger.set_market(replace(ledger.market, **{field: answer[0], "have": ledger.market.have | bit}))

    return take_field


def _revision(ledger: Ledger, _: CallResult, answer: tuple[Any, ...]) -> None:
    revision = answer[0]
    if not 0 < revision <= NEWEST:
        ledger.book.notice(
            f"aave_v3 pool {ledger.market.pool}: revision {revision} is not known; the rules of {NEWEST} (3.7) are used"
        )
    market, before = ledger.market, ledger.form
    ledger.set_market(replace(market, revision=revision, have=market.have | REVISION))
    after = ledger.form
    if market.revision and _emode_rules(before) != _emode_rules(after):
        # The upgrade itself may write what it brought (bitmaps, flags) without an event.
        ledger.set_market(replace(ledger.market, probed=0))
    if market.revision and before.virtual_balance != after.virtual_balance:
        for reserve in ledger.reserves():
            ledger.set_reserve(replace(reserve, have=reserve.have & ~CASH))


def _emode_rules(form: Form) -> tuple[bool, ...]:
    return form.liquid_emode, form.zero_threshold_counts, form.isolated_emode


def _list(ledger: Ledger, _: CallResult, answer: tuple[Any, ...]) -> None:
    for asset in answer[0]:
        ledger.list_reserve(asset)
    ledger.set_market(replace(ledger.market, assets=tuple(sorted(answer[0])), have=ledger.market.have | LIST))


# Reserves


def _data(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    (asset,) = views.RESERVE_DATA.arguments(call)
    word, li, lr, vi, vr, _, updated, place, a_token, stable, variable, _, treasury, _, isolation = answer
    if int(a_token, 16) == 0:
        return
    if not ledger.form.stable_debt:
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
            accrued_to_treasury=treasury,
            isolation_debt=isolation,
            have=reserve.have | DATA,
        )
    )
    ledger.list_token(a_token, asset, SUPPLY)
    ledger.list_token(variable, asset, VARIABLE)
    ledger.list_token(stable, asset, FIXED)


def _of_asset(field: str, bit: int = 0) -> Taker:
    """A taker that writes one field of the reserve that the call named."""

    def take_field(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
        reserve = ledger.reserve("0x" + call.data[34:74].lower())
        if reserve is not None:
            ledger.set_reserve(replace(reserve, **{field: answer[0], "have": reserve.have | bit}))

    return take_field


def _symbol(ledger: Ledger, call: CallResult, _: tuple[Any, ...]) -> None:
    reserve = ledger.reserve(call.to.lower())
    if reserve is not None:
        symbol = read_text(call.result or "", SYMBOL_LIMIT)
        ledger.set_reserve(replace(reserve, symbol=symbol, have=reserve.have | SYMBOL))


def _allowed(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    ledger.book.put(PRICES, (ledger.key, call.to.lower()), Price(int(answer[0]), ledger.at.number))


def _cash(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    reserve = ledger.reserve(call.to.lower())
    (holder,) = views.TOKEN_BALANCE.arguments(call)
    if reserve is not None and holder == reserve.a_token and not ledger.form.virtual_balance:
        ledger.set_reserve(replace(reserve, cash=answer[0], have=reserve.have | CASH))


def _price(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    (asset,) = views.ASSET_PRICE.arguments(call)
    ledger.book.put(PRICES, (ledger.key, asset), Price(answer[0], ledger.at.number))


def _token_reserve(ledger: Ledger, call: CallResult) -> tuple[Reserve, str] | None:
    token = ledger.token(call.to.lower())
    reserve = None if token is None else ledger.reserve(token.asset)
    return None if token is None or reserve is None else (reserve, token.kind)


def _scaled_supply(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    found = _token_reserve(ledger, call)
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


def _stable_supply(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    found = _token_reserve(ledger, call)
    if found is not None:
        principal, _, rate, updated = answer
        changed = replace(found[0], stable_principal=principal, stable_rate=rate, stable_updated=updated)
        ledger.set_reserve(replace(changed, have=changed.have | STABLE))


# Accounts


def _user_configuration(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
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


def _user_emode(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    (address,) = views.USER_EMODE.arguments(call)
    if answer[0] == 0 and ledger.account(address) is None:
        return
    ledger.set_account(address, replace(ledger.meet(address), emode=answer[0], unknown_emode=False))


def _scaled_balance(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    found = _token_reserve(ledger, call)
    (address,) = views.SCALED_BALANCE.arguments(call)
    if found is None or found[0].id < 0 or (answer[0] == 0 and ledger.account(address) is None):
        return
    reserve, kind = found
    account = ledger.meet(address)
    if kind == SUPPLY:
        ledger.set_supplied(reserve, address, account, answer[0])
    elif kind == VARIABLE:
        ledger.set_borrowed(reserve, address, account, answer[0])


def _stable_field(field: str) -> Taker:
    """A taker of one of the three reads that tell an account's stable debt; the principal comes last and settles it."""

    def take_field(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
        found = _token_reserve(ledger, call)
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


# eMode categories


def _category_data(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    if ledger.form.liquid_emode:  # the older view, kept by newer pools without what they added
        return
    (number,) = views.CATEGORY_DATA.arguments(call)
    ltv, threshold, bonus, source, label = answer[0]
    old = ledger.book.get(CATEGORIES, (ledger.key, number)) or Category()
    changed = replace(old, ltv=ltv, threshold=threshold, bonus=bonus, source=source, label=harmless(label, 64))
    ledger.book.put(CATEGORIES, (ledger.key, number), changed)
    if threshold:
        ledger.list_category(number)


def _category_config(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
    (number,) = views.CATEGORY_CONFIG.arguments(call)
    ltv, threshold, bonus = answer
    old = ledger.book.get(CATEGORIES, (ledger.key, number))
    if threshold or old is not None:
        changed = replace(old or Category(), ltv=ltv, threshold=threshold, bonus=bonus, source=ZERO_ADDRESS)
        ledger.book.put(CATEGORIES, (ledger.key, number), changed)
        ledger.list_category(number)
    if number > ledger.market.probed:
        ledger.set_market(replace(ledger.market, probed=number))


def _of_category(field: str) -> Taker:
    """A taker that writes one field of the category that the call named."""

    def take_field(ledger: Ledger, call: CallResult, answer: tuple[Any, ...]) -> None:
        number = int(call.data[10:74], 16)
        old = ledger.book.get(CATEGORIES, (ledger.key, number))
        if old is not None or answer[0]:
            value = harmless(answer[0], 64) if isinstance(answer[0], str) else answer[0]
            ledger.book.put(CATEGORIES, (ledger.key, number), replace(old or Category(), **{field: value}))

    return take_field


def _entries(*pairs: tuple[Function, Taker]) -> dict[str, tuple[Function, Taker]]:
    return {asked.selector: (asked, taker) for asked, taker in pairs}


_OPTIONAL = {
    views.RESERVE_DEFICIT.selector: DEFICIT,
    views.VIRTUAL_BALANCE.selector: CASH,
    views.GRACE_PERIOD.selector: GRACE,
    views.ASSET_SOURCE.selector: SOURCE,
}
_OPTIONAL_MARKET = {
    views.GET_SENTINEL.selector: SENTINEL,
    views.PREMIUM_TO_PROTOCOL.selector: PREMIUM,
    views.BASE_UNIT.selector: UNIT,
}
_PROVIDER = _entries(
    (views.GET_POOL, _of_market("pool", POOL)),
    (views.GET_CONFIGURATOR, _of_market("configurator", CONFIGURATOR)),
    (views.GET_ORACLE, _of_market("oracle", ORACLE)),
    (views.GET_SENTINEL, _of_market("sentinel", SENTINEL)),
)
_POOL = _entries(
    (views.POOL_REVISION, _revision),
    (views.RESERVES_LIST, _list),
    (views.RESERVE_DATA, _data),
    (views.CONFIGURATION, _of_asset("configuration")),
    (views.PREMIUM_TO_PROTOCOL, _of_market("premium_to_protocol", PREMIUM)),
    (views.RESERVE_DEFICIT, _of_asset("deficit", DEFICIT)),
    (views.VIRTUAL_BALANCE, _of_asset("cash", CASH)),
    (views.GRACE_PERIOD, _of_asset("grace_until", GRACE)),
    (views.USER_CONFIGURATION, _user_configuration),
    (views.USER_EMODE, _user_emode),
    (views.CATEGORY_DATA, _category_data),
    (views.CATEGORY_CONFIG, _category_config),
    (views.CATEGORY_LABEL, _of_category("label")),
    (views.CATEGORY_COLLATERAL, _of_category("collateral")),
    (views.CATEGORY_BORROWABLE, _of_category("borrowable")),
    (views.CATEGORY_LTV_ZERO, _of_category("ltv_zero")),
    (views.CATEGORY_ISOLATED, _of_category("isolated")),
)
_ORACLE = _entries(
    (views.ASSET_PRICE, _price),
    (views.ASSET_SOURCE, _of_asset("source", SOURCE)),
    (views.BASE_UNIT, _of_market("base_unit", UNIT)),
)
_SENTINEL = _entries((views.LIQUIDATION_ALLOWED, _allowed))
_TOKEN = _entries(
    (views.SCALED_SUPPLY, _scaled_supply),
    (views.SCALED_BALANCE, _scaled_balance),
    (views.STABLE_SUPPLY, _stable_supply),
    (views.STABLE_RATE, _stable_field("stable_rate")),
    (views.STABLE_UPDATED, _stable_field("stable_updated")),
    (views.STABLE_BALANCE, _stable_field("stable")),
)
_ASSET = _entries((views.TOKEN_SYMBOL, _symbol), (views.TOKEN_BALANCE, _cash))
