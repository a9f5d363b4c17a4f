"""An account and its Comet as they stand: health, liquidation prices, the whole position.

comet@d5a30b0 contracts/Comet.sol. `isLiquidatable` goes by the stored indices, `absorb` accrues first: both are kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg, Market, Position
from defiwatch.domain.units import BPS, UINT256_MAX, WAD, YEAR_S
from defiwatch.protocols import erc20
from defiwatch.protocols.compound_v3 import arithmetic
from defiwatch.protocols.compound_v3.arithmetic import Totals
from defiwatch.protocols.compound_v3.state import (
    BALANCES,
    BASICS,
    CASH,
    CURVES,
    NAMES,
    OPEN,
    PRICES,
    SUMS,
    Basic,
    Scene,
    curve,
    scene,
    sides,
    unread,
)
from defiwatch.protocols.spec import Book

PROTOCOL = "compound_v3"
_PRICE_DECIMALS = 8


class Standing(msgspec.Struct, frozen=True):
    """An account by one set of totals: what it owes (units and value) and its health factor (wad)."""

    owed: int
    debt: int
    health_factor: int


def standing(book: Book, at: BlockRef, comet: Address, account: Address, *, stored: bool = False) -> Standing | None:
    """An account with interest up to the block's time (what `absorb` sees), or by the stored indices.

    The stored indices are what `isLiquidatable` answers by. None where it cannot be told.
    """
    it = scene(book, comet, at.time)
    if _unknown(book, comet, account, it):
        return None
    basic = book.get(BASICS, (comet, account)) or Basic()
    return _standing(it, it.stored if stored else it.accrued, basic.principal, _weighted(book, comet, account, it))


def liquidatable(book: Book, at: BlockRef, comet: Address, account: Address, *, stored: bool = False) -> bool | None:
    """Whether the Comet would say so (`stored`), or `absorb` do so; None where it cannot be told or reverts."""
    it = scene(book, comet, at.time)
    basic = book.get(BASICS, (comet, account))
    if it.missing or basic is None or not basic.known or next(unread(book, comet, account, it.assets), None):
        return None
    held = sides(book, comet, account, it)
    totals = it.stored if stored else it.accrued
    try:
        return arithmetic.liquidatable(totals, basic.principal, it.base_price, it.base_scale, held)
    except ValueError:
        return None


def _weighted(book: Book, comet: Address, account: Address, it: Scene) -> int:
    return sum(arithmetic.weighted_value(side) for side in sides(book, comet, account, it))


def _unknown(book: Book, comet: Address, account: Address, it: Scene) -> str:
    basic = book.get(BASICS, (comet, account))
    if it.missing:
        return it.missing
    if basic is None or not basic.known:
        return "its balance was not read yet"
    asset = next(unread(book, comet, account, it.assets), None)
    if asset is not None:
        return f"its balance of {erc20.symbol_of(book, asset.asset)} was not read yet"
    if basic.principal >= 0:
        return ""
    if it.base_price is None:
        return f"the price of {erc20.symbol_of(book, it.base)} {it.base_why}"
    for side in sides(book, comet, account, it):
        if side.price is None and side.asset.liquidate_factor:
            name = erc20.symbol_of(book, side.asset.asset)
            return f"the price of {name} {it.whys[it.assets.index(side.asset)]}"
    return ""


def positions(book: Book, at: BlockRef, comet: Address, label: str) -> Iterable[Position]:
    """Every account with debt or collateral."""
    it = scene(book, comet, at.time)
    seen = {key[1] for key, basic in book.items(BASICS) if key[0] == comet and basic.principal < 0}
    seen.update(key[1] for key, _ in book.items(OPEN) if key[0] == comet)
    seen.update(key[1] for key, _ in book.items(BALANCES) if key[0] == comet)
    for account in sorted(seen):
        position = _position(book, at, comet, it, account, label)
        if position is not None:
            yield position


def position(book: Book, at: BlockRef, comet: Address, account: Address, label: str) -> Position | None:
    """One account's position; its health factor is with interest up to the block's time."""
    return _position(book, at, comet, scene(book, comet, at.time), account, label)


def _position(book: Book, at: BlockRef, comet: Address, it: Scene, account: Address, label: str) -> Position | None:
    basic = book.get(BASICS, (comet, account))
    held = sides(book, comet, account, it)
    if basic is None and not held:
        return None
    principal = basic.principal if basic is not None else 0
    unknown = _unknown(book, comet, account, it)
    if not unknown and principal >= 0 and not held:
        return None
    weighted = sum(arithmetic.weighted_value(side) for side in held)
    standing = _standing(it, it.accrued, principal, weighted)
    legs = tuple(_collateral_leg(book, side) for side in held)
    value = sum(leg.collateral_base for leg in legs)
    borrowable = sum(
        arithmetic.mul_factor(leg.collateral_base, side.asset.borrow_factor)
        for leg, side in zip(legs, held, strict=True)
    )
    if standing.owed:
        legs += (_debt_leg(book, it, standing),)
    prices: dict[Address, int] = {}
    if standing.debt and not unknown:
        for side in held:
            crossing = arithmetic.collateral_crossing(side, weighted, standing.debt)
            if crossing is not None:
                prices[side.asset.asset] = crossing
        base = arithmetic.base_crossing(standing.owed, weighted, it.base_scale)
        if base is not None:
            prices[it.base] = base
    feeds = [side.asset.feed for side in held] + [book.get(NAMES, (comet, "baseTokenPriceFeed")) or ""]
    answers = (book.get(PRICES, (comet, feed)) for feed in feeds) if standing.owed else ()
    factor = standing.health_factor
    if unknown:
        factor = UINT256_MAX if basic is not None and basic.known and principal >= 0 else 0
    return Position(
        chain_id=book.chain_id,
        protocol=PROTOCOL,
        market=comet,
        account=account,
        block=at.number,
        block_hash=at.hash,
        time=at.time,
        health_factor=factor,
        collateral_base=0 if unknown else value,
        debt_base=0 if unknown else standing.debt,
        liquidation_threshold=0 if unknown or not value else weighted * BPS // value,
        legs=legs,
        liquidation_prices=prices,
        available_borrows_base=0 if unknown else max(0, borrowable - standing.debt),
        ltv=0 if unknown or not value else borrowable * BPS // value,
        base_decimals=_PRICE_DECIMALS,
        unknown=unknown,
        label=label or _label(book, it),
        prices_block=min((answer.block for answer in answers if answer is not None), default=-1),
    )


def _label(book: Book, it: Scene) -> str:
    return f"Compound {erc20.symbol_of(book, it.base)}" if it.base else ""


def market(book: Book, at: BlockRef, comet: Address, label: str) -> Market:
    """The base asset, with interest up to the block's time. `bad_debt` is what its reserves are short of."""
    it = scene(book, comet, at.time)
    supplied = arithmetic.present_supply(it.accrued.supply_index, it.accrued.supply_base)
    borrowed = arithmetic.present_borrow(it.accrued.borrow_index, it.accrued.borrow_base)
    cash = book.get(CASH, comet)
    balance = 0 if cash is None or cash.value is None else cash.value
    _, known = book.get(SUMS, comet) or (0, 0)
    utilised = arithmetic.utilisation(it.stored)
    yearly = {}
    for side in CURVES:
        shape = curve(book, comet, side)
        yearly[side] = 0.0 if shape is None else arithmetic.rate(shape, utilised) * YEAR_S / WAD
    flags = it.stored.pause_flags
    return Market(
        chain_id=book.chain_id,
        protocol=PROTOCOL,
        id=comet,
        label=label or _label(book, it),
        asset=it.base,
        symbol=erc20.symbol_of(book, it.base),
        decimals=len(str(it.base_scale)) - 1,
        supplied=supplied,
        borrowed=borrowed,
        cash=balance,
        debt_known=arithmetic.present_borrow(it.accrued.borrow_index, known),
        price=it.base_price or 0,
        base_decimals=_PRICE_DECIMALS,
        bad_debt=0 if cash is None or it.missing else max(0, supplied - borrowed - balance),
        borrow_rate=yearly["borrow"],
        supply_rate=yearly["supply"],
        paused=bool(flags),
        block=at.number,
        time=at.time,
        unknown=it.missing,
        curve=curve(book, comet, "borrow"),
        curve_unknown="" if curve(book, comet, "borrow") else "its rate curve was not read",
    )


