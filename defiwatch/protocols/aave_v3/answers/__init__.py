"""What an answer means. It is understood from its calldata alone, so that a recording is enough; the rest is left."""

from __future__ import annotations

import msgspec

from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.text import harmless
from defiwatch.errors import ReadError
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.answers.accounts import scaled_balance, stable_field, user_configuration, user_emode
from defiwatch.protocols.aave_v3.answers.categories import category_config, category_data, category_field
from defiwatch.protocols.aave_v3.answers.market import (
    cash,
    liquidation_allowed,
    market_field,
    price,
    reserve_data,
    reserve_field,
    reserves_list,
    revision_of,
    scaled_supply,
    stable_supply,
    symbol,
)
from defiwatch.protocols.aave_v3.answers.taker import Taker
from defiwatch.protocols.aave_v3.curve import take_curve
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    BASE,
    CASH,
    CONFIGURATOR,
    DEFICIT,
    FAILED,
    GRACE,
    ORACLE,
    POOL,
    PREMIUM,
    PRICES,
    SENTINEL,
    SOURCE,
    SYMBOL,
    UNIT,
    Price,
)
from defiwatch.protocols.abi import Function, decode

replace = msgspec.structs.replace


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
        return take_curve(ledger, call)
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
    elif asked is views.POOL_REVISION:
        ledger.book.notice(f"aave_v3 pool {to} does not tell its revision: by which rules it counts is unknown")
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
    views.BASE_CURRENCY.selector: BASE,
}
_PROVIDER = _entries(
    (views.GET_POOL, market_field("pool", POOL)),
    (views.GET_CONFIGURATOR, market_field("configurator", CONFIGURATOR)),
    (views.GET_ORACLE, market_field("oracle", ORACLE)),
    (views.GET_SENTINEL, market_field("sentinel", SENTINEL)),
)
_POOL = _entries(
    (views.POOL_REVISION, revision_of),
    (views.RESERVES_LIST, reserves_list),
    (views.RESERVE_DATA, reserve_data),
    (views.CONFIGURATION, reserve_field("configuration")),
    (views.PREMIUM_TO_PROTOCOL, market_field("premium_to_protocol", PREMIUM)),
    (views.RESERVE_DEFICIT, reserve_field("deficit", DEFICIT)),
    (views.VIRTUAL_BALANCE, reserve_field("cash", CASH)),
    (views.GRACE_PERIOD, reserve_field("grace_until", GRACE)),
    (views.USER_CONFIGURATION, user_configuration),
    (views.USER_EMODE, user_emode),
    (views.CATEGORY_DATA, category_data),
    (views.CATEGORY_CONFIG, category_config),
    (views.CATEGORY_LABEL, category_field("label")),
    (views.CATEGORY_COLLATERAL, category_field("collateral")),
    (views.CATEGORY_BORROWABLE, category_field("borrowable")),
    (views.CATEGORY_LTV_ZERO, category_field("ltv_zero")),
    (views.CATEGORY_ISOLATED, category_field("isolated")),
)
_ORACLE = _entries(
    (views.ASSET_PRICE, price),
    (views.ASSET_SOURCE, reserve_field("source", SOURCE)),
    (views.BASE_UNIT, market_field("base_unit", UNIT)),
    (views.BASE_CURRENCY, market_field("base_currency", BASE)),
)
_SENTINEL = _entries((views.LIQUIDATION_ALLOWED, liquidation_allowed))
_TOKEN = _entries(
    (views.SCALED_SUPPLY, scaled_supply),
    (views.SCALED_BALANCE, scaled_balance),
    (views.STABLE_SUPPLY, stable_supply),
    (views.STABLE_RATE, stable_field("stable_rate")),
    (views.STABLE_UPDATED, stable_field("stable_updated")),
    (views.STABLE_BALANCE, stable_field("stable")),
)
_ASSET = _entries((views.TOKEN_SYMBOL, symbol), (views.TOKEN_BALANCE, cash))

__all__ = ["reason", "take"]
