"""Aave v3.0.2 on its own bytecode: at every block and for every borrower, ours is what the contract says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from defiwatch.domain.frames import BlockFrame
from defiwatch.domain.units import WAD
from defiwatch.protocols.aave_v3 import AaveV3
from defiwatch.protocols.aave_v3.account import AccountData
from defiwatch.protocols.aave_v3.liquidation import SENTINEL

from . import abi
from . import deploy_aave as aave
from .artifacts import AAVE, bytecode
from .chain import Call, Tx
from .compared_aave import Tally, compare, compare_liquidations, line
from .driver import Driver
from .fixtures import SEEDS
from .model import Devnet
from .scenario import Scenario
from .truth import truth

pytestmark = [pytest.mark.devnet, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("scenario", SEEDS, indirect=True)
def test_the_whole_story_block_by_block(scenario: Scenario) -> None:
    """From before the market was deployed: all of it follows from events, through crash, liquidations and reorg."""
    devnet = scenario.devnet
    instance, driver = line(devnet)
    driver.follow(start=1)
    assert instance.scans(driver.intake.book) == []
    tally = Tally()
    compare(devnet, instance, driver, tally)
    for step in scenario.steps():
        step.run()
        for _ in driver.follow():
            compare(devnet, instance, driver, tally)
    print(vars(tally), "reorgs", driver.intake.reorgs, driver.intake.book.notices)
    liquidated = 0
    _, again = line(devnet)
    again.follow(start=1)
    for frame in again.frames:
        if isinstance(frame, BlockFrame):
            liquidated += sum(log.topics[0] == LIQUIDATION for log in frame.logs)
    assert liquidated == len(scenario.labels.liquidations)
    # The run that saw the orphaned blocks ends where one ends that never did.
    assert again.intake.book.digest() == driver.intake.book.digest()
    assert tally.blocks > 150
    assert tally.accounts > 4_000
    assert tally.stable > 100
    assert tally.emode > 500
    assert tally.probes["ok"] > 10
    assert tally.probes["HealthFactorNotBelowThreshold"] > 100
    assert driver.intake.reorgs >= 1
    assert driver.intake.book.notices == {}


LIQUIDATION = next(spec.topic0 for spec in AaveV3.events if spec.name == "LiquidationCall")


def test_a_start_in_the_middle(scenario: Scenario) -> None:
    """The market by reads, accounts by a scan; from then on by events. The book ends as one that saw everything."""
    devnet = scenario.devnet
    steps = scenario.steps()
    for step in steps:
        step.run()
        if step.index >= 60:
            break
    instance, driver = line(devnet)
    driver.follow()
    book = driver.intake.book
    assert list(instance.positions(book, driver.at)) == []
    assert {market.debt_known for market in instance.markets(book, driver.at) if market.borrowed} == {0}
    assert [scan.key.rsplit(":", 1)[1] for scan in instance.scans(book)] == ["debt", "supply"]
    assert driver.scan() == []
    assert {known == total for known, total in instance.completeness(book).values()} == {True}
    tally = Tally()
    compare(devnet, instance, driver, tally)
    for step in steps:
        step.run()
        for _ in driver.follow():
            compare(devnet, instance, driver, tally)
        if step.index >= 130:
            break
    print(vars(tally))
    assert tally.accounts > 1_000
    assert tally.probes["ok"] > 0
    complete, whole = line(devnet)
    whole.follow(start=1)
    mine = list(instance.positions(driver.intake.book, driver.at))
    theirs = list(complete.positions(whole.intake.book, whole.at))
    assert mine == theirs


def test_odd_corners_of_the_contract(scenario: Scenario) -> None:
    """What the story leaves out: bridges, flash loans, dead feeds, price sources of eMode, another oracle, pauses."""
    devnet = scenario.devnet
    chain, roles, market, tokens = devnet.chain, devnet.roles, devnet.aave, devnet.tokens
    instance, driver = line(devnet)
    driver.follow(start=1)
    tally = Tally()
    usdc, weth, dai, wsteth = (tokens[symbol] for symbol in ("USDC", "WETH", "DAI", "wstETH"))

    def mine(*txs: Tx, seconds: int = 12) -> None:
        chain.mine(chain.node.timestamp() + seconds, list(txs))
        driver.follow()
        compare(devnet, instance, driver, tally)

    def call(sender: str, to: str, signature: str, *args: object) -> Tx:
        return Tx(sender, to, abi.encode(signature, *args), signature)

    def admin(signature: str, *args: object) -> Tx:
        return call(roles.admin, market.configurator, signature, *args)

    def a_balance(symbol: str, user: str) -> int:
        return int(chain.value(market.reserves[symbol].a_token, "balanceOf(address)", user))

    # a year passes; then burns that are smaller than the interest, which are told as mints
    stable_borrower, borrower = roles.borrowers[20], roles.borrowers[24]
    mine(seconds=86_400 * 365)
    mine(
        aave.repay(market, dai, stable_borrower, dai.units(1), mode=1),
        aave.repay(market, usdc, borrower, usdc.units(1)),
        aave.withdraw(market, weth, borrower, weth.units(0.001)),
    )
    assert tally.stable > 0
    mine(aave.borrow(market, dai, stable_borrower, dai.units(100), mode=1), seconds=86_400)
    mine(aave.repay(market, dai, stable_borrower, abi.MAX_UINT256, mode=1))

    # bridges, treasury, flash loans whose premium is shared
    receiver = "0x" + "f1a5".rjust(40, "0")
    approve = f"63095ea7b360e01b5f5273{market.pool[2:]}6004525f196024525f5f60445f5f6004355af15060015f5260205ff3"
    chain.node.rpc("anvil_setCode", receiver, "0x" + approve)
    mine(
        call(roles.admin, market.acl_manager, "addBridge(address)", roles.whale),
        admin("setUnbackedMintCap(address,uint256)", usdc.address, 1_000_000),
        admin("updateFlashloanPremiumTotal(uint128)", 30),
        admin("updateFlashloanPremiumToProtocol(uint128)", 4_000),
        admin("updateBridgeProtocolFee(uint256)", 2_500),
        call(roles.whale, usdc.address, "transfer(address,uint256)", receiver, usdc.units(50_000)),
    )
    flash = "flashLoanSimple(address,address,uint256,bytes,uint16)"
    mine(
        call(roles.whale, market.pool, flash, receiver, usdc.address, usdc.units(900_001), b"", 0),
        call(
            *(roles.whale, market.pool, "mintUnbacked(address,uint256,address,uint16)"),
            *(usdc.address, usdc.units(5_000), roles.borrowers[25], 0),
        ),
    )
    mine(
        call(
            *(roles.whale, market.pool, "backUnbacked(address,uint256,uint256)"),
            *(usdc.address, usdc.units(5_000), usdc.units(11)),
        ),
        call(roles.whale, market.pool, flash, receiver, usdc.address, usdc.units(7), b"", 0),
    )
    mine(call(roles.whale, market.pool, "mintToTreasury(address[])", [token.address for token in tokens.values()]))

    # whole balances: a transfer that takes the collateral flag along, repayment in aTokens, an account that ends
    mine(
        aave.supply(market, dai, roles.borrowers[28], dai.units(1)),
        aave.supply(market, dai, roles.whale, dai.units(1_000)),
    )
    giver, taker = roles.borrowers[29], roles.borrowers[26]
    mine(
        aave.supply(market, usdc, giver, usdc.units(321)),
    )
    mine(
        call(giver, market.reserves["USDC"].a_token, "transfer(address,uint256)", taker, a_balance("USDC", giver)),
        seconds=3_600,
    )
    both = roles.borrowers[18]
    mine(call(both, market.pool, "repayWithATokens(address,uint256,uint256)", weth.address, weth.units(1), 2))
    mine(call(both, market.pool, "repayWithATokens(address,uint256,uint256)", weth.address, abi.MAX_UINT256, 2))
    leaver = roles.borrowers[28]
    mine(aave.repay(market, usdc, leaver, abi.MAX_UINT256), seconds=777)
    mine(aave.withdraw(market, dai, leaver, abi.MAX_UINT256))
    assert instance.position(driver.intake.book, driver.at, leaver) is None

    # every word of a configuration
    mine(
        admin("setReserveFreeze(address,bool)", tokens["LINK"].address, True),
        admin("setBorrowCap(address,uint256)", weth.address, 123_456),
        admin("setSupplyCap(address,uint256)", weth.address, 654_321),
        admin("setSiloedBorrowing(address,bool)", wsteth.address, True),
        admin("setBorrowableInIsolation(address,bool)", usdc.address, True),
        admin("setReserveBorrowing(address,bool)", tokens["WBTC"].address, False),
        admin("setReserveFlashLoaning(address,bool)", tokens["WBTC"].address, False),
        admin("setReserveStableRateBorrowing(address,bool)", usdc.address, False),
        admin("setPoolPause(bool)", True),
    )
    compare_liquidations(devnet, instance, driver, truth(devnet, driver.at.number, probe=False), tally, below=2 * WAD)
    assert tally.probes["ReservePaused"] > 0
    mine(admin("setPoolPause(bool)", False))

    # a sentinel that says that the sequencer is down, and then that it is back, with a grace period
    sequencer = chain.deploy(roles.admin, bytecode(AAVE, "SequencerOracle"), "sequencer", "address", roles.admin)
    terms = (market.provider, sequencer, 3_600)
    sentinel = chain.deploy(
        roles.admin, bytecode(AAVE, "PriceOracleSentinel"), "sentinel", "address,address,uint256", *terms
    )
    mine()
    mine(call(roles.admin, market.provider, "setPriceOracleSentinel(address)", sentinel))
    answer = "setAnswer(bool,uint256)"
    for down, wait, refused in ((True, 12, True), (False, 12, True), (False, 3_700, False)):
        if wait == 12:
            mine(call(roles.admin, sequencer, answer, down, chain.node.timestamp()))
        mine(seconds=wait)
        tally.probes.clear()
        told = truth(devnet, driver.at.number, probe=False)
        compare_liquidations(devnet, instance, driver, told, tally, below=2 * WAD)
        assert (tally.probes.get(SENTINEL, 0) > 0) is refused
    mine(call(roles.admin, market.provider, "setPriceOracleSentinel(address)", abi.ZERO))

    # an eMode category with a price source of its own, which then dies
    pseudo = "0x" + "e70d".rjust(40, "0")
    category = "setEModeCategory(uint8,uint16,uint16,uint16,address,string)"
    mine(
        call(
            *(roles.admin, market.oracle, "setAssetSources(address[],address[])"),
            *([pseudo], [devnet.feeds["WETH"].proxy]),
        ),
        admin(category, aave.EMODE_ETH, 9000, 9300, 10100, pseudo, "ETH correlated"),
    )
    mine(aave.supply(market, wsteth, roles.borrowers[13], wsteth.units(1)))
    mine(admin("setAssetEModeCategory(address,uint8)", wsteth.address, 0), seconds=30)
    mine(admin("setAssetEModeCategory(address,uint8)", wsteth.address, aave.EMODE_ETH))

    # feeds that revert: only who touches them goes dark
    for symbol in ("LINK", "WETH"):
        proxy = devnet.feeds[symbol].proxy
        code = chain.node.rpc("eth_getCode", proxy, "latest")
        chain.node.rpc("anvil_setCode", proxy, "0x5f5ffd")
        chain.mine(chain.node.timestamp() + 12)
        driver.follow()
        dark(devnet, instance, driver, tally)
        chain.node.rpc("anvil_setCode", proxy, code)
        mine()
    assert tally.unreadable > 20

    # another oracle
    addresses = [token.address for token in tokens.values()]
    feeds = [devnet.feeds["WBTC" if symbol == "LINK" else symbol].proxy for symbol in tokens]
    types = "address,address[],address[],address,address,uint256"
    row = (market.provider, [*addresses, pseudo], [*feeds, feeds[0]], abi.ZERO, abi.ZERO, 10**8)
    other = chain.deploy(roles.admin, bytecode(AAVE, "AaveOracle"), "AaveOracle", types, *row)
    chain.mine(chain.node.timestamp() + 12)
    driver.follow()
    devnet = replace(devnet, aave=replace(market, oracle=other))
    mine(call(roles.admin, market.provider, "setPriceOracle(address)", other))
    mine()
    print(vars(tally))
    assert driver.intake.book.notices == {}


def dark(devnet: Devnet, instance: AaveV3, driver: Driver, tally: Tally) -> None:
    """Who can be told and who cannot, where a feed reverts."""
    at, book = driver.at, driver.intake.book
    calls = [
        Call(devnet.aave.pool, "getUserAccountData(address)", (user,), ",".join(["uint256"] * 6))
        for user in devnet.roles.borrowers
    ]
    answers = devnet.chain.multicall(calls, at.number)
    assert {answer is None for answer in answers} == {True, False}
    for user, answer in zip(devnet.roles.borrowers, answers, strict=True):
        ours = instance.account_data(book, at, user)
        if answer is None:
            tally.unreadable += 1
            assert isinstance(ours, str)
            assert "reverts" in ours
        else:
            assert isinstance(ours, AccountData), f"{user}: {ours}"
            assert (ours.collateral, ours.debt, ours.health_factor) == (answer[0], answer[1], answer[5])
