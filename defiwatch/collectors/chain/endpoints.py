"""The endpoints of one chain: connected, watched, asked. What to make of how they fare is `health`'s to decide."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from defiwatch.collectors.chain.health import Health
from defiwatch.collectors.chain.rhythm import Rhythm
from defiwatch.collectors.wire import HEADER, TEXT, Budget, HttpRpc, Rate, Rpc, WebSocketRpc, connect
from defiwatch.config import Chain
from defiwatch.domain.frames import Header
from defiwatch.domain.ids import Hash
from defiwatch.domain.keccak import keccak
from defiwatch.domain.units import from_hex
from defiwatch.errors import (
    AnswerError,
    BudgetError,
    ConfigError,
    EndpointError,
    LimitError,
    NodeError,
    SourceError,
    WrongChainError,
)

T = TypeVar("T")

_START_TRIES = 2
_POLL_TRIES = 3
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_WRONG_CHAIN_PAUSE = 60.0
_UNTRUSTED_PAUSE = 300.0
_UNHEARD_HEADS = 2
_SHOWN_KEPT = 512
_LATELY = 0.75
"""Of the pause between two polls: who was heard of since needs none."""


class Endpoints:
    """Keeps every endpoint connected and hands its heads to `on_head(index, header, polled)`. Use as a context manager.

    `stir` is called whenever something changed that the collector should look at.
    """

    def __init__(
        self,
        chain: Chain,
        health: Health,
        *,
        on_head: Callable[[int, Header], None],
        stir: Callable[[], None],
        timeout: float = 20.0,
        open_rpc: Callable[[str], Awaitable[Rpc]] | None = None,
    ) -> None:
        if not chain.endpoints:
            raise ConfigError(f'chain {chain.name!r} has no endpoint: set rpc = ["wss://…", "https://…"]')
        self.chain = chain
        self.health = health
        self._on_head = on_head
        self._stir = stir
        self._timeout = timeout
        self._open = open_rpc or (lambda url: connect(url, timeout=timeout))
        self.rpcs: list[Rpc | None] = [None] * len(chain.endpoints)
        self.pushes: list[bool] = [False] * len(chain.endpoints)
        """Whether an endpoint announces its heads by itself."""
        self._tries = [0] * len(chain.endpoints)
        self._last_words = [""] * len(chain.endpoints)
        self._watches: list[asyncio.Task[None] | None] = [None] * len(chain.endpoints)
        self._proved_wrong = [""] * len(chain.endpoints)
        shared = (Budget(chain.budget, self._now),) if chain.budget else ()
        self._budgets = [
            (*((Budget(endpoint.budget, self._now),) if endpoint.budget else ()), *shared)
            for endpoint in chain.endpoints
        ]
        self.rates = [Rate(clock=self._now) for _ in chain.endpoints]
        """What each was found to take."""
        self.heard = asyncio.Event()
        """Set whenever an endpoint shows a head."""
        self._shown: OrderedDict[Hash, frozenset[int]] = OrderedDict()
        self._ever = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._keep(i, endpoint.url), name=f"{self.chain.name} endpoint {i}")
            for i, endpoint in enumerate(self.chain.endpoints)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def raise_if_hopeless(self) -> None:
        """SourceError if none was ever reached and each was tried enough; a watcher's own fault comes out too."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
        if self._ever or min(self._tries) < _START_TRIES:
            return
        words = "; ".join(text for text in self._last_words if text)
        conditions = {self.health.condition(i, self._now()) for i in range(len(self.rpcs))}
        kind = WrongChainError if conditions == {"untrusted"} else SourceError
        raise kind(f"chain {self.chain.name}: no endpoint could be used: {words}")

    async def ask(self, attempt: int, question: Callable[[int, Rpc], Awaitable[T]]) -> T:
        """Put a question to the endpoint that serves, or at a further attempt to the next.

        Raises what the endpoint raised; LimitError with `retry_after` if all that are connected are resting.
        """
        candidates = self.usable()
        if not candidates:
            wait = self.health.wait(self._now())
            raise LimitError(f"chain {self.chain.name}: no endpoint may be asked for {wait:.1f} s", retry_after=wait)
        return await self.put(candidates[attempt % len(candidates)], question)

    def usable(self) -> list[int]:
        """The endpoints that may be asked now, best first."""
        return [i for i in self.health.order(self._now()) if self.rpcs[i] is not None]

    async def put(self, index: int, question: Callable[[int, Rpc], Awaitable[T]]) -> T:
        """Put a question to one endpoint. Raises what it raised; EndpointError if it is not connected."""
        rpc = self.rpcs[index]
        if rpc is None:
            raise EndpointError(f"chain {self.chain.name}: endpoint {index} is not connected")
        try:
            value = await question(index, rpc)
        except LimitError as error:
            if not error.too_large:
                self._limited(index, error)
            raise
        except NodeError:
            self.health.served(index, rpc.latency, self._now())
            raise
        except EndpointError as error:
            self.health.failed(index, str(error), self._now())
            raise
        self.health.served(index, rpc.latency, self._now())
        return value

    def showed(self, index: int, header: Header) -> None:
        """A header that it gave when asked tells of its head too, where it is not below what it showed before."""
        height, _ = self.health.shown(index)
        if height is None or from_hex(header.number) >= height:
            self._report(index, header)

    def has(self, index: int, header: Header) -> None:
        """Asked for what is at that height, it answered for this very block: its head is no lower."""
        height, _ = self.health.shown(index)
        number = from_hex(header.number)
        if height is None or number >= height:
            self.health.head(index, number, self._now())
        self._note(index, header.hash)

    async def look(self, index: int) -> Header | None:
        """Ask it for its head. Raises what it raised."""
        head = await self.put(index, _latest)
        self._report(index, head)
        return head

    def learnt(self) -> dict[str, int]:
        """The rates that were learnt, and the waits between heads (milliseconds, and how many were seen), by a name of
        each endpoint that tells nothing of it."""
        found: dict[str, int] = {}
        for endpoint, rate, rhythm in zip(self.chain.endpoints, self.rates, self.health.rhythms, strict=True):
            found[_name("rate", endpoint.url)] = rate.learnt
            found[_name("wait", endpoint.url)] = round(1000 * rhythm.seconds)
            found[_name("waits", endpoint.url)] = rhythm.seen
        return found

    def recall(self, learnt: Mapping[str, int]) -> None:
        """Take up what was learnt before."""
        urls = [endpoint.url for endpoint in self.chain.endpoints]
        self.rates = [Rate(learnt.get(_name("rate", url), 0), self._now) for url in urls]
        self.health.rhythms = [
            Rhythm(learnt.get(_name("wait", url), 0) / 1000, learnt.get(_name("waits", url), 0)) for url in urls
        ]

    def shown_by(self, block_hash: Hash) -> frozenset[int]:
        """The endpoints that showed this block as their head, or at its height when asked for that."""
        return self._shown.get(block_hash, frozenset())

    def distrust(self, index: int, detail: str) -> None:
        """What it said was proved wrong: it is left, and tried again much later."""
        watch = self._watches[index]
        if watch is None or self._proved_wrong[index]:
            return
        self._proved_wrong[index] = detail
        self.health.wrong(index, detail, self._now())
        watch.cancel()
        self._stir()

    def _limited(self, index: int, error: LimitError) -> None:
        if not isinstance(error, BudgetError):
            self.rates[index].refused()
        self.health.limited(index, str(error), error.retry_after, self._now())

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _keep(self, index: int, url: str) -> None:
        """Connect, watch, and connect again, for as long as it takes."""
        pause = _FIRST_PAUSE
        while True:
            rpc: Rpc | None = None
            try:
                rpc = await self._open(url)
                rpc.budgets, rpc.rate = self._budgets[index], self.rates[index]
                await self._check_chain(rpc)
                self.rpcs[index] = rpc
                self._ever = True
                self.health.connected(index, self._now())
                self._stir()
                pause = _FIRST_PAUSE
                await self._watched(index, rpc)
                pause = _UNTRUSTED_PAUSE
            except WrongChainError as error:
                self._tries[index] = max(self._tries[index], _START_TRIES)
                self._last_words[index] = str(error)
                self.health.wrong(index, str(error), self._now())
                pause = _WRONG_CHAIN_PAUSE
            except EndpointError as error:
                self._last_words[index] = str(error)
                self.health.lost(index, str(error), self._now())
                if isinstance(error, LimitError) and error.retry_after is not None:
                    pause = max(pause, error.retry_after)
            finally:
                self.rpcs[index] = None
                self.pushes[index] = False
                if rpc is not None:
                    with contextlib.suppress(EndpointError):
                        await rpc.close()
            self._tries[index] += 1
            self._stir()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _watched(self, index: int, rpc: Rpc) -> None:
        """Watch an endpoint; returns only once it is distrusted."""
        watch = self._watches[index] = asyncio.create_task(self._watch(index, rpc))
        try:
            await watch
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not self._proved_wrong[index] or (current is not None and current.cancelling()):
                raise
        finally:
            watch.cancel()
            self._watches[index] = None
            self._proved_wrong[index] = ""

    async def _check_chain(self, rpc: Rpc) -> None:
        told = await rpc.call("eth_chainId", [], TEXT)
        try:
            chain_id = from_hex(told)
        except ValueError as error:
            raise AnswerError(f"{rpc.name}: eth_chainId: expected a hex number, got {told[:40]!r}") from error
        if chain_id != self.chain.chain_id:
            raise WrongChainError(f"{rpc.name}: serves chain {chain_id}, expected {self.chain.chain_id}")

    async def _watch(self, index: int, rpc: Rpc) -> None:
        """Bring its heads until the connection is gone."""
        if isinstance(rpc, WebSocketRpc):
            try:
                subscription = await rpc.subscribe(["newHeads"], HEADER)
            except NodeError:
                await self._poll(index, rpc)
                return
            self.pushes[index] = True
            self.health.pushing(index, self._now())
            self._stir()
            await self._listen(index, rpc, subscription.next)
        else:
            await self._poll(index, rpc)

    async def _listen(self, index: int, rpc: Rpc, following: Callable[[], Awaitable[Header | None]]) -> None:
        """A subscription that says nothing is checked against the chain: if that moved on, the subscription hangs."""
        quiet = max(3 * self.chain.block_time, 3.0)
        heard = -1
        unheard = 0
        while True:
            try:
                async with asyncio.timeout(quiet):
                    header = await following()
            except TimeoutError:
                if self.health.rest(index, self._now()) > 0:
                    continue
                try:
                    latest = await _latest(index, rpc)
                except LimitError as error:
                    self._limited(index, error)
                    continue
                number = -1 if latest is None else from_hex(latest.number)
                self._report(index, latest)
                unheard = unheard + 1 if number > heard else 0
                heard = max(heard, number)
                if unheard >= _UNHEARD_HEADS:
                    raise EndpointError(f"{rpc.name}: the chain moves on, its subscription says nothing") from None
                continue
            unheard = 0
            if header is not None:
                heard = from_hex(header.number)
                self._report(index, header)

    async def _poll(self, index: int, rpc: Rpc) -> None:
        """One that stands by is asked now and then; one that serves, or was heard of lately, is asked by others."""
        pause = max(2 * self.chain.block_time, 1.0)
        failures = 0
        while True:
            height, heard = self.health.shown(index)
            lately = height is not None and self._now() - heard < _LATELY * pause
            resting = self.health.rest(index, self._now()) > 0
            if not resting and ((self.health.active != index and not lately) or failures):
                try:
                    self._report(index, await _latest(index, rpc))
                    failures = 0
                except LimitError as error:
                    self._limited(index, error)
                except EndpointError:
                    failures += 1
                    if failures >= _POLL_TRIES or not isinstance(rpc, HttpRpc):
                        raise
            await asyncio.sleep(max(pause, self.health.rest(index, self._now())))

    def _report(self, index: int, header: Header | None) -> None:
        if header is not None and header.hash:
            self.health.head(index, from_hex(header.number), self._now())
            self._note(index, header.hash)
            self._on_head(index, header)
            self._stir()

    def _note(self, index: int, block_hash: Hash) -> None:
        self._shown[block_hash] = self.shown_by(block_hash) | {index}
        while len(self._shown) > _SHOWN_KEPT:
            self._shown.popitem(last=False)
        self.heard.set()


async def _latest(_: int, rpc: Rpc) -> Header | None:
    return await rpc.call("eth_getBlockByNumber", ["latest", False], HEADER)


def _name(what: str, url: str) -> str:
    return f"{what} {keccak(url.encode()).hex()[:16]}"
