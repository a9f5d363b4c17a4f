"""The desk of a Comet."""

from __future__ import annotations

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import WAD, YEAR_S
from defiwatch.protocols.compound_v3 import arithmetic
from defiwatch.protocols.compound_v3.comet import CompoundV3
from defiwatch.protocols.compound_v3.state import BALANCES, BASICS, CURVES, Basic, Scene, curve
from defiwatch.protocols.spec import Book
from defiwatch.state.lending import exact
from defiwatch.state.lending.desk.kinds import Balance, Desk, Probe
from defiwatch.state.lending.exact import HealthOf
from defiwatch.state.lending.remedies import Room

NOT_LIQUIDATABLE = "NotLiquidatable"
PAUSED = "Paused"


class CometDesk(Desk):
    """A Comet."""

    def __init__(self, instance: CompoundV3, book: Book, at: BlockRef) -> None:
        super().__init__(book, at)
        self.instance = instance
        self.scene: Scene = instance.scene(book, at)

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
        outcome = PAUSED if "absorb" in self.instance.paused(self.book) else "ok"
        return [Probe(leg.asset, owed.asset, outcome, owed.debt, leg.collateral, closable=owed.debt) for leg in legs]

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
