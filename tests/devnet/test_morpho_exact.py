"""Morpho Blue on its own bytecode: at every block and for every borrower, ours is what the contract says."""

from __future__ import annotations

from typing import Any

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Position
from defiwatch.domain.units import UINT256_MAX, WAD
from defiwatch.protocols.morpho_blue import MorphoBlue
from defiwatch.protocols.morpho_blue import shares as math

from . import abi
from . import deploy_morpho as blue
from .artifacts import compiled
from .chain import CALL_GAS, Tx, tag
from .driver import Driver
from .fixtures import SEEDS
from .model import Devnet, MorphoMarket
from .node import CHAIN_ID, RpcError
from .scenario import Scenario

pytestmark = [pytest.mark.devnet, pytest.mark.slow, pytest.mark.timeout(900)]

_MARKET = "uint128,uint128,uint128,uint128,uint128,uint128"


class Tally:
    """How much was compared, so that a test cannot pass by comparing nothing."""

    def __init__(self) -> None:
        self.blocks = self.positions = self.liquidatable = self.healthy = self.bad_debt = self.unknown = 0
        self.interest = 0


def morpho(devnet: Devnet, *pools: str) -> MorphoBlue:
    return MorphoBlue(
        CHAIN_ID, Deployment(chain="devnet", protocol="morpho_blue", address=devnet.morpho.address, pools=pools)
    )


def probe(
    devnet: Devnet, market: MorphoMarket, account: str, seized: int, shares: int, block: int
) -> tuple[int, int] | str:
    """`liquidate` by eth_call at the block: (seized, repaid), or why it reverts."""
    signature = "liquidate((address,address,address,address,uint256),address,uint256,uint256,bytes)"
    data = abi.encode(signature, market.params, account, seized, shares, b"")
    request = {"from": devnet.roles.liquidators[2], "to": devnet.morpho.address, "data": data, "gas": hex(CALL_GAS)}
    try:
        answer = devnet.chain.node.rpc("eth_call", request, tag(block))
    except RpcError as error:
        return abi.revert_reason(error.data) or error.message
    got, paid = abi.decode("uint256,uint256", answer)
    return got, paid


def accrued(devnet: Devnet, market: MorphoMarket, block: int) -> tuple[Any, ...]:
    """The market's totals after `accrueInterest` at the block's own time: by the node, on a state that is thrown away.

    A contract that accrues and then reads cannot be called in one eth_call, so its code is put where nobody lives.
    """
    helper = "0x" + "c0de".rjust(40, "0")
    params = abi.encode("accrueInterest((address,address,address,address,uint256))", market.params)[2:]
    query = abi.encode("market(bytes32)", bytes.fromhex(market.id[2:]))[2:]
    to = devnet.morpho.address[2:]
    first, second = len(params) // 2, len(query) // 2
    # calldatacopy(0, 0, first); call(gas, morpho, 0, 0, first, 0, 0); calldatacopy(0, first, second);
    # staticcall(gas, morpho, 0, second, 0, 192); return(0, 192)
    code = (
        f"60{first:02x}5f5f37" + f"5f5f60{first:02x}5f5f73{to}5af150" + f"60{second:02x}60{first:02x}5f37"
        f"60c05f60{second:02x}5f73{to}5afa5060c05ff3"
    )
    request = {"to": helper, "data": "0x" + params + query, "gas": hex(CALL_GAS)}
    answer = devnet.chain.node.rpc("eth_call", request, tag(block), {helper: {"code": "0x" + code}})
    return abi.decode(_MARKET, answer)


