"""The rate path against the market's own strategy: at any usage our rate is what `calculateInterestRates` says."""

from __future__ import annotations

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.units import RAY, to_float
from defiwatch.protocols.aave_v3 import AaveV3
from defiwatch.protocols.aave_v3.curve import UNREAD, Curve, curve
from defiwatch.protocols.aave_v3.state import Reserve

from .chain import Call
from .driver import Driver
from .model import Devnet
from .node import CHAIN_ID
from .scenario import Scenario

pytestmark = [pytest.mark.devnet, pytest.mark.slow, pytest.mark.timeout(300)]

_RATES = (
    "calculateInterestRates((uint256,uint256,uint256,uint256,uint256,uint256,uint256,address,address))",
    "uint256,uint256,uint256",
)


def told(devnet: Devnet, reserve: Reserve, cases: list[tuple[int, int]], number: int) -> list[int]:
    """What the strategy answers for (debt, cash) pairs: the cash is made by what comes in beside what is there."""
    calls = [
        Call(
            reserve.strategy,
            _RATES[0],
            ((0, max(0, cash - reserve.cash), max(0, reserve.cash - cash), 0, debt, 0, 1000, *_addresses(reserve)),),
            _RATES[1],
        )
        for debt, cash in cases
    ]
    return [answer[2] for answer in devnet.chain.reads(calls, number)]


def _addresses(reserve: Reserve) -> tuple[str, str]:
    return reserve.asset, reserve.a_token


def cases(shape: Curve, reserve: Reserve) -> list[tuple[int, int]]:
    """Nothing owed, nothing left, the state itself, and usages on, just below, just above and far from the kink."""
    whole = 10**24
    kink = whole * shape.optimal // RAY
    debts = [1, kink - 1, kink, kink + 1, *(whole * part // 97 for part in range(1, 97, 8)), whole - 1]
    return [
        (0, 5),
        (whole, 0),
        (7, 3),
        (reserve.borrowed, reserve.cash),
        *((debt, whole - debt) for debt in debts),
    ]


def learn(driver: Driver, instance: AaveV3) -> int:
    """Read what is open of the curves; how many calls it took."""
    taken = 0
    while calls := instance.extras(driver.intake.book, driver.at):
        taken += len(calls)
        assert taken < 100
        driver.read(calls)
    return taken


def test_every_rate_is_the_strategys_own(scenario: Scenario) -> None:
    devnet = scenario.devnet
    instance = AaveV3(CHAIN_ID, Deployment(chain="devnet", protocol="aave_v3", address=devnet.aave.provider))
    driver = Driver(devnet.chain, [instance])
    driver.follow()
    book = driver.intake.book
    ledger = instance.ledger(book, driver.at)
    borrowed = [reserve for reserve in ledger.reserves() if reserve.borrowed or reserve.stable_principal]
    assert len(borrowed) > 3
    assert [curve(ledger, reserve) for reserve in borrowed] == [UNREAD] * len(borrowed)
    unread = {market.symbol: market for market in instance.markets(book, driver.at)}
    assert (unread["USDC"].curve, unread["USDC"].curve_unknown) == (None, UNREAD)

    assert learn(driver, instance) == 4 * len({reserve.strategy for reserve in borrowed})
    assert learn(driver, instance) == 0
    compared = 0
    for reserve in borrowed:
        shape = curve(ledger, reserve)
        assert isinstance(shape, Curve)
        wanted = cases(shape, reserve)
        assert [shape.at(debt, cash) for debt, cash in wanted] == told(devnet, reserve, wanted, driver.at.number)
        compared += len(wanted)
        full = told(devnet, reserve, [(10**24, 0)], driver.at.number)[0]
        market = next(m for m in instance.markets(book, driver.at) if m.asset == reserve.asset)
        assert market.curve is not None and market.curve.yearly(1.0) == to_float(full, 27)
    assert compared > 80

    # the story changes the strategy of USDC: the event is followed, only the new one is asked, and it is steeper
    before = {market.symbol: market.curve for market in instance.markets(book, driver.at)}
    for step in scenario.steps():
        step.run()
        driver.follow()
        usdc = ledger.reserve(devnet.tokens["USDC"].address)
        assert usdc is not None
        if usdc.strategy == devnet.aave.spare_strategy:
            break
    assert learn(driver, instance) == 4
    after = {market.symbol: market.curve for market in instance.markets(book, driver.at)}
    assert {symbol for symbol in before if before[symbol] != after[symbol]} == {"USDC"}
    assert usdc is not None
    steeper = curve(instance.ledger(book, driver.at), usdc)
    assert isinstance(steeper, Curve)
    wanted = cases(steeper, usdc)
    assert [steeper.at(*case) for case in wanted] == told(devnet, usdc, wanted, driver.at.number)
    assert book.notices == {}
