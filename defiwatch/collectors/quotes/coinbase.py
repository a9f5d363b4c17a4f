"""Coinbase Exchange: the last trade of each pair, `GET /products/{pair}/ticker`; no key is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import quote

import msgspec

from defiwatch.collectors.quotes.base import Answer, Ask, PollingVenue, UnknownPairError, checked
from defiwatch.domain.frames import QuoteFrame
from defiwatch.errors import AnswerError, EndpointError


class _Ticker(msgspec.Struct, frozen=True):
    price: str
    time: str
    bid: str = ""
    ask: str = ""


_decode = msgspec.json.Decoder(_Ticker).decode


class Coinbase(PollingVenue):
    """Prices are decimal strings in the quote currency; `time` is when the last trade happened.

    The confidence is half of what lies between bid and ask.
    """

    venue: ClassVar[str] = "coinbase"
    default_url: ClassVar[str] = "https://api.exchange.coinbase.com"

    def ask(self, pairs: Sequence[str]) -> Ask:
        """One pair's ticker."""
        return Ask(f"/products/{quote(pairs[0].upper())}/ticker", (pairs[0],))

    def read(self, ask: Ask, answer: Answer) -> Sequence[QuoteFrame]:
        """The quote in an answer."""
        (pair,) = ask.pairs
        try:
            ticker = _decode(answer.body)
        except msgspec.MsgspecError as error:
            raise AnswerError(f"{self.venue}: {pair}: {error}") from error
        return (checked(self.venue, pair, ticker.price, ticker.time, half_spread(ticker.bid, ticker.ask)),)

    def refused(self, ask: Ask, status: int, fault: EndpointError) -> EndpointError:
        """404 is how it says that it does not trade a pair."""
        return UnknownPairError(str(fault)) if status == 404 and len(ask.pairs) == 1 else fault


def half_spread(bid: str, ask: str) -> float | None:
    """Half of the distance between bid and ask; None where they are not both told, or crossed."""
    try:
        low, high = float(bid), float(ask)
    except ValueError:
        return None
    return (high - low) / 2.0 if 0.0 < low <= high else None
