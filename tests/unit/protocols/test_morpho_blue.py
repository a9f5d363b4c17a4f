"""Morpho Blue: values of the documentation, real receipts, and the corners that a devnet does not reach."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.config import Deployment
from defiwatch.domain.events import BadDebt, Liquidated
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.units import UINT256_MAX, WAD
from defiwatch.errors import ConfigError
from defiwatch.protocols import abi
from defiwatch.protocols.morpho_blue import MorphoBlue, events, shares
from defiwatch.protocols.morpho_blue.blue import BORROW_RATE, ID_TO_PARAMS, MARKET, POSITION, PRICE
from defiwatch.protocols.morpho_blue.state import market_id
from tests.convert import answer, raw_log, refusal, token_answers
from tests.unit.protocols.play import Player, at, raw

MORPHO = "0x" + "bb" * 20
USDC, WETH, ORACLE, IRM = ("0x" + f"{i:02x}" * 20 for i in (1, 2, 3, 4))
ALICE, BOB, WHALE = ("0x" + f"{i:02x}" * 20 for i in (0xA1, 0xB2, 0xC3))
LLTV = 86 * 10**16
PARAMS = (USDC, WETH, ORACLE, IRM, LLTV)
ID = market_id(PARAMS)
DOLLAR, ETHER, SHARE = 10**6, 10**18, 10**12
PRICE_3000 = 3000 * 10**24


@pytest.mark.parametrize(("lltv", "factor"), [(77, 1.0741), (86, 1.0438), (91.5, 1.0262), (94.5, 1.0168), (38.5, 1.15)])
def test_incentives(lltv: float, factor: float) -> None:
    assert shares.incentive(int(lltv * 10**16)) / WAD == pytest.approx(factor, abs=5e-5)


def test_a_real_markets_id_is_the_hash_of_its_parameters() -> None:
    """wstETH/WETH 94.5 % on Ethereum: only the right hash of these parameters is this id."""
    weth, wsteth = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "0x7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0"
    oracle, irm = "0x2a01eb9496094da03c4e364def50f5ad1280ad72", "0x870ac11d48b15db9a138cf899d20f13f79ba00bc"
    found = market_id((weth, wsteth, oracle, irm, 945 * 10**15))
    assert found == "0xc54d7acf14de29e0e5527cabd7a576506870346a78a11a6762e2cca66322ec41"


@pytest.mark.data
def test_real_receipts(data_folder: Path) -> None:
    """Every recorded Morpho log is understood; assets and shares keep the order that interest gives them."""
    seen: dict[str, int] = {}
    specs = {(spec.topic0, spec.topics): spec for spec in events.EVENTS}
    with gzip.open(data_folder / "rotki_receipts" / "receipts.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            for item in json.loads(line)["receipt"]["logs"]:
                log: RawLog = raw_log(item)
                spec = specs.get((log.topics[0], len(log.topics))) if log.topics else None
                if spec is None or not spec.fits(log):
                    continue
                event = spec.decode(log)
                seen[type(event).__name__] = seen.get(type(event).__name__, 0) + 1
                if isinstance(event, events.Supply | events.Withdraw | events.Borrow | events.Repay):
                    assert 0.5 < event.shares / event.assets / 10**6 <= 1.001  # a share is worth more every second
    assert seen["AccrueInterest"] == 24
    assert (seen["Supply"], seen["Withdraw"], seen["Borrow"], seen["Repay"]) == (7, 7, 3, 1)
    assert (seen["SupplyCollateral"], seen["WithdrawCollateral"]) == (2, 1)


def created() -> RawLog:
    data = "0x" + abi.encode(["(address,address,address,address,uint256)"], [PARAMS])
    return RawLog(MORPHO, (events.CREATE_MARKET.topic0, ID), data, transaction_hash="0x" + "11" * 32, log_index="0x0")


def log(name: str, *values: int, topics: tuple[str, ...] = (), index: int = 1) -> RawLog:
    spec = next(spec for spec in events.EVENTS if spec.name == name)
    return raw(
        spec.topic0,
        MORPHO,
        [("bytes32", ID), *(("address", topic) for topic in topics)],
        [("uint256", value) for value in values],
        index,
    )


def out(name: str, caller: str, owner: str, receiver: str, *values: int, index: int = 1) -> RawLog:
    """Withdraw, Borrow, WithdrawCollateral: the caller is in the data."""
    spec = next(spec for spec in events.EVENTS if spec.name == name)
    topics = [("bytes32", ID), ("address", owner), ("address", receiver)]
    return raw(spec.topic0, MORPHO, topics, [("address", caller), *(("uint256", value) for value in values)], index)


def player(*pools: str) -> Player:
    return Player(Deployment(chain="x", protocol="morpho_blue", address=MORPHO, pools=pools))


def born() -> Player:
    """A market with 1,000,000 USDC, and 10 WETH of Alice's against 20,000 USDC; the price is 3,000."""
    it = player()
    it.block(
        at(1),
        created(),
        log("Supply", 1_000_000 * DOLLAR, 1_000_000 * SHARE, topics=(WHALE, WHALE), index=1),
        log("SupplyCollateral", 10 * ETHER, topics=(ALICE, ALICE), index=2),
        out("Borrow", ALICE, ALICE, ALICE, 20_000 * DOLLAR, 20_000 * SHARE, index=3),
    )
    it.read([*token_answers(WETH, "WETH", "Wrapped Ether", 18), *token_answers(USDC, "USDC", "USD Coin", 6)])
    it.read([answer(PRICE, ORACLE, PRICE_3000)])
    return it