def _standing(it: Scene, totals: Totals, principal: int, weighted: int) -> Standing:
    owed = -arithmetic.present(totals, principal) if principal < 0 else 0
    debt = arithmetic.debt_value(totals, principal, it.base_price or 0, it.base_scale)
    return Standing(owed, debt, arithmetic.health_factor(weighted, debt))


def _collateral_leg(book: Book, side: arithmetic.Side) -> Leg:
    asset, price = side.asset, side.price or 0
    return Leg(
        asset=asset.asset,
        symbol=erc20.symbol_of(book, asset.asset),
        decimals=len(str(asset.scale)) - 1,
        collateral=side.balance,
        debt=0,
        price=price,
        liquidation_threshold=asset.liquidate_factor * BPS // WAD,
        collateral_base=side.balance * price // asset.scale,
        liquidation_bonus=BPS * WAD // asset.liquidation_factor if asset.liquidation_factor else 0,
    )


def _debt_leg(book: Book, it: Scene, standing: Standing) -> Leg:
    return Leg(
        asset=it.base,
        symbol=erc20.symbol_of(book, it.base),
        decimals=len(str(it.base_scale)) - 1,
        collateral=0,
        debt=standing.owed,
        price=it.base_price or 0,
        liquidation_threshold=0,
        debt_base=standing.debt,
    )
