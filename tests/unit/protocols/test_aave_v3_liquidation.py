"""liquidationCall by hand: close factor, amounts, fee, dust, bad debt, and what refuses it. Indices are 1."""

from __future__ import annotations

import msgspec
import pytest

from defiwatch.protocols.aave_v3 import liquidation as l
from defiwatch.protocols.aave_v3 import state as s
from defiwatch.protocols.aave_v3.forms import form
from tests.unit.protocols.aave_v3_market import ALICE, BOB, ETH, PRICES, PROVIDER, PT, USD, Market, word

TOKEN = 10**18
replace = msgspec.structs.replace


def unhealthy(revision: int, eth: int = 10, usd: int = 17_000, fee: int = 0) -> Market:
    """10 ETH (20,000 at 82.5 %) against 17,000 USD: a factor of 0.9706."""
    words = {ETH: word(8000, 8250, 10500, fee=fee), USD: word(7700, 8000, 10450), PT: word(0, 0, 0)}
    market = Market(revision, words)
    market.hold(ALICE, [s.Holding(0, supplied=eth * TOKEN), s.Holding(1, borrowed=usd * TOKEN)], collateral=[0])
    return market


def plan(market: Market, cover: int = 2**256 - 1, *, receive_atoken: bool = False) -> l.Liquidation:
    return market.instance.plan_liquidation(
        market.book, market.at, ALICE, ETH, USD, cover=cover, receive_atoken=receive_atoken
    )


@pytest.mark.parametrize("revision", [1, 4, 6, 7, 8, 9, 10, 11])
def test_half_above_095(revision: int) -> None:
    """8,500 USD buy 4.25 ETH; with 5 % on top 4.4625."""
    found = plan(unhealthy(revision))
    assert found == l.Liquidation("ok", 8_500 * TOKEN, 4_462_500_000_000_000_000, 0, 8_500 * TOKEN)


@pytest.mark.parametrize("revision", [1, 7, 11])
def test_all_at_095_or_below(revision: int) -> None:
    """16,500 / 17,370 is below 0.95: all of it, 8.685 ETH and 5 %."""
    found = plan(unhealthy(revision, usd=17_370))
    assert (found.outcome, found.covered, found.closable) == ("ok", 17_370 * TOKEN, 17_370 * TOKEN)
    assert found.seized == 17_370 * TOKEN // 2_000 * 105 // 100


