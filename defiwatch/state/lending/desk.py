"""One market at one block, asked about its positions: exact what-ifs, balances and indices, what stands in the way of
acting, what a liquidation would do. By protocol; made anew at each block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import BPS, RAY, UINT256_MAX, WAD, YEAR_S, to_float
from defiwatch.protocols.aave_v3 import AaveV3, indices, liquidation
from defiwatch.protocols.aave_v3.account import Lane
from defiwatch.protocols.aave_v3.account import Scene as AaveScene
from defiwatch.protocols.aave_v3.state import Account
from defiwatch.protocols.compound_v3 import arithmetic
from defiwatch.protocols.compound_v3.comet import CompoundV3
from defiwatch.protocols.compound_v3.state import BALANCES, BASICS, CURVES, Basic, curve
from defiwatch.protocols.compound_v3.state import Scene as CometScene
from defiwatch.protocols.morpho_blue import shares
from defiwatch.protocols.morpho_blue.blue import MorphoBlue
from defiwatch.protocols.morpho_blue.state import Holding
from defiwatch.protocols.morpho_blue.state import Scene as MorphoScene
from defiwatch.protocols.spec import Book, Instance
from defiwatch.state.lending import exact
from defiwatch.state.lending.exact import HealthOf
from defiwatch.state.lending.remedies import Room

HEALTHY_POSITION = "position is healthy"
NOT_LIQUIDATABLE = "NotLiquidatable"
PAUSED = "Paused"
ABSORB_PAUSED = "absorb"


class Balance(msgspec.Struct, frozen=True):
    """One asset of an account as its market keeps it. Indices in ray at the block's time, `stored_*` as in storage.

    Aave: scaled balances and totals. Morpho: shares (no index). Compound: principals, indices in 1e15. None where a
    market has no such thing.
    """

    asset: Address
    scaled_collateral: int = 0
    scaled_debt: int = 0
    stable_debt: int | None = None
    liquidity_index: int | None = None
    debt_index: int | None = None
    stored_liquidity_index: int | None = None
    stored_debt_index: int | None = None
    scaled_total_collateral: int | None = None
    scaled_total_debt: int | None = None
    deficit: int | None = None


class Probe(msgspec.Struct, frozen=True):
    """What the largest liquidation of one pair would do now. `outcome` is "ok" or the contract's error.

    Amounts in the assets' units; `closable` is the most of the debt that one call may cover.
    """

    collateral: Address
    debt: Address
    outcome: str
    covered: int = 0
    seized: int = 0
    fee: int = 0
    closable: int = 0
    bad_debt: bool = False


class Desk(ABC):
    """One deployment at one block."""

    def __init__(self, book: Book, at: BlockRef) -> None:
        self.book = book
        self.at = at

    @abstractmethod
    def health_of(self, position: Position) -> HealthOf:
        """The position's health factor as a function of its legs, in the contract's own integers."""

    @abstractmethod
    def balances(self, position: Position) -> dict[Address, Balance]:
        """By asset, also where the position itself cannot be told."""

    @abstractmethod
    def probes(self, position: Position) -> list[Probe]:
        """A liquidation of every pair of collateral and debt."""

    def legs(self, position: Position) -> tuple[Leg, ...]:
        """Its legs; amounts alone where the position cannot be told."""
        return position.legs

    def rooms(self, position: Position) -> dict[Address, Room]:  # noqa: ARG002 - nothing stands in the way
        """What stands in the way of acting, by asset."""
        return {}

    @abstractmethod
    def rates(self, position: Position) -> dict[Address, tuple[float, float]]:
        """(supply, borrow) a year by asset: what it earns, what it costs."""

    def sources(self, position: Position) -> dict[Address, Address]:  # noqa: ARG002 - not every market tells
        """Where the market takes each asset's price from."""
        return {}


def desk(instance: Instance, book: Book, at: BlockRef) -> Desk | None:
    """The desk of a deployment at a block; None where it has no positions."""
    if isinstance(instance, AaveV3):
        return AaveDesk(instance, book, at)
    if isinstance(instance, MorphoBlue):
        return MorphoDesk(instance, book, at)
    if isinstance(instance, CompoundV3):
        return CometDesk(instance, book, at)
    return None


