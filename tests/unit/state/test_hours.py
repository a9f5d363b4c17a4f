"""A pool's last hour: its mean price against a second-by-second count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.state.hours import hour_change, hour_volume, traded, twap
from defiwatch.state.journal import JournaledBook

KEY = ("uniswap_v3", "0xpool")
START = 1_700_000_040  # a whole minute


def book(*trades: tuple[int, float]) -> JournaledBook:
    """Trades at seconds after the start."""
    it = JournaledBook(1)
    for second, price in trades:
        traded(it, KEY, START + second, price, 1.0)
    return it


@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0.01, 100.0)), min_size=1, max_size=200), st.integers(0, 600))
def test_the_mean_is_what_every_second_adds_up_to(steps: list[tuple[int, float]], rest: int) -> None:
    trades, second = [], 0
    for gap, price in steps:
        trades.append((second, price))
        second += gap * 60  # one trade a minute at most: then the mean is exact wherever the window begins
    end = trades[-1][0] + rest
    known = dict(trades)
    price, logs = 0.0, []
    for moment in range(end):
        price = known.get(moment, price)
        logs.append(math.log(price))
    window = logs[-1800:]
    found = twap(book(*trades), KEY, START + end)
    if len(window) < 300:
        assert found is None
    elif end <= 3600:  # what is older than an hour is kept as one row
        assert found == pytest.approx(math.exp(math.fsum(window) / len(window)), rel=1e-9)


def test_a_trade_within_the_block_does_not_move_the_mean() -> None:
    calm = [(60 * i, 2000.0) for i in range(40)]
    pushed = book(*calm, (2400, 4000.0))
    assert twap(pushed, KEY, START + 2400) == pytest.approx(2000.0)
    later = twap(pushed, KEY, START + 2412)
    assert later is not None
    assert abs(math.log(4000.0 / later)) == pytest.approx(math.log(2.0) * (1 - 12 / 1800))


def test_a_young_pool_and_one_without_a_price_have_no_mean() -> None:
    assert twap(book(), KEY, START) is None
    assert twap(book((0, 1.0)), KEY, START + 299) is None
    assert twap(book((0, 2.0)), KEY, START + 300) == pytest.approx(2.0)
    assert twap(book((0, 0.0), (60, 2.0)), KEY, START + 900) is None


def test_volume_and_change_of_the_hour() -> None:
    it = book((0, 1.0), (1, 2.0), (3600, 4.0))
    assert hour_volume(it, KEY, START + 3600) == 1.0
    assert hour_change(it, KEY, START + 3600) == 1.0


def test_what_was_noted_without_decimals_is_not_compared_with_what_came_after() -> None:
    it = JournaledBook(1)
    traded(it, KEY, START, 5e11, 1e18, raw=True)
    traded(it, KEY, START + 60, 4e11, 1e18, raw=True)
    assert hour_change(it, KEY, START + 70) == pytest.approx(-0.2)
    traded(it, KEY, START + 120, 0.5, 1.0)
    assert hour_change(it, KEY, START + 130) is None
    assert hour_volume(it, KEY, START + 130) == 1.0
    traded(it, KEY, START + 180, 0.55, 2.0)
    assert hour_change(it, KEY, START + 190) == pytest.approx(0.1)
