"""Coinbase Exchange: the last trade of each pair, `GET /products/{pair}/ticker`; no key is needed."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import quote

import msgspec

from defiwatch.collectors.quotes.base import PollingVenue, checked
from defiwatch.domain.frames import QuoteFrame
from defiwatch.errors import AnswerError


class _Ticker(msgspec.Struct, frozen=True):
    price: str
    time: str


_decode = msgspec.json.Decoder(_Ticker).decode


class Coinbase(PollingVenue):
    """Prices are decimal strings in the quote currency; `time` is when the last trade happened."""

    venue: ClassVar[str] = "coinbase"
    default_url: ClassVar[str] = "https://api.exchange.coinbase.com"

    def path(self, pair: str) -> str:
        """Where a pair's price is."""
        return f"/products/{quote(pair.upper())}/ticker"

    def read(self, pair: str, body: bytes) -> QuoteFrame:
        """The quote in an answer."""
        try:
            ticker = _decode(body)
        except msgspec.MsgspecError as error:
            raise AnswerError(f"{self.venue}: {pair}: {error}") from error
        return checked(self.venue, pair, ticker.price, ticker.time)