class AaveDesk(Desk):
    """An Aave v3 market."""

    def __init__(self, instance: AaveV3, book: Book, at: BlockRef) -> None:
        super().__init__(book, at)
        self.instance = instance
        self.ledger = instance.ledger(book, at)
        self.scene: AaveScene = instance.scene(book, at)

    def _held(self, position: Position) -> list[tuple[Lane, int, int, int]]:
        """(lane, scaled supply, scaled debt, stable debt) of everything it holds."""
        found = []
        for holding in self._account(position).holdings:
            lane = self.scene.lanes[holding.id] if holding.id < len(self.scene.lanes) else None
            if lane is not None:
                stable = indices.stable_balance(
                    holding.stable, holding.stable_rate, holding.stable_updated, self.at.time
                )
                found.append((lane, holding.supplied, holding.borrowed, stable))
        return found

    def _account(self, position: Position) -> Account:
        return self.ledger.account(position.account) or Account()

    def health_of(self, position: Position) -> HealthOf:  # noqa: ARG002 - one form for all
        """By the pool's revision."""
        return exact.of_aave(self.scene.form)

    def balances(self, position: Position) -> dict[Address, Balance]:
        """Scaled balances and the reserve's indices and totals."""
        return {
            lane.asset: Balance(
                asset=lane.asset,
                scaled_collateral=supplied,
                scaled_debt=borrowed,
                stable_debt=stable if self.scene.form.stable_debt else None,
                liquidity_index=lane.income,
                debt_index=lane.debt_index,
                stored_liquidity_index=lane.reserve.liquidity_index,
                stored_debt_index=lane.reserve.variable_index,
                scaled_total_collateral=lane.reserve.supplied,
                scaled_total_debt=lane.reserve.borrowed,
                deficit=lane.reserve.deficit if self.scene.form.deficit else None,
            )
            for lane, supplied, borrowed, stable in self._held(position)
        }

    def legs(self, position: Position) -> tuple[Leg, ...]:
        """Amounts with interest, though a price may revert."""
        if position.legs or not position.unknown:
            return position.legs
        form = self.scene.form
        return tuple(
            Leg(
                asset=lane.asset,
                symbol=lane.symbol,
                decimals=lane.decimals,
                collateral=indices.supply_balance(form, supplied, lane.income),
                debt=indices.debt_balance(form, borrowed, lane.debt_index) + stable,
                price=lane.price,
                liquidation_threshold=0,
            )
            for lane, supplied, borrowed, stable in self._held(position)
        )

    def probes(self, position: Position) -> list[Probe]:
        """liquidationCall(collateral, debt, account, 2**256-1, false) of every pair."""
        account, held = self._account(position), self._held(position)
        found = []
        for collateral, supplied, _, _ in held:
            for debt, _, borrowed, stable in held:
                if supplied and (borrowed or stable):
                    plan = liquidation.plan(self.scene, account, collateral.reserve.id, debt.reserve.id)
                    found.append(
                        Probe(
                            collateral.asset,
                            debt.asset,
                            plan.outcome,
                            plan.covered,
                            plan.seized,
                            plan.fee,
                            plan.closable,
                            plan.bad_debt,
                        )
                    )
        return found

    def rooms(self, position: Position) -> dict[Address, Room]:
        """Pauses, freezes and caps. Debt is repaid with what is supplied without any liquidity of the pool's."""
        found: dict[Address, Room] = {}
        for lane, _, _, _ in self._held(position):
            reserve = lane.reserve
            left = None
            if reserve.supply_cap:
                counted = (reserve.supplied + reserve.accrued_to_treasury) * lane.income // RAY
                left = max(0, reserve.supply_cap * lane.unit - counted)
            found[lane.asset] = Room(
                paused=reserve.paused or not reserve.active, frozen=reserve.frozen, supply_left=left
            )
        return found

    def rates(self, position: Position) -> dict[Address, tuple[float, float]]:
        """As the reserves state them."""
        return {
            lane.asset: (to_float(lane.reserve.liquidity_rate, 27), to_float(lane.reserve.variable_rate, 27))
            for lane, _, _, _ in self._held(position)
        }

    def sources(self, position: Position) -> dict[Address, Address]:
        """The oracle's source of each asset."""
        return {lane.asset: lane.reserve.source for lane, _, _, _ in self._held(position) if lane.reserve.source}


