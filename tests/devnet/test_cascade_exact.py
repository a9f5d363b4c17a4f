"""The first round of a cascade on Aave's own bytecode: what is liquidated is what the contract does, to the unit."""

from __future__ import annotations

import msgspec
import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Position
from defiwatch.domain.units import WAD
from defiwatch.protocols.aave_v3 import AaveV3
from defiwatch.protocols.spec import Book
from defiwatch.state.lending.cascade import cascade
from defiwatch.state.lending.depth import Depth
from defiwatch.state.lending.strikes import Loan, Strike, loans

from . import abi
from . import deploy_aave as aave
from .driver import Driver
from .model import Devnet
from .node import CHAIN_ID
from .scenario import Scenario

pytestmark = [pytest.mark.devnet, pytest.mark.slow, pytest.mark.timeout(900)]

LIQUIDATION = next(spec.topic0 for spec in AaveV3.events if spec.name == "LiquidationCall")


def due(instance: AaveV3, book: Book, at: BlockRef) -> list[tuple[Position, Loan, Strike]]:
    """Whoever can be liquidated at this time, and what the first call takes."""
    positions = [p for p in instance.positions(book, at) if not p.unknown and p.debt_base and p.health_factor < WAD]
    found = []
    for position in positions:
        (loan,) = loans(instance, book, at, [position])
        for strike in loan.rule(loan.legs, loan.health(loan.legs)):
            outcome = instance.plan_liquidation(book, at, position.account, strike.collateral, strike.debt)
            if outcome.outcome == "ok":
                assert (strike.repay, strike.seize, strike.fee) == (outcome.covered, outcome.seized, outcome.fee)
                found.append((position, loan, strike))
    return found


def executed(devnet: Devnet, strike: Strike, user: str, time: int) -> tuple[int, int]:
    """(covered, seized) by the contract's own event, of a liquidation that is made and then taken back."""
    chain = devnet.chain
    snapshot = chain.node.snapshot()
    try:
        collateral, debt = (devnet.tokens[devnet.symbol(asset)] for asset in (strike.collateral, strike.debt))
        most, liquidator = abi.MAX_UINT256, devnet.roles.probe
        tx = aave.liquidate(devnet.aave, collateral, debt, user, liquidator, most, a_token=False)
        block = chain.mine(time, [tx])
        logs = [log for receipt in block.receipts for log in receipt.logs if log["topics"][0] == LIQUIDATION]
        (log,) = logs
        covered, seized, _, _ = abi.decode("uint256,uint256,address,bool", log["data"])
        return covered, seized
    finally:
        chain.node.revert(snapshot)
        chain.forget()


def test_the_first_call_of_a_round_is_the_contracts_to_the_unit(scenario: Scenario) -> None:
    """Everyone below 1 on the way through the crash is liquidated by the contract, one second after the block."""
    devnet = scenario.devnet
    deployment = Deployment(chain="devnet", protocol="aave_v3", address=devnet.aave.provider, from_block=0)
    instance = AaveV3(CHAIN_ID, deployment)
    driver = Driver(devnet.chain, [instance])
    driver.follow(start=1)
    compared, pairs = 0, set()
    for step in scenario.steps():
        step.run()
        driver.follow()
        book = driver.intake.book
        later = msgspec.structs.replace(driver.at, time=driver.at.time + 1)
        for position, loan, strike in due(instance, book, later):
            assert executed(devnet, strike, position.account, later.time) == (strike.repay, strike.seize)
            first = cascade([loan], Depth({}), strike.collateral, 0.0).first
            assert dict(first.repaid).get(strike.debt, 0) >= strike.repay
            compared += 1
            pairs.add((strike.collateral, strike.debt))
        if compared >= 25:
            break
    print(compared, len(pairs))
    assert compared >= 15
    assert len(pairs) >= 3
