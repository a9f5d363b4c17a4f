"""Recorded prices on a grid, and the protocol's prices as a feed would have pushed them."""

from __future__ import annotations

import numpy as np
import pytest

from defiwatch.commands.backtest.market import Prices, pushes, read_prices
from defiwatch.domain.frames import Frame, QuoteFrame
from defiwatch.domain.units import iso
from defiwatch.errors import UsageError
from tests.unit.commands.backtest.made_up import DAY, HOUR, MINUTE, START, prices, walk


def test_a_feed_pushes_at_its_band_and_at_its_heartbeat() -> None:
    times = np.arange(6, dtype=np.float64) * 1000.0
    market = np.array([100.0, 100.4, 100.6, 100.7, 100.7, 95.0])
    answers, when = pushes(times, market, 0.005, 2000.0)
    assert when.tolist() == [True, False, True, False, True, True]
    assert answers.tolist() == [100.0, 100.0, 100.6, 100.6, 100.7, 95.0]


def test_the_protocols_price_is_never_farther_off_than_the_band_nor_older_than_the_heartbeat() -> None:
    found = prices(5, step_s=MINUTE)
    off = np.abs(found.market[:, 0] / found.protocol[:, 0] - 1.0)
    assert off.max() < 0.005
    pauses = np.diff(np.flatnonzero(found.pushed[:, 0])) * MINUTE
    assert pauses.max() == HOUR
    assert pauses.min() < HOUR


def test_the_grid_follows_the_quotes_and_a_price_is_the_last_quote() -> None:
    rows = [(time + 17.0, price) for time, price in walk(2, HOUR, 0.8, 1)]
    found = Prices("x", {"ETH": rows, "USDC": [(time, 1.0) for time, _ in rows]})
    assert (found.step_s, found.assets) == (HOUR, ("ETH", "USDC", "USD"))
    assert found.times[0] == START + HOUR
    assert found.market[:, 0].tolist() == [price for _, price in rows[: len(found.times)]]
    assert not found.blind.any()


def test_a_hole_is_seen_and_an_asset_that_comes_late_is_not_priced() -> None:
    rows = [row for row in walk(4, HOUR, 0.8, 1) if not START + DAY < row[0] < START + 2 * DAY]
    found = Prices("x", {"ETH": rows, "SOL": walk(4, HOUR, 0.8, 2)[30:]})
    assert found.assets == ("ETH", "USD")
    blind = found.times[found.blind]
    assert (blind.min(), blind.max()) == (START + DAY + 7 * HOUR, START + 2 * DAY - HOUR)


def test_bad_ticks_move_nothing_and_other_frames_are_passed_over() -> None:
    quotes: list[Frame] = [
        QuoteFrame("binance", "BTC", "USDT", "1" if i == 90 else "30000", iso(START + MINUTE * i)) for i in range(180)
    ]
    found = read_prices("x", quotes)
    assert set(found.market[:, 0].tolist()) == {30000.0}
    assert found.step_s == MINUTE


def test_recordings_without_prices_are_refused() -> None:
    with pytest.raises(UsageError, match="holds no prices"):
        read_prices("x", [])
    with pytest.raises(UsageError, match="no quotes of an asset that moves"):
        Prices("x", {"USDC": [(0.0, 1.0), (60.0, 1.0)]})
