"""Price venues: quotes as the venue gives them, and every failure as a health frame."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest

from defiwatch.collectors import quotes
from defiwatch.collectors.quotes import Coinbase, DefiLlama, Kraken, PollingVenue, Pyth, collect_quotes
from defiwatch.collectors.quotes.pyth import scaled
from defiwatch.config import Quotes, Venue
from defiwatch.domain.frames import Frame, HealthFrame, QuoteFrame
from defiwatch.domain.units import from_iso

GOOD = {"ask": "2412.2", "bid": "2412.1", "price": "2412.11", "size": "0.1", "time": "2026-03-10T12:00:11.123456Z"}
NOW = from_iso("2026-03-10T12:00:20Z")
DATE = format_datetime(datetime.fromtimestamp(NOW - 1, UTC), usegmt=True)
KRAKEN = {
    "error": [],
    "result": {
        "XXBTZUSD": {
            "a": ["82999.00000", "1", "1.000"],
            "b": ["82998.90000", "1", "1.000"],
            "c": ["82998.90000", "0.00603612"],
            "v": ["268.40588255", "2862.86180275"],
            "p": ["83083.21647", "83278.12284"],
            "t": [18192, 153218],
            "l": ["82735.10000", "82566.40000"],
            "h": ["83581.70000", "84338.10000"],
            "o": "83462.70000",
        },
        "USDCUSD": {"a": ["1.00010", "1", "1.0"], "b": ["0.99990", "1", "1.0"], "c": ["1.0001", "5.0"]},
    },
}
ETH_FEED = "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace"
PYTH_FEEDS = [
    {
        "id": "1de769477ecf66f69ca287676658956a211c207a9ca608ad5235bd095b02f4b2",
        "attributes": {"symbol": "Crypto.OETH/USD"},
    },
    {
        "id": ETH_FEED,
        "attributes": {"asset_type": "Crypto", "base": "ETH", "quote_currency": "USD", "symbol": "Crypto.ETH/USD"},
    },
]
PYTH = {
    "binary": {"encoding": "hex", "data": ["504e41550100000003b80100"]},
    "parsed": [
        {
            "id": ETH_FEED,
            "price": {"price": "195656091864", "conf": "87908136", "expo": -8, "publish_time": int(NOW) - 3},
            "ema_price": {"price": "196361740000", "conf": "69342421", "expo": -8, "publish_time": int(NOW) - 3},
            "metadata": {"slot": 304918931, "proof_available_time": int(NOW), "prev_publish_time": int(NOW) - 4},
        }
    ],
}
USDC = "ethereum:0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
LLAMA = {
    "coins": {
        "coingecko:ethereum": {"symbol": "ETH", "price": 2412.5, "timestamp": int(NOW) - 40, "confidence": 0.99},
        USDC: {"decimals": 6, "symbol": "<b>X", "price": 0.999847, "timestamp": int(NOW) - 30, "confidence": 0.99},
        "coingecko:dai": {"symbol": "DAI", "price": 7.0, "timestamp": int(NOW) - 30, "confidence": 0.2},
    }
}


class StopHereError(Exception):
    """Enough frames came."""


async def collect(
    answer: Callable[[httpx.Request], httpx.Response],
    count: int,
    pairs: tuple[str, ...] = ("ETH-USD",),
    kind: type[PollingVenue] = Coinbase,
    key: str = "",
) -> list[Frame]:
    frames: list[Frame] = []

    async def emit(frame: Frame) -> None:
        frames.append(frame)
        if len(frames) >= count:
            raise StopHereError

    venue = kind(
        Venue(pairs=pairs, every="50ms", key=key), emit, transport=httpx.MockTransport(answer), wall=lambda: NOW
    )
    async with asyncio.timeout(10):
        with pytest.raises(StopHereError):
            await venue.run()
    return frames


def always(response: Callable[[], httpx.Response]) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: response()


async def test_coinbase_tells_the_last_trade_with_its_own_time() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=GOOD)

    frames = await collect(answer, 3, ("ETH-USD", "BTC-USD"))
    assert isinstance(frames[0], HealthFrame)
    assert (frames[0].source, frames[0].state, frames[0].time) == ("coinbase", "live", "2026-03-10T12:00:20Z")
    assert frames[1] == QuoteFrame("coinbase", "ETH", "USD", "2412.11", "2026-03-10T12:00:11.123456Z", "0.05")
    assert frames[2] == QuoteFrame("coinbase", "BTC", "USD", "2412.11", "2026-03-10T12:00:11.123456Z", "0.05")
    assert asked == [
        "https://api.exchange.coinbase.com/products/ETH-USD/ticker",
        "https://api.exchange.coinbase.com/products/BTC-USD/ticker",
    ]


async def test_kraken_tells_the_middle_by_its_own_clock_and_its_own_names() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=KRAKEN, headers={"date": DATE})

    frames = await collect(answer, 3, ("BTC-USD", "USDC-USD"), Kraken)
    assert frames[1:] == [
        QuoteFrame("kraken", "BTC", "USD", "82998.95", "2026-03-10T12:00:19Z", "0.05"),
        QuoteFrame("kraken", "USDC", "USD", "1", "2026-03-10T12:00:19Z", "0.0001"),
    ]
    assert asked == ["https://api.kraken.com/0/public/Ticker?pair=XBTUSD,USDCUSD"]


async def test_kraken_refuses_with_status_200() -> None:
    """One unknown pair refuses them all: each is asked alone then, and only the unknown one is set aside."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "NOSUCH" in str(request.url):
            return httpx.Response(200, json={"error": ["EQuery:Unknown asset pair"]})
        return httpx.Response(200, json=KRAKEN, headers={"date": DATE})

    frames = await collect(answer, 3, ("BTC-USD", "NOSUCH-USD"), Kraken)
    assert [type(frame) for frame in frames] == [HealthFrame, QuoteFrame, HealthFrame]
    assert isinstance(frames[2], HealthFrame)
    assert (frames[2].state, frames[2].detail) == ("live", "kraken: EQuery:Unknown asset pair")
    (limited,) = await collect(
        always(lambda: httpx.Response(200, json={"error": ["EGeneral:Too many requests"]})), 1, ("BTC-USD",), Kraken
    )
    assert isinstance(limited, HealthFrame)
    assert limited.state == "limited"


