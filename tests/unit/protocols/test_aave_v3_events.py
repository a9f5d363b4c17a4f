"""Configuration, contracts and flags from events, where the recorded chains and the devnet do not reach."""

from __future__ import annotations

from typing import Any

import msgspec

from defiwatch.domain.events import Event
from defiwatch.domain.frames import RawLog
from defiwatch.domain.ids import ZERO_ADDRESS
from defiwatch.domain.units import RAY
from defiwatch.protocols.aave_v3 import state as s
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.events import EVENTS, TOPICS, TRANSFER_TOPIC
from defiwatch.protocols.aave_v3.events import configurator as c
from defiwatch.protocols.aave_v3.events import pool as p
from defiwatch.protocols.aave_v3.events import provider as v
from defiwatch.protocols.aave_v3.events import tokens as t
from tests.unit.protocols.aave_v3_market import (
    ALICE,
    BOB,
    CONFIGURATOR,
    ETH,
    ORACLE,
    POOL,
    PROVIDER,
    PT,
    USD,
    Market,
    a_token,
    made,
)

TOKEN = 10**18


def mint(address: str, to: str, value: int, increase: int = 0, index: int = RAY) -> t.Mint:
    return made(t.Mint, address, caller=to, on_behalf_of=to, value=value, balance_increase=increase, index=index)


def test_signatures_are_the_contracts() -> None:
    """First topics as recorded chains carry them."""
    by_name = {(spec.name, spec.topics, spec.data_words): spec.topic0 for spec in EVENTS}
    assert by_name["ReserveDataUpdated", 2, 5] == "0x804c9b842b2748a22bb64b345453a3de7ca54a6ca45ce00d415894979e22897a"
    assert by_name["Borrow", 4, 4] == "0xb3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0"
    assert by_name["Upgraded", 2, 0] == "0xbc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b"
    assert TRANSFER_TOPIC not in TOPICS
    assert len({(spec.topic0, spec.topics, spec.data_words) for spec in EVENTS}) == len(EVENTS)


def test_a_log_becomes_its_event() -> None:
    spec = next(spec for spec in EVENTS if spec.name == "EModeCategoryAdded")
    words = [9300, 9500, 10100, 0, 160, 3]
    data = "0x" + "".join(f"{word:064x}" for word in words) + b"ETH".hex().ljust(64, "0")
    event = spec.decode(RawLog(CONFIGURATOR, (spec.topic0, "0x" + "1".rjust(64, "0")), data))
    assert (event.category_id, event.ltv, event.liquidation_bonus, event.label) == (1, 9300, 10100, "ETH")


def test_every_bit_of_the_configuration_word() -> None:
    market = Market(1)
    start = market.reserve(ETH).configuration

    def told(kind: type[Event], **fields: Any) -> s.Reserve:
        market.apply(made(kind, CONFIGURATOR, asset=ETH, **fields))
        return market.reserve(ETH)

    changed = told(c.CollateralConfigurationChanged, ltv=1, liquidation_threshold=2, liquidation_bonus=3)
    assert (changed.ltv, changed.threshold, changed.bonus, changed.decimals) == (1, 2, 3, 18)
    assert not told(c.ReserveActive, active=False).active
    assert told(c.ReserveFrozen, frozen=True).frozen
    assert not told(c.ReserveBorrowing, enabled=False).borrowing
    assert told(c.ReserveStableRateBorrowing, enabled=True).configuration >> 59 & 1
    assert told(c.ReservePaused, paused=True).paused
    assert told(c.BorrowableInIsolationChanged, borrowable=True).configuration >> 61 & 1
    assert told(c.SiloedBorrowingChanged, old_state=False, new_state=True).configuration >> 62 & 1
    assert told(c.ReserveFlashLoaning, enabled=True).configuration >> 63 & 1
    assert told(c.BorrowCapChanged, old_borrow_cap=0, new_borrow_cap=2**36 - 1).borrow_cap == 2**36 - 1
    assert told(c.SupplyCapChanged, old_supply_cap=0, new_supply_cap=77).supply_cap == 77
    assert told(c.LiquidationProtocolFeeChanged, old_fee=0, new_fee=999).protocol_fee == 999
    assert told(c.EModeAssetCategoryChanged, old_category_id=0, new_category_id=200).category == 200
    assert (
        told(c.UnbackedMintCapChanged, old_unbacked_mint_cap=0, new_unbacked_mint_cap=5).configuration >> 176 & 7 == 5
    )
    assert told(c.DebtCeilingChanged, old_debt_ceiling=0, new_debt_ceiling=9).configuration >> 212 & 15 == 9
    changed = market.reserve(ETH)
    assert (changed.borrow_cap, changed.supply_cap, changed.protocol_fee, changed.virtual) == (2**36 - 1, 77, 999, True)
    told(c.ReservePaused, paused=False)
    assert not market.reserve(ETH).paused
    assert market.reserve(USD).configuration != start