def compare(devnet: Devnet, instance: MorphoBlue, driver: Driver, tally: Tally) -> None:
    """Every account of every market, at the block on top."""
    at: BlockRef = driver.at
    book = driver.intake.book
    number = at.number
    ours = {(p.market, p.account): p for p in instance.positions(book, at)}
    tally.blocks += 1
    for market in devnet.morpho.markets:
        key = bytes.fromhex(market.id[2:])
        stored = devnet.chain.call(devnet.morpho.address, "market(bytes32)", key, returns=_MARKET, block=number)
        scene = instance.totals(book, at, market.id)
        assert scene is not None
        held = scene.market.totals
        assert (
            held.supply_assets,
            held.supply_shares,
            held.borrow_assets,
            held.borrow_shares,
            held.last_update if int(market.irm, 16) else stored[4],  # without interest it says nothing, in no event
            held.fee,
        ) == stored, f"block {number}: stored totals of {market.collateral}/{market.loan}"
        assert scene.market.known_shares == stored[3], f"block {number}: debt that is not on the book"
        truth = accrued(devnet, market, number)
        totals = scene.totals
        assert (totals.supply_assets, totals.supply_shares, totals.borrow_assets, totals.borrow_shares) == truth[:4]
        tally.interest += truth[2] > stored[2]
        try:
            price = devnet.chain.value(market.oracle, "price()", block=number)
        except RpcError:
            price = None
        for account in devnet.roles.morpho_borrowers:
            _, borrow_shares, collateral = devnet.chain.call(
                devnet.morpho.address,
                "position(bytes32,address)",
                key,
                account,
                returns="uint256,uint128,uint128",
                block=number,
            )
            position = ours.get((market.id, account))
            if not borrow_shares and not collateral:
                assert position is None
                continue
            assert position is not None, f"block {number}: {account} is not on the book"
            tally.positions += 1
            if price is None and borrow_shares:
                assert position.unknown.startswith("the price reverts")
                tally.unknown += 1
                continue
            assert position.unknown == ""
            assert [leg.collateral for leg in position.legs] == [collateral, 0]
            owed = -(-borrow_shares * (truth[2] + 1) // (truth[3] + 10**6))
            assert [leg.debt for leg in position.legs] == [0, owed]
            assert position.debt_base == owed
            _liquidation(devnet, market, position, scene.totals, borrow_shares, price, number, tally)


def _liquidation(
    devnet: Devnet,
    market: MorphoMarket,
    position: Position,
    totals: math.Totals,
    borrow_shares: int,
    price: int,
    number: int,
    tally: Tally,
) -> None:
    """Liquidatable, and what a call takes and pays, against an eth_call of `liquidate`."""
    collateral = position.legs[0].collateral
    if borrow_shares == 0:
        assert position.health_factor == UINT256_MAX
        return
    below = position.health_factor < WAD
    answer = probe(devnet, market, position.account, 1, 0, number)
    if not below:
        assert answer == "position is healthy", f"block {number}: {position.account} is liquidatable, not healthy"
        tally.healthy += 1
    else:
        assert not isinstance(answer, str), f"block {number}: {position.account}: {answer}"
        tally.liquidatable += 1
    halves = [(0, borrow_shares), (0, borrow_shares // 2), (collateral, 0), (collateral // 3, 0)]
    for seized, shares in halves if below else halves[:1]:
        planned = math.liquidate(
            totals, collateral, borrow_shares, price, market.lltv, seized=seized, repaid_shares=shares
        )
        told = probe(devnet, market, position.account, seized, shares, number)
        assert (planned is None) == isinstance(told, str), (number, seized, shares, told)
        if planned is not None:
            assert (planned.seized, planned.repaid) == told
            tally.bad_debt += planned.bad_debt > 0
    if below:
        best = math.largest(totals, collateral, borrow_shares, price, market.lltv)
        assert best is not None
        assert probe(devnet, market, position.account, best.seized, 0, number) != "position is healthy"
    crossing = math.liquidation_price(collateral, market.lltv, position.debt_base)
    assert crossing is not None
    assert math.health_factor(collateral, crossing, market.lltv, position.debt_base) < WAD
    assert math.health_factor(collateral, crossing + 1, market.lltv, position.debt_base) >= WAD


@pytest.mark.parametrize("scenario", SEEDS, indirect=True)
def test_the_whole_story_block_by_block(scenario: Scenario) -> None:
    """From before the contract was deployed: everything follows from events, through crash, liquidations and reorg."""
    devnet = scenario.devnet
    instance = morpho(devnet)
    driver = Driver(devnet.chain, [instance])
    driver.follow(start=1)
    tally = Tally()
    compare(devnet, instance, driver, tally)
    liquidated = 0
    for step in scenario.steps():
        step.run()
        for number in driver.follow():
            assert number <= driver.at.number
            compare(devnet, instance, driver, tally)
    for played in scenario.blocks.values():
        liquidated += sum(receipt.sent.tx.what.startswith("Morpho liquidate") for receipt in played.receipts)
    print(vars(tally), "liquidations", liquidated, "reorgs", driver.intake.reorgs)
    assert tally.blocks > 150
    assert tally.healthy > 300
    assert tally.liquidatable > 0
    assert liquidated >= 2
    assert driver.intake.reorgs >= 1
    assert tally.interest > 100


def test_a_start_in_the_middle(scenario: Scenario) -> None:
    """Markets by read, accounts by a scan; from then on by events. The book ends as one that saw everything."""
    devnet = scenario.devnet
    steps = scenario.steps()
    for step in steps:
        step.run()
        if step.index >= 75:
            break
    ids = [market.id for market in devnet.morpho.markets]
    instance = morpho(devnet, *ids)
    driver = Driver(devnet.chain, [instance])
    driver.follow()
    assert list(instance.positions(driver.intake.book, driver.at)) == []
    assert {m.debt_known for m in instance.markets(driver.intake.book, driver.at)} == {0}
    assert len(instance.scans(driver.intake.book)) == 1
    assert driver.scan() == []
    tally = Tally()
    compare(devnet, instance, driver, tally)
    for step in steps:
        step.run()
        for _ in driver.follow():
            compare(devnet, instance, driver, tally)
        if step.index >= 130:
            break
    assert tally.positions > 100
    assert tally.liquidatable > 0
    everything = morpho(devnet)
    late = Driver(devnet.chain, [everything])
    late.follow()
    assert len(late.scan()) == 2  # the markets are known now, their accounts not yet
    (left,) = late.scan()
    assert left.key.endswith(":markets")  # nobody can say that there are no others
    mine = {(p.market, p.account): p for p in instance.positions(driver.intake.book, driver.at)}
    theirs = {(p.market, p.account): p for p in everything.positions(late.intake.book, late.at)}
    assert mine == theirs


def test_odd_corners_of_the_contract(scenario: Scenario) -> None:
    """Fees, bad debt, an oracle that reverts, repayment to the last share, a market without a rate model."""
    devnet = scenario.devnet
    chain, roles, contract = devnet.chain, devnet.roles, devnet.morpho
    instance = morpho(devnet)
    driver = Driver(chain, [instance])
    driver.follow(start=1)
    tally = Tally()
    params = "(address,address,address,address,uint256)"

    def mine(*txs: Tx, seconds: int = 12) -> None:
        chain.mine(chain.node.timestamp() + seconds, list(txs))
        driver.follow()
        compare(devnet, instance, driver, tally)

    def send(sender: str, data: str, what: str) -> Tx:
        return Tx(sender, contract.address, data, what)

    first, second = contract.markets
    people = roles.morpho_borrowers
    mine(
        send(roles.admin, abi.encode("setFeeRecipient(address)", roles.treasury), "fee recipient"),
        send(roles.admin, abi.encode(f"setFee({params},uint256)", first.params, WAD // 5), "fee"),
        send(roles.admin, abi.encode(f"setFee({params},uint256)", second.params, WAD // 7), "fee"),
    )
    mine(seconds=86_400 * 90)
    mine(send(roles.whale, abi.encode(f"accrueInterest({params})", first.params), "accrue"), seconds=86_400 * 365)
    price = devnet.chain.value(first.oracle, "price()")
    mine(blue.set_price(roles, first, price * 97 // 100), seconds=13)
    mine(blue.set_price(roles, first, price * 60 // 100), seconds=1)
    victim = people[0]
    _, shares, collateral = chain.call(
        contract.address,
        "position(bytes32,address)",
        bytes.fromhex(first.id[2:]),
        victim,
        returns="uint256,uint128,uint128",
    )
    liquidate = f"liquidate({params},address,uint256,uint256,bytes)"
    half = abi.encode(liquidate, first.params, victim, collateral // 2, 0, b"")
    mine(send(roles.liquidators[2], half, "liquidate half"))
    rest = abi.encode(liquidate, first.params, victim, collateral - collateral // 2, 0, b"")
    mine(send(roles.liquidators[2], rest, "liquidate the rest: bad debt"))
    assert [m.bad_debt > 0 for m in instance.markets(driver.intake.book, driver.at) if m.id == first.id] == [True]
    assert chain.value(contract.address, "feeRecipient()", returns="address") == roles.treasury

    # repay to the last share, withdraw all collateral, in a market without other changes
    saver = people[5]
    _, shares, collateral = chain.call(
        contract.address,
        "position(bytes32,address)",
        bytes.fromhex(second.id[2:]),
        saver,
        returns="uint256,uint128,uint128",
    )
    by_shares = abi.encode(f"repay({params},uint256,uint256,address,bytes)", second.params, 0, shares, saver, b"")
    mine(send(saver, by_shares, "repay by shares"))
    out = abi.encode(f"withdrawCollateral({params},uint256,address,address)", second.params, collateral, saver, saver)
    mine(send(saver, out, "withdraw all collateral"), seconds=30)

    # an oracle whose code is gone: only its market goes dark, and it comes back
    code = chain.node.rpc("eth_getCode", second.oracle, "latest")
    chain.node.rpc("anvil_setCode", second.oracle, "0x5f5ffd")
    mine()
    assert tally.unknown > 0
    markets = {m.id: m.unknown for m in instance.markets(driver.intake.book, driver.at)}
    assert markets[first.id] == "" and markets[second.id].startswith("the price reverts")
    chain.node.rpc("anvil_setCode", second.oracle, code)
    mine()
    assert {m.unknown for m in instance.markets(driver.intake.book, driver.at)} == {""}

    # a market without a rate model, made after the start
    oracle = chain.deploy(roles.admin, compiled("morpho-blue", "OracleMock"), "oracle")
    zero = "0x" + "0" * 40
    loan, collateral_token = devnet.tokens["DAI"], devnet.tokens["WBTC"]
    free = (loan.address, collateral_token.address, oracle, zero, 770_000_000_000_000_000)
    start = blue.oracle_price(collateral_token, loan, devnet.start_prices)
    mine(
        Tx(roles.admin, oracle, abi.encode("setPrice(uint256)", start), "price"),
        send(roles.admin, abi.encode("enableIrm(address)", zero), "no rate model"),
        send(roles.admin, abi.encode("enableLltv(uint256)", free[4]), "LLTV"),
        send(roles.admin, abi.encode(f"createMarket({params})", free), "market"),
    )
    made = next(m for m in instance.markets(driver.intake.book, driver.at) if m.symbol == "DAI")
    extra = MorphoMarket(made.id, "DAI", "WBTC", oracle, zero, free[4], free)
    object.__setattr__(contract, "markets", (*contract.markets, extra))
    try:
        mine(
            blue.supply(contract, extra, roles.whale, loan.units(1_000_000)),
            blue.supply_collateral(contract, extra, people[1], collateral_token.units(2)),
            blue.borrow(contract, extra, people[1], loan.units(90_000)),
        )
        mine(seconds=86_400 * 30)
        mine(blue.set_price(roles, extra, start * 96 // 100))
        mine(blue.set_price(roles, extra, start * 50 // 100))
        mine(blue.set_price(roles, extra, 0))
    finally:
        object.__setattr__(contract, "markets", contract.markets[:-1])
    print(vars(tally))
    assert tally.bad_debt > 0
    assert tally.liquidatable > 3