class MorphoDesk(Desk):
    """A Morpho deployment; a position's market is its id."""

    def __init__(self, instance: MorphoBlue, book: Book, at: BlockRef) -> None:
        super().__init__(book, at)
        self.instance = instance
        self._scenes: dict[str, MorphoScene | None] = {}

    def _scene(self, position: Position) -> MorphoScene | None:
        if position.market not in self._scenes:
            self._scenes[position.market] = self.instance.totals(self.book, self.at, position.market)
        return self._scenes[position.market]

    def _holding(self, position: Position) -> Holding:
        return self.instance.holding(self.book, position.market, position.account) or Holding()

    def health_of(self, position: Position) -> HealthOf:
        """At the market's own oracle price."""
        scene = self._scene(position)
        return exact.plain if scene is None else exact.of_morpho(scene)

    def balances(self, position: Position) -> dict[Address, Balance]:
        """Shares of the loan, units of collateral."""
        scene, holding = self._scene(position), self._holding(position)
        if scene is None or not scene.market.have_params:
            return {}
        market, totals = scene.market, scene.totals
        return {
            market.collateral: Balance(market.collateral, scaled_collateral=holding.collateral),
            market.loan: Balance(
                market.loan,
                scaled_collateral=holding.supply_shares,
                scaled_debt=holding.borrow_shares,
                scaled_total_collateral=totals.supply_shares,
                scaled_total_debt=totals.borrow_shares,
                deficit=market.bad_debt,
            ),
        }

    def probes(self, position: Position) -> list[Probe]:
        """liquidate(…) of all that the collateral pays for."""
        scene, holding = self._scene(position), self._holding(position)
        if scene is None or not holding.known or not holding.borrow_shares or not holding.collateral:
            return []
        market = scene.market
        if scene.missing:
            return [Probe(market.collateral, market.loan, scene.missing)]
        owed = shares.to_assets_up(holding.borrow_shares, scene.totals.borrow_assets, scene.totals.borrow_shares)
        done = shares.largest(scene.totals, holding.collateral, holding.borrow_shares, scene.price, market.lltv)
        if done is None:
            return [Probe(market.collateral, market.loan, HEALTHY_POSITION)]
        return [
            Probe(
                market.collateral, market.loan, liquidation.OK, done.repaid, done.seized, 0, owed, done.bad_debt > 0
            )
        ]

    def rates(self, position: Position) -> dict[Address, tuple[float, float]]:
        """Collateral earns nothing here."""
        scene = self._scene(position)
        if scene is None:
            return {}
        return {scene.market.loan: (0.0, scene.rate * YEAR_S / WAD)}

    def sources(self, position: Position) -> dict[Address, Address]:
        """The market's oracle."""
        scene = self._scene(position)
        return {} if scene is None else {scene.market.collateral: scene.market.oracle}


