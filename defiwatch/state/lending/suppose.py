"""What if: positions as they would stand after prices moved or debt was repaid, by the protocol's own code.

The supposition is written to a book laid over the real one, which stays as it is; everything else is the same path.
"""

from __future__ import annotations

from collections.abc import ItemsView, Mapping
from typing import Any

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address, ChainId
from defiwatch.domain.risk import Position
from defiwatch.protocols.aave_v3 import AaveV3, indices
from defiwatch.protocols.aave_v3.state import ACCOUNTS, PRICES, Price
from defiwatch.protocols.compound_v3 import arithmetic
from defiwatch.protocols.compound_v3 import state as comet
from defiwatch.protocols.compound_v3.comet import CompoundV3
from defiwatch.protocols.morpho_blue import shares
from defiwatch.protocols.morpho_blue import state as morpho
from defiwatch.protocols.morpho_blue.blue import MorphoBlue
from defiwatch.protocols.spec import Book, Instance, K, Table, V

replace = msgspec.structs.replace


class Overlay:
    """A book over a book: what is written stays here. Implements `protocols.spec.Book`."""

    def __init__(self, below: Book) -> None:
        self._below = below
        self._own: dict[str, dict[Any, Any]] = {}

    @property
    def chain_id(self) -> ChainId:
        """The chain of the book below."""
        return self._below.chain_id

    def get(self, table: Table[K, V], key: K) -> V | None:
        """The value here, else the one below."""
        own = self._own.get(table.name)
        if own is None:
            return self._below.get(table, key)
        return own.get(key)

    def put(self, table: Table[K, V], key: K, value: V) -> None:
        """Set the value here."""
        self._table(table)[key] = value

    def drop(self, table: Table[K, V], key: K) -> None:
        """Remove the key here."""
        self._table(table).pop(key, None)

    def items(self, table: Table[K, V]) -> ItemsView[K, V]:
        """All entries, as they stand with what was written here."""
        own = self._own.get(table.name)
        return self._below.items(table) if own is None else own.items()

    def notice(self, text: str) -> None:
        """Tell it below."""
        self._below.notice(text)

    def _table(self, table: Table[K, V]) -> dict[Any, Any]:
        if table.name not in self._own:
            self._own[table.name] = dict(self._below.items(table))
        return self._own[table.name]


def suppose(
    instance: Instance,
    book: Book,
    at: BlockRef,
    position: Position,
    shocks: Mapping[Address, float],
    repays: Mapping[Address, int],
) -> tuple[Position, Book]:
    """The position after relative moves of prices (-0.2: a fall by 20 %) and repayments (units; more than is owed
    repays all), and the book that it is of. Prices are rounded to the nearest unit. Both are what they were where
    nothing of the position is touched, or it is unknown."""
    held = {leg.asset for leg in position.legs}
    moves = {asset: move for asset, move in sorted(shocks.items()) if asset in held}
    paid = {asset: amount for asset, amount in sorted(repays.items()) if asset in held and amount}
    if position.unknown or not (moves or paid):
        return position, book
    over = Overlay(book)
    if isinstance(instance, AaveV3):
        _aave(instance, over, at, position, moves, paid)
    elif isinstance(instance, MorphoBlue):
        _morpho(instance, over, at, position, moves, paid)
    elif isinstance(instance, CompoundV3):
        _comet(instance, over, at, position, moves, paid)
    found = [p for p in instance.positions_of(over, at, position.account) if p.market == position.market]
    gone = replace(position, legs=(), debt_base=0, collateral_base=0, liquidation_prices={})
    return (found[0] if found else gone), over


def _moved(price: int, move: float) -> int:
    return max(0, round(price * (1.0 + move)))


def _aave(
    instance: AaveV3,
    over: Overlay,
    at: BlockRef,
    position: Position,
    moves: Mapping[Address, float],
    paid: Mapping[Address, int],
) -> None:
    for asset, move in moves.items():
        price = over.get(PRICES, (instance.provider, asset))
        if price is not None and price.value is not None:
            over.put(PRICES, (instance.provider, asset), Price(_moved(price.value, move), price.block))
    key = (instance.provider, position.account)
    ledger = instance.ledger(over, at)
    for asset, amount in paid.items():
        account, reserve = over.get(ACCOUNTS, key), ledger.reserve(asset)
        if account is None or reserve is None:
            continue
        holding = account.holding(reserve.id)
        index = indices.debt(ledger.form, reserve, at.time)
        owed = indices.debt_balance(ledger.form, holding.borrowed, index)
        scaled = 0
        if amount < owed:
            scaled = indices.scaled_after(ledger.form, holding.borrowed, -amount, index, is_debt=True)
        left = max(0, amount - owed)
        fixed = indices.stable_balance(holding.stable, holding.stable_rate, holding.stable_updated, at.time)
        changed = replace(holding, borrowed=scaled)
        if left and fixed:
            changed = replace(changed, stable=max(0, fixed - left), stable_updated=at.time)
        others = [other for other in account.holdings if other.id != holding.id]
        kept = [*others, changed] if not changed.empty else others
        over.put(ACCOUNTS, key, replace(account, holdings=tuple(sorted(kept, key=_by_id))))


def _by_id(holding: Any) -> int:
    return int(holding.id)


def _morpho(
    instance: MorphoBlue,
    over: Overlay,
    at: BlockRef,
    position: Position,
    moves: Mapping[Address, float],
    paid: Mapping[Address, int],
) -> None:
    scene = instance.totals(over, at, position.market)
    if scene is None:
        return
    market = scene.market
    # The oracle's price is collateral in loan units: a move of the loan's price moves it the other way.
    factor = (1.0 + moves.get(market.collateral, 0.0)) / max(1e-18, 1.0 + moves.get(market.loan, 0.0))
    answer = over.get(morpho.PRICES, market.oracle)
    if moves and answer is not None and answer.value is not None:
        over.put(morpho.PRICES, market.oracle, replace(answer, value=_moved(answer.value, factor - 1.0)))
    key = (instance.address, position.market, position.account)
    holding = over.get(morpho.HOLDINGS, key)
    if holding is None or market.loan not in paid:
        return
    totals = scene.totals
    gone = shares.to_shares_down(paid[market.loan], totals.borrow_assets, totals.borrow_shares)
    over.put(morpho.HOLDINGS, key, replace(holding, borrow_shares=max(0, holding.borrow_shares - gone)))


def _comet(
    instance: CompoundV3,
    over: Overlay,
    at: BlockRef,
    position: Position,
    moves: Mapping[Address, float],
    paid: Mapping[Address, int],
) -> None:
    it = instance.scene(over, at)
    feeds = {asset.asset: asset.feed for asset in it.assets}
    feeds[it.base] = over.get(comet.NAMES, (instance.address, "baseTokenPriceFeed")) or ""
    for asset, move in moves.items():
        answer = over.get(comet.PRICES, (instance.address, feeds.get(asset, "")))
        if answer is not None and answer.value is not None:
            key = (instance.address, feeds[asset])
            over.put(comet.PRICES, key, replace(answer, value=_moved(answer.value, move)))
    basic = over.get(comet.BASICS, (instance.address, position.account))
    if basic is not None and basic.principal < 0 and it.base in paid:
        owed = arithmetic.present(it.accrued, basic.principal)
        after = arithmetic.principal_of(it.accrued, min(0, owed + paid[it.base]))
        over.put(comet.BASICS, (instance.address, position.account), replace(basic, principal=after))
