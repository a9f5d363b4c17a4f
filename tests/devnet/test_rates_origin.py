"""The rate path of Aave v3.6 against its own strategy, before and after it is given other numbers.

Only in the soak, as that market is compiled for it alone (`.ci/devnet-install --soak`); the arithmetic is that of 3.0,
which test_rates_exact.py holds in every run.
"""

from __future__ import annotations

import os

import pytest

from defiwatch.domain.units import RAY
from defiwatch.protocols.aave_v3.curve import Curve, curve

from . import abi
from . import deploy_aave as aave
from .chain import Call
from .deploy_origin import rate_data
from .model import Devnet
from .origin import Lab
from .walk import opened

__test__ = bool(os.environ.get("DEFIWATCH_SOAK"))

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(300)]

RATES = "calculateInterestRates((uint256,uint256,uint256,uint256,uint256,address,bool,uint256))"


@pytest.fixture
def lab(devnet: Devnet) -> Lab:
    """A fresh market with liquidity."""
    return opened(devnet)


def compare(lab: Lab, symbol: str) -> Curve:
    """What ours says at usages around the kink and elsewhere is what the strategy answers."""
    driver, instance = lab.driver, lab.instance
    while calls := instance.extras(driver.intake.book, driver.at):
        driver.read(calls)
    ledger = instance.ledger(driver.intake.book, driver.at)
    reserve = ledger.reserve(lab.address(symbol))
    assert reserve is not None
    shape = curve(ledger, reserve)
    assert isinstance(shape, Curve)
    whole = 10**24
    kink = whole * shape.optimal // RAY
    debts = [0, 1, kink - 1, kink, kink + 1, *(whole * part // 97 for part in range(1, 97, 8)), whole - 1, whole]
    cases = [(debt, whole - debt) for debt in debts]
    rows = lab.chain.reads(
        [
            Call(reserve.strategy, RATES, ((0, 0, 0, debt, 1000, reserve.asset, True, cash),), "uint256,uint256")
            for debt, cash in cases
        ],
        driver.at.number,
    )
    assert [shape.at(debt, cash) for debt, cash in cases] == [row[1] for row in rows]
    return shape


def test_every_rate_is_the_strategys_own(lab: Lab) -> None:
    user = lab.users[0]
    lab.mine(
        aave.supply(lab.market, lab.tokens["ETH"], user, lab.units("ETH", 300)),
        aave.borrow(lab.market, lab.tokens["USD"], user, lab.units("USD", 200_000)),
        aave.borrow(lab.market, lab.tokens["DAI"], user, lab.units("DAI", 100_000)),
    )
    first, other = compare(lab, "USD"), compare(lab, "DAI")
    assert first.rate(RAY) == (100 + 400 + 6_000) * RAY // 10_000
    asked = lab.instance.extras(lab.driver.intake.book, lab.driver.at)
    assert asked == []
    lab.mine(
        lab.admin("setReserveInterestRateData(address,bytes)", lab.address("USD"), rate_data((5_000, 10, 77, 9_000)))
    )
    again = lab.instance.extras(lab.driver.intake.book, lab.driver.at)
    assert [call.data[-40:] for call in again] == [lab.address("USD")[2:]]
    assert compare(lab, "USD").rate(RAY) == (10 + 77 + 9_000) * RAY // 10_000
    assert compare(lab, "DAI") == other
    assert abi.ZERO not in {reserve.strategy for reserve in lab.instance.reserves(lab.driver.intake.book)}
