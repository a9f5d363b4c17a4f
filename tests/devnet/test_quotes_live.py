"""Quotes end to end: a venue on this machine, its collector, the engine; a fall is told, an outage is health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus

from defiwatch.collectors.quotes import collect_quotes
from defiwatch.config import Config, Quotes
from defiwatch.config import Venue as Settings
from defiwatch.domain.frames import Frame, HealthFrame, QuoteFrame
from defiwatch.engine import Engine
from tests.devnet.venue import Venue


async def test_a_venue_is_followed_through_an_outage() -> None:
    engine = Engine(Config())
    frames: list[Frame] = []

    came = asyncio.Event()

    async def emit(frame: Frame) -> None:
        frames.append(frame)
        engine.feed(frame)
        came.set()

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                came.clear()
                await came.wait()

    def quoted(base: str, price: str) -> bool:
        return any(isinstance(f, QuoteFrame) and (f.base, f.price) == (base, price) for f in frames)

    with Venue() as venue:
        now = time.time()
        venue.quote("ETH-USD", 2412.11, now - 3)
        venue.quote("USDC-USD", 1.0, now - 3)
        settings = Settings(pairs=("ETH-USD", "USDC-USD"), every="50ms", url=venue.url)
        task = asyncio.create_task(collect_quotes(Quotes(coinbase=settings), emit))
        await until(lambda: quoted("ETH", "2412.11") and quoted("USDC", "1"))
        assert engine.lines[0].judge.prices.usd("ETH") == 2412.11
        venue.failing = HTTPStatus.TOO_MANY_REQUESTS
        await until(lambda: engine.sources["coinbase"].state == "limited")
        venue.failing = None
        venue.quote("USDC-USD", 0.97, now - 1)
        await until(lambda: quoted("USDC", "0.97"))
        assert engine.sources["coinbase"].state == "live"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    market = engine.lines[0].judge.prices
    assert market.usd("USDC") == 0.97
    assert [f.state for f in frames if isinstance(f, HealthFrame)] == ["live", "limited", "live"]
    assert all(row.price > 0 for row in engine.snapshot().prices)
