"""A fault proxy in front of a node: an endpoint that fails, lags, limits, forgets and lies, on request or by chance.

It runs in a thread of its own, speaks HTTP and websocket, and keeps every byte that was sent to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .disguise import Disguise, Json
from .turns import calling
from .weather import BATCH_TOO_LARGE, NO_METHOD, TOO_MANY, Faults

__all__ = ["Faults", "Proxy"]


@dataclass(eq=False)
class Proxy:
    """The proxy. Use as a context manager; `faults` may be changed at any time from any thread.

    http, ws    the node's own URLs
    bodies      everything that was sent to it
    asked       how often each method was asked
    happened    how often each fault struck
    height      of the node's newest head, 0 before the first was announced
    """

    http: str
    ws: str
    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    bodies: list[bytes] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)
        self._ports = (0, 0)
        self._connections: set[ServerConnection] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._subscribers: dict[str, ServerConnection] = {}
        self._log_subscribers: dict[str, ServerConnection] = {}
        self._names = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.height = 0
        self._disguise = Disguise(self._rng, self.happened, self._strikes, lambda: self.faults)

    # -- life ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(20):
            raise RuntimeError("the proxy did not start")
        if self._failure is not None:
            raise RuntimeError("the proxy did not start") from self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        if self._failure is not None:
            raise RuntimeError("the proxy failed") from self._failure

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self._ports[1]}"

    def set(self, **faults: Any) -> None:
        """These faults and no others."""
        self.faults = Faults(**faults)

    def kill(self) -> None:
        """Cut every connection, in the middle of whatever it is."""
        self._call(self._cut())

    def take_back(self, logs: Iterable[Json]) -> None:
        """Tell whoever subscribed to logs that these were taken back. The node itself never does."""
        self._call(self._take_back([{**log, "removed": True} for log in logs]))

    async def _take_back(self, logs: list[Json]) -> None:
        for log in logs:
            self.happened["taken back"] += 1
            await self._note(log, 0.0, self._log_subscribers)

    def _call(self, what: Coroutine[Any, Any, None]) -> Future[None]:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(what, self._loop)

    async def _cut(self) -> None:
        self.happened["killed"] += 1
        for connection in list(self._connections):
            connection.transport.abort()
        for writer in list(self._writers):
            writer.transport.abort()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to the thread that started this one
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with httpx.AsyncClient(timeout=60.0, trust_env=False) as client:
            self._client = client
            http = await asyncio.start_server(
                lambda reader, writer: self._spawn(self._http_connection(reader, writer)), "127.0.0.1", 0
            )
            ws: Server = await serve(self._ws_connection, "127.0.0.1", 0, close_timeout=0.1, max_size=2**28)
            self._ports = (http.sockets[0].getsockname()[1], next(iter(ws.sockets)).getsockname()[1])
            heads = asyncio.create_task(self._follow())
            self._ready.set()
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait((stopping, heads), return_when=asyncio.FIRST_COMPLETED)
            failed = heads.exception() if heads.done() else None
            for task in (heads, stopping, *self._tasks):
                task.cancel()
            await self._cut()
            http.close()
            ws.close()
            await asyncio.gather(heads, stopping, *self._tasks, return_exceptions=True)
            if failed is not None:
                raise failed

    def _spawn(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- heads -----------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Hand the node's heads on to whoever subscribed here."""
        async with connect(self.ws, max_size=2**28) as upstream:
            await upstream.send(
                json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]})
            )
            async for message in upstream:
                note = json.loads(message)
                if "params" in note:
                    self._announce(note["params"]["result"])

    def _announce(self, header: Json) -> None:
        faults = self.faults
        self.height = int(header["number"], 16)
        above = faults.stuck_at is not None and self.height > faults.stuck_at
        if above:
            self.happened["stuck_at"] += 1
        if faults.hung or above or self._strikes("drop_note"):
            return
        shown = self._disguise.forge(header)
        for _ in range(2 if self._strikes("double") else 1):
            delay = self._rng.uniform(0.0, faults.late_note) if faults.late_note else 0.0
            self._spawn(self._note(shown, delay))

    async def _note(self, what: Json, delay: float, to: dict[str, ServerConnection] | None = None) -> None:
        await asyncio.sleep(delay)
        for name, connection in list((self._subscribers if to is None else to).items()):
            params = {"subscription": name, "result": what}
            with contextlib.suppress(ConnectionClosed):
                await connection.send(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}))

    # -- transports ------------------------------------------------------------------------------------------------

    async def _http_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                body = await reader.readexactly(size)
                status, more, text = await self._http_answer(body)
                lines = [f"HTTP/1.1 {status} X", f"content-length: {len(text)}", *more]
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + text)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _http_answer(self, body: bytes) -> tuple[int, list[str], bytes]:
        self.bodies.append(body)
        await self._delay()
        if self._strikes("refuse"):
            return 429, [f"retry-after: {self.faults.retry_after:g}"], b"slow down"
        if self._strikes("fail"):
            return 502, [], b"<html>bad gateway</html>"
        return 200, ["content-type: application/json"], json.dumps(await self._answer(json.loads(body))).encode()

    async def _ws_connection(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        try:
            async for message in connection:
                body = message.encode() if isinstance(message, str) else message
                self.bodies.append(body)
                self._spawn(self._ws_answer(connection, json.loads(body)))
        except ConnectionClosed:
            pass
        finally:
            self._connections.discard(connection)
            self._subscribers = {k: c for k, c in self._subscribers.items() if c is not connection}
            self._log_subscribers = {k: c for k, c in self._log_subscribers.items() if c is not connection}

    async def _ws_answer(self, connection: ServerConnection, request: Any) -> None:
        await self._delay()
        answer: Any
        if self._strikes("fail"):
            return
        if self._strikes("refuse"):
            ids = [one["id"] for one in request] if isinstance(request, list) else request["id"]
            fault = {"code": -32005, "message": "rate limit: too many requests"}
            answer = (
                [{"jsonrpc": "2.0", "id": i, "error": fault} for i in ids]
                if isinstance(ids, list)
                else {"jsonrpc": "2.0", "id": ids, "error": fault}
            )
        elif (
            isinstance(request, dict)
            and request["method"] in {"eth_subscribe", "eth_unsubscribe"} - self.faults.without
        ):
            answer = {"jsonrpc": "2.0", "id": request["id"], "result": self._subscription(connection, request)}
        else:
            answer = await self._answer(request)
        with contextlib.suppress(ConnectionClosed):
            for _ in range(2 if self._strikes("double") else 1):
                await connection.send(json.dumps(answer))

    def _subscription(self, connection: ServerConnection, request: Json) -> Any:
        self.asked[request["method"]] += 1
        if request["method"] == "eth_unsubscribe":
            kept = (self._subscribers, self._log_subscribers)
            return any(names.pop(request["params"][0], None) is not None for names in kept)
        self._names += 1
        name = hex(self._names)
        (self._log_subscribers if request["params"][0] == "logs" else self._subscribers)[name] = connection
        return name

    async def _delay(self) -> None:
        faults = self.faults
        if faults.latency:
            await asyncio.sleep(self._rng.uniform(0.0, faults.latency))
        if faults.hung or self._strikes("lose"):
            await asyncio.sleep(3600)

    def _strikes(self, fault: str) -> bool:
        chance: float = getattr(self.faults, fault)
        if not chance or self._rng.random() >= chance:
            return False
        self.happened[fault] += 1
        return True

    # -- answers ---------------------------------------------------------------------------------------------------

    async def _answer(self, request: Any) -> Any:
        if isinstance(request, dict):
            return (await self._answers([request]))[0]
        if self.faults.max_batch is not None and len(request) > self.faults.max_batch:
            self.happened["max_batch"] += 1
            return {"jsonrpc": "2.0", "id": None, "error": BATCH_TOO_LARGE}
        return await self._answers(request)

    async def _answers(self, requests: list[Json]) -> list[Json]:
        answers: dict[int, Json] = {}
        passed: list[Json] = []
        for place, request in enumerate(requests):
            self.asked[request["method"]] += 1
            error = self._refusal(request)
            if error is not None:
                answers[place] = {"jsonrpc": "2.0", "id": request["id"], "error": error}
            else:
                passed.append({**request, "id": place, "params": self._disguise.inward(request)})
        if passed:
            if any(request["method"] == "eth_call" for request in passed):
                async with calling(self.http):
                    response = await self._client.post(self.http, json=passed)
            else:
                response = await self._client.post(self.http, json=passed)
            for answer in response.json():
                request = requests[answer["id"]]
                answers[answer["id"]] = self._disguise.outward(request, {**answer, "id": request["id"]})
        return [answers[place] for place in range(len(requests))]

    def _refusal(self, request: Json) -> Json | None:
        method, faults = request["method"], self.faults
        if method in faults.without:
            return NO_METHOD
        if method == "eth_getLogs" and faults.max_range is not None and "fromBlock" in request["params"][0]:
            wanted = request["params"][0]
            if int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1 > faults.max_range:
                self.happened["max_range"] += 1
                return TOO_MANY
        return None
