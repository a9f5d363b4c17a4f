"""JSON-RPC over HTTP: httpx for the bytes, msgspec for the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.request import getproxies

import httpx
import msgspec

from defiwatch import __version__
from defiwatch.collectors.wire.faults import refused_http, scrub
from defiwatch.collectors.wire.messages import ANSWERS, FAULTY, Shape, request, requests
from defiwatch.collectors.wire.rpc import Question, Rpc
from defiwatch.collectors.wire.wide import WideTransport
from defiwatch.errors import AnswerError, EndpointError, NodeError

T = TypeVar("T")

_LIMITS = httpx.Limits(max_connections=8, max_keepalive_connections=8, keepalive_expiry=60.0)
_HEADERS = {"content-type": "application/json", "user-agent": f"defiwatch/{__version__}"}


class HttpRpc(Rpc):
    """An endpoint over HTTP or HTTPS. `timeout` in seconds, for connecting and for every pause between bytes.

    `wall` gives Unix seconds, for a Retry-After that names a date.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 20.0,
        transport: httpx.AsyncBaseTransport | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(url)
        self._number = 0
        self._wall = wall
        if transport is None and not getproxies():
            transport = WideTransport(_LIMITS)
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            limits=_LIMITS,
            headers=_HEADERS,
        )

    async def call(self, method: str, params: Sequence[object], shape: Shape[T]) -> T:
        """Ask one question."""
        self._number += 1
        number = self._number
        await self._spend(1)
        body = await self._post(request(number, method, params), method)
        try:
            answer = shape.answer(body)
        except msgspec.MsgspecError as error:
            raise AnswerError(f"{self.name}: {method}: {error}") from error
        value: T = self._value(answer, method)
        return value

    async def batch(self, questions: Sequence[Question], shape: Shape[T]) -> list[T | NodeError]:
        """Ask many at once."""
        if not questions:
            return []
        first = self._number + 1
        self._number += len(questions)
        await self._spend(len(questions))
        body = await self._post(requests(first, questions), f"batch of {len(questions)}")
        try:
            if body.lstrip()[:1] != b"[":
                raise self._whole(FAULTY.decode(body).error, questions)
            answers = ANSWERS.decode(body)
        except msgspec.MsgspecError as error:
            raise AnswerError(f"{self.name}: batch of {len(questions)}: {error}") from error
        return self._each(answers, first, questions, shape)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, content: bytes, what: str) -> bytes:
        if self._client.is_closed:
            # While this question waited for its turn.
            raise EndpointError(f"{self.name}: {what}: the connection was closed")
        started = time.perf_counter()
        try:
            response = await self._client.post(self.url, content=content)
        except httpx.TimeoutException as error:
            raise EndpointError(f"{self.name}: {what}: no answer in time ({type(error).__name__})") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = scrub(str(error), self.url) or type(error).__name__
            raise EndpointError(f"{self.name}: {what}: {words}") from error
        self._timed(time.perf_counter() - started)
        body = response.content
        if response.status_code == 200:
            return body
        if response.status_code != 429 and body.lstrip()[:1] in (b"{", b"["):
            # Some providers send their JSON-RPC error under an HTTP status of its own.
            try:
                if body.lstrip()[:1] == b"[" or FAULTY.decode(body).error is not None:
                    return body
            except msgspec.MsgspecError:
                pass
        raise refused_http(response.status_code, response.headers.get("retry-after"), body, self.url, self._wall())
