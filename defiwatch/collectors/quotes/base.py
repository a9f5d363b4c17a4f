"""What every price venue shares: asking its pairs in turn, and telling how the venue fares."""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import httpx

from defiwatch import __version__
from defiwatch.collectors.seam import Emit
from defiwatch.collectors.wire import refused_http, scrub
from defiwatch.config import Venue, duration, mask
from defiwatch.domain.frames import HealthFrame, QuoteFrame
from defiwatch.domain.ids import MARKET
from defiwatch.domain.units import from_iso, iso
from defiwatch.errors import AnswerError, EndpointError, LimitError

_LONGEST_PAUSE = 300.0


class PollingVenue(ABC):
    """A venue that is asked for each pair by HTTP, every so often. Implements `seam.Collector`; never gives up.

    `wall` gives Unix seconds, for health frames and Retry-After dates; a quote's time is the venue's own.
    """

    venue: ClassVar[str]
    default_url: ClassVar[str]

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

    @property
    def name(self) -> str:
        """The venue's name."""
        return self.venue

    @abstractmethod
    def path(self, pair: str) -> str:
        """Where a pair's price is, below the venue's URL."""

    @abstractmethod
    def read(self, pair: str, body: bytes) -> QuoteFrame:
        """The quote in an answer. AnswerError if there is none."""

    async def run(self) -> None:
        """Ask until cancelled."""
        async with httpx.AsyncClient(
            transport=self._transport, timeout=10.0, headers={"user-agent": f"defiwatch/{__version__}"}
        ) as client:
            while True:
                pause = self._every
                for pair in self.settings.pairs:
                    pause = max(pause, await self._ask(client, pair))
                await asyncio.sleep(pause)

    async def _ask(self, client: httpx.AsyncClient, pair: str) -> float:
        """Ask for one pair; returns how long to rest at least, 0.0 if all is well."""
        url = f"{self.url}{self.path(pair)}"
        try:
            frame, latency = await self._fetch(client, pair, url)
        except LimitError as error:
            self._failures += 1
            pause = error.retry_after if error.retry_after is not None else self._pause()
            await self._tell("limited", str(error))
            return min(pause, _LONGEST_PAUSE)
        except EndpointError as error:
            self._failures += 1
            await self._tell("down", str(error))
            return self._pause()
        self._failures = 0
        await self._tell("live", None, latency)
        await self._emit(frame)
        return 0.0

    async def _fetch(self, client: httpx.AsyncClient, pair: str, url: str) -> tuple[QuoteFrame, float]:
        started = time.perf_counter()
        try:
            response = await client.get(url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = scrub(str(error), url) or type(error).__name__
            raise EndpointError(f"{mask(url)}: {words}") from error
        if response.status_code != 200:
            retry_after = response.headers.get("retry-after")
            raise refused_http(response.status_code, retry_after, response.content, url, self._wall())
        return self.read(pair, response.content), time.perf_counter() - started

    def _pause(self) -> float:
        return min(self._every * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE)

    async def _tell(self, state: str, detail: str | None, latency: float | None = None) -> None:
        """A health frame when the state changes."""
        if state == self._state:
            return
        self._state = state
        await self._emit(
            HealthFrame(
                source=self.venue,
                state=state,
                time=iso(self._wall()),
                chain_id=MARKET,
                detail=detail,
                latency_ms=None if latency is None else round(1000 * latency, 1),
            )
        )


def checked(venue: str, pair: str, price: str, moment: str) -> QuoteFrame:
    """A quote whose price is a positive number and whose time is one. AnswerError otherwise."""
    try:
        value = float(price)
        from_iso(moment)
    except ValueError as error:
        raise AnswerError(f"{venue}: {pair}: {error}") from error
    if not math.isfinite(value) or value <= 0:
        raise AnswerError(f"{venue}: {pair}: expected a positive price, got {price[:40]!r}")
    base, _, quote = pair.upper().partition("-")
    return QuoteFrame(venue, base, quote, price, moment)
