"""Kraken: `GET /0/public/Ticker?pair=A,B`, all pairs at once; no key is needed.

Its ticker tells no time, so the price is the middle of bid and ask as of the answer's Date header, the venue's own
clock. Errors come with status 200 in `error`, rate limits among them; one unknown pair refuses them all. The answer
names pairs its own way: XXBTZUSD for XBTUSD, but USDCUSD as it was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from defiwatch.collectors.quotes.base import Answer, Ask, PollingVenue, UnknownPairError, checked, moment_of, split
from defiwatch.collectors.quotes.coinbase import half_spread
from defiwatch.domain.frames import QuoteFrame
from defiwatch.domain.text import harmless
from defiwatch.errors import AnswerError, EndpointError, LimitError

OWN_NAMES = {"BTC": "XBT", "DOGE": "XDG"}


class _Ticker(msgspec.Struct, frozen=True):
    a: tuple[str, ...]
    b: tuple[str, ...]
    c: tuple[str, ...] = ()


class _Answer(msgspec.Struct, frozen=True):
    error: tuple[str, ...] = ()
    result: dict[str, _Ticker] = {}


_decode = msgspec.json.Decoder(_Answer).decode


class Kraken(PollingVenue):
    """The confidence is half of what lies between bid and ask."""

    venue: ClassVar[str] = "kraken"
    default_url: ClassVar[str] = "https://api.kraken.com"
    together: ClassVar[int] = 20

    def ask(self, pairs: Sequence[str]) -> Ask:
        """The tickers of these pairs."""
        return Ask("/0/public/Ticker?pair=" + ",".join("".join(_own(pair)) for pair in pairs), tuple(pairs))

    def read(self, ask: Ask, answer: Answer) -> Sequence[QuoteFrame]:
        """The quotes in an answer, in the order in which they were asked for."""
        try:
            told = _decode(answer.body)
        except msgspec.MsgspecError as error:
            raise AnswerError(f"{self.venue}: {error}") from error
        if told.error and not told.result:
            raise _fault(told.error)
        if answer.date is None:
            raise AnswerError(f"{self.venue}: an answer without a Date header, so of no time")
        found = [self._quote(pair, told.result, answer.date) for pair in ask.pairs]
        if not any(found):
            raise AnswerError(f"{self.venue}: {', '.join(ask.pairs)}: not in the answer")
        return [frame for frame in found if frame is not None]

    def _quote(self, pair: str, result: dict[str, _Ticker], date: float) -> QuoteFrame | None:
        base, quote = _own(pair)
        names = (base + quote, f"X{base}Z{quote}", f"X{base}X{quote}", f"{base}Z{quote}")
        ticker = next((result[name] for name in names if name in result), None)
        if ticker is None or not ticker.a or not ticker.b:
            return None
        half = half_spread(ticker.b[0], ticker.a[0])
        if half is None:
            raise AnswerError(f"{self.venue}: {pair}: no market: bid {ticker.b[0][:20]!r}, ask {ticker.a[0][:20]!r}")
        middle = f"{float(ticker.b[0]) + half:.10g}"
        return checked(self.venue, pair, middle, moment_of(self.venue, pair, date), half)


def _own(pair: str) -> tuple[str, str]:
    base, quote = split(pair)
    return OWN_NAMES.get(base, base), OWN_NAMES.get(quote, quote)


def _fault(errors: Sequence[str]) -> EndpointError:
    text = "kraken: " + harmless("; ".join(errors), 200)
    if any("rate limit" in error.lower() or "too many requests" in error.lower() for error in errors):
        return LimitError(text)
    if any(error.startswith("EQuery:Unknown asset pair") for error in errors):
        return UnknownPairError(text)
    return EndpointError(text)