class CometDesk(Desk):
    """A Comet."""

    def __init__(self, instance: CompoundV3, book: Book, at: BlockRef) -> None:
        super().__init__(book, at)
        self.instance = instance
        self.scene: CometScene = instance.scene(book, at)

    def health_of(self, position: Position) -> HealthOf:  # noqa: ARG002 - one form for all
        """By the Comet's factors."""
        return exact.of_compound(self.scene)

    def balances(self, position: Position) -> dict[Address, Balance]:
        """The principal in base, units of collateral."""
        comet, it = self.instance.address, self.scene
        basic = self.book.get(BASICS, (comet, position.account)) or Basic()
        found = {
            it.base: Balance(
                it.base,
                scaled_collateral=max(0, basic.principal),
                scaled_debt=max(0, -basic.principal),
                liquidity_index=it.accrued.supply_index,
                debt_index=it.accrued.borrow_index,
                stored_liquidity_index=it.stored.supply_index,
                stored_debt_index=it.stored.borrow_index,
                scaled_total_collateral=it.stored.supply_base,
                scaled_total_debt=it.stored.borrow_base,
            )
        }
        for asset in it.assets:
            held = self.book.get(BALANCES, (comet, position.account, asset.asset))
            if held is not None and held.known:
                found[asset.asset] = Balance(asset.asset, scaled_collateral=held.amount)
        return found

    def probes(self, position: Position) -> list[Probe]:
        """absorb(…): all collateral for all debt."""
        legs = [leg for leg in position.legs if leg.collateral]
        owed = next((leg for leg in position.legs if leg.debt), None)
        if owed is None or not legs:
            return []
        told = self.instance.liquidatable(self.book, self.at, position.account)
        if position.unknown or told is None:
            return [Probe(leg.asset, owed.asset, position.unknown or "unknown") for leg in legs]
        if not told:
            return [Probe(leg.asset, owed.asset, NOT_LIQUIDATABLE) for leg in legs]
        outcome = PAUSED if ABSORB_PAUSED in self.instance.paused(self.book) else liquidation.OK
        return [
            Probe(leg.asset, owed.asset, outcome, owed.debt, leg.collateral, closable=owed.debt) for leg in legs
        ]

    def rooms(self, position: Position) -> dict[Address, Room]:
        """Repaying and topping up are one action: supply."""
        paused = "supply" in self.instance.paused(self.book)
        return {leg.asset: Room(paused=paused) for leg in position.legs}

    def rates(self, position: Position) -> dict[Address, tuple[float, float]]:  # noqa: ARG002 - the same for all
        """Of base; collateral earns nothing."""
        used = arithmetic.utilisation(self.scene.stored)
        yearly = {}
        for side in CURVES:
            shape = curve(self.book, self.instance.address, side)
            yearly[side] = 0.0 if shape is None else arithmetic.rate(shape, used) * YEAR_S / WAD
        return {self.scene.base: (yearly["supply"], yearly["borrow"])}

    def sources(self, position: Position) -> dict[Address, Address]:  # noqa: ARG002 - the same for all
        """The feeds that it asks."""
        return {asset.asset: asset.feed for asset in self.scene.assets}


class Desks:
    """The desks of several deployments at one block, each made when it is first needed."""

    def __init__(self, instances: Sequence[Instance], book: Book, at: BlockRef) -> None:
        self._instances = instances
        self._book = book
        self._at = at
        self._made: dict[int, Desk | None] = {}
        self._by_market: dict[tuple[str, str], Desk | None] = {}

    def of(self, position: Position) -> Desk | None:
        """The desk of the position's market."""
        key = (position.protocol, position.market)
        if key not in self._by_market:
            self._by_market[key] = self._find(position)
        return self._by_market[key]

    def _find(self, position: Position) -> Desk | None:
        for i, instance in enumerate(self._instances):
            if instance.protocol == position.protocol and _serves(instance, self._book, position.market):
                if i not in self._made:
                    self._made[i] = desk(instance, self._book, self._at)
                return self._made[i]
        return None


def _serves(instance: Instance, book: Book, market: str) -> bool:
    if isinstance(instance, AaveV3):
        return instance.market(book).pool == market
    if isinstance(instance, MorphoBlue):
        return instance.totals(book, _NOWHERE, market) is not None
    return isinstance(instance, CompoundV3) and instance.address == market


_NOWHERE = BlockRef(0, -1, "", 0)


def close_factor(probe: Probe, legs: Sequence[Leg]) -> float | None:
    """The part of its debt that one call may cover; None where the pair cannot be liquidated."""
    owed = next((leg.debt for leg in legs if leg.asset == probe.debt), 0)
    return min(1.0, probe.closable / owed) if owed and probe.closable else None


def largest(probes: Sequence[Probe], legs: Mapping[Address, Leg]) -> Probe | None:
    """The liquidation that pays its liquidator most; None where none succeeds."""
    paying = [(-_gain(probe, legs), probe.collateral, probe.debt, probe) for probe in probes if probe.outcome == "ok"]
    return min(paying, key=lambda item: item[:3])[3] if paying else None


def _gain(probe: Probe, legs: Mapping[Address, Leg]) -> int:
    taken, paid = legs[probe.collateral], legs[probe.debt]
    return probe.seized * taken.price // 10**taken.decimals - probe.covered * paid.price // 10**paid.decimals


def factor_text(value: int) -> str:
    """A health factor in wad as people read it."""
    return "no debt" if value == UINT256_MAX else f"{value / WAD:.4f}"


def bonus_of(probe: Probe, legs: Mapping[Address, Leg]) -> int:
    """The collateral's liquidation bonus, basis points; 10000 is none."""
    leg = legs.get(probe.collateral)
    return leg.liquidation_bonus if leg is not None and leg.liquidation_bonus else BPS
