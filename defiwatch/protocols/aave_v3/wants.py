"""Which calls are still open. What never comes stays open; what was answered with an error opens a block later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    BASE,
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
    NEEDED,
    ORACLE,
    PENDING,
    POOL,
    PREMIUM,
    PRICES,
    REVISION,
    SENTINEL,
    SOURCE,
    STABLE,
    SUPPLIED,
    SYMBOL,
    UNIT,
    Reserve,
    Token,
)
from defiwatch.protocols.abi import Call

_AHEAD = 3
"""eMode categories cannot be listed: after this many empty ones in a row, no more is asked, but where someone is."""


def wants(ledger: Ledger, watched: Sequence[Address] = ()) -> Sequence[Call]:
    """Every call that is open at the ledger's block, each once, in the order of their dependence."""
    failed, now = ledger.book.get, ledger.at.number
    return [call for call in dict.fromkeys(_open(ledger, watched)) if failed(FAILED, (call.to, call.data)) != now]


def meet_watched(ledger: Ledger, call: CallResult, watched: Sequence[Address]) -> None:
    """Put a watched account on record with the first answer that speaks of it, even one that says it has nothing."""
    asked = views.USER_CONFIGURATION
    if call.to.lower() != ledger.market.pool or not asked.matches(call) or asked.result(call) is None:
        return
    (address,) = asked.arguments(call)
    if address in watched and ledger.account(address) is None:
        ledger.set_account(address, ledger.meet(address))


def _open(ledger: Ledger, watched: Sequence[Address]) -> Iterator[Call]:
    market, form = ledger.market, ledger.form
    for bit, asked in (
        (POOL, views.GET_POOL),
        (CONFIGURATOR, views.GET_CONFIGURATOR),
        (ORACLE, views.GET_ORACLE),
        (SENTINEL, views.GET_SENTINEL),
    ):
        if not market.have & bit:
            yield asked.call(ledger.key)
    if not market.have & POOL:
        return
    pool, oracle = market.pool, market.oracle
    if not market.have & REVISION:
        yield views.POOL_REVISION.call(pool)
    if not market.have & LIST:
        yield views.RESERVES_LIST.call(pool)
    if market.have & ORACLE and not market.have & UNIT:
        yield views.BASE_UNIT.call(oracle)
    if market.have & UNIT and market.base_unit != 10**8 and not market.have & BASE:
        yield views.BASE_CURRENCY.call(oracle)
    if not market.have & REVISION:
        return
    if not market.have & PREMIUM and not form.premium_to_treasury:
        yield views.PREMIUM_TO_PROTOCOL.call(pool)
    reserves = ledger.reserves()
    for reserve in reserves:
        yield from _open_reserve(ledger, reserve)
    yield from _open_categories(ledger, reserves)
    for (key, account), _ in sorted(ledger.book.items(PENDING)):
        if key == ledger.key:
            yield from _open_account(ledger, account)
    if not market.born and all(reserve.have & NEEDED == NEEDED for reserve in reserves):
        for account in watched:
            yield from _open_watched(ledger, account)
    if form.sentinel and market.sentinel != ZERO_ADDRESS and not _fresh(ledger, market.sentinel):
        yield views.LIQUIDATION_ALLOWED.call(market.sentinel)
    if market.have & ORACLE:
        for asset in _priced(ledger, reserves):
            if not _fresh(ledger, asset):
                yield views.ASSET_PRICE.call(oracle, asset)


def _fresh(ledger: Ledger, asset: Address) -> bool:
    price = ledger.book.get(PRICES, (ledger.key, asset))
    return price is not None and price.block == ledger.at.number


def _open_reserve(ledger: Ledger, reserve: Reserve) -> Iterator[Call]:
    pool, form, have, asset = ledger.market.pool, ledger.form, reserve.have, reserve.asset
    if not have & DATA:
        yield views.RESERVE_DATA.call(pool, asset)
    if not have & SYMBOL:
        yield views.TOKEN_SYMBOL.call(asset)
    if not have & DATA and not reserve.a_token:
        return
    if not have & SUPPLIED:
        yield views.SCALED_SUPPLY.call(reserve.a_token)
    if not have & BORROWED:
        yield views.SCALED_SUPPLY.call(reserve.variable_token)
    if form.stable_debt and reserve.stable_token != ZERO_ADDRESS and not have & STABLE:
        yield views.STABLE_SUPPLY.call(reserve.stable_token)
    if form.deficit and not have & DEFICIT:
        yield views.RESERVE_DEFICIT.call(pool, asset)
    if not have & CASH:
        yield views.VIRTUAL_BALANCE.call(pool, asset) if form.virtual_balance else _holds(reserve)
        if form.virtual_balance and not form.taylor and not reserve.virtual and have & DATA:
            yield views.CONFIGURATION.call(pool, asset)  # says whether that balance counts
    if form.virtual_balance and not have & GRACE:
        yield views.GRACE_PERIOD.call(pool, asset)
    if ledger.market.have & ORACLE and not have & SOURCE:
        yield views.ASSET_SOURCE.call(ledger.market.oracle, asset)


