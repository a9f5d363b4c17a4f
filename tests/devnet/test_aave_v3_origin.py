"""Aave v3.6 on its own bytecode: at every block and for every account, ours is what the contract says.

Only in the soak: its sources take 20 s to compile, which `.ci/devnet-install --soak` does. The ordinary run plays what
this recorded (tests/replay/test_aave_v3_6.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from defiwatch.domain.units import WAD
from defiwatch.protocols.aave_v3 import liquidation

from . import abi
from . import deploy_aave as aave
from .artifacts import AAVE, AAVE_ORIGIN, bytecode, compiled
from .chain import Tx
from .deploy_origin import rate_data
from .fixtures import SEEDS
from .model import Devnet
from .origin import Lab
from .walk import RECEIVER, Walk, flash_receiver, opened

__test__ = bool(os.environ.get("DEFIWATCH_SOAK"))

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(900)]

STEPS = 150
DAY = 86_400
FACTOR = "setReserveFactor(address,uint256)"


@pytest.fixture
def lab(devnet: Devnet) -> Iterator[Lab]:
    """A fresh market, and in the end what was seen of it."""
    found = opened(devnet)
    yield found
    print(dict(sorted(found.tally.items())))
    assert found.driver.intake.book.notices == {}


def supply(lab: Lab, user: str, symbol: str, usd: float) -> Tx:
    amount = lab.units(symbol, usd * 1e8 / lab.prices[symbol])
    return aave.supply(lab.market, lab.tokens[symbol], user, amount)


def borrow(lab: Lab, user: str, symbol: str, usd: float) -> Tx:
    amount = lab.units(symbol, usd * 1e8 / lab.prices[symbol])
    return aave.borrow(lab.market, lab.tokens[symbol], user, amount)


def fall(lab: Lab, symbol: str, by: float) -> Tx:
    return lab.price(symbol, round(lab.prices[symbol] * (1 - by)))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_walk_block_by_block(lab: Lab, seed: int) -> None:
    flash_receiver(lab)
    walk = Walk(lab, seed)
    for step in range(STEPS):
        walk.step()
        if step % 50 == 49:
            lab.reorg(3)
    assert lab.tally["accounts"] > 14 * STEPS
    assert lab.driver.intake.reorgs == STEPS // 50
    _, again = lab.line()
    again.follow(start=1)
    assert again.intake.book.digest() == lab.driver.intake.book.digest()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_start_in_the_middle(lab: Lab, seed: int) -> None:
    """The market by reads, accounts by a scan; from then on by events, as one that saw everything."""
    flash_receiver(lab)
    walk = Walk(lab, 1_000 + seed)
    for _ in range(STEPS // 3):
        walk.step()
    late, driver = lab.line()
    driver.follow()
    assert driver.scan() == []
    assert {known == total for known, total in late.completeness(driver.intake.book).values()} == {True}
    lab.compare(late, driver)
    for _ in range(STEPS // 3):
        walk.step()
        driver.follow()
        lab.compare(late, driver)
    mine = list(late.positions(driver.intake.book, driver.at))
    assert mine == list(lab.instance.positions(lab.driver.intake.book, lab.driver.at))
    assert len(mine) > 5


def test_collateral_that_counts_in_emode_only(lab: Lab) -> None:
    """A threshold of 0 counts as what it is, and each category has bits of its own for an LTV of 0."""
    a, b = lab.users[:2]
    lab.mine(aave.set_emode(lab.market, a, 3), aave.set_emode(lab.market, b, 2))
    lab.mine(supply(lab, a, "PT", 400_000), supply(lab, b, "LST", 300_000), supply(lab, b, "ETH", 50_000))
    lab.mine(borrow(lab, a, "USD", 330_000), borrow(lab, b, "ETH", 308_000))
    assert lab.data(a).collateral > 0
    assert lab.tally["only in eMode"] > 0
    before = lab.data(b)
    bit = "setAssetLtvzeroInEMode(address,uint8,bool)"
    lab.mine(lab.admin(bit, lab.address("LST"), 2, True))
    after = lab.data(b)
    assert after.available < before.available
    assert after.threshold == before.threshold
    lab.mine(lab.admin("setReserveFreeze(address,bool)", lab.address("ETH"), True))
    assert lab.data(b).ltv == 0
    lab.mine(lab.admin("setReserveFreeze(address,bool)", lab.address("ETH"), False))
    lab.mine(lab.admin(bit, lab.address("ETH"), 2, False), lab.admin(bit, lab.address("LST"), 2, False))
    assert lab.data(b).ltv == before.ltv
    lab.mine(fall(lab, "PT", 0.09), fall(lab, "LST", 0.08))
    for user, collateral, debt in ((a, "PT", "USD"), (b, "LST", "ETH")):
        assert lab.data(user).health_factor < WAD
        told = lab.liquidate(user, collateral, debt, lab.liquidators[0], a_token=user == b)
        assert told.outcome == liquidation.OK
    off = "setAssetCollateralInEMode(address,uint8,bool)"
    lab.mine(lab.admin(off, lab.address("LST"), 2, False))
    lab.mine(lab.admin("setEModeCategory(uint8,uint16,uint16,uint16,string)", 2, 8000, 8100, 10900, "tighter"))
    lab.crossings()
    assert lab.tally["crossings"] > 0


def test_liquidations_told_before(lab: Lab) -> None:
    """Silent updates, the same asset on both sides, dust, and debts written off, each alone in its block."""
    a, b, c, d, e, f = lab.users[:6]
    first, second = lab.liquidators[:2]
    lab.mine(
        *(supply(lab, a, "ETH", 900_000), supply(lab, b, "USD", 600_000), supply(lab, b, "ETH", 900_000)),
        *(supply(lab, c, "BTC", 500_000), supply(lab, d, "LST", 2_400), supply(lab, e, "BTC", 6_000)),
        *(supply(lab, f, "ETH", 1_500), supply(lab, f, "BTC", 1_500)),
    )
    lab.mine(
        *(borrow(lab, a, "USD", 700_000), borrow(lab, b, "USD", 1_152_000)),
        *(borrow(lab, c, "USD", 150_000), borrow(lab, c, "DAI", 150_000), borrow(lab, c, "ETH", 60_000)),
        *(borrow(lab, d, "DAI", 1_850), borrow(lab, e, "DAI", 4_300), borrow(lab, f, "USD", 2_200)),
    )
    lab.crossings()
    lab.mine(seconds=90 * DAY)
    lab.mine(fall(lab, "ETH", 0.12), fall(lab, "LST", 0.08), fall(lab, "BTC", 0.09))
    lab.crossings()
    # the collateral's indices move without an event; nothing else touches them for a month
    assert lab.liquidate(a, "ETH", "USD", first, 10**10, a_token=True, seconds=DAY).outcome == liquidation.OK
    lab.mine(seconds=30 * DAY)
    lab.liquidate(a, "ETH", "USD", first, a_token=True, seconds=DAY)
    # one asset on both sides is accrued twice for the treasury if the liquidation is what touches it first
    for a_token in (True, False, True):
        told = lab.liquidate(b, "USD", "USD", second, 10**9, a_token=a_token, seconds=DAY)
        assert told.outcome == liquidation.OK
    assert lab.tally["same asset"] == 3
    for user, collateral, debt in ((d, "LST", "DAI"), (e, "BTC", "DAI"), (f, "ETH", "USD"), (f, "BTC", "USD")):
        owed = lab.held(user, debt, debt=True)
        for cover in (owed - 1, owed * 9 // 10, owed // 2, 1, abi.MAX_UINT256):
            lab.liquidate(user, collateral, debt, first, cover, a_token=cover == 1)
    assert lab.tally[f"liquidation:{liquidation.DUST}"] > 0
    # far below the debt: all that is left is written off, in every reserve
    lab.mine(fall(lab, "BTC", 0.6))
    while lab.data(c).debt:
        debt = next(leg.symbol for leg in lab.data(c).legs if leg.debt)
        assert lab.liquidate(c, "BTC", debt, second, a_token=debt == "DAI").outcome == liquidation.OK
    assert lab.tally["bad_debt"] > 0
    assert lab.tally["deficits"] > 1
    lab.mine(seconds=10 * DAY)
    admin = lab.roles.admin
    for symbol in ("USD", "DAI", "ETH"):
        lab.mine(supply(lab, admin, symbol, 500_000))
        cover_some = lab.call(admin, "eliminateReserveDeficit(address,uint256)", lab.address(symbol), 12_345)
        rest = lab.call(admin, "eliminateReserveDeficit(address,uint256)", lab.address(symbol), 2**120)
        lab.mine(*(Tx(tx.sender, tx.to, tx.data, tx.what, may_fail=True) for tx in (cover_some, rest)), seconds=DAY)
    assert lab.tally["done:eliminateReserveDeficit"] > 2


def test_a_pool_without_liquidity(lab: Lab) -> None:
    """What is seized must be there: before what is repaid comes, too, where both are of one asset."""
    a, b = lab.users[:2]
    whale = lab.roles.whale
    lab.mine(
        supply(lab, a, "ETH", 900_000), supply(lab, b, "ETH", 900_000), lab.admin(FACTOR, lab.address("ETH"), 5_000)
    )
    lab.mine(borrow(lab, a, "USD", 700_000), borrow(lab, b, "ETH", 715_000))
    for left in (9 * 10**18, 0):
        lab.mine(aave.borrow(lab.market, lab.tokens["ETH"], whale, lab.reserve("ETH").cash - left))
    lab.mine(lab.price("ETH", 2_500 * 10**8), seconds=100 * DAY)
    assert lab.liquidate(a, "ETH", "USD", lab.liquidators[0]).outcome == liquidation.PANIC
    assert lab.liquidate(b, "ETH", "ETH", lab.liquidators[0]).outcome == liquidation.PANIC
    lab.mine(aave.repay(lab.market, lab.tokens["ETH"], whale, 8 * 10**18))
    cover = 10**19
    assert lab.liquidate(b, "ETH", "ETH", lab.liquidators[0], cover).outcome == liquidation.TRANSFER
    assert lab.liquidate(b, "ETH", "ETH", lab.liquidators[0], cover, a_token=True).outcome == liquidation.OK
    lab.mine(aave.repay(lab.market, lab.tokens["ETH"], whale, 4 * 10**18))
    assert lab.liquidate(b, "ETH", "ETH", lab.liquidators[0], cover).outcome == liquidation.OK


def test_isolation_flash_loans_and_the_treasury(lab: Lab) -> None:
    a, b = lab.users[:2]
    flash_receiver(lab)
    lab.mine(
        lab.admin("setBorrowableInIsolation(address,bool)", lab.address("USD"), True), supply(lab, a, "ISO", 80_000)
    )
    lab.mine(lab.call(a, "setUserUseReserveAsCollateral(address,bool)", lab.address("ISO"), True))
    lab.mine(borrow(lab, a, "USD", 40_000), supply(lab, b, "ETH", 100_000))
    assert lab.reserve("ISO").isolation_debt == 40_000_00
    lab.mine(lab.call(a, "repay(address,uint256,uint256,address)", lab.address("USD"), 777_777_777, 2, a), seconds=DAY)
    lab.mine(fall(lab, "ISO", 0.35), seconds=300 * DAY)
    assert lab.liquidate(a, "ISO", "USD", lab.liquidators[0], 9_876_543, a_token=True).outcome == liquidation.OK
    assert lab.liquidate(a, "ISO", "USD", lab.liquidators[0]).outcome == liquidation.OK
    lab.mine(lab.admin("setDebtCeiling(address,uint256)", lab.address("ISO"), 0))
    assert lab.reserve("ISO").isolation_debt == 0
    simple = "flashLoanSimple(address,address,uint256,bytes,uint16)"
    loan = "flashLoan(address,address[],uint256[],uint256[],address,bytes,uint16)"
    lab.mine(lab.admin("updateFlashloanPremium(uint128)", 9))
    lab.mine(lab.call(b, simple, RECEIVER, lab.address("USD"), 900_000_000_001, b"", 0), seconds=DAY)
    amounts = [lab.units("USD", 10_000), lab.units("DAI", 20_000)]
    assets = [lab.address("USD"), lab.address("DAI")]
    lab.mine(lab.call(b, loan, RECEIVER, assets, amounts, [2, 2], b, b"", 0), seconds=DAY)
    listed = [token.address for token in lab.tokens.values()]
    lab.mine(lab.call(b, "mintToTreasury(address[])", listed), seconds=DAY)
    lab.mine(
        lab.admin(FACTOR, lab.address("USD"), 4_321),
        lab.call(b, simple, RECEIVER, lab.address("USD"), 7, b"", 0),
        lab.call(b, "mintToTreasury(address[])", listed),
        lab.admin("setReserveInterestRateData(address,bytes)", lab.address("USD"), rate_data((5_000, 10, 77, 9_000))),
        seconds=DAY,
    )


def test_prices_pauses_and_lists(lab: Lab) -> None:
    """Feeds that fail, a fallback that says 0, a sentinel, a grace period; reserves that come, go and come again."""
    a, b, c = lab.users[:3]
    lab.mine(supply(lab, a, "ETH", 100_000), supply(lab, b, "BTC", 100_000), supply(lab, c, "LST", 90_000))
    lab.mine(borrow(lab, a, "USD", 78_000), borrow(lab, b, "ETH", 71_000), borrow(lab, c, "DAI", 50_000))
    lab.mine(fall(lab, "BTC", 0.06), fall(lab, "ETH", -0.02), fall(lab, "LST", 0.3))
    for symbol in ("ETH", "DAI"):
        feed = lab.feeds[symbol].proxy
        code = lab.chain.node.rpc("eth_getCode", feed, "latest")
        lab.chain.node.rpc("anvil_setCode", feed, "0x5f5ffd")
        lab.mine()
        lab.chain.node.rpc("anvil_setCode", feed, code)
        lab.mine()
    assert lab.tally["unreadable"] > 0
    fallback = lab.chain.deploy(lab.roles.admin, bytecode(AAVE, "PriceOracle"), "fallback")
    lab.mine(Tx(lab.roles.admin, lab.market.oracle, abi.encode("setFallbackOracle(address)", fallback), "fallback"))
    unreadable = lab.tally["unreadable"]
    for symbol in ("LST", "DAI", "ETH"):
        old = lab.prices[symbol]
        lab.mine(lab.price(symbol, -1))
        lab.mine(lab.price(symbol, old))
    assert lab.tally["unreadable"] == unreadable
    assert lab.tally[f"probe:{liquidation.PANIC}"] > 0

    lab.mine(lab.admin("setPoolPause(bool,uint40)", True, 0))
    assert lab.tally[f"probe:{liquidation.PAUSED}"] > 0
    lab.mine(lab.admin("setPoolPause(bool,uint40)", False, 3_600))
    lab.mine(lab.admin("disableLiquidationGracePeriod(address)", lab.address("LST")), seconds=3_588)
    assert lab.tally[f"probe:{liquidation.GRACE}"] > 0
    lab.mine(seconds=1)

    admin, provider = lab.roles.admin, lab.market.provider
    sequencer = lab.chain.deploy(admin, compiled(AAVE_ORIGIN, "SequencerOracle"), "sequencer", "address", admin)
    terms = ("address,address,uint256", provider, sequencer, 3_600)
    sentinel = lab.chain.deploy(admin, compiled(AAVE_ORIGIN, "PriceOracleSentinel"), "sentinel", *terms)
    lab.mine(lab.call(admin, "setPriceOracleSentinel(address)", sentinel, to=provider))
    lab.mine(lab.call(admin, "setAnswer(bool,uint256)", True, lab.driver.at.time, to=sequencer))
    assert lab.tally[f"probe:{liquidation.SENTINEL}"] > 0
    lab.mine(lab.call(admin, "setAnswer(bool,uint256)", False, lab.driver.at.time, to=sequencer), seconds=DAY)
    lab.mine(seconds=DAY)
    lab.mine(lab.call(admin, "setPriceOracleSentinel(address)", abi.ZERO, to=provider))


def test_reserves_that_come_and_go(lab: Lab) -> None:
    """A place in the bitmaps is given again, and so is the asset itself: it begins anew."""
    a, b, whale = lab.users[0], lab.users[1], lab.roles.whale
    ids = []
    for symbol in ("NEW", "NEW", "NEXT"):
        lab.list(symbol)
        new = lab.tokens[symbol]
        ids.append(lab.reserve(symbol).id)
        people = (a, b, whale)
        lab.mine(*(lab.call(lab.roles.admin, "mint(address,uint256)", one, 10**12, to=new.address) for one in people))
        approve = "approve(address,uint256)"
        lab.mine(*(lab.call(one, approve, lab.market.pool, 2**200, to=new.address) for one in people))
        lab.mine(supply(lab, a, symbol, 90_000), supply(lab, b, "ETH", 90_000), supply(lab, whale, symbol, 5))
        lab.mine(borrow(lab, b, symbol, 45_000))
        lab.mine(seconds=30 * DAY)
        if symbol == "NEXT":
            break
        lab.mine(aave.repay(lab.market, new, b, abi.MAX_UINT256), seconds=DAY)
        lab.mine(*(aave.withdraw(lab.market, new, user, abi.MAX_UINT256) for user in (whale, a)))
        lab.mine(aave.withdraw(lab.market, lab.tokens["ETH"], b, abi.MAX_UINT256))
        lab.drop(symbol)
    assert len(set(ids)) == 1
