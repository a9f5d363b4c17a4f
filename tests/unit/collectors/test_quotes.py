"""Price venues: quotes as the venue gives them, and every failure as a health frame."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from defiwatch.collectors import quotes
from defiwatch.collectors.quotes import Coinbase
from defiwatch.config import Quotes, Venue
from defiwatch.domain.frames import Frame, HealthFrame, QuoteFrame
from defiwatch.errors import ConfigError

GOOD = {"ask": "2412.2", "bid": "2412.1", "price": "2412.11", "size": "0.1", "time": "2026-03-10T12:00:11.123456Z"}


class StopHereError(Exception):
    """Enough frames came."""


async def collect(
    answer: Callable[[httpx.Request], httpx.Response], count: int, pairs: tuple[str, ...] = ("ETH-USD",)
) -> list[Frame]:
    frames: list[Frame] = []

    async def emit(frame: Frame) -> None:
        frames.append(frame)
        if len(frames) >= count:
            raise StopHereError

    venue = Coinbase(
        Venue(pairs=pairs, every="50ms"), emit, transport=httpx.MockTransport(answer), wall=lambda: 1_700_000_000.0
    )
    async with asyncio.timeout(10):
        with pytest.raises(StopHereError):
            await venue.run()
    return frames


async def test_quotes_carry_the_venues_own_time() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=GOOD)

    frames = await collect(answer, 5, ("ETH-USD", "BTC-USD"))
    assert frames[0] == HealthFrame(
        "coinbase",
        "live",
        "2023-11-14T22:13:20Z",
        0,
        latency_ms=frames[0].latency_ms,  # type: ignore[union-attr]
    )
    assert frames[1] == QuoteFrame("coinbase", "ETH", "USD", "2412.11", "2026-03-10T12:00:11.123456Z")
    assert frames[2] == QuoteFrame("coinbase", "BTC", "USD", "2412.11", "2026-03-10T12:00:11.123456Z")
    assert asked[:2] == [
        "https://api.exchange.coinbase.com/products/ETH-USD/ticker",
        "https://api.exchange.coinbase.com/products/BTC-USD/ticker",
    ]


@pytest.mark.parametrize(
    ("response", "state", "words"),
    [
        (httpx.Response(429, headers={"retry-after": "0.01"}), "limited", "429"),
        (httpx.Response(404, json={"message": "NotFound"}), "down", "NotFound"),
        (httpx.Response(500, content=b"<html>oops"), "down", "500"),
        (httpx.Response(200, content=b"<html>"), "down", "malformed"),
        (httpx.Response(200, json={"price": "2412.11"}), "down", "time"),
        (httpx.Response(200, json={**GOOD, "price": "NaN"}), "down", "positive price"),
        (httpx.Response(200, json={**GOOD, "price": "-1"}), "down", "positive price"),
        (httpx.Response(200, json={**GOOD, "price": "much"}), "down", "much"),
        (httpx.Response(200, json={**GOOD, "time": "now"}), "down", "now"),
    ],
)
async def test_failures_are_told_once_and_pass(response: httpx.Response, state: str, words: str) -> None:
    answers = [response, response]

    def answer(_: httpx.Request) -> httpx.Response:
        return answers.pop() if answers else httpx.Response(200, json=GOOD)

    first, second, third = await collect(answer, 3)
    assert isinstance(first, HealthFrame)
    assert (first.source, first.state) == ("coinbase", state)
    assert words in (first.detail or "")
    assert isinstance(second, HealthFrame)
    assert second.state == "live"
    assert isinstance(third, QuoteFrame)


async def test_a_dead_network() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    (frame,) = await collect(answer, 1)
    assert isinstance(frame, HealthFrame)
    assert (frame.state, frame.detail) == (
        "down",
        "https://api.exchange.coinbase.com/products/ETH-USD/ticker: no route",
    )


async def test_which_venues_are_asked() -> None:
    async def emit(_: Frame) -> None:
        raise AssertionError

    assert quotes.collectors(Quotes(), emit) == []
    await quotes.collect(Quotes(), emit)
    (one,) = quotes.collectors(Quotes(coinbase=Venue(pairs=("ETH-USD",), url="http://mirror/")), emit)
    assert isinstance(one, Coinbase)
    assert (one.name, one.url) == ("coinbase", "http://mirror")
    with pytest.raises(ConfigError, match=r"quotes\.pyth"):
        quotes.collectors(Quotes(pyth=Venue(pairs=("ETH-USD",))), emit)
