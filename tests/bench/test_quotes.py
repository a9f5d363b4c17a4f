"""Quotes a second: the whole market line, from frame to judged peg, on the hourly prices of 21 assets."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from defiwatch.config import Config
from defiwatch.engine import Engine
from tests.convert import header_frame, price_quotes

QUOTES = 20_000


@pytest.mark.data
def test_quotes_through_the_market_line(benchmark: BenchmarkFixture, data_folder: Path) -> None:
    every = price_quotes(data_folder / "coingecko_hourly" / "prices.csv.gz", "coingecko")
    frames = list(itertools.islice(every, QUOTES))

    def run() -> int:
        engine = Engine(Config(), mode="replay")
        engine.feed(header_frame({}))
        for frame in frames:
            engine.feed(frame)
        return engine.sequence

    assert benchmark(run) == QUOTES + 1
