"""The desk of a Morpho Blue deployment."""

from __future__ import annotations

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import WAD, YEAR_S
from defiwatch.protocols.morpho_blue import shares
from defiwatch.protocols.morpho_blue.blue import MorphoBlue
from defiwatch.protocols.morpho_blue.state import Holding, Scene
from defiwatch.protocols.spec import Book
from defiwatch.state.lending import exact
from defiwatch.state.lending.desk.kinds import Balance, Desk, Probe
from defiwatch.state.lending.exact import HealthOf

HEALTHY_POSITION = "position is healthy"


class MorphoDesk(Desk):
    """A Morpho deployment; a position's market is its id."""

    def __init__(self, instance: MorphoBlue, book: Book, at: BlockRef) -> None:
        super().__init__(book, at)
        self.instance = instance
        self._scenes: dict[str, Scene | None] = {}

    def _scene(self, position: Position) -> Scene | None:
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
        return [Probe(market.collateral, market.loan, "ok", done.repaid, done.seized, 0, owed, done.bad_debt > 0)]

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
