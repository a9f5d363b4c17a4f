"""What feeds' rounds tell of positions' volatility, for a look at a chain that no run has watched."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from defiwatch.engine.rounds import Series, evidence
from defiwatch.protocols.sources import Source
from defiwatch.state.lending.volatility import STEP_S
from tests.unit.state.lending.made_up import STETH, USDC, WETH, leg, position

ETH_FEED, USDC_FEED, SOURCE = ("0x" + f"{i:02x}" * 20 for i in (0xE1, 0xE2, 0xE3))
NOW = 1_800_000_000.0
MARKET = position().market


def walk(feed: str, sigma: float, *, every: int = 600, days: float = 4.0, seed: int = 7) -> Series:
    """A feed that answers every `every` seconds, of a price that walks with `sigma` a year."""
    draw, price, n = random.Random(seed), 3000.0, int(days * 86_400 / every)
    times, answers = [], []
    for i in range(n):
        price *= math.exp(sigma * math.sqrt(every / 31_536_000) * draw.gauss(0.0, 1.0))
        times.append(int(NOW) - every * (n - i))
        answers.append(int(price * 1e8))
    return Series(feed, tuple(times), tuple(answers))


def source(asset: str, feed: str) -> dict[tuple[str, str, str], Source]:
    return {("made_up", MARKET, asset): Source(asset, feed, "feed", feed=feed)}


STILL = Series(USDC_FEED, (int(NOW) - 20 * 86_400,), (10**8,))


def test_the_ratio_s_volatility_is_that_of_the_rounds() -> None:
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    series = {ETH_FEED: walk(ETH_FEED, 0.7), USDC_FEED: STILL}
    found = evidence([it], {**source(WETH, ETH_FEED), **source(USDC, USDC_FEED)}, series, NOW)
    assert found.outlook.slow.of_position(it) == pytest.approx(0.7, rel=0.12)
    assert found.outlook.slow.known(it) > 2 * 86_400
    chances = found.outlook.chances(it)
    assert 0.0 < chances["24h"] < chances["7d"] < 1.0
    weth = found.rhythms[f"made_up:{MARKET}:{WETH}"]
    assert (weth.origin, weth.interval, weth.count) == ("feed", 600.0, len(series[ETH_FEED].times))
    assert found.rhythms[f"made_up:{MARKET}:{USDC}"].origin == "usual"
    assert found.words["made_up", MARKET, WETH].startswith("WETH 576 rounds of 0xe1e1")
    assert found.words["made_up", MARKET, USDC] == "USDC 1 round of 0xe2e2…e2e2"
    assert found.ages["made_up", MARKET, WETH] == 600.0
    assert found.why == {}


def test_a_capped_ratio_moves_with_the_feed_behind_it() -> None:
    """wstETH against WETH, both by the feed of ETH: nothing moves between them."""
    it = position(leg(STETH, 10, threshold=9300), leg(WETH, debt=10))
    behind = Source(STETH, SOURCE, "ratio_cap", feed=ETH_FEED, ratio=12 * 10**17)
    sources = {("made_up", MARKET, STETH): behind, **source(WETH, ETH_FEED)}
    found = evidence([it], sources, {ETH_FEED: walk(ETH_FEED, 0.7)}, NOW)
    assert found.outlook.slow.of_position(it) == pytest.approx(0.0, abs=1e-6)


def test_a_market_that_counts_in_its_loan_moves_with_its_oracle_s_quotient() -> None:
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    it = msgspec.structs.replace(it, base="USDC")
    quotient = Source(WETH, SOURCE, "quotient", over=(ETH_FEED,), under=(USDC_FEED,))
    series = {ETH_FEED: walk(ETH_FEED, 0.7), USDC_FEED: STILL}
    found = evidence([it], {("made_up", MARKET, WETH): quotient}, series, NOW)
    assert found.outlook.slow.of_position(it) == pytest.approx(0.7, rel=0.12)
    assert found.outlook.slow.known(position(leg(WETH, 10), leg(USDC, debt=20_000))) == 0.0
    fixed = Source(WETH, SOURCE, "fixed", description="Fixed")
    still = evidence([it], {("made_up", MARKET, WETH): fixed}, series, NOW)
    assert (still.why, still.words) == ({}, {("made_up", MARKET, WETH): "WETH has a fixed price"})


def test_what_cannot_be_read_says_why() -> None:
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    unknown = Source(WETH, SOURCE, "unknown")
    found = evidence([it], {("made_up", MARKET, WETH): unknown, **source(USDC, USDC_FEED)}, {USDC_FEED: STILL}, NOW)
    assert found.why == {("made_up", MARKET, WETH): "0xe3e3…e3e3, where its price comes from, tells no rounds"}
    assert found.outlook.chances(it) == {}
    nameless = evidence([it], source(USDC, USDC_FEED), {USDC_FEED: STILL}, NOW)
    assert nameless.why == {("made_up", MARKET, WETH): "its price source is not known"}


def test_an_answer_stands_until_the_next() -> None:
    series = Series(ETH_FEED, (100, 200), (5, 7))
    assert [series.at(time) for time in (99.0, 100.0, 199.0, 200.0, 1e9)] == [None, 5.0, 5.0, 7.0, 7.0]
    assert STEP_S == 600.0
