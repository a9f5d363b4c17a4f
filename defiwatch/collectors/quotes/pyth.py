"""Pyth Hermes: `GET /v2/updates/price/latest?ids[]=…`, with the publishers' own confidence interval and time.

A feed is asked for by its id, which `GET /v2/price_feeds` tells once for each pair. Since August 2026 Hermes asks for a
key: `key = "${PYTH_API_KEY}"` in `[quotes.pyth]`, sent as a bearer token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from defiwatch.collectors.quotes.base import Answer, Ask, PollingVenue, UnknownPairError, checked, moment_of, split
from defiwatch.collectors.seam import Emit
from defiwatch.config import Venue
from defiwatch.domain.frames import QuoteFrame
from defiwatch.errors import AnswerError

_SEARCH = "/v2/price_feeds?"


class _Price(msgspec.Struct, frozen=True):
    price: str
    conf: str
    expo: int
    publish_time: int


class _Parsed(msgspec.Struct, frozen=True):
    id: str
    price: _Price


class _Latest(msgspec.Struct, frozen=True):
    parsed: tuple[_Parsed, ...]


class _Attributes(msgspec.Struct, frozen=True):
    symbol: str = ""


class _Feed(msgspec.Struct, frozen=True):
    id: str
    attributes: _Attributes = _Attributes()


_latest = msgspec.json.Decoder(_Latest).decode
_feeds = msgspec.json.Decoder(tuple[_Feed, ...]).decode


class Pyth(PollingVenue):
    """`price` and `conf` are integers in units of 10**expo, which differs by feed."""

    venue: ClassVar[str] = "pyth"
    default_url: ClassVar[str] = "https://hermes.pyth.network"

    def __init__(
        self,
        settings: Venue,
        emit: Emit,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(settings, emit, transport=transport, wall=wall)
        self._ids: dict[str, str] = {}

    def ask(self, pairs: Sequence[str]) -> Ask:
        """The latest price of a pair; its feed's id where that is not known yet."""
        (pair,) = pairs
        if pair not in self._ids:
            return Ask(_SEARCH + urlencode({"query": split(pair)[0].lower(), "asset_type": "crypto"}), (pair,))
        return Ask(f"/v2/updates/price/latest?ids[]={quote(self._ids[pair])}&parsed=true", (pair,))

    def read(self, ask: Ask, answer: Answer) -> Sequence[QuoteFrame]:
        """The quote in an answer, or () where it told the feed's id."""
        (pair,) = ask.pairs
        try:
            if ask.path.startswith(_SEARCH):
                return self._found(pair, _feeds(answer.body))
            latest = _latest(answer.body)
        except msgspec.MsgspecError as error:
            raise AnswerError(f"{self.venue}: {pair}: {error}") from error
        wanted = self._ids[pair].removeprefix("0x")
        price = next((one.price for one in latest.parsed if one.id.removeprefix("0x") == wanted), None)
        if price is None or not -30 <= price.expo <= 30:
            raise AnswerError(f"{self.venue}: {pair}: not in the answer")
        try:
            value, half = int(price.price), int(price.conf)
        except ValueError as error:
            raise AnswerError(f"{self.venue}: {pair}: {error}") from error
        moment = moment_of(self.venue, pair, price.publish_time)
        text = scaled(value, price.expo)
        return (checked(self.venue, pair, text, moment, half * 10.0**price.expo),)

    def _found(self, pair: str, feeds: Sequence[_Feed]) -> Sequence[QuoteFrame]:
        symbol = "Crypto." + "/".join(split(pair))
        for feed in feeds:
            if feed.attributes.symbol.upper() == symbol.upper():
                self._ids[pair] = feed.id
                return ()
        raise UnknownPairError(f"{self.venue}: no feed is called {symbol}")


def scaled(value: int, expo: int) -> str:
    """`value` · 10**`expo` as a plain decimal, exact."""
    if expo >= 0:
        return str(value * 10**expo)
    digits = str(abs(value)).rjust(1 - expo, "0")
    return ("-" if value < 0 else "") + digits[:expo] + "." + digits[expo:]
