"""Liquidations of suppositions, against the contracts' own plans on the demo's recording."""

from __future__ import annotations

from defiwatch.commands.demo import bundled
from defiwatch.config import Config
from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Position
from defiwatch.domain.units import WAD
from defiwatch.engine import Engine, replay
from defiwatch.protocols.aave_v3 import AaveV3
from defiwatch.protocols.morpho_blue.blue import MorphoBlue
from defiwatch.protocols.spec import Book, Instance
from defiwatch.state.lending.desk import desk
from defiwatch.state.lending.strikes import Loan, Strike, loans
from defiwatch.state.lending.suppose import suppose


def strikes(instance: Instance, book: Book, at: BlockRef, position: Position) -> tuple[Loan, tuple[Strike, ...]]:
    (loan,) = loans(instance, book, at, [position])
    return loan, loan.rule(loan.legs, loan.health(loan.legs))


def test_a_first_liquidation_after_a_fall_is_what_the_protocols_own_plan_says() -> None:
    """Every borrower of the recording's end, collateral down by 15, 30 and 45 %: by legs and by the book laid over."""
    engine = Engine(Config(), mode="demo")
    with bundled() as path:
        for _ in replay(engine, [path]):
            pass
    compared = {"aave_v3": 0, "morpho_blue": 0}
    for line in engine.lines.values():
        at, book = line.intake.head, line.intake.book
        if at is None:
            continue
        for instance in line.intake.instances:
            if not isinstance(instance, AaveV3 | MorphoBlue):
                continue
            for before in list(instance.positions(book, at)):
                for fall in (0.15, 0.3, 0.45):
                    shocks = {leg.asset: -fall for leg in before.legs if leg.collateral and not leg.debt}
                    position, over = suppose(instance, book, at, before, shocks, {})
                    if position.unknown or not position.debt_base or position.health_factor >= WAD:
                        continue
                    loan, found = strikes(instance, over, at, position)
                    assert loan.health(position.legs) == position.health_factor
                    view = desk(instance, over, at)
                    assert view is not None
                    probes = {(item.collateral, item.debt): item for item in view.probes(position)}
                    (strike,) = found
                    probe = probes[strike.collateral, strike.debt]
                    # Morpho's plan goes by shares: a unit of the debt either way.
                    slack = 0 if instance.protocol == "aave_v3" else 1
                    if probe.covered or instance.protocol == "aave_v3":
                        assert abs(strike.repay - probe.covered) <= slack
                        assert abs(strike.seize - probe.seized) * max(1, strike.repay) <= slack * strike.seize
                        assert strike.fee == probe.fee
                        compared[instance.protocol] += 1
    assert compared["aave_v3"] >= 40, compared
    assert compared["morpho_blue"] >= 3, compared
