"""The desk of an Aave v3 market."""

from __future__ import annotations

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import RAY, to_float
from defiwatch.protocols.aave_v3 import AaveV3, indices, liquidation
from defiwatch.protocols.aave_v3.account import Lane, Scene
from defiwatch.protocols.aave_v3.state import Account
from defiwatch.protocols.spec import Book
from defiwatch.state.lending import exact
from defiwatch.state.lending.desk.kinds import Balance, Desk, Probe
from defiwatch.state.lending.exact import HealthOf
from defiwatch.state.lending.remedies import Room


class AaveDesk(Desk):
    """An Aave v3 market."""

    def __init__(self, instance: AaveV3, book: Book, at: BlockRef) -> None:
        super().__init__(book, at)
        self.instance = instance
        self.ledger = instance.ledger(book, at)
        self.scene: Scene = instance.scene(book, at)

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
                            liquidation.said(self.scene.form, plan.outcome),
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
