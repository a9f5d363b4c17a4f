"""The market's prices for a look at a chain: what comes in time, and what is said of the rest."""

from __future__ import annotations

import time

from defiwatch.config import Quotes
from defiwatch.config import Venue as Settings
from defiwatch.domain.frames import Header
from defiwatch.engine.surroundings import prices, venues
from defiwatch.state.lending.insight import market_prices
from tests.devnet.venue import Venue
from tests.unit.state.lending.made_up import USDC, WETH, leg, position


async def test_every_pair_is_waited_for_and_no_longer() -> None:
    with Venue() as venue:
        venue.quote("ETH-USD", 2900.0, time.time())
        settings = Settings(pairs=("ETH-USD",), every="50ms", url=venue.url)
        found, late = await venues(Quotes(coinbase=settings), patience=60.0)
    assert ([(frame.base, frame.price) for frame in found], late) == ([("ETH", "2900")], [])
    it = position(leg(WETH, 1), leg(USDC, debt=1))
    book = prices(1, found, ((), ()), Header("0x1", "0xaa", "0x0", hex(int(time.time()))), [it])
    assert market_prices(it, book) == {WETH: 2900.0 * 10**8}


async def test_what_does_not_come_is_said() -> None:
    with Venue() as venue:
        venue.silent = True
        settings = Settings(pairs=("ETH-USD", "BTC-USD"), url=venue.url)
        found, late = await venues(Quotes(coinbase=settings), patience=0.2)
    assert found == []
    assert late == ["no quote of BTC-USD from coinbase within 0.2 s", "no quote of ETH-USD from coinbase within 0.2 s"]


async def test_where_no_venue_is_configured_nothing_is_asked() -> None:
    assert await venues(Quotes()) == ([], [])