def test_categories_and_their_bitmaps() -> None:
    market = Market(11)
    added = made(
        c.EModeCategoryAdded,
        CONFIGURATOR,
        category_id=3,
        ltv=9000,
        liquidation_threshold=9200,
        liquidation_bonus=10300,
        oracle="0x" + "0" * 40,
        label="a[b]\u202e",
    )
    market.apply(
        added,
        made(c.AssetCollateralInEModeChanged, CONFIGURATOR, asset=PT, category_id=3, collateral=True),
        made(c.AssetBorrowableInEModeChanged, CONFIGURATOR, asset=USD, category_id=3, borrowable=True),
        made(c.AssetLtvzeroInEModeChanged, CONFIGURATOR, asset=PT, category_id=3, ltvzero=True),
        made(c.EModeCategoryIsolationChanged, CONFIGURATOR, category_id=3, isolated=True),
    )
    category = market.book.get(s.CATEGORIES, (PROVIDER, 3))
    assert category == s.Category(9000, 9200, 10300, "0x" + "0" * 40, 0b100, 0b010, 0b100, True, "a(b)")
    market.apply(made(c.AssetCollateralInEModeChanged, CONFIGURATOR, asset=PT, category_id=3, collateral=False))
    category = market.book.get(s.CATEGORIES, (PROVIDER, 3))
    assert category is not None and (category.collateral, category.ltv_zero) == (0, 0)
    assert market.instance.market(market.book).categories == (3,)


def test_a_bitmap_that_cannot_be_followed_is_asked_again() -> None:
    """A new reserve's place in the bitmaps is not known yet; or the category itself was never found."""
    market = Market(9)
    market.category(2, s.Category(9000, 9200, 10300))
    market.set_reserve(msgspec.structs.replace(market.reserve(PT), id=-1))
    market.apply(made(c.AssetCollateralInEModeChanged, CONFIGURATOR, asset=PT, category_id=2, collateral=True))
    asked = {call.data[:10] for call in market.instance.wants(market.book, market.at)}
    assert views.CATEGORY_COLLATERAL.selector in asked
    other = Market(9, born=False)
    other.apply(made(c.AssetCollateralInEModeChanged, CONFIGURATOR, asset=PT, category_id=5, collateral=True))
    assert other.instance.market(other.book).probed == 4


def test_deficits_grace_and_emode() -> None:
    market = Market(11)
    market.apply(
        made(p.DeficitCreated, POOL, user=ALICE, debt_asset=USD, amount_created=10),
        made(p.DeficitCovered, POOL, reserve=USD, caller=BOB, amount_covered=4),
        made(c.LiquidationGracePeriodChanged, CONFIGURATOR, asset=ETH, grace_period_until=123),
        made(p.UserEModeSet, POOL, user=ALICE, category_id=2),
        made(p.ReserveUsedAsCollateralEnabled, POOL, reserve=USD, user=ALICE),
        made(p.IsolationModeTotalDebtUpdated, POOL, asset=ETH, total_debt=55),
    )
    assert (market.reserve(USD).deficit, market.reserve(ETH).grace_until) == (6, 123)
    assert (market.account(ALICE).emode, market.account(ALICE).collateral) == (2, 0b010)
    assert market.reserve(ETH).isolation_debt == 55
    market.apply(
        made(c.LiquidationGracePeriodDisabled, CONFIGURATOR, asset=ETH),
        made(p.ReserveUsedAsCollateralDisabled, POOL, reserve=USD, user=ALICE),
    )
    assert (market.reserve(ETH).grace_until, market.account(ALICE).collateral) == (0, 0)