async def test_pyth_looks_the_feed_up_and_tells_the_interval() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=PYTH_FEEDS if request.url.path == "/v2/price_feeds" else PYTH)

    frames = await collect(answer, 2, ("ETH-USD",), Pyth, key="secret-token")
    assert frames[1] == QuoteFrame("pyth", "ETH", "USD", "1956.56091864", "2026-03-10T12:00:17Z", "0.87908136")
    assert [request.url.path for request in asked] == ["/v2/price_feeds", "/v2/updates/price/latest"]
    assert asked[1].url.params["ids[]"] == ETH_FEED
    assert asked[1].headers["authorization"] == "Bearer secret-token"


async def test_pyth_without_a_key() -> None:
    (frame,) = await collect(
        always(lambda: httpx.Response(401, json={"message": "missing API key"})), 1, ("ETH-USD",), Pyth
    )
    assert isinstance(frame, HealthFrame)
    assert frame.state == "down"
    assert "is the key right?" in (frame.detail or "")


@pytest.mark.parametrize(
    ("value", "expo", "text"),
    [(5, -8, "0.00000005"), (195656091864, -8, "1956.56091864"), (43380934, -5, "433.80934"), (7, 2, "700")],
)
def test_pyth_scales_exactly(value: int, expo: int, text: str) -> None:
    assert scaled(value, expo) == text


async def test_defillama_goes_by_coin_and_leaves_out_what_is_not_sure() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=LLAMA)

    frames = await collect(answer, 3, ("ETH-USD", f"USDC-USD={USDC}", "DAI-USD"), DefiLlama)
    assert frames[1:] == [
        QuoteFrame("defillama", "ETH", "USD", "2412.5", "2026-03-10T11:59:40Z"),
        QuoteFrame("defillama", "USDC", "USD", "0.999847", "2026-03-10T11:59:50Z"),
    ]
    assert asked == [f"https://coins.llama.fi/prices/current/coingecko:ethereum,{USDC},coingecko:dai"]
    (frame,) = await collect(always(lambda: httpx.Response(200, json=LLAMA)), 1, ("XYZ-USD",), DefiLlama)
    assert isinstance(frame, HealthFrame)
    assert "say which coin" in (frame.detail or "")