def test_a_position_with_everything_it_says() -> None:
    it = born()
    position = it.instance.position(it.book, it.now, ALICE)
    assert position is not None
    assert (position.market, position.base, position.base_decimals, position.label) == (ID, "USDC", 6, "WETH/USDC 86%")
    assert (position.collateral_base, position.debt_base) == (30_000 * DOLLAR, 20_000 * DOLLAR)
    assert position.health_factor == 129 * WAD // 100
    assert position.prices_block == position.block
    assert position.liquidation_prices[WETH] == pytest.approx(20_000 / 10 / 0.86 * DOLLAR, abs=1)
    assert position.available_borrows_base == 5800 * DOLLAR
    assert [(leg.symbol, leg.liquidation_threshold, leg.liquidation_bonus) for leg in position.legs] == [
        ("WETH", 8600, 10438),
        ("USDC", 0, 0),
    ]
    assert it.instance.position(it.book, it.now, BOB) is None
    (market,) = it.instance.markets(it.book, it.now)
    assert (market.supplied, market.borrowed, market.cash) == (1_000_000 * DOLLAR, 20_000 * DOLLAR, 980_000 * DOLLAR)
    assert market.debt_known == market.borrowed


def test_price_and_rate_are_wanted_at_every_block_with_debt() -> None:
    it = born()
    assert it.wants() == []
    it.block(at(2))
    totals = (10**12, 10**18, 2 * 10**10, 2 * 10**16, 12, 0)
    calls = [(call.to, call.data) for call in (PRICE.call(ORACLE), BORROW_RATE.call(IRM, PARAMS, totals))]
    assert it.wants() == calls
    it.read([answer(PRICE, ORACLE, PRICE_3000), answer(BORROW_RATE, IRM, 10**9, args=(PARAMS, totals))])
    assert it.wants() == []
    position = it.instance.position(it.book, at(2), ALICE)
    assert position is not None
    grown = 2 * 10**10 + 2 * 10**10 * shares.compounded(10**9, 12) // WAD
    assert position.debt_base == -(-2 * 10**16 * (grown + 1) // (2 * 10**16 + 10**6))


def test_a_rate_asked_with_another_state_is_not_taken() -> None:
    it = born()
    it.block(at(2))
    other = (10**12, 10**18, 2 * 10**10 + 1, 2 * 10**16, 12, 0)
    assert it.read([answer(BORROW_RATE, IRM, 10**9, args=(PARAMS, other))]) == [False]
    position = it.instance.position(it.book, at(2), ALICE)
    assert position is not None and position.unknown == "the borrow rate was not read yet"


def test_a_rate_model_or_an_oracle_that_reverts() -> None:
    it = born()
    it.block(at(2))
    totals = (10**12, 10**18, 2 * 10**10, 2 * 10**16, 12, 0)
    text = "0x08c379a0" + abi.encode(["string"], ["stale"])
    it.read([CallResult(to=ORACLE, data=PRICE.selector, error={"code": 3, "data": text})])
    it.read([answer(BORROW_RATE, IRM, 0, args=(PARAMS, totals))])
    position = it.instance.position(it.book, it.now, ALICE)
    assert position is not None
    assert (position.unknown, position.health_factor, position.debt_base) == ("the price reverts: stale", 0, 0)
    assert it.wants() == []
    it.block(at(3))
    it.read([answer(PRICE, ORACLE, PRICE_3000), refusal(BORROW_RATE, IRM, args=(PARAMS, totals))])
    position = it.instance.position(it.book, it.now, ALICE)
    assert position is not None and position.unknown == "the rate model reverts: no reason given"


def test_a_liquidation_with_bad_debt_is_two_facts() -> None:
    it = born()
    values = (19_000 * DOLLAR, 19_000 * SHARE, 10 * ETHER, 1000 * DOLLAR, 1000 * SHARE)
    facts = it.block(at(2), log("Liquidate", *values, topics=(BOB, ALICE)))
    assert [type(fact) for fact in facts] == [Liquidated, BadDebt]
    liquidated, bad = facts
    assert isinstance(liquidated, Liquidated) and isinstance(bad, BadDebt)
    assert (liquidated.market, liquidated.account, liquidated.liquidator) == (ID, ALICE, BOB)
    assert (liquidated.collateral_asset, liquidated.debt_asset) == (WETH, USDC)
    assert (liquidated.collateral_seized, liquidated.debt_repaid) == (10 * ETHER, 19_000 * DOLLAR)
    assert (bad.account, bad.asset, bad.amount) == (ALICE, USDC, 1000 * DOLLAR)
    (market,) = it.instance.markets(it.book, it.now)
    assert (market.supplied, market.borrowed, market.bad_debt) == (999_000 * DOLLAR, 0, 1000 * DOLLAR)
    assert it.instance.position(it.book, it.now, ALICE) is None
    it.book.undo()
    position = it.instance.position(it.book, at(1), ALICE)
    assert position is not None and position.debt_base == 20_000 * DOLLAR


def test_a_log_that_comes_twice_counts_once() -> None:
    it = born()
    more = out("Borrow", ALICE, ALICE, ALICE, DOLLAR, SHARE, index=7)
    it.block(at(2), more, more)
    (market,) = it.instance.markets(it.book, it.now)
    assert market.borrowed == 20_001 * DOLLAR
    again = player(ID)
    again.book = it.book
    again.block(at(3), out("Borrow", ALICE, ALICE, ALICE, DOLLAR, SHARE, index=3))
    it.instance.on_event(
        it.book, at(3), events.BORROW.decode(out("Borrow", ALICE, ALICE, ALICE, DOLLAR, SHARE, index=3))
    )
    (market,) = it.instance.markets(it.book, it.now)
    assert market.borrowed == 20_002 * DOLLAR


def test_without_debt_nobody_asks_the_oracle() -> None:
    it = player()
    it.block(at(1), created(), log("SupplyCollateral", ETHER, topics=(BOB, BOB), index=2))
    it.read([*token_answers(WETH, "WETH", "Wrapped Ether", 18), *token_answers(USDC, "USDC", "USD Coin", 6)])
    assert it.wants() == []
    position = it.instance.position(it.book, it.now, BOB)
    assert position is not None
    assert (position.health_factor, position.debt_base) == (UINT256_MAX, 0)


def test_a_start_in_the_middle() -> None:
    it = player(ID)
    it.block(at(5))
    assert it.wants() == [(MORPHO, call.data) for call in (ID_TO_PARAMS.call(MORPHO, ID), MARKET.call(MORPHO, ID))]
    it.read([answer(ID_TO_PARAMS, MORPHO, *PARAMS, args=(ID,))])
    it.read([answer(MARKET, MORPHO, 10**12, 10**18, 2 * 10**10, 2 * 10**16, 60, 0, args=(ID,))])
    assert list(it.instance.positions(it.book, it.now)) == []
    (scan,) = it.instance.scans(it.book)
    assert scan.topics == ((events.BORROW.topic0, events.SUPPLY_COLLATERAL.topic0), (ID,))
    past = [out("Borrow", BOB, ALICE, WHALE, 1, 1), log("SupplyCollateral", 1, topics=(WHALE, ALICE))]
    calls = it.instance.on_scan(it.book, scan, [*past, created()])
    assert calls == (POSITION.call(MORPHO, ID, ALICE),)
    it.read([answer(POSITION, MORPHO, 0, 2 * 10**16, 10 * ETHER, args=(ID, ALICE))])
    assert list(it.instance.scans(it.book)) == []
    it.read([answer(PRICE, ORACLE, PRICE_3000)])
    position = it.instance.position(it.book, it.now, ALICE)
    assert position is not None and position.debt_base == 20_000 * DOLLAR


def test_an_account_first_met_in_an_event_is_read_whole() -> None:
    it = player(ID)
    it.block(at(5))
    it.read([answer(ID_TO_PARAMS, MORPHO, *PARAMS, args=(ID,))])
    it.read([answer(MARKET, MORPHO, 10**12, 10**18, 2 * 10**10, 2 * 10**16, 60, 0, args=(ID,))])
    it.block(at(6), log("Repay", DOLLAR, SHARE, topics=(ALICE, ALICE)))
    assert (MORPHO, POSITION.call(MORPHO, ID, ALICE).data) in it.wants()
    position = it.instance.position(it.book, it.now, ALICE)
    assert position is not None and position.unknown == "its balances were not read yet"
    it.read([answer(POSITION, MORPHO, 0, 5, 5, args=(ID, ALICE))], at(5))  # from before the event
    assert (MORPHO, POSITION.call(MORPHO, ID, ALICE).data) in it.wants()
    it.read([answer(POSITION, MORPHO, 0, 19_999 * SHARE, 10 * ETHER, args=(ID, ALICE))])
    (market,) = it.instance.markets(it.book, it.now)
    assert market.debt_known == market.borrowed == 19_999 * DOLLAR


def test_watched_accounts_are_read_at_once() -> None:
    it = player(ID)
    assert isinstance(it.instance, MorphoBlue)
    it.instance.watch([BOB])
    it.block(at(5))
    it.read([answer(ID_TO_PARAMS, MORPHO, *PARAMS, args=(ID,))])
    it.read([answer(MARKET, MORPHO, 10**12, 10**18, 2 * 10**10, 2 * 10**16, 60, 0, args=(ID,))])
    assert (MORPHO, POSITION.call(MORPHO, ID, BOB).data) in it.wants()
    it.read([answer(POSITION, MORPHO, 0, 0, 0, args=(ID, BOB))])
    assert (MORPHO, POSITION.call(MORPHO, ID, BOB).data) not in it.wants()


def test_a_market_that_does_not_exist() -> None:
    it = player("0x" + "77" * 32)
    it.block(at(1))
    zero = "0x" + "0" * 40
    it.read([answer(ID_TO_PARAMS, MORPHO, zero, zero, zero, zero, 0, args=("0x" + "77" * 32,))])
    it.read([answer(MARKET, MORPHO, 0, 0, 0, 0, 0, 0, args=("0x" + "77" * 32,))])
    assert it.wants() == []
    assert "there is no market" in it.book.take_notices()[0]


@pytest.mark.parametrize(
    "deployment",
    [
        Deployment(chain="x", protocol="morpho_blue"),
        Deployment(chain="x", protocol="morpho_blue", address=MORPHO, pools=(USDC,)),
    ],
)
def test_a_deployment_that_cannot_be(deployment: Deployment) -> None:
    with pytest.raises(ConfigError, match="morpho_blue: expected"):
        MorphoBlue(1, deployment)


amounts = st.integers(1, 2**100)


@given(amounts, amounts, st.integers(1, 2**120), st.sampled_from([0, 385, 625, 770, 860, 915, 945, 965, 980]))
def test_the_liquidation_price_is_where_the_factor_crosses(collateral: int, owed: int, price: int, lltv: int) -> None:
    lltv *= 10**15
    crossing = shares.liquidation_price(collateral, lltv, owed)
    if crossing is None:
        assert lltv == 0
        return
    assert shares.health_factor(collateral, crossing, lltv, owed) < WAD
    assert shares.health_factor(collateral, crossing + 1, lltv, owed) >= WAD
    assert (shares.health_factor(collateral, price, lltv, owed) < WAD) == (price <= crossing)


@given(st.integers(0, 10**12), st.integers(0, 10**8), st.integers(1, 2**90))
def test_interest_is_the_exponentials_first_terms(rate: int, seconds: int, owed: int) -> None:
    totals = shares.Totals(owed * 2, owed * 2 * 10**6, owed, owed * 10**6, 5, WAD // 10)
    grown = shares.accrue(totals, rate, 5 + seconds)
    assert grown.borrow_assets - owed == grown.supply_assets - 2 * owed >= 0
    assert grown.borrow_shares == totals.borrow_shares
    assert grown.supply_shares >= totals.supply_shares
    assert shares.accrue(totals, rate, 5) is totals
