"""Reads that only odd markets need: categories beyond a gap, a currency that is a token, no revision."""

from __future__ import annotations

import pytest

from defiwatch.domain.frames import CallResult
from defiwatch.protocols.aave_v3 import state as s
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.events.pool import UserEModeSet
from tests.unit.protocols.aave_v3_market import BOB, ETH, ORACLE, POOL, PROVIDER, made
from tests.unit.protocols.test_aave_v3_reads import TOKEN, Live, Pool


@pytest.mark.parametrize("revision", [3, 4, 5, 7, 10, 11])
def test_a_category_that_somebody_is_in_is_read_wherever_it_is(revision: int) -> None:
    """Beyond a gap in the numbers, and, up to 3.1, though no reserve names it."""
    pool = Pool(revision)
    pool.categories[20] = (9100, 9300, 10200)
    live = Live(pool)
    live.settle()
    assert live.book.get(s.CATEGORIES, (PROVIDER, 20)) is None
    live.instance.on_event(live.book, live.at, made(UserEModeSet, POOL, user=BOB, category_id=20))
    live.settle()
    category = live.book.get(s.CATEGORIES, (PROVIDER, 20))
    assert category is not None and (category.ltv, category.threshold, category.bonus) == (9100, 9300, 10200)
    assert live.book.get(s.CATEGORIES, (PROVIDER, 0)) is None


def test_a_market_that_counts_in_a_token() -> None:
    live = Live(Pool(11))
    live.settle()
    assert {market.base for market in live.instance.markets(live.book, live.at)} == {"USD"}
    live.instance.on_read(live.book, live.at, CallResult(ORACLE, views.BASE_UNIT.call(ORACLE).data, f"0x{TOKEN:064x}"))
    asked = views.BASE_CURRENCY.call(ORACLE)
    assert live.instance.wants(live.book, live.at) == [asked]
    live.instance.on_read(live.book, live.at, CallResult(ORACLE, asked.data, "0x" + ETH[2:].rjust(64, "0")))
    assert live.instance.wants(live.book, live.at) == []
    told = {(market.base, market.base_decimals) for market in live.instance.markets(live.book, live.at)}
    assert told == {("ETH", 18)}


def test_a_pool_without_a_revision_is_told() -> None:
    pool = Pool(11)
    pool.broken = {"POOL_REVISION"}
    live = Live(pool)
    live.settle()
    assert list(live.instance.positions(live.book, live.at)) == []
    assert [text for text in live.book.notices if "does not tell its revision" in text]