NONSENSE: list[tuple[type[PollingVenue], httpx.Response, str, str]] = [
    (Coinbase, httpx.Response(429, headers={"retry-after": "0.01"}), "limited", "429"),
    (Coinbase, httpx.Response(404, json={"message": "NotFound"}), "down", "NotFound"),
    (Coinbase, httpx.Response(500, content=b"<html>oops"), "down", "500"),
    (Coinbase, httpx.Response(200, content=b"<html>"), "down", "malformed"),
    (Coinbase, httpx.Response(200, content=b"[" * 2_000_000), "down", "more than 1000000 bytes"),
    (Coinbase, httpx.Response(200, json={"price": "2412.11"}), "down", "time"),
    (Coinbase, httpx.Response(200, json={**GOOD, "price": "NaN"}), "down", "positive price"),
    (Coinbase, httpx.Response(200, json={**GOOD, "price": "-1"}), "down", "positive price"),
    (Coinbase, httpx.Response(200, json={**GOOD, "price": "much"}), "down", "much"),
    (Coinbase, httpx.Response(200, json={**GOOD, "time": "now"}), "down", "now"),
    (Coinbase, httpx.Response(200, json={**GOOD, "time": "2027-01-01T00:00:00Z"}), "down", "yet to come"),
    (Kraken, httpx.Response(200, json=KRAKEN, headers={"date": DATE}), "down", "not in the answer"),
    (Kraken, httpx.Response(200, json={"error": [], "result": {"XETHZUSD": {"a": [], "b": []}}}), "down", "Date"),
    (Kraken, httpx.Response(200, json={"error": ["EService:Unavailable"]}), "down", "Unavailable"),
    (Kraken, httpx.Response(503, headers={"retry-after": "0"}), "limited", "503"),
    (Pyth, httpx.Response(200, json=[]), "down", "no feed is called Crypto.ETH/USD"),
    (Pyth, httpx.Response(200, json={"parsed": []}), "down", "pyth"),
    (DefiLlama, httpx.Response(200, json={"coins": {}}), "down", "knows none"),
    (DefiLlama, httpx.Response(200, json={"coins": {"coingecko:ethereum": {"price": "1"}}}), "down", "defillama"),
]


@pytest.mark.parametrize(("kind", "response", "state", "words"), NONSENSE)
async def test_failures_are_told_and_never_a_price(
    kind: type[PollingVenue], response: httpx.Response, state: str, words: str
) -> None:
    (frame,) = await collect(lambda _: response, 1, ("ETH-USD",), kind)
    assert isinstance(frame, HealthFrame)
    assert (frame.source, frame.state) == (kind.venue, state)
    assert words in (frame.detail or "")


async def test_a_failure_is_told_once_and_passes() -> None:
    answers = [httpx.Response(500), httpx.Response(500)]

    def answer(_: httpx.Request) -> httpx.Response:
        return answers.pop() if answers else httpx.Response(200, json=GOOD)

    down, live, quote = await collect(answer, 3)
    assert isinstance(down, HealthFrame)
    assert isinstance(live, HealthFrame)
    assert (down.state, live.state) == ("down", "live")
    assert isinstance(quote, QuoteFrame)


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
    await collect_quotes(Quotes(), emit)
    pairs = Venue(pairs=("ETH-USD",), url="http://mirror/")
    found = quotes.collectors(Quotes(coinbase=pairs, kraken=pairs, pyth=pairs, defillama=pairs), emit)
    assert [one.name for one in found] == ["coinbase", "kraken", "pyth", "defillama"]
    assert {one.url for one in found if isinstance(one, PollingVenue)} == {"http://mirror"}
