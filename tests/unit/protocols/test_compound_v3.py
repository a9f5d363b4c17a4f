"""Compound v3: golden values of the contract's own tests, real receipts, a model of the contract played at random."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Liquidated
from defiwatch.domain.frames import RawLog
from defiwatch.domain.units import UINT256_MAX, WAD, YEAR_S
from defiwatch.errors import ConfigError
from defiwatch.protocols.compound_v3 import CompoundV3, arithmetic, events
from defiwatch.protocols.compound_v3.arithmetic import Asset, Curve, Side, Totals
from defiwatch.protocols.registry import decode_any
from tests.convert import raw_log
from tests.unit.protocols.comet_model import BASE, Comet, RefusedError
from tests.unit.protocols.compound_line import COMP, FEEDS, PEOPLE, PERCENT, WBTC, WETH, Line, comet

RATE = Curve(8 * 10**17, 10**16 // YEAR_S, 5 * 10**16 // YEAR_S, 3 * 10**17 // YEAR_S)
EARN = Curve(8 * 10**17, 0, 4 * 10**16 // YEAR_S, 4 * 10**17 // YEAR_S)


@pytest.mark.parametrize(
    ("totals", "utilisation", "supply", "borrow"),
    [
        (Totals(2 * 10**15, 4 * 10**15, 500, 25, 0), 10**17, 0.004, 0.015),
        (Totals(2 * 10**15, 3 * 10**15, 50, 30, 0), 9 * 10**17, 0.072, 0.08),
        (Totals(2 * 10**15, 3 * 10**15, 50, 0, 0), 0, 0.0, 0.01),
        (Totals(2 * 10**15, 3 * 10**15, 0, 5, 0), 0, 0.0, 0.01),
    ],
)
def test_rates_of_the_contracts_own_tests(totals: Totals, utilisation: int, supply: float, borrow: float) -> None:
    """comet@750bbb9 test/interest-rate-test.ts."""
    assert arithmetic.utilisation(totals) == utilisation
    assert arithmetic.rate(EARN, utilisation) * YEAR_S == pytest.approx(supply * WAD, abs=1e8)
    assert arithmetic.rate(RATE, utilisation) * YEAR_S == pytest.approx(borrow * WAD, abs=1e8)
    assert RATE.yearly(utilisation / WAD) == pytest.approx(borrow, abs=1e-10)


def test_balances_and_quotes_of_the_contracts_own_tests() -> None:
    """comet@12ae01a test/balance-test.ts, comet@06fe8e7 test/quote-collateral-test.ts."""
    totals = Totals(2 * 10**15, 3 * 10**15, 0, 0, 0)
    assert arithmetic.present(totals, -100 * 10**6) == -300 * 10**6
    assert arithmetic.present(totals, 100 * 10**6) == 200 * 10**6
    assert arithmetic.principal_of(totals, -300 * 10**6) == -100 * 10**6
    assert arithmetic.principal_of(totals, -1) == -1
    assert arithmetic.principal_of(totals, 3) == 1
    comp = Asset(0, COMP, "", 10**18, 0, 0, 0, 0)
    assert arithmetic.quote(comp, 200 * 10**8, 10**8, 200 * 10**6, 10**6, 2 * 10**17) == 125 * 10**16
    discounted = Asset(0, COMP, "", 10**18, 0, 0, 90 * PERCENT, 0)
    assert arithmetic.storefront_price(discounted, 200 * 10**8, 5 * 10**17) == 190 * 10**8


def test_liquidatable_of_the_contracts_own_tests() -> None:
    """comet@171d350 test/is-liquidatable-test.ts: $100,000 of debt against COMP at $1."""
    totals = Totals(10**15, 10**15, 0, 0, 0)

    def answer(principal: int, collateral: int, factor: int = WAD, price: int = 10**8) -> bool:
        side = Side(Asset(0, COMP, "", 10**18, 0, factor, 0, 0), collateral * 10**18, price)
        return arithmetic.liquidatable(totals, principal, 10**8, 10**6, [side])

    assert answer(1_000_000, 0) is False
    assert answer(-1_000_000, 0) is True
    assert answer(-100_000 * 10**6, 100_000) is False
    assert answer(-100_000 * 10**6, 95_000) is True
    assert answer(-100_000 * 10**6, 100_000, 8 * 10**17) is True
    assert answer(-100_000 * 10**6, 100_000, WAD, 5 * 10**7) is True
    assert answer(-100_000 * 10**6, 100_000, 0) is True


def test_the_split_of_an_accrual_matters() -> None:
    totals = Totals(10**15, 10**15, 1_000_000 * 10**6, 700_000 * 10**6, 0)
    once = arithmetic.accrue(totals, EARN, RATE, 2 * YEAR_S)
    twice = arithmetic.accrue(arithmetic.accrue(totals, EARN, RATE, YEAR_S), EARN, RATE, 2 * YEAR_S)
    assert twice.borrow_index > once.borrow_index
    assert arithmetic.accrue(totals, EARN, RATE, 0) is totals


@pytest.mark.data
def test_real_receipts(data_folder: Path) -> None:
    """Every log of the recorded Comets is understood, and says what the token's own transfer says."""
    comets = {
        "0xc3d688b66703497daa19211eedff47f25384cdc3",
        "0xe36a30d249f7761327fd973001a32010b521b6fd",
        "0xb125e6687d4313864e53df431d5425969c15eb2f",
        "0x9c4ec768c28520b50860ea7a15bd7213a9ff58bf",
    }
    seen: dict[str, int] = {}
    specs = {(spec.topic0, spec.topics): spec for spec in events.EVENTS}
    with gzip.open(data_folder / "rotki_receipts" / "receipts.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            logs = [raw_log(item) for item in json.loads(line)["receipt"]["logs"]]
            for before, log in zip([None, *logs], logs, strict=False):
                if log.address.lower() not in comets or (log.topics[0], len(log.topics)) not in specs:
                    continue
                event = specs[log.topics[0], len(log.topics)].decode(log)
                seen[type(event).__name__] = seen.get(type(event).__name__, 0) + 1
                told = decode_any(before) if before is not None else None
                if isinstance(
                    event, events.Supply | events.Withdraw | events.SupplyCollateral | events.WithdrawCollateral
                ):
                    assert getattr(told, "amount", None) == event.amount
                elif isinstance(event, events.Transfer):
                    assert isinstance(before, RawLog)
                    moved = specs[before.topics[0], len(before.topics)].decode(before)
                    assert 0 <= moved.amount - event.amount <= 2  # the supplied part, rounded down twice
    assert seen == {"Supply": 5, "Withdraw": 3, "Transfer": 5, "SupplyCollateral": 3, "WithdrawCollateral": 1}


def test_a_position_with_everything_it_says() -> None:
    model = comet()
    line = Line(model)
    who = PEOPLE[0]
    model.supply_collateral(who, WETH, 10 * 10**18)
    model.supply_collateral(who, WBTC, 5 * 10**7)
    model.withdraw(who, 40_000 * 10**6)
    line.block()
    position = line.instance.position(line.book, line.at, who)
    assert position is not None
    assert position.unknown == ""
    assert (position.collateral_base, position.debt_base) == (60_000 * 10**8, 40_000 * 10**8)
    assert position.health_factor == (30_000 * 895 // 1000 + 30_000 * 77 // 100) * WAD // 40_000
    assert position.prices_block == position.block
    assert [leg.symbol for leg in position.legs] == ["TOK02", "TOK01", "USDC"]
    assert [leg.liquidation_threshold for leg in position.legs] == [7700, 8950, 0]
    assert position.available_borrows_base == (30_000 * 825 // 1000 + 30_000 * 70 // 100) * 10**8 - 40_000 * 10**8
    assert position.label == "Compound USDC"
    line.check()


def test_an_absorption_is_one_fact_that_names_the_most_valuable_collateral() -> None:
    model = comet()
    line = Line(model)
    who = PEOPLE[0]
    model.supply_collateral(who, WETH, 10 * 10**18)
    model.supply_collateral(who, COMP, 20 * 10**18)
    model.withdraw(who, 20_000 * 10**6)
    line.block()
    model.prices[FEEDS[WETH]] = 2000 * 10**8
    line.block()
    planned = arithmetic.absorb(
        line.instance.scene(line.book, line.at).accrued, model.principal[who], 10**8, 10**6, _sides(model, who)
    )
    model.now = line.at.time
    model.absorb(PEOPLE[4], who)
    line.block()
    (fact,) = line.facts
    assert isinstance(fact, Liquidated)
    assert (fact.account, fact.liquidator, fact.collateral_asset, fact.debt_asset) == (who, PEOPLE[4], WETH, BASE)
    assert (fact.collateral_seized, fact.debt_repaid) == (10 * 10**18, planned.base_paid_out)
    interest = planned.base_paid_out - 20_000 * 10**6
    assert 0 < interest < 1000
    assert planned.shortfall == (20_000 - (20_000 * 95 // 100 + 1000 * 92 // 100)) * 10**6 + interest
    assert line.instance.position(line.book, line.at, who) is None
    line.check()


def _sides(model: Comet, who: str) -> list[Side]:
    return [
        Side(
            Asset(i, a[0], a[1], 10 ** a[2], a[3], a[4], a[5], a[6]),
            model.collateral.get((who, a[0]), 0),
            model.prices[a[1]],
        )
        for i, a in enumerate(model.assets)
    ]


def test_debt_that_moves_without_an_event_is_found_and_healed() -> None:
    model = comet()
    line = Line(model)
    for who in PEOPLE[:2]:
        model.supply_collateral(who, WETH, 10 * 10**18)
        model.withdraw(who, 10_000 * 10**6)
    line.block()
    line.check()
    model.transfer(PEOPLE[0], PEOPLE[1], 4000 * 10**6)
    assert model.logs == []  # nothing was said
    line.block()
    line.check()
    assert any("moved without an event" in text for text in line.book.take_notices())


def test_one_price_that_reverts_darkens_only_who_needs_it() -> None:
    model = comet()
    line = Line(model)
    rich, poor, saver = PEOPLE[:3]
    for who, amount in ((rich, 10), (poor, 10)):
        model.supply_collateral(who, WETH, amount * 10**18)
        model.withdraw(who, 10_000 * 10**6)
    model.supply_collateral(rich, COMP, 1000 * 10**18)  # comes first in the order of assets, and is enough alone
    model.supply_collateral(saver, WETH, 10**18)
    line.block()
    model.prices[FEEDS[WETH]] = 0
    line.block()
    assert line.instance.liquidatable(line.book, line.at, rich) is False
    assert line.instance.liquidatable(line.book, line.at, poor) is None
    for who in (rich, poor):
        position = line.instance.position(line.book, line.at, who)
        assert position is not None and "the price of TOK01 reverts" in position.unknown
        assert (position.health_factor, position.debt_base) == (0, 0)
    position = line.instance.position(line.book, line.at, saver)
    assert position is not None and (position.unknown, position.health_factor) == ("", UINT256_MAX)
    line.check()


def test_a_start_in_the_middle_reads_its_accounts() -> None:
    model = comet()
    for i, who in enumerate(PEOPLE):
        model.supply_collateral(who, WETH, (i + 1) * 10**18)
        model.supply_collateral(who, WBTC, 10**6)
        model.withdraw(who, 1000 * 10**6)
    past = model.take_logs()
    model.now += 1000
    line = Line(model)
    line.block()
    assert list(line.instance.positions(line.book, line.at)) == []
    model.supply(PEOPLE[3], 100 * 10**6)
    line.block()
    assert [p.account for p in line.instance.positions(line.book, line.at)] == [PEOPLE[3]]
    line.scan(past)
    assert len(list(line.instance.positions(line.book, line.at))) == 5
    line.check()
    assert line.instance.scans(line.book) == ()
    model.withdraw_collateral(PEOPLE[0], WBTC, 10**6)
    line.block()
    line.check()
    line.book.undo()
    position = line.instance.position(line.book, line.book.blocks[-1], PEOPLE[0])
    assert position is not None and len(position.legs) == 3


def test_a_wallet_that_is_watched_is_read_at_once() -> None:
    model = comet()
    model.supply_collateral(PEOPLE[0], WETH, 10**18)
    model.withdraw(PEOPLE[0], 1000 * 10**6)
    model.take_logs()
    line = Line(model)
    line.instance.watch([PEOPLE[0]])
    line.block()
    line.check()
    assert line.instance.position(line.book, line.at, PEOPLE[0]) is not None


def test_nothing_is_asked_again_and_again_where_there_is_no_comet() -> None:
    line = Line(comet())
    line.at = BlockRef(1, 1, "", 5)
    line.book.open(line.at)
    for _ in range(3):
        for call in line.instance.wants(line.book, line.at):
            line.instance.on_read(line.book, line.at, line.model.answer(type(call)(PEOPLE[0], call.data)))
            refused = line.model.answer(type(call)(PEOPLE[0], call.data))
            line.instance.on_read(line.book, line.at, type(refused)(to=call.to, data=call.data, error="0x"))
    assert line.instance.wants(line.book, line.at) == []


def test_a_deployment_without_an_address() -> None:
    with pytest.raises(ConfigError, match="address"):
        CompoundV3(1, Deployment(chain="x", protocol="compound_v3"))


PRICES = st.sampled_from([0.0, 0.3, 0.6, 0.8, 0.95, 1.05, 1.5])
ACTIONS = st.tuples(
    st.sampled_from(
        ["supply", "withdraw", "repay", "collateral", "take", "transfer", "absorb", "accrue", "price", "pass", "pass"]
    ),
    st.integers(0, 4),
    st.integers(0, 4),
    st.sampled_from([WETH, WBTC, COMP]),
    st.integers(1, 10**6),
    PRICES,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, min_size=3, max_size=25), st.integers(1, 10**7))
def test_whatever_happens_it_says_what_the_contract_says(
    actions: list[tuple[str, int, int, str, int, float]], step: int
) -> None:
    model = comet()
    line = Line(model)
    for who in PEOPLE[:3]:
        model.supply_collateral(who, WETH, 3 * 10**18)
        model.withdraw(who, 5000 * 10**6)
    line.block(step)
    for action, i, j, token, amount, factor in actions:
        who, other = PEOPLE[i], PEOPLE[j]
        scale = {WETH: 10**14, WBTC: 10**3, COMP: 10**15}[token]
        try:
            if action == "supply":
                model.supply(who, amount * 10**4)
            elif action == "withdraw":
                model.withdraw(who, amount * 10**4)
            elif action == "repay":
                model.repay_all(who)
            elif action == "collateral":
                model.supply_collateral(who, token, amount * scale)
            elif action == "take":
                model.withdraw_collateral(who, token, amount * scale)
            elif action == "transfer":
                line.block(step)  # in a block of its own: beside other moves of base nobody could see it
                model.transfer(who, other, amount * 10**4)
            elif action == "absorb":
                model.absorb(other, who)
            elif action == "accrue":
                model.accrue()
            elif action == "price":
                model.prices[FEEDS[token]] = int({WETH: 3000, WBTC: 60_000, COMP: 50}[token] * 10**8 * factor)
        except RefusedError:
            pass
        if action in ("pass", "price", "accrue", "transfer"):
            line.block(step)
            line.check()
    line.block(step)
    line.check()
