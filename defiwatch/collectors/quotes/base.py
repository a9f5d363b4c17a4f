"""What every price venue shares: asking, sparing the venue when it refuses, and telling how it fares."""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import ClassVar

import httpx
import msgspec

from defiwatch import __version__
from defiwatch.collectors.seam import Emit
from defiwatch.collectors.wire import refused_http, scrub
from defiwatch.config import Venue, duration, mask
from defiwatch.domain.frames import HealthFrame, QuoteFrame
from defiwatch.domain.ids import MARKET
from defiwatch.domain.units import from_iso, iso
from defiwatch.errors import AnswerError, EndpointError, LimitError

_LONGEST_PAUSE = 300.0
_SET_ASIDE_S = 600.0
_LARGEST_ANSWER = 1_000_000
_AHEAD_S = 60.0


class Ask(msgspec.Struct, frozen=True):
    """One request: the path below the venue's URL, and the pairs whose prices it is to bring."""

    path: str
    pairs: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True):
    """What came back: the body, and the venue's own clock (the Date header, Unix seconds; None where it gave none)."""

    body: bytes
    date: float | None = None


class UnknownPairError(AnswerError):
    """The venue does not trade (all of) the pairs that it was asked for."""


class PollingVenue(ABC):
    """A venue that is asked by HTTP, every so often. Implements `seam.Collector`; never gives up.

    A pair that the venue does not know is told and set aside for ten minutes; the others go on. Refusals and nonsense
    are health frames, never prices. `wall` gives Unix seconds, for health frames, Retry-After dates and to see a quote
    from the future; a quote's time is the venue's own.
    """

    venue: ClassVar[str]
    default_url: ClassVar[str]
    together: ClassVar[int] = 1
    """How many pairs one request may ask for."""

    def __init__(
        self,
        settings: Venue,
        emit: Emit,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.url = (settings.url or self.default_url).rstrip("/")
        self._emit = emit
        self._transport = transport
        self._wall = wall
        self._every = max(duration(settings.every), 0.05)
        self._state = ""
        self._failures = 0
        self._groups = [
            settings.pairs[i : i + self.together] for i in range(0, len(settings.pairs), max(self.together, 1))
        ]
        self._aside: dict[str, float] = {}
        self._last: dict[str, QuoteFrame] = {}

    @property
    def name(self) -> str:
        """The venue's name."""
        return self.venue

    @abstractmethod
    def ask(self, pairs: Sequence[str]) -> Ask:
        """The request that brings the prices of these pairs, or what is needed before they can be asked for."""

    @abstractmethod
    def read(self, ask: Ask, answer: Answer) -> Sequence[QuoteFrame]:
        """The quotes in an answer; () if it only told what is needed to ask. AnswerError if it holds none."""

    async def run(self) -> None:
        """Ask until cancelled."""
        headers = {"user-agent": f"defiwatch/{__version__}", "accept": "application/json"}
        if self.settings.key:
            headers["authorization"] = f"Bearer {self.settings.key}"
        async with httpx.AsyncClient(
            transport=self._transport, timeout=10.0, headers=headers, follow_redirects=True
        ) as client:
            while True:
                pause = self._every
                for pairs in list(self._groups):
                    pause = max(pause, await self._round(client, pairs))
                await asyncio.sleep(pause)

    async def _round(self, client: httpx.AsyncClient, pairs: Sequence[str]) -> float:
        """Ask for these pairs; returns how long to rest at least, 0.0 if all is well."""
        now = self._wall()
        due = [pair for pair in pairs if self._aside.get(pair, 0.0) <= now]
        if not due:
            return 0.0
        try:
            ask = self.ask(due)
            frames, latency = await self._fetch(client, ask)
        except LimitError as error:
            self._failures += 1
            pause = error.retry_after if error.retry_after is not None else self._pause()
            await self._tell("limited", str(error))
            return min(max(pause, self._every), _LONGEST_PAUSE)
        except UnknownPairError as error:
            await self._unknown(due, error)
            return 0.0
        except EndpointError as error:
            self._failures += 1
            await self._tell("down", str(error))
            return self._pause()
        self._failures = 0
        await self._tell("live", None, latency)
        for frame in frames:
            if self._last.get(pair_key(frame)) != frame:
                self._last[pair_key(frame)] = frame
                await self._emit(frame)
        return 0.0

    async def _unknown(self, due: Sequence[str], error: UnknownPairError) -> None:
        """Several pairs: ask each alone from now on. One: leave it be for a while."""
        if len(due) > 1:
            self._groups = [(pair,) for group in self._groups for pair in group]
            return
        self._aside[due[0]] = self._wall() + _SET_ASIDE_S
        if len(self._aside) == len(self.settings.pairs):
            await self._tell("down", str(error))
            return
        await self._emit(self._health(self._state or "live", str(error), None))

    async def _fetch(self, client: httpx.AsyncClient, ask: Ask) -> tuple[Sequence[QuoteFrame], float]:
        url = f"{self.url}{ask.path}"
        started = time.perf_counter()
        try:
            async with client.stream("GET", url) as response:
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _LARGEST_ANSWER:
                        raise AnswerError(f"{mask(url)}: an answer of more than {_LARGEST_ANSWER} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = scrub(str(error), url) or type(error).__name__
            raise EndpointError(f"{mask(url)}: {words}") from error
        if response.status_code != 200:
            fault = refused_http(response.status_code, response.headers.get("retry-after"), body, url, self._wall())
            raise self.refused(ask, response.status_code, fault)
        frames = self.read(ask, Answer(body, _date(response.headers.get("date"))))
        return [self._checked(frame) for frame in frames], time.perf_counter() - started

    def refused(self, ask: Ask, status: int, fault: EndpointError) -> EndpointError:  # noqa: ARG002 - some look at it
        """What a status that is not 200 means at this venue."""
        return fault

    def _checked(self, frame: QuoteFrame) -> QuoteFrame:
        if from_iso(frame.time) > self._wall() + _AHEAD_S:
            raise AnswerError(f"{self.venue}: {pair_key(frame)}: a price of {frame.time}, which is yet to come")
        return frame

    def _pause(self) -> float:
        return min(self._every * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE)

    async def _tell(self, state: str, detail: str | None, latency: float | None = None) -> None:
        """A health frame when the state changes."""
        if state == self._state:
            return
        self._state = state
        await self._emit(self._health(state, detail, latency))

    def _health(self, state: str, detail: str | None, latency: float | None) -> HealthFrame:
        return HealthFrame(
            source=self.venue,
            state=state,
            time=iso(self._wall()),
            chain_id=MARKET,
            detail=detail,
            latency_ms=None if latency is None else round(1000 * latency, 1),
        )


def pair_key(frame: QuoteFrame) -> str:
    """The pair of a quote, as the configuration writes it."""
    return f"{frame.base}-{frame.quote}"


def split(pair: str) -> tuple[str, str]:
    """Base and quote of a pair such as "ETH-USD", upper case."""
    base, _, quote = pair.upper().partition("-")
    return base, quote


def checked(venue: str, pair: str, price: str, moment: str, confidence: float | None = None) -> QuoteFrame:
    """A quote whose price is a positive number and whose time is one. AnswerError otherwise.

    `confidence` is the half width of the venue's own interval, in the quote's unit; left out where it is none.
    """
    try:
        value = float(price)
        from_iso(moment)
    except ValueError as error:
        raise AnswerError(f"{venue}: {pair}: {error}") from error
    if not math.isfinite(value) or value <= 0:
        raise AnswerError(f"{venue}: {pair}: expected a positive price, got {price[:40]!r}")
    told = confidence is not None and math.isfinite(confidence) and confidence >= 0.0
    return QuoteFrame(venue, *split(pair), price, moment, f"{confidence:.10g}" if told else None)


def moment_of(venue: str, pair: str, seconds: float) -> str:
    """Unix seconds as ISO 8601. AnswerError if no clock shows that."""
    try:
        return iso(seconds)
    except (ValueError, OverflowError, OSError) as error:
        raise AnswerError(f"{venue}: {pair}: no time: {seconds!r}") from error


def _date(header: str | None) -> float | None:
    if not header:
        return None
    try:
        return parsedate_to_datetime(header).timestamp()
    except ValueError:
        return None
