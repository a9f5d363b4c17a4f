"""Forecasts: the intervals hold what they say, whatever moves."""

from __future__ import annotations

import csv
import gzip
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from defiwatch.models.forecasts import Forecasts, SteppedForecaster

HOUR = 3600.0


def held(forecasts: Forecasts, kind: str, least: int) -> None:
    told, shares = forecasts.coverage(kind)
    assert told >= least
    assert shares[0] == pytest.approx(0.8, abs=0.03)
    assert shares[1] == pytest.approx(0.95, abs=0.03)


def test_volatility_that_clusters() -> None:
    """Prices a minute apart whose volatility wanders and jumps, and a ratio of two that move together."""
    draw, forecasts = random.Random(1), Forecasts()
    price, twin, level = 2000.0, 1.0, 0.0
    for i in range(60 * 24 * 60):
        if i % 60 == 0:
            level = 0.97 * level + 0.25 * draw.gauss(0.0, 1.0) + (1.5 if draw.random() < 0.003 else 0.0)
        price *= math.exp(1e-3 * math.exp(level) * draw.gauss(0.0, 1.0))
        twin *= math.exp(1e-5 * draw.gauss(0.0, 1.0))
        forecasts.observe("volatility", "WETH", 60.0 * i, price)
        forecasts.observe("volatility", "wstETH/WETH", 60.0 * i, twin)
    held(forecasts, "volatility", 2800)
    steth = forecasts.forecast("volatility", "wstETH/WETH")
    weth = forecasts.forecast("volatility", "WETH")
    assert steth is not None
    assert weth is not None
    assert 50.0 * steth.value < weth.value
    assert steth.value == pytest.approx(1e-5 * math.sqrt(60 * 24 * 365), rel=0.2)


@pytest.mark.parametrize("heavy", [False, True])
def test_utilisation_and_value(heavy: bool) -> None:
    draw, forecasts = random.Random(2), Forecasts()
    use, value = 0.7, 1e6
    for i in range(3000):
        shock = draw.gauss(0.0, 1.0) * (8.0 if heavy and draw.random() < 0.02 else 1.0)
        use = min(1.0, max(0.0, 0.7 + 0.95 * (use - 0.7) + 0.01 * shock))
        value *= math.exp(0.01 * shock)
        forecasts.observe("utilisation", "USDC", HOUR * i, use)
        forecasts.observe("value", "pool", HOUR * i, value)
    held(forecasts, "utilisation", 2900)
    held(forecasts, "value", 2900)
    found = forecasts.forecast("utilisation", "USDC")
    assert found is not None
    assert (
        0.0
        <= found.bounds[1][0]
        <= found.bounds[0][0]
        <= found.value
        <= found.bounds[0][1]
        <= found.bounds[1][1]
        <= 1.0
    )


def test_what_pulls_back_is_forecast_to_and_what_wanders_is_not() -> None:
    draw, noise, walk = random.Random(3), SteppedForecaster(), SteppedForecaster()
    level = 0.0
    for _ in range(2000):
        level += draw.gauss(0.0, 1.0)
        noise.learn_one(draw.gauss(5.0, 1.0))
        walk.learn_one(level)
    assert abs(noise.middle - 5.0) < 0.5
    assert abs(walk.middle - level) < 1.0


def test_too_little_says_nothing_and_nonsense_is_left_aside() -> None:
    forecasts = Forecasts()
    for i in range(5):
        forecasts.observe("value", "pool", HOUR * i, 1.0)
        forecasts.observe("value", "pool", HOUR * i, math.nan)
        forecasts.observe("volatility", "x", HOUR * i, 0.0)
    assert forecasts.forecast("value", "pool") is None
    assert forecasts.forecast("volatility", "x") is None
    assert forecasts.report() == ()


def test_kept_and_taken_up_it_goes_on_the_same() -> None:
    one, draw = Forecasts(), random.Random(4)
    rows = [(900.0 * i, 100.0 * math.exp(0.1 * draw.gauss(0.0, 1.0))) for i in range(800)]
    for time, value in rows[:401]:
        one.observe("volatility", "a", time, value)
    other = Forecasts()
    other.load(one.dump())
    for time, value in rows[401:]:
        one.observe("volatility", "a", time, value)
        other.observe("volatility", "a", time, value)
        assert one.forecast("volatility", "a") == other.forecast("volatility", "a")
    assert one.report() == other.report()


def column(path: Path, time: str, value: str) -> Iterator[tuple[float, float, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield float(row[time]), float(row[value]), row.get("symbol", "")


@pytest.mark.data
def test_real_minutes_through_two_crashes(data_folder: Path) -> None:
    """The next hour's volatility of BTC through Terra and BUSD, beside two dollars that lose theirs."""
    forecasts = Forecasts()
    for path in sorted((data_folder / "binance_1m_incidents").glob("*.csv.gz")):
        for time, price, _ in column(path, "open_time_ms", "close"):
            forecasts.observe("volatility", path.name, time / 1000.0, price)
    held(forecasts, "volatility", 500)


@pytest.mark.data
def test_real_hours_of_twenty_assets(data_folder: Path) -> None:
    """The next day's volatility, and the next hour's price as what a pool of it would be worth."""
    days, hours = Forecasts(86_400.0), Forecasts()
    for time, price, symbol in column(data_folder / "coingecko_hourly" / "prices.csv.gz", "timestamp_ms", "usd"):
        days.observe("volatility", symbol, time / 1000.0, price)
        hours.observe("value", symbol, time / 1000.0, price)
    held(days, "volatility", 7000)
    held(hours, "value", 100_000)