def test_underlying_that_comes_and_goes() -> None:
    market = Market(11)
    market.apply(
        made(p.Supply, POOL, reserve=ETH, user=BOB, on_behalf_of=BOB, amount=100, referral_code=0),
        made(p.Withdraw, POOL, reserve=ETH, user=BOB, to=BOB, amount=30),
        made(
            *(p.Borrow, POOL),
            reserve=ETH,
            user=BOB,
            on_behalf_of=BOB,
            amount=20,
            interest_rate_mode=2,
            borrow_rate=0,
            referral_code=0,
        ),
        made(p.Repay, POOL, reserve=ETH, user=BOB, repayer=BOB, amount=7, use_atokens=False),
        made(p.Repay, POOL, reserve=ETH, user=BOB, repayer=BOB, amount=9, use_atokens=True),
    )
    assert market.reserve(ETH).cash == 10**24 + 100 - 30 - 20 + 7
    market.apply(made(p.BackUnbacked, POOL, reserve=ETH, backer=BOB, amount=50, fee=1))
    assert market.reserve(ETH).cash == 10**24 + 57 + 51
    assert not market.reserve(ETH).have & s.DATA  # what the treasury got is read again


def test_reserves_come_and_go() -> None:
    market = Market(1)
    new = "0x" + "f" * 40
    market.apply(
        made(
            c.ReserveInitialized,
            CONFIGURATOR,
            asset=new,
            a_token="0xa1",
            stable_debt_token="0xa2",
            variable_debt_token="0xa3",
            interest_rate_strategy_address="0xa4",
        )
    )
    wanted = market.instance.filter(market.book)
    assert wanted.addresses is not None and {"0xa1", "0xa2", "0xa3"} <= wanted.addresses
    assert TRANSFER_TOPIC in wanted.topics
    assert {call.to for call in market.instance.wants(market.book, market.at)} >= {POOL, new, "0xa1", "0xa3"}
    market.apply(made(c.ReserveDropped, CONFIGURATOR, asset=new))
    assert new not in market.instance.market(market.book).assets


def test_a_dropped_reserve_that_is_listed_again_begins_anew() -> None:
    """The pool deletes what it had; the same asset may get another place, other tokens, and indices of 1."""
    market = Market(10)
    old = msgspec.structs.replace(market.reserve(PT), liquidity_index=2 * RAY, deficit=5, cash=7, accrued_to_treasury=1)
    market.set_reserve(old)
    market.apply(made(c.ReserveDropped, CONFIGURATOR, asset=PT))
    market.apply(
        made(
            c.ReserveInitialized,
            CONFIGURATOR,
            asset=PT,
            a_token="0xa1",
            stable_debt_token=ZERO_ADDRESS,
            variable_debt_token="0xa3",
            interest_rate_strategy_address="0xa4",
        )
    )
    new = market.reserve(PT)
    assert (new.symbol, new.a_token, new.variable_token) == (old.symbol, "0xa1", "0xa3")
    assert (new.id, new.liquidity_index, new.deficit, new.cash, new.accrued_to_treasury) == (-1, RAY, 0, 0, 0)
    assert not new.have & (s.NEEDED | s.CASH | s.DEFICIT)
    assert {call.to for call in market.instance.wants(market.book, market.at)} >= {POOL, "0xa1", "0xa3"}


def test_contracts_that_change() -> None:
    market = Market(8)
    assert TRANSFER_TOPIC not in market.instance.filter(market.book).topics
    same = market.instance.filter(market.book)
    assert market.instance.filter(market.book) is same
    market.apply(made(v.Upgraded, POOL, implementation=BOB))
    assert not market.instance.market(market.book).have & s.REVISION
    market.apply(made(v.PriceOracleUpdated, PROVIDER, old_address=ORACLE, new_address="0x" + "6" * 40))
    assert "0x" + "6" * 40 in (market.instance.filter(market.book).addresses or ())
    market.apply(made(v.AssetSourceUpdated, "0x" + "6" * 40, asset=ETH, source=BOB))
    assert market.reserve(ETH).source == BOB
    market.apply(made(v.PriceOracleSentinelUpdated, PROVIDER, old_address=ORACLE, new_address=BOB))
    assert market.instance.market(market.book).sentinel == BOB


def test_others_change_nothing() -> None:
    market = Market(11)
    digest = market.book.digest()
    market.apply(
        mint("0x" + "f" * 40, ALICE, 5),
        made(v.Upgraded, a_token(ETH), implementation=BOB),
        made(p.UserEModeSet, CONFIGURATOR, user=ALICE, category_id=1),
    )
    assert market.book.digest() == digest
    market.block()
    market.apply(mint(a_token(ETH), ALICE, 5))
    market.book.undo()
    assert market.book.digest() == digest
