"""What borrowers of an Aave v3 market pay at another utilisation: read once, and again when it is changed."""

from __future__ import annotations

import pytest

from defiwatch.domain.frames import CallResult
from defiwatch.domain.units import RAY
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.aave_v3.events import configurator as e
from defiwatch.protocols.abi import encode
from tests.unit.protocols.aave_v3_market import (
    BOB,
    CONFIGURATOR,
    ETH,
    a_token,
    debt_token,
    made,
)
from tests.unit.protocols.test_aave_v3_reads import TOKEN, Live, Pool

STRATEGY = "0x" + "6" * 40


@pytest.mark.parametrize(("revision", "calls"), [(1, 4), (3, 4), (4, 1), (7, 1), (11, 1)])
def test_the_curve_of_what_is_borrowed_is_read_once_and_again_when_it_is_changed(revision: int, calls: int) -> None:
    """Up to 3.0 a strategy tells its four constants one by one, later all of a reserve at once; no judgement waits."""
    pool = Pool(revision)
    pool.strategy = STRATEGY
    pool.supply[a_token(ETH)] = pool.supply[debt_token(ETH)] = TOKEN
    pool.words_of[ETH] = 1 << 252
    live = Live(pool)
    live.settle()
    wanted = [call for call in live.instance.extras(live.book, live.at) if revision >= 5 or call.to == STRATEGY]
    assert len(wanted) == (calls if revision >= 5 or calls == 4 else 2)  # up to 3.1 somebody has stable debt in both
    rates = {m.symbol: (m.curve, m.curve_unknown) for m in live.instance.markets(live.book, live.at)}
    assert rates["ETH"] == (None, "its rate strategy was not read")
    for call in wanted:
        assert live.take(call)
    assert list(live.instance.extras(live.book, live.at)) == []
    market = next(m for m in live.instance.markets(live.book, live.at) if m.symbol == "ETH")
    assert market.curve is not None
    # The numbers of the field's own example: 1 % at nothing, 5 % at the kink of 80 %, 65 % at the end.
    path = {used: market.curve.yearly(used) for used in (0.0, 0.4, 0.8, 0.9, 1.0)}
    assert path == pytest.approx({0.0: 0.01, 0.4: 0.03, 0.8: 0.05, 0.9: 0.35, 1.0: 0.65}, abs=1e-15)
    live.block()
    assert list(live.instance.extras(live.book, live.at)) == []
    if revision < 4:
        return
    pool.rates = (90 * RAY // 100, 0, 4 * RAY // 100, 60 * RAY // 100)
    changed = made(e.ReserveInterestRateDataChanged, CONFIGURATOR, asset=ETH, strategy=STRATEGY, data="0x")
    live.instance.on_event(live.book, live.at, changed)
    (again,) = live.instance.extras(live.book, live.at)
    assert (again.to, again.data[:10]) == (STRATEGY, views.RATE_DATA.selector)
    live.take(again)
    market = next(m for m in live.instance.markets(live.book, live.at) if m.symbol == "ETH")
    assert market.curve is not None and market.curve.yearly(1.0) == 0.64


def test_a_strategy_that_does_not_tell_its_curve_is_asked_once() -> None:
    pool = Pool(11)
    pool.strategy = STRATEGY
    pool.supply[debt_token(ETH)] = TOKEN
    pool.broken = {"getInterestRateData"}
    live = Live(pool)
    live.settle()
    (asked,) = live.instance.extras(live.book, live.at)
    assert live.take(asked)
    live.block()
    assert list(live.instance.extras(live.book, live.at)) == []
    market = next(m for m in live.instance.markets(live.book, live.at) if m.symbol == "ETH")
    assert (market.curve, market.curve_unknown) == (None, "its rate strategy does not tell its curve")
    other = CallResult("0x" + "5" * 40, asked.data, result=encode_rates(pool))
    assert not live.instance.on_read(live.book, live.at, other)  # of a contract that is nobody's strategy
    moved = made(e.ReserveInterestRateStrategyChanged, CONFIGURATOR, asset=ETH, old_strategy=STRATEGY, new_strategy=BOB)
    live.instance.on_event(live.book, live.at, moved)
    assert [call.to for call in live.instance.extras(live.book, live.at)] == [BOB]


def encode_rates(pool: Pool) -> str:
    return "0x" + encode(["uint256"] * 4, pool.rates)
