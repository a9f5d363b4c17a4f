"""getUserAccountData by hand, where revisions differ. Indices are 1; amounts have 18 decimals, prices 8."""

from __future__ import annotations

import msgspec
import pytest

from defiwatch.domain.units import UINT256_MAX, WAD
from defiwatch.protocols.aave_v3 import state as s
from defiwatch.protocols.aave_v3.account import AccountData
from defiwatch.protocols.aave_v3.events.provider import Upgraded
from tests.unit.protocols.aave_v3_market import (
    ALICE,
    BOB,
    ETH,
    POOL,
    PRICES,
    PROVIDER,
    PT,
    START,
    USD,
    Market,
    made,
    word,
)

TOKEN = 10**18
replace = msgspec.structs.replace


def data(market: Market, address: str = ALICE) -> AccountData:
    found = market.instance.account_data(market.book, market.at, address)
    assert isinstance(found, AccountData), found
    return found


def numbers(found: AccountData) -> tuple[int, int, int, int, int, int]:
    return found.collateral, found.debt, found.available, found.threshold, found.ltv, found.health_factor


@pytest.mark.parametrize("revision", range(1, 12))
def test_plain(revision: int) -> None:
    """2 ETH (4,000) against 1,650 USD: 4,000 · 82.5 % / 1,650 = 2; LTV leaves 3,200 - 1,650."""
    market = Market(revision)
    market.hold(ALICE, [s.Holding(0, supplied=2 * TOKEN), s.Holding(1, borrowed=1_650 * TOKEN)], collateral=[0])
    assert numbers(data(market)) == (4_000 * 10**8, 1_650 * 10**8, 1_550 * 10**8, 8250, 8000, 2 * WAD)


@pytest.mark.parametrize("revision", [1, 7, 8, 9, 11])
def test_supply_that_is_no_collateral_counts_nowhere(revision: int) -> None:
    market = Market(revision)
    market.hold(ALICE, [s.Holding(0, supplied=2 * TOKEN), s.Holding(1, supplied=100 * TOKEN)], collateral=[1])
    found = data(market)
    assert numbers(found) == (100 * 10**8, 0, 77 * 10**8, 8000, 7700, UINT256_MAX)
    assert [(leg.collateral, leg.collateral_base, leg.liquidation_threshold) for leg in found.legs] == [
        (2 * TOKEN, 0, 0),
        (100 * TOKEN, 100 * 10**8, 8000),
    ]


@pytest.mark.parametrize("revision", [1, 9, 11])
def test_nobody(revision: int) -> None:
    market = Market(revision)
    assert numbers(data(market, BOB)) == (0, 0, 0, 0, 0, UINT256_MAX)
    assert market.instance.position(market.book, market.at, BOB) is None


