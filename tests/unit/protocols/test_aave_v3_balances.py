"""Who holds what and what accrues, event by event: each revision's rule on numbers worked out by hand."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import pytest

from defiwatch.domain.events import Event, Liquidated
from defiwatch.domain.frames import CallResult
from defiwatch.domain.units import RAY
from defiwatch.protocols.aave_v3 import state as s
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.events import configurator as c
from defiwatch.protocols.aave_v3.events import pool as p
from defiwatch.protocols.aave_v3.events import tokens as t
from defiwatch.protocols.aave_v3.events.provider import Upgraded
from defiwatch.protocols.erc20 import Transfer
from tests.unit.protocols.aave_v3_market import (
    ALICE,
    BOB,
    CONFIGURATOR,
    ETH,
    POOL,
    PROVIDER,
    USD,
    Market,
    a_token,
    debt_token,
    made,
    stable_token,
)

TOKEN = 10**18
INDEX = 3 * RAY // 2
replace = msgspec.structs.replace
E = TypeVar("E", bound=Event)


def mint(address: str, to: str, value: int, increase: int = 0, index: int = RAY) -> t.Mint:
    return made(t.Mint, address, caller=to, on_behalf_of=to, value=value, balance_increase=increase, index=index)


def burn(address: str, holder: str, value: int, increase: int = 0, index: int = RAY) -> t.Burn:
    return made(t.Burn, address, holder=holder, target=holder, value=value, balance_increase=increase, index=index)


def updated(asset: str, rate: int = 0, index: int = RAY, debt_index: int = RAY) -> p.ReserveDataUpdated:
    return made(
        p.ReserveDataUpdated,
        POOL,
        reserve=asset,
        liquidity_rate=rate,
        stable_borrow_rate=0,
        variable_borrow_rate=rate,
        liquidity_index=index,
        variable_borrow_index=debt_index,
    )


def seized(collateral: str, debt: str, *, receive: bool, tx: str = "0xt1") -> p.LiquidationCall:
    return made(
        p.LiquidationCall,
        POOL,
        tx,
        collateral_asset=collateral,
        debt_asset=debt,
        user=ALICE,
        debt_to_cover=7,
        liquidated_collateral_amount=5,
        liquidator=BOB,
        receive_atoken=receive,
    )


@pytest.mark.parametrize("revision", [1, 8])
def test_amounts_are_scaled_half_up_before_3_5(revision: int) -> None:
    market = Market(revision)
    market.apply(mint(a_token(ETH), ALICE, 100, 0, INDEX))
    assert market.account(ALICE).holdings == (s.Holding(0, supplied=67),)
    market.apply(burn(a_token(ETH), ALICE, 40, 10, INDEX))  # 50 out
    assert market.account(ALICE).holding(0).supplied == 34
    market.apply(mint(a_token(ETH), ALICE, 5, 15, INDEX))  # a burn of 10, smaller than the interest
    assert market.account(ALICE).holding(0).supplied == 27
    market.apply(mint(a_token(ETH), ALICE, 15, 15, INDEX))  # what a transfer says of the interest
    reserve = market.reserve(ETH)
    assert (reserve.supplied, reserve.supplied_known) == (27, 27)


@pytest.mark.parametrize("revision", [9, 10, 11])
def test_balances_are_inverted_from_3_5(revision: int) -> None:
    """aTokens round down: 67 at an index of 1.5 is a balance of 100; 66 would be 99. Debt rounds up."""
    market = Market(revision)
    market.apply(mint(a_token(ETH), ALICE, 100, 0, INDEX), mint(debt_token(USD), ALICE, 100, 0, INDEX))
    assert market.account(ALICE).holdings == (s.Holding(0, supplied=67), s.Holding(1, borrowed=66))
    market.apply(burn(a_token(ETH), ALICE, 100, 0, INDEX), burn(debt_token(USD), ALICE, 99, 0, INDEX))
    assert market.account(ALICE).holdings == ()
    assert (market.reserve(ETH).supplied, market.reserve(USD).borrowed) == (0, 0)


def transfer(sender: str, recipient: str, amount: int, tx: str = "0xt1") -> Transfer:
    return made(Transfer, a_token(ETH), tx, sender=sender, recipient=recipient, amount=amount)


def moved(sender: str, recipient: str, value: int, index: int = INDEX, tx: str = "0xt1") -> t.BalanceTransfer:
    return made(t.BalanceTransfer, a_token(ETH), tx, sender=sender, recipient=recipient, value=value, index=index)


def test_transfers_of_3_0_in_both_versions() -> None:
    """3.0.2 tells the scaled amount after the plain one; before, the plain one comes twice, in the other order."""
    market = Market(1)
    market.hold(ALICE, [s.Holding(0, supplied=200)])
    market.set_reserve(replace(market.reserve(ETH), supplied=200, supplied_known=200))
    market.apply(transfer(ALICE, BOB, 30), moved(ALICE, BOB, 20))
    assert (market.account(ALICE).holding(0).supplied, market.account(BOB).holding(0).supplied) == (180, 20)
    market.apply(moved(ALICE, BOB, 30, tx="0xt2"), transfer(ALICE, BOB, 30, tx="0xt2"))
    assert (market.account(ALICE).holding(0).supplied, market.account(BOB).holding(0).supplied) == (160, 40)
    market.apply(transfer(ALICE, ALICE, 30, "0xt3"), moved(ALICE, ALICE, 20, tx="0xt3"))
    assert market.account(ALICE).holding(0).supplied == 160
    assert market.reserve(ETH).supplied_known == 200
    market.apply(made(Transfer, a_token(ETH), sender=ALICE, recipient=BOB, amount=1))
    assert market.book.get(s.MOVES, (PROVIDER, a_token(ETH))) is not None


@pytest.mark.parametrize("revision", [4, 5, 7, 8, 9, 11])
def test_transfers_from_3_1_are_scaled(revision: int) -> None:
    """Whatever the ERC-20 event beside it says, and where a recording leaves that out."""
    market = Market(revision)
    market.hold(ALICE, [s.Holding(0, supplied=200)])
    market.apply(transfer(ALICE, BOB, 30), moved(ALICE, BOB, 30))
    assert market.account(BOB).holding(0).supplied == 30
    market.apply(moved(ALICE, BOB, 5, index=2 * RAY, tx="0xt2"))
    assert market.account(BOB).holding(0).supplied == 35
    assert market.book.get(s.MOVES, (PROVIDER, a_token(ETH))) is None


def stable(kind: type[E], address: str, amount: int, increase: int, total: int, **more: Any) -> E:
    return made(
        kind,
        address,
        amount=amount,
        current_balance=0,
        balance_increase=increase,
        avg_stable_rate=10**26,
        new_total_supply=total,
        **more,
    )


def test_stable_debt() -> None:
    market = Market(1)
    token = stable_token(USD)

    def minted(amount: int, increase: int, total: int, rate: int = 10**26) -> None:
        more = {"user": ALICE, "on_behalf_of": ALICE, "new_rate": rate}
        market.apply(stable(t.StableMint, token, amount, increase, total, **more), updated(USD))

    minted(1_000 * TOKEN, 0, 1_000 * TOKEN)
    held = market.account(ALICE).holding(1)
    assert (held.stable, held.stable_rate, held.stable_updated) == (1_000 * TOKEN, 10**26, market.at.time)
    market.block(31_536_000)
    now = market.instance.ledger(market.book, market.at).stable_total(market.reserve(USD))
    interest = now - 1_000 * TOKEN
    assert interest == pytest.approx(105.17 * TOKEN, rel=1e-3)
    minted(10 * TOKEN, interest, now + 10 * TOKEN, 2 * 10**26)
    held = market.account(ALICE).holding(1)
    assert (held.stable, held.stable_rate) == (now + 10 * TOKEN, 2 * 10**26)
    market.block(86_400)
    before = held.stable
    total = market.instance.ledger(market.book, market.at).stable_total(market.reserve(USD))
    # A repayment of 1 out of 5 of interest is told as a mint of 4: the principal grows by that.
    minted(4 * TOKEN, 5 * TOKEN, total - TOKEN, 2 * 10**26)
    assert market.account(ALICE).holding(1).stable == before + 4 * TOKEN
    market.apply(stable(t.StableBurn, token, before + 4 * TOKEN, 0, 0, holder=ALICE))
    assert market.account(ALICE).holdings == ()
    assert market.reserve(USD).stable_principal == 0


def running(revision: int) -> Market:
    """A market whose reserves earn 10 % and owe 1,000 tokens each, with a reserve factor of 10 %, an hour later."""
    market = Market(revision)
    for asset in (ETH, USD):
        reserve = market.reserve(asset)
        market.set_reserve(
            replace(reserve, liquidity_rate=RAY // 10, variable_rate=RAY // 10, borrowed=1_000 * TOKEN, supplied=1)
        )
    market.block(3_600)
    return market


HOUR = 1_000 * TOKEN // 10 // 8_760 // 10
"""The treasury's part of an hour's interest."""


@pytest.mark.parametrize(("revision", "silent"), [(7, False), (8, False), (9, True), (10, True), (11, True)])
def test_the_update_without_an_event(revision: int, silent: bool) -> None:
    market = running(revision)
    facts = market.apply(seized(ETH, USD, receive=True))
    reserve = market.reserve(ETH)
    assert (reserve.updated == market.at.time) is silent
    assert (reserve.liquidity_index > RAY) is silent
    assert (reserve.accrued_to_treasury > 0) is silent
    assert reserve.liquidity_rate == RAY // 10  # rates stay as they were
    assert facts == [
        Liquidated("aave_v3", POOL, ALICE, BOB, ETH, USD, collateral_seized=5, debt_repaid=7, tx="0xt1", log_index=0)
    ]
    before = reserve
    market.apply(seized(ETH, USD, receive=True))
    assert market.reserve(ETH) == before  # already up to date in this block


def test_no_silent_update_where_the_collateral_is_paid_out() -> None:
    market = running(11)
    market.apply(seized(ETH, USD, receive=False))
    assert market.reserve(ETH).liquidity_index == RAY
    assert market.reserve(ETH).cash == 10**24 - 5
    assert market.reserve(USD).cash == 10**24 + 7


@pytest.mark.parametrize(("revision", "times"), [(8, 1), (9, 2), (10, 2), (11, 1)])
def test_a_first_touch_by_a_same_asset_liquidation_accrues_twice(revision: int, times: int) -> None:
    market = running(revision)
    market.hold(ALICE, [s.Holding(0, borrowed=50 * TOKEN)])
    market.apply(burn(debt_token(ETH), ALICE, TOKEN), updated(ETH), updated(ETH), seized(ETH, ETH, receive=False))
    assert market.reserve(ETH).accrued_to_treasury == pytest.approx(times * HOUR, rel=1e-3)


@pytest.mark.parametrize("revision", [9, 10])
def test_a_later_touch_accrues_once(revision: int) -> None:
    market = running(revision)
    market.hold(ALICE, [s.Holding(0, borrowed=50 * TOKEN)])
    market.apply(updated(ETH))  # somebody else was first in this block
    market.apply(burn(debt_token(ETH), ALICE, TOKEN), updated(ETH), updated(ETH), seized(ETH, ETH, receive=False))
    assert market.reserve(ETH).accrued_to_treasury == pytest.approx(HOUR, rel=1e-3)


@pytest.mark.parametrize(("revision", "factor"), [(1, 2), (4, 1), (11, 1)])
def test_a_new_reserve_factor(revision: int, factor: int) -> None:
    """From 3.1 the interest so far is still shared by the old factor."""
    market = running(revision)
    changed = made(c.ReserveFactorChanged, CONFIGURATOR, asset=ETH, old_reserve_factor=1000, new_reserve_factor=2000)
    market.apply(changed, updated(ETH))
    assert market.reserve(ETH).factor == 2000
    assert market.reserve(ETH).accrued_to_treasury == pytest.approx(factor * HOUR, rel=1e-3)
    market.apply(made(p.MintedToTreasury, POOL, reserve=ETH, amount_minted=1))
    assert market.reserve(ETH).accrued_to_treasury == 0


@pytest.mark.parametrize(("revision", "share"), [(1, 0.4), (7, 0.4), (8, 1.0), (11, 1.0)])
def test_flash_loan_premiums(revision: int, share: float) -> None:
    market = Market(revision)
    updated_share = made(
        c.FlashloanPremiumToProtocolUpdated,
        CONFIGURATOR,
        old_flashloan_premium_to_protocol=0,
        new_flashloan_premium_to_protocol=4_000,
    )
    loan: dict[str, Any] = {
        "target": BOB,
        "initiator": BOB,
        "asset": ETH,
        "amount": TOKEN,
        "premium": 1_000,
        "referral_code": 0,
    }
    market.apply(updated_share, made(p.FlashLoan, POOL, interest_rate_mode=0, **loan))
    market.apply(made(p.FlashLoan, POOL, interest_rate_mode=2, **loan))
    reserve = market.reserve(ETH)
    assert (reserve.accrued_to_treasury, reserve.cash) == (1_000 * share, 10**24 + 1_000)


def test_a_start_in_mid_life_marks_what_it_cannot_know() -> None:
    for revision in (8, 11):
        market = Market(revision, born=False)
        market.set_reserve(replace(market.reserve(ETH), supplied=1_000))
        market.apply(mint(a_token(ETH), ALICE, 100))
        account = market.account(ALICE)
        assert (account.holdings, account.unknown_supplied, account.unknown_emode) == ((), 0b001, True)
        reserve = market.reserve(ETH)
        # Before 3.5 the total moves by what the event says; from 3.5 on it depends on the unknown balance: read again.
        assert (reserve.supplied, bool(reserve.have & s.SUPPLIED)) == (
            (1_100, True) if revision == 8 else (1_000, False)
        )
        selectors = {
            call.data[:10] for call in market.instance.wants(market.book, market.at) if call.data[-40:] == ALICE[2:]
        }
        assert selectors == {"0x4417a583", "0xeddf1b79"}


def read_revision(market: Market, revision: int) -> None:
    answer = f"0x{revision:064x}"
    assert market.instance.on_read(
        market.book, market.at, CallResult(POOL, views.POOL_REVISION.call(POOL).data, answer)
    )


@pytest.mark.parametrize(("before", "after"), [(8, 9), (1, 11), (7, 10), (9, 8)])
def test_what_follows_an_upgrade_in_its_block_is_by_the_new_rules(before: int, after: int) -> None:
    """The revision is read after the block; a run that knew it from the start ends with the same balances."""
    events = [
        mint(a_token(ETH), ALICE, 101, 0, INDEX),
        mint(debt_token(USD), ALICE, 101, 0, INDEX),
        mint(debt_token(USD), ALICE, 33, 0, INDEX),
        moved(ALICE, BOB, 7),
        burn(a_token(ETH), ALICE, 50, 1, INDEX),
        burn(debt_token(USD), ALICE, 20, 3, INDEX),
    ]
    old, new = Market(before), Market(after)
    for market in (old, new):
        market.hold(ALICE, [s.Holding(0, supplied=1_001), s.Holding(1, borrowed=1_003)])
        market.set_reserve(replace(market.reserve(ETH), supplied=1_001, supplied_known=1_001))
        market.set_reserve(replace(market.reserve(USD), borrowed=1_003, borrowed_known=1_003))
    old.apply(made(Upgraded, POOL, implementation="0x" + "9" * 40), transfer(ALICE, BOB, 10))
    new.apply(transfer(ALICE, BOB, 10))
    old.apply(*events)
    new.apply(*events)
    assert old.account(ALICE) != new.account(ALICE)
    read_revision(old, after)
    assert (old.account(ALICE), old.account(BOB)) == (new.account(ALICE), new.account(BOB))
    for asset in (ETH, USD):
        ours, theirs = old.reserve(asset), new.reserve(asset)
        assert (ours.supplied, ours.borrowed, ours.supplied_known, ours.borrowed_known) == (
            theirs.supplied,
            theirs.borrowed,
            theirs.supplied_known,
            theirs.borrowed_known,
        )
    assert old.book.get(s.UPGRADING, PROVIDER) is None


def test_an_upgrade_that_rounds_as_before_changes_no_balance() -> None:
    market = Market(9)
    market.apply(made(Upgraded, POOL, implementation="0x" + "9" * 40), mint(a_token(ETH), ALICE, 101, 0, INDEX))
    held = market.account(ALICE)
    read_revision(market, 10)
    assert market.account(ALICE) == held
    assert market.book.get(s.UPGRADING, PROVIDER) is None
