"""Every term behind an account's health factor, ours, and the question that has the contract tell its own.

The contract's answers never reach our state: they are asked for the comparison alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.protocols.aave_v3 import AaveV3, indices, views
from defiwatch.protocols.aave_v3.account import AccountData, Lane
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import Account
from defiwatch.protocols.abi import Call, Function, function
from defiwatch.protocols.compound_v3 import answers, arithmetic
from defiwatch.protocols.compound_v3.comet import CompoundV3
from defiwatch.protocols.compound_v3.state import BALANCES, BASICS, Basic
from defiwatch.protocols.morpho_blue import blue
from defiwatch.protocols.morpho_blue.state import Holding
from defiwatch.protocols.spec import Book, Instance

BORROW_BALANCE = function("borrowBalanceOf(address)", "uint256")
IS_LIQUIDATABLE = function("isLiquidatable(address)", "bool")


class Question(msgspec.Struct, frozen=True):
    """One term. `ours` None: we cannot tell it, because `why`. `place`: which of the answer's values it is.

    `owned` marks what the account itself has: where all of it is 0 on both sides, the account has nothing here.
    `quiet` terms are told only where either side is not 0.
    """

    name: str
    ours: int | None
    function: Function
    call: Call
    place: int = 0
    owned: bool = False
    quiet: bool = False
    why: str = ""


class Proof(msgspec.Struct, frozen=True):
    """The questions about one account in one market."""

    protocol: str
    market: str
    questions: tuple[Question, ...]


def proofs(instance: Instance, book: Book, at: BlockRef, account: Address) -> list[Proof]:
    """What to ask about an account at the block `at`; [] for a protocol without positions, or one not read yet."""
    if isinstance(instance, AaveV3):
        market = instance.market(book)
        if not market.pool or not market.revision:
            return []
        return [Proof(instance.protocol, market.pool, tuple(_aave(instance, book, at, account)))]
    if isinstance(instance, blue.MorphoBlue):
        found = sorted(market.id for market in instance.markets(book, at))
        return [Proof(instance.protocol, id_, tuple(_morpho(instance, book, at, id_, account))) for id_ in found]
    if isinstance(instance, CompoundV3):
        return [Proof(instance.protocol, instance.address, tuple(_comet(instance, book, at, account)))]
    return []


# Aave v3

_ACCOUNT = (
    ("total_collateral_base", "collateral"),
    ("total_debt_base", "debt"),
    ("available_borrows_base", "available"),
    ("liquidation_threshold", "threshold"),
    ("ltv", "ltv"),
    ("health_factor", "health_factor"),
)


def _aave(instance: AaveV3, book: Book, at: BlockRef, address: Address) -> Iterator[Question]:
    ledger = instance.ledger(book, at)
    pool = ledger.market.pool
    account = ledger.account(address) or ledger.meet(address)
    told = instance.account_data(book, at, address)
    asked = views.ACCOUNT_DATA.call(pool, address)
    for place, (name, field) in enumerate(_ACCOUNT):
        ours: int | None = getattr(told, field) if isinstance(told, AccountData) else None
        why = "" if isinstance(told, AccountData) else told
        yield Question(name, ours, views.ACCOUNT_DATA, asked, place, why=why)
    word = sum(1 << 2 * i + 1 for i in range(128) if account.collateral >> i & 1)
    word |= sum(1 << 2 * holding.id for holding in account.holdings if holding.borrowed or holding.stable)
    yield Question("configuration", word, views.USER_CONFIGURATION, views.USER_CONFIGURATION.call(pool, address))
    yield Question("emode", account.emode, views.USER_EMODE, views.USER_EMODE.call(pool, address), quiet=True)
    if account.emode:
        yield from _category(ledger, instance, book, at, account.emode)
    for lane in instance.scene(book, at).lanes:
        if lane is not None:
            yield from _reserve(ledger, lane, account, address)


def _category(ledger: Ledger, instance: AaveV3, book: Book, at: BlockRef, number: int) -> Iterator[Question]:
    category = instance.scene(book, at).categories.get(number)
    if category is None or not ledger.form.liquid_emode:
        return
    pool = ledger.market.pool
    parts = (category.ltv, category.threshold, category.bonus)
    for place, (name, ours) in enumerate(zip(("ltv", "threshold", "bonus"), parts, strict=True)):
        asked = views.CATEGORY_CONFIG
        yield Question(f"emode {number} {name}", ours, asked, asked.call(pool, number), place)
    asked = views.CATEGORY_COLLATERAL
    yield Question(f"emode {number} collateral", category.collateral, asked, asked.call(pool, number))
    if ledger.form.zero_threshold_counts:
        asked = views.CATEGORY_LTV_ZERO
        yield Question(f"emode {number} ltv_zero", category.ltv_zero, asked, asked.call(pool, number))


def _reserve(ledger: Ledger, lane: Lane, account: Account, address: Address) -> Iterator[Question]:
    reserve, name, form, market = lane.reserve, lane.symbol or lane.asset, ledger.form, ledger.market
    held = account.holding(reserve.id)
    tokens = (
        ("collateral", reserve.a_token, held.supplied, account.unknown_supplied),
        ("debt", reserve.variable_token, held.borrowed, account.unknown_borrowed),
    )
    for side, token, scaled, unknown in tokens:
        if unknown >> reserve.id & 1:
            continue
        asked = views.SCALED_BALANCE
        yield Question(f"{name} scaled_{side}", scaled, asked, asked.call(token, address), owned=True, quiet=True)
    fixed = indices.stable_balance(held.stable, held.stable_rate, held.stable_updated, ledger.at.time)
    if form.stable_debt and reserve.stable_token != ZERO_ADDRESS:
        asked = views.TOKEN_BALANCE
        call = asked.call(reserve.stable_token, address)
        yield Question(f"{name} stable_debt", fixed, asked, call, owned=True, quiet=True)
    if held.empty:
        return
    balances = (
        ("collateral", reserve.a_token, indices.supply_balance(form, held.supplied, lane.income)),
        ("variable_debt", reserve.variable_token, indices.debt_balance(form, held.borrowed, lane.debt_index)),
    )
    for side, token, units in balances:
        asked = views.TOKEN_BALANCE
        yield Question(f"{name} {side}", units, asked, asked.call(token, address), quiet=True)
    price = None if lane.missing else lane.price
    asked = views.ASSET_PRICE
    yield Question(f"{name} price", price, asked, asked.call(market.oracle, lane.asset), why=lane.missing)
    for what, ours, asked in (
        ("liquidity_index", lane.income, views.NORMALIZED_INCOME),
        ("debt_index", lane.debt_index, views.NORMALIZED_DEBT),
        ("configuration", reserve.configuration, views.CONFIGURATION),
    ):
        yield Question(f"{name} {what}", ours, asked, asked.call(market.pool, lane.asset))
    for what, ours, token in (
        ("scaled_total_collateral", reserve.supplied, reserve.a_token),
        ("scaled_total_debt", reserve.borrowed, reserve.variable_token),
    ):
        asked = views.SCALED_SUPPLY
        yield Question(f"{name} {what}", ours, asked, asked.call(token))


# Morpho Blue: it has no view of a health factor; all that its own check takes is compared.


def _morpho(instance: blue.MorphoBlue, book: Book, at: BlockRef, id_: str, account: Address) -> Iterator[Question]:
    scene = instance.totals(book, at, id_)
    if scene is None:
        return
    market, to = scene.market, instance.address
    holding = instance.holding(book, id_, account) or Holding()
    asked, call = blue.POSITION, blue.POSITION.call(to, id_, account)
    parts = (
        ("supply_shares", holding.supply_shares),
        ("borrow_shares", holding.borrow_shares),
        ("collateral", holding.collateral),
    )
    for place, (name, ours) in enumerate(parts):
        yield Question(name, ours if holding.known else None, asked, call, place, owned=True)
    asked, call = blue.MARKET, blue.MARKET.call(to, id_)
    for place, name in enumerate(market.totals.__struct_fields__):
        yield Question(f"market {name}", getattr(market.totals, name), asked, call, place)
    asked = blue.ID_TO_PARAMS
    yield Question("lltv", market.lltv, asked, asked.call(to, id_), 4)
    if market.totals.borrow_shares:
        missing = scene.missing if "price" in scene.missing else ""
        price = None if missing else scene.price
        yield Question("oracle price", price, blue.PRICE, blue.PRICE.call(market.oracle), why=missing)


# Compound v3


def _comet(instance: CompoundV3, book: Book, at: BlockRef, account: Address) -> Iterator[Question]:
    comet, it = instance.address, instance.scene(book, at)
    if it.missing:
        return
    basic = book.get(BASICS, (comet, account)) or Basic(known=True)
    asked, call = answers.USER_BASIC, answers.USER_BASIC.call(comet, account)
    yield Question("principal", basic.principal if basic.known else None, asked, call, owned=True)
    owed = -arithmetic.present(it.accrued, basic.principal) if basic.principal < 0 else 0
    yield Question("debt", owed if basic.known else None, BORROW_BALANCE, BORROW_BALANCE.call(comet, account))
    standing = instance.liquidatable(book, at, account, stored=True)
    if standing is not None:
        yield Question("liquidatable", int(standing), IS_LIQUIDATABLE, IS_LIQUIDATABLE.call(comet, account))
    asked, call = answers.TOTALS_BASIC, answers.TOTALS_BASIC.call(comet)
    for name, ours, place in (
        ("supply_index", it.stored.supply_index, 0),
        ("borrow_index", it.stored.borrow_index, 1),
        ("total_supply_base", it.stored.supply_base, 4),
        ("total_borrow_base", it.stored.borrow_base, 5),
    ):
        yield Question(name, ours, asked, call, place)
    for asset, price in zip(it.assets, it.prices, strict=True):
        held = book.get(BALANCES, (comet, account, asset.asset))
        units = 0 if held is None else held.amount if held.known else None
        asked = answers.USER_COLLATERAL
        call = asked.call(comet, account, asset.asset)
        yield Question(f"{asset.asset} collateral", units, asked, call, owned=True, quiet=True)
        if units:
            yield Question(f"{asset.asset} price", price, answers.GET_PRICE, answers.GET_PRICE.call(comet, asset.feed))