def test_small_positions_may_be_closed_whole_from_3_3() -> None:
    """0.9 ETH against 1,530 USD: less than 2,000 on either side."""
    for revision, covered in ((6, 765 * TOKEN), (7, 1_530 * TOKEN), (11, 1_530 * TOKEN)):
        market = unhealthy(revision, usd=1_530)
        market.hold(
            ALICE, [s.Holding(0, supplied=9 * TOKEN // 10), s.Holding(1, borrowed=1_530 * TOKEN)], collateral=[0]
        )
        assert (plan(market).outcome, plan(market).covered) == ("ok", covered)


def test_half_of_all_debt_from_3_3() -> None:
    """Two debts, 8,500 each: from 3.3 half of the whole is just one of them, before it is half of the one."""
    for revision, covered in ((6, 4_250 * TOKEN), (7, 8_500 * TOKEN), (9, 8_500 * TOKEN)):
        market = unhealthy(revision)
        market.book.put(s.PRICES, (PROVIDER, PT), s.Price(10**8, 1))
        debts = [s.Holding(1, borrowed=8_500 * TOKEN), s.Holding(2, borrowed=8_500 * TOKEN)]
        market.hold(ALICE, [s.Holding(0, supplied=10 * TOKEN), *debts], collateral=[0])
        assert plan(market).covered == covered


@pytest.mark.parametrize(("revision", "fee"), [(1, 21_250_000_000_000_000), (11, 21_250_000_000_000_000)])
def test_the_protocol_takes_its_part_of_the_bonus(revision: int, fee: int) -> None:
    """10 % of 0.2125 ETH."""
    found = plan(unhealthy(revision, fee=1_000))
    assert (found.fee, found.seized + found.fee) == (fee, 4_462_500_000_000_000_000)


def test_collateral_that_does_not_suffice() -> None:
    """1 ETH against 3,000 USD: all of it goes for 2,000 / 1.05 of debt, rounded up from 3.5; the rest is bad debt."""
    for revision, covered, bad in (
        (1, 1_904_761904761904761905, False),
        (8, 1_904_761904761904761905, True),
        (9, 1_904_761904761904761905, True),
        (11, 1_904_761904761904761905, True),
    ):
        found = plan(unhealthy(revision, eth=1, usd=3_000))
        assert (found.outcome, found.covered, found.seized, found.bad_debt) == ("ok", covered, TOKEN, bad)


@pytest.mark.parametrize(("revision", "outcome"), [(1, "ok"), (6, "ok"), (7, l.DUST), (8, l.DUST), (11, l.DUST)])
def test_dust_may_not_be_left_from_3_3(revision: int, outcome: str) -> None:
    """Covering 7,600 of 8,500 would leave debt below 1,000."""
    market = unhealthy(revision, eth=5, usd=8_700)
    assert plan(market, 7_800 * TOKEN).outcome == outcome
    assert plan(market, 7_600 * TOKEN).outcome == "ok"
    assert plan(market).outcome == "ok"


def test_a_burn_that_rounds_to_nothing() -> None:
    market = unhealthy(11)
    market.set_reserve(replace(market.reserve(USD), variable_index=2 * 10**27))
    market.hold(ALICE, [s.Holding(0, supplied=10 * TOKEN), s.Holding(1, borrowed=8_500 * TOKEN)], collateral=[0])
    assert plan(market, 1).outcome == l.NO_BURN  # half a scaled unit of debt
    assert plan(market, 1_000).outcome == l.NO_BURN  # half a unit of collateral
    assert plan(market, 4_000).outcome == "ok"


def test_who_refuses_first() -> None:
    market = unhealthy(11)
    usd, eth = market.reserve(USD), market.reserve(ETH)

    def outcome(changed: s.Reserve) -> str:
        market.set_reserve(changed)
        try:
            return market.instance.probe_liquidation(market.book, market.at, ALICE, ETH, USD)
        finally:
            market.set_reserve(usd)
            market.set_reserve(eth)

    assert outcome(usd) == "ok"
    assert outcome(replace(usd, configuration=usd.configuration | 1 << 60)) == l.PAUSED
    assert outcome(replace(eth, configuration=eth.configuration | 1 << 57)) == "ok"  # frozen does not matter
    assert outcome(replace(eth, configuration=eth.configuration & ~(1 << 56) | 1 << 60)) == l.INACTIVE
    assert outcome(replace(eth, grace_until=market.at.time)) == l.GRACE
    assert outcome(replace(eth, grace_until=market.at.time - 1)) == "ok"
    assert outcome(replace(eth, cash=TOKEN)) == l.PANIC
    assert plan(market, receive_atoken=True).outcome == "ok"
    market.book.put(s.PRICES, (PROVIDER, ETH), s.Price(PRICES[ETH] * 2, 1))
    assert outcome(usd) == l.HEALTHY
    assert outcome(replace(usd, configuration=usd.configuration | 1 << 60)) == l.PAUSED


def test_what_is_no_collateral_or_no_debt() -> None:
    market = unhealthy(11)
    probe = market.instance.probe_liquidation
    assert probe(market.book, market.at, ALICE, USD, USD) == l.NOT_COLLATERAL
    assert probe(market.book, market.at, ALICE, ETH, ETH) == l.NOT_BORROWED
    assert probe(market.book, market.at, ALICE, ETH, "0x" + "f" * 40) == l.INACTIVE
    assert probe(market.book, market.at, BOB, ETH, USD) == l.HEALTHY


def test_threshold_zero_collateral_in_its_category() -> None:
    """From 3.6 an asset that only its eMode makes collateral can be liquidated; the category's bonus counts."""
    for revision, outcome in ((9, l.NOT_COLLATERAL), (10, "ok"), (11, "ok")):
        market = Market(revision)
        market.category(2, s.Category(9000, 9200, 10300, collateral=0b100))
        market.hold(
            ALICE,
            [s.Holding(1, borrowed=9_000 * TOKEN), s.Holding(2, supplied=10_000 * TOKEN)],
            collateral=[2],
            emode=2,
        )
        found = market.instance.plan_liquidation(market.book, market.at, ALICE, PT, USD)
        assert found.outcome == outcome
        if outcome == "ok":
            # A factor of 0.97 and one debt: half of it, 4,500 / 0.95 · 1.03.
            assert (found.covered, found.seized) == (4_500 * TOKEN, 4_500 * TOKEN * 100 // 95 * 103 // 100)


def test_errors_of_old_revisions_have_names() -> None:
    assert {l.LEGACY_CODES[code] for code in ("45", "103", "29")} == {l.HEALTHY, l.DUST, l.PAUSED}
    for revision, dust in ((3, "103"), (7, "103"), (8, l.DUST), (11, l.DUST)):
        assert [l.said(form(revision), outcome) for outcome in (l.OK, l.DUST, l.PANIC)] == ["", dust, l.PANIC]


@pytest.mark.parametrize(
    ("revision", "fee", "outcome"),
    [(9, 0, l.NOT_COLLATERAL), (10, 0, l.NO_BURN), (11, 0, l.NO_BURN), (10, 1_000, "0x"), (11, 1_000, "0x")],
)
def test_from_3_6_the_flag_alone_makes_collateral(revision: int, fee: int, outcome: str) -> None:
    """With threshold and bonus 0 nothing is seized, and to burn nothing reverts; the fee divides by the bonus.

    aave-v3-origin 3.6 ValidationLogic.validateLiquidationCall: no threshold is asked any more.
    """
    words = {ETH: word(8000, 8250, 10500), USD: word(7700, 8000, 10450), PT: word(0, 0, 0, fee=fee)}
    market = Market(revision, words)
    holdings = [s.Holding(0, supplied=TOKEN), s.Holding(1, borrowed=9_000 * TOKEN), s.Holding(2, supplied=TOKEN)]
    market.hold(ALICE, holdings, collateral=[0, 2])
    assert market.instance.probe_liquidation(market.book, market.at, ALICE, PT, USD) == outcome


@pytest.mark.parametrize("revision", [1, 4, 7, 9, 11])
def test_a_flag_that_outlived_its_balance(revision: int) -> None:
    """The contract asks for the flag; there is nothing to seize, so it covers nothing, and to burn nothing reverts."""
    market = unhealthy(revision)
    market.hold(ALICE, [s.Holding(0, supplied=TOKEN), s.Holding(1, borrowed=9_000 * TOKEN)], collateral=[0, 1])
    assert market.instance.probe_liquidation(market.book, market.at, ALICE, USD, USD) == l.NO_BURN


@pytest.mark.parametrize("revision", [1, 7, 8, 9, 10, 11])
def test_collateral_without_a_price(revision: int) -> None:
    """A fallback oracle may answer 0: the amount to seize is divided by it."""
    market = unhealthy(revision)
    market.book.put(s.PRICES, (PROVIDER, ETH), s.Price(0, 1))
    assert plan(market).outcome == l.PANIC


@pytest.mark.parametrize(
    ("revision", "cash", "outcome"),
    [
        *((1, 104, l.PANIC), (1, 105, "ok"), (4, 104, l.TRANSFER), (8, 104, l.TRANSFER)),
        *((11, 104, l.TRANSFER), (11, 4, l.PANIC), (11, 105, "ok")),
    ],
)
def test_one_asset_on_both_sides_of_a_pool_without_liquidity(revision: int, cash: int, outcome: str) -> None:
    """100 are repaid and 105 seized, which must be there before: the 100 come last."""
    market = unhealthy(revision)
    market.hold(ALICE, [s.Holding(0, supplied=1_000 * TOKEN, borrowed=970 * TOKEN)], collateral=[0])
    eth = market.reserve(ETH)
    market.set_reserve(replace(eth, cash=cash * TOKEN, borrowed=970 * TOKEN))
    found = market.instance.plan_liquidation(market.book, market.at, ALICE, ETH, ETH, cover=100 * TOKEN)
    assert found.outcome == outcome


def test_liquidity_that_was_not_read_refuses_nothing() -> None:
    for born, outcome in ((True, l.PANIC), (False, "ok")):
        market = Market(11, born=born)
        market.hold(ALICE, [s.Holding(0, supplied=10 * TOKEN), s.Holding(1, borrowed=17_000 * TOKEN)], collateral=[0])
        eth = market.reserve(ETH)
        market.set_reserve(replace(eth, cash=0, have=eth.have & ~s.CASH))
        assert plan(market).outcome == outcome


@pytest.mark.parametrize("revision", [1, 7, 10, 11])
def test_a_sentinel_that_was_not_read_is_told(revision: int) -> None:
    """At 0.95 and above it decides; below, and from 3.7 on, nobody asks it."""
    for usd, sure in ((17_000, revision == 11), (17_400, True)):
        market = unhealthy(revision, usd=usd)
        known = market.instance.market(market.book)
        market.book.put(s.MARKETS, PROVIDER, replace(known, sentinel="0x" + "5" * 40))
        assert (plan(market).outcome == "ok") is sure
        assert sure or "sentinel" in plan(market).outcome


@pytest.mark.parametrize("revision", [1, 7, 9, 11])
def test_a_dead_price_of_what_is_no_collateral_is_asked_last(revision: int) -> None:
    """The account's own data does not touch it, and the flag is looked at before its price."""
    for usd, outcome in ((17_000, l.NOT_COLLATERAL), (1_000, l.HEALTHY)):
        market = unhealthy(revision, usd=usd)
        market.hold(
            ALICE,
            [s.Holding(0, supplied=10 * TOKEN), s.Holding(1, borrowed=usd * TOKEN), s.Holding(2, supplied=TOKEN)],
            collateral=[0],
        )
        market.book.put(s.PRICES, (PROVIDER, PT), s.Price(None, 1, "feed down"))
        assert market.instance.probe_liquidation(market.book, market.at, ALICE, PT, USD) == outcome
        market.set_reserve(replace(market.reserve(PT), have=s.DATA))
        assert "was not read" in market.instance.probe_liquidation(market.book, market.at, ALICE, PT, USD)