def _holds(reserve: Reserve) -> Call:
    return views.TOKEN_BALANCE.call(reserve.asset, reserve.a_token)


def _open_categories(ledger: Ledger, reserves: Sequence[Reserve]) -> Iterator[Call]:
    market, form, pool = ledger.market, ledger.form, ledger.market.pool
    if not form.liquid_emode:
        named = ({reserve.category for reserve in reserves if reserve.have & DATA} | {*market.categories}) - {0}
        for category in sorted(named):
            if ledger.book.get(CATEGORIES, (ledger.key, category)) is None:
                yield views.CATEGORY_DATA.call(pool, category)
        return
    unread = [n for n in market.categories if ledger.book.get(CATEGORIES, (ledger.key, n)) is None]
    last = max((n for n in market.categories if n not in unread), default=0) + (0 if market.born else _AHEAD)
    probes = range(market.probed + 1, min(last, 255) + 1)
    for category in (*probes, *(n for n in unread if n not in probes)):
        yield views.CATEGORY_CONFIG.call(pool, category)
        yield views.CATEGORY_LABEL.call(pool, category)
        yield views.CATEGORY_COLLATERAL.call(pool, category)
        yield views.CATEGORY_BORROWABLE.call(pool, category)
        if form.zero_threshold_counts:
            yield views.CATEGORY_LTV_ZERO.call(pool, category)
        if form.isolated_emode:
            yield views.CATEGORY_ISOLATED.call(pool, category)


def _open_watched(ledger: Ledger, address: Address) -> Iterator[Call]:
    """All of an account: what an ordinary one is asked for, and what it supplies without using it as collateral."""
    account = ledger.account(address)
    if account is None:
        yield views.USER_CONFIGURATION.call(ledger.market.pool, address)
        yield views.USER_EMODE.call(ledger.market.pool, address)
        return
    yield from _open_account(ledger, address)
    supplied, _, _ = ledger.gaps()
    for reserve in ledger.reserves():
        if reserve.id >= 0 and (account.unknown_supplied & supplied) >> reserve.id & 1:
            yield views.SCALED_BALANCE.call(reserve.a_token, address)


def _open_account(ledger: Ledger, address: Address) -> Iterator[Call]:
    account = ledger.account(address)
    if account is None:
        return
    if account.unknown_collateral:
        yield views.USER_CONFIGURATION.call(ledger.market.pool, address)
    if account.unknown_emode:
        yield views.USER_EMODE.call(ledger.market.pool, address)
    if account.unknown_collateral:
        return
    supplied, borrowed, _ = ledger.gaps()
    for reserve in ledger.reserves():
        bit = 1 << reserve.id if reserve.id >= 0 else 0
        if account.unknown_supplied & account.collateral & supplied & bit:
            yield views.SCALED_BALANCE.call(reserve.a_token, address)
        if account.unknown_borrowed & borrowed & bit:
            yield views.SCALED_BALANCE.call(reserve.variable_token, address)
        if ledger.form.stable_debt and account.unknown_stable & bit:
            for asked in (views.STABLE_RATE, views.STABLE_UPDATED, views.STABLE_BALANCE):
                yield asked.call(reserve.stable_token, address)


def _priced(ledger: Ledger, reserves: Sequence[Reserve]) -> list[Address]:
    """What needs a price: reserves that anybody has something of, and price sources of eMode categories."""
    found = {reserve.asset for reserve in reserves if reserve.supplied or reserve.borrowed or reserve.stable_principal}
    if not ledger.form.liquid_emode:
        for category in ledger.market.categories:
            known = ledger.book.get(CATEGORIES, (ledger.key, category))
            if known is not None and known.source != ZERO_ADDRESS:
                found.add(known.source)
    return sorted(found)


def checks(ledger: Ledger) -> Sequence[Call]:
    """The totals of all tokens that are known."""
    found: list[Call] = []
    for reserve in ledger.reserves():
        if reserve.have & SUPPLIED and reserve.have & BORROWED:
            found += [views.SCALED_SUPPLY.call(reserve.a_token), views.SCALED_SUPPLY.call(reserve.variable_token)]
    return found


def scanned(ledger: Ledger, logs: Sequence[RawLog]) -> Sequence[Call]:
    """The reads that tell everything of the accounts that these Transfer logs name as recipients."""
    pairs: dict[tuple[Address, Address], Token] = {}
    for log in logs:
        token = ledger.token(log.address.lower())
        if token is None or len(log.topics) != 3:
            continue
        account = "0x" + log.topics[2][26:].lower()
        if account != ZERO_ADDRESS:
            pairs[log.address.lower(), account] = token
    calls: list[Call] = []
    for (address, account), token in sorted(pairs.items()):
        if token.kind == FIXED:
            calls += [
                asked.call(address, account)
                for asked in (views.STABLE_RATE, views.STABLE_UPDATED, views.STABLE_BALANCE)
            ]
        else:
            calls.append(views.SCALED_BALANCE.call(address, account))
    pool = ledger.market.pool
    for account in sorted({account for _, account in pairs}):
        calls += [views.USER_CONFIGURATION.call(pool, account), views.USER_EMODE.call(pool, account)]
    return calls
