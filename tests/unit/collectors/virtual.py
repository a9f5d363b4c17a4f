"""A loop whose time is made up, and endpoints in the same process: what a chain costs, exactly and at once.

Time goes on only while nothing is left to do, so an hour takes as long as its work, and always the same.
"""

from __future__ import annotations

import asyncio
import json
import random
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

import httpx

from defiwatch.collectors.wire import HttpRpc, Rpc, WebSocketRpc
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.made_up_chain import START_TIME

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
LATENCY = 0.08
"""Seconds from a question to its answer."""


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if found or timeout is None:
            return found or super().select(timeout)
        self.now += max(0.0, timeout)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait."""

    def __init__(self) -> None:
        self._made_up = _Selector()
        super().__init__(self._made_up)

    def time(self) -> float:
        return self._made_up.now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """What would go to a thread is done at once: time does not run away from it."""
        done: asyncio.Future[T] = self.create_future()
        done.set_result(func(*args))
        return done


def play(story: Coroutine[Any, Any, T]) -> T:
    """Run something on a loop of its own, which begins at second 0."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)


class Endpoint:
    """One endpoint over a node: what reached it, and when. `announces` makes it a websocket."""

    def __init__(self, node: FakeNode, *, announces: bool = False, slow_by: float = LATENCY) -> None:
        self.node = node
        self.announces = announces
        self.latency = slow_by
        self.times: list[tuple[float, int]] = []
        """When how many questions came; each of a batch counts."""
        self.bodies: list[bytes] = []
        self.refuses: Callable[[float, int], tuple[int, dict[str, str]] | None] = lambda _now, _count: None
        """The HTTP status and headers to answer instead, None to answer well."""

    @property
    def url(self) -> str:
        return f"{'ws' if self.announces else 'http'}://endpoint-{id(self.node)}.example"

    def open(self) -> Rpc:
        if self.announces:
            return _WebSocket(self)
        return HttpRpc(
            self.url, transport=_Transport(self), wall=lambda: START_TIME + asyncio.get_running_loop().time()
        )

    def came(self, body: bytes) -> int:
        request = json.loads(body)
        count = len(request) if isinstance(request, list) else 1
        self.times.append((asyncio.get_running_loop().time(), count))
        self.bodies.append(body)
        return count

    def most_within(self, seconds: float) -> int:
        """The most questions that came in any stretch of so many seconds (less a microsecond: times are floats)."""
        ends = {at for at, _ in self.times}
        return max((sum(n for t, n in self.times if at - seconds + 1e-6 < t <= at) for at in ends), default=0)


class _Transport(httpx.AsyncBaseTransport):
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        count = self._endpoint.came(body)
        refusal = self._endpoint.refuses(asyncio.get_running_loop().time(), count)
        await asyncio.sleep(self._endpoint.latency)
        if refusal is not None:
            return httpx.Response(refusal[0], headers=refusal[1], content=b"slow down")
        return httpx.Response(200, content=self._endpoint.node._answer(body).encode())


class _WebSocket(WebSocketRpc):
    """The program's own websocket, on a connection that is a function call."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint.url)
        self._connection = _Connection(self, endpoint)  # type: ignore[assignment]  # stands in for the library's own


class _Connection:
    def __init__(self, rpc: WebSocketRpc, endpoint: Endpoint) -> None:
        self._rpc = rpc
        self._endpoint = endpoint

    async def send(self, content: bytes | str, *, text: bool = False) -> None:
        """From the program a question, from the node a note."""
        if isinstance(content, str):
            self._rpc._take(content.encode())
            return
        self._endpoint.came(content)
        await asyncio.sleep(self._endpoint.latency)
        self._rpc._take(self._endpoint.node._answer(content, self).encode())  # type: ignore[arg-type]  # as above

    async def close(self) -> None:
        self._rpc._drop(self._rpc._lost)


def opener(*endpoints: Endpoint) -> Callable[[str], Coroutine[Any, Any, Rpc]]:
    """What the collector opens endpoints with."""

    async def open_rpc(url: str) -> Rpc:
        return next(endpoint for endpoint in endpoints if endpoint.url == url).open()

    return open_rpc


async def mine(nodes: list[FakeNode], blocks: int, block_time: float, *, jitter: float = 0.0, seed: int = 1) -> None:
    """Mine blocks on the chain that all nodes show, each up to `jitter` seconds after its due time."""
    rng = random.Random(seed)
    loop = asyncio.get_running_loop()
    start = loop.time()
    for number in range(1, blocks + 1):
        due = start + number * block_time + rng.uniform(0.0, jitter)
        await asyncio.sleep(max(0.0, due - loop.time()))
        nodes[0].chain.mine(1)
        for node in nodes:
            if node.announces:
                await node.announce()