def test_the_averaged_threshold_is_floored_up_to_3_4_and_weighed_from_3_5() -> None:
    """1 ETH (2,000 at 82.5 %) and 1,000 USD at 80 %: 2,450 / 3,000 = 81.66.. %."""
    wanted = {8: 2449_80000000 * WAD // (1_000 * 10**8), 9: 2450 * WAD // 1000}
    for revision, factor in wanted.items():
        market = Market(revision)
        holdings = [s.Holding(0, supplied=TOKEN), s.Holding(1, supplied=1_000 * TOKEN), s.Holding(2, borrowed=TOKEN)]
        market.book.put(s.PRICES, (PROVIDER, PT), s.Price(1_000 * 10**8, 1))
        market.hold(ALICE, holdings, collateral=[0, 1])
        found = data(market)
        assert (found.threshold, found.health_factor) == (8166, factor)


def test_debt_rounds_up_from_3_5() -> None:
    for revision, debt in ((1, 10**8), (8, 10**8), (9, 10**8 + 1), (11, 10**8 + 1)):
        market = Market(revision)
        market.hold(ALICE, [s.Holding(0, supplied=TOKEN), s.Holding(1, borrowed=TOKEN + 1)], collateral=[0])
        assert data(market).debt == debt


def test_collateral_with_threshold_zero() -> None:
    """Left out up to 3.5, counted in the total from 3.6: its eMode gives it a threshold in every case."""
    category = s.Category(9000, 9200, 10300, collateral=0b110)
    for revision, (collateral, factor) in {
        8: (1_000 * 10**8, 2 * WAD * 92 // 100),
        9: (1_000 * 10**8, 2 * WAD * 92 // 100),
        10: (1_950 * 10**8, 1_950 * WAD * 92 // 100 // 500),
        11: (1_950 * 10**8, 1_950 * WAD * 92 // 100 // 500),
    }.items():
        market = Market(revision)
        market.category(2, category)
        holdings = [s.Holding(1, supplied=1_000 * TOKEN, borrowed=500 * TOKEN), s.Holding(2, supplied=1_000 * TOKEN)]
        market.hold(ALICE, holdings, collateral=[1, 2], emode=2)
        found = data(market)
        assert (found.collateral, found.health_factor) == (collateral, factor)


def test_emode_is_per_asset_from_3_2() -> None:
    """Bit 0 only: ETH takes the category's numbers, USD keeps its own."""
    for revision in (5, 7, 8, 9, 10, 11):
        market = Market(revision)
        market.category(1, s.Category(9300, 9500, 10100, collateral=0b001))
        market.hold(
            ALICE, [s.Holding(0, supplied=TOKEN), s.Holding(1, supplied=2_000 * TOKEN)], collateral=[0, 1], emode=1
        )
        found = data(market)
        assert (found.threshold, found.ltv) == ((9500 + 8000) // 2, (9300 + 7700) // 2)
        assert [leg.liquidation_bonus for leg in found.legs] == [10100, 10450]


def test_ltv_zero_and_isolated_categories() -> None:
    """3.6 brings LTV zero by category, 3.7 categories that take the LTV of what is outside; else the reserve rules."""
    held = [s.Holding(0, supplied=TOKEN), s.Holding(1, supplied=2_000 * TOKEN)]
    for revision, category, ltv in (
        (10, s.Category(9300, 9500, 10100, collateral=1, ltv_zero=1), 3850),
        (11, s.Category(9300, 9500, 10100, collateral=1, isolated=True), 4650),
        (10, s.Category(9300, 9500, 10100, collateral=1, isolated=True), 8500),
        (9, s.Category(9300, 9500, 10100, collateral=1, ltv_zero=1), 8500),
    ):
        market = Market(revision)
        market.category(1, category)
        market.hold(ALICE, held, collateral=[0, 1], emode=1)
        assert data(market).ltv == ltv
    words = {ETH: word(0, 8250, 10500), USD: word(7700, 8000, 10450), PT: word(0, 0, 0)}
    for revision, ltv in ((9, 3850), (10, 8500)):
        market = Market(revision, words)
        market.category(1, s.Category(9300, 9500, 10100, collateral=1))
        market.hold(ALICE, held, collateral=[0, 1], emode=1)
        assert data(market).ltv == ltv


def test_categories_with_a_price_source_up_to_3_1() -> None:
    """ETH belongs to category 1, whose source says 1,900: its price counts for ETH, not for USD."""
    source = "0x" + "f" * 40
    words = {ETH: word(8000, 8250, 10500, category=1), USD: word(7700, 8000, 10450), PT: word(0, 0, 0)}
    for revision in (1, 2, 3, 4):
        market = Market(revision, words)
        market.category(1, s.Category(9000, 9300, 10100, source=source))
        market.hold(ALICE, [s.Holding(0, supplied=TOKEN), s.Holding(1, borrowed=100 * TOKEN)], collateral=[0], emode=1)
        assert market.instance.account_data(market.book, market.at, ALICE) == (
            "the price source of eMode category 1 was not read yet"
        )
        assert source in {call.data[-40:] and "0x" + call.data[-40:] for call in market.instance.wants(
            market.book, market.at)}  # fmt: skip
        market.book.put(s.PRICES, (PROVIDER, source), s.Price(1_900 * 10**8, 1))
        found = data(market)
        assert (found.collateral, found.debt, found.threshold) == (1_900 * 10**8, 100 * 10**8, 9300)
        market.book.put(s.PRICES, (PROVIDER, source), s.Price(None, 1, "feed down"))
        assert "reverts: feed down" in str(market.instance.account_data(market.book, market.at, ALICE))


def test_stable_debt_counts_up_to_3_1() -> None:
    market = Market(1)
    market.hold(
        ALICE,
        [
            s.Holding(0, supplied=2 * TOKEN),
            s.Holding(1, borrowed=100 * TOKEN, stable=50 * TOKEN, stable_rate=10**26, stable_updated=START),
        ],
        collateral=[0],
    )
    assert data(market).debt == 150 * 10**8
    market.block(31_536_000)
    # Three binomial terms of 10 % a year, compounded each second: 0.1 + 0.005 + 0.000166…
    assert data(market).debt == pytest.approx(100e8 + 50e8 * 1.105166, rel=1e-5)


@pytest.mark.parametrize("revision", [1, 8, 11])
def test_one_price_that_reverts_hides_who_touches_it(revision: int) -> None:
    market = Market(revision)
    market.hold(ALICE, [s.Holding(0, supplied=TOKEN), s.Holding(1, borrowed=TOKEN)], collateral=[0])
    market.hold(BOB, [s.Holding(0, supplied=TOKEN), s.Holding(1, supplied=TOKEN)], collateral=[0])
    market.book.put(s.PRICES, (PROVIDER, USD), s.Price(None, 1, "feed down"))
    assert market.instance.account_data(market.book, market.at, ALICE) == "the price of USD reverts: feed down"
    assert data(market, BOB).collateral == PRICES[ETH]  # it only holds USD, as no collateral
    hidden, told = list(market.instance.positions(market.book, market.at))
    assert (hidden.account, hidden.health_factor, hidden.debt_base, hidden.legs) == (ALICE, 0, 0, ())
    assert hidden.unknown == "the price of USD reverts: feed down"
    assert (told.account, told.unknown) == (BOB, "")
    assert market.instance.probe_liquidation(market.book, market.at, ALICE, ETH, USD) == "feed down"
    market.book.drop(s.PRICES, (PROVIDER, USD))
    assert market.instance.account_data(market.book, market.at, ALICE) == "the price of USD was not read yet"


def test_what_is_not_known_of_an_account_is_said() -> None:
    market = Market(11)
    account = s.Account((s.Holding(0, supplied=TOKEN), s.Holding(1, borrowed=TOKEN)), 0b101, unknown_supplied=0b100)
    market.set_reserve(replace(market.reserve(PT), supplied=5))
    market.book.put(s.ACCOUNTS, (PROVIDER, ALICE), account)
    assert market.instance.account_data(market.book, market.at, ALICE) == "its balance of PT was not read yet"
    market.set_reserve(replace(market.reserve(PT), supplied=0))
    assert data(market).collateral == PRICES[ETH]  # nobody has any PT that is not on record
    market.hold(ALICE, account.holdings, collateral=[0], emode=9)
    assert market.instance.account_data(market.book, market.at, ALICE) == "eMode category 9 was not read yet"


def test_positions_carry_everything() -> None:
    market = Market(11)
    market.hold(BOB, [s.Holding(0, supplied=2 * TOKEN), s.Holding(1, borrowed=1_650 * TOKEN)], collateral=[0])
    market.hold(ALICE, [s.Holding(1, supplied=TOKEN)])
    first, second = market.instance.positions(market.book, market.at)
    assert (first.account, second.account) == (ALICE, BOB)
    assert (second.chain_id, second.protocol, second.block, second.base_decimals) == (1, "aave_v3", 1, 8)
    # 2 p · 82.5 % < 1,650 from just below 1,000 on; 4,000 · 82.5 % < 1,650 p just above 2.
    assert second.liquidation_prices == {ETH: 1_000 * 10**8 - 1, USD: 2 * 10**8 + 1}
    assert second == market.instance.position(market.book, market.at, BOB)
    (eth, usd) = second.legs
    assert (eth.symbol, eth.collateral, eth.price, eth.collateral_base) == (
        "ETH",
        2 * TOKEN,
        PRICES[ETH],
        4_000 * 10**8,
    )
    assert (usd.debt, usd.debt_base, usd.liquidation_threshold) == (1_650 * TOKEN, 1_650 * 10**8, 0)


def test_markets() -> None:
    market = Market(11)
    totals = {"supplied": 900 * TOKEN, "borrowed": 300 * TOKEN, "borrowed_known": 150 * TOKEN, "cash": 600 * TOKEN}
    market.set_reserve(replace(market.reserve(USD), **totals, deficit=5, variable_rate=5 * 10**25))
    usd = next(found for found in market.instance.markets(market.book, market.at) if found.asset == USD)
    assert (usd.supplied, usd.borrowed, usd.cash, usd.debt_known) == (
        900 * TOKEN,
        300 * TOKEN,
        600 * TOKEN,
        150 * TOKEN,
    )
    assert (usd.bad_debt, usd.borrow_rate, usd.price, usd.unknown) == (5, 0.05, 10**8, "")


def test_an_upgrade_whose_revision_was_not_read_is_told() -> None:
    """Another implementation may follow other rules: nothing is computed by the old ones."""
    market = Market(8)
    market.hold(ALICE, [s.Holding(0, supplied=2 * TOKEN), s.Holding(1, borrowed=1_650 * TOKEN)], collateral=[0])
    known = market.instance.market(market.book)
    market.apply(made(Upgraded, POOL, implementation="0x" + "9" * 40))
    found = market.instance.account_data(market.book, market.at, ALICE)
    assert isinstance(found, str)
    assert "revision was not read" in found
    position = market.instance.position(market.book, market.at, ALICE)
    assert position is not None and (position.health_factor, position.unknown) == (0, found)
    assert numbers(data(market, BOB)) == (0, 0, 0, 0, 0, UINT256_MAX)
    market.book.put(s.MARKETS, PROVIDER, replace(known, revision=9))
    assert data(market).health_factor == 2 * WAD


def test_stable_debt_that_was_not_read_matters_no_more_from_3_2() -> None:
    market = Market(4, born=False)
    market.book.put(
        s.ACCOUNTS,
        (PROVIDER, ALICE),
        s.Account((s.Holding(0, supplied=2 * TOKEN),), collateral=1, unknown_stable=0b010),
    )
    assert isinstance(market.instance.account_data(market.book, market.at, ALICE), str)
    known = market.instance.market(market.book)
    market.book.put(s.MARKETS, PROVIDER, replace(known, revision=5))
    assert data(market).collateral == 4_000 * 10**8


def test_the_oldest_price_that_it_rests_on() -> None:
    """Supply that is no collateral needs no price."""
    market = Market(11)
    for asset, block in ((ETH, 7), (USD, 5), (PT, 3)):
        market.book.put(s.PRICES, (PROVIDER, asset), s.Price(PRICES[asset], block))
    holdings = [s.Holding(0, supplied=2 * TOKEN), s.Holding(1, borrowed=TOKEN), s.Holding(2, supplied=TOKEN)]
    market.hold(ALICE, holdings, collateral=[0])
    position = market.instance.position(market.book, market.at, ALICE)
    assert position is not None and position.prices_block == 5
    market.hold(ALICE, holdings[2:])
    position = market.instance.position(market.book, market.at, ALICE)
    assert position is not None and position.prices_block == -1
