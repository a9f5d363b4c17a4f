"""A chain asked and left: one block, what contracts say at it, the logs on the way to it. For commands that answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from defiwatch.collectors.chain import logs
from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.filters import Query, Wanted
from defiwatch.collectors.chain.health import Health
from defiwatch.collectors.chain.reads import Reads
from defiwatch.collectors.wire import HEADER, Rpc
from defiwatch.config import Chain
from defiwatch.domain.frames import BlockFrame, CallResult, Header, RawLog
from defiwatch.domain.units import from_hex
from defiwatch.errors import AnswerError, EndpointError, LimitError, NodeError, SourceError
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import LogFilter, Scan

T = TypeVar("T")

_TRIES = 4
_WAIT_S = 0.05
_LONGEST_WAIT_S = 5.0


class Glance:
    """One chain's endpoints for the length of one question. Use as an async context manager.

    SourceError if no endpoint can be reached.
    """

    def __init__(
        self, chain: Chain, *, timeout: float = 20.0, open_rpc: Callable[[str], Awaitable[Rpc]] | None = None
    ) -> None:
        self.chain = chain
        self.span = 10_000
        """Blocks in one question for logs; halved when a node refuses."""
        self.batch = 50
        """Headers in one batch; halved likewise."""
        self._health = Health(len(chain.endpoints), chain.block_time)
        self._stirred = asyncio.Event()
        self._endpoints = Endpoints(
            chain,
            self._health,
            on_head=lambda _index, _header: None,
            stir=self._stirred.set,
            timeout=timeout,
            open_rpc=open_rpc,
        )
        self._reads = Reads(self._endpoints)

    async def __aenter__(self) -> Self:
        await self._endpoints.__aenter__()
        try:
            while self._health.active is None:
                self._endpoints.raise_if_hopeless()
                self._stirred.clear()
                try:
                    async with asyncio.timeout(_WAIT_S):
                        await self._stirred.wait()
                except TimeoutError:
                    continue
        except BaseException:
            await self._endpoints.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._endpoints.__aexit__(kind, error, trace)

    async def header(self, number: int | None = None) -> Header:
        """The newest block's header, or that of a height. SourceError if there is no such block."""
        which = "latest" if number is None else hex(number)

        async def ask(_: int, rpc: Rpc) -> Header | None:
            return await rpc.call("eth_getBlockByNumber", [which, False], HEADER)

        found = await self._ask(ask)
        if found is None or not found.hash:
            raise SourceError(f"chain {self.chain.name}: it has no block {which if number is None else number}")
        return found

    async def reads(self, calls: Sequence[Call], header: Header, *, patient: bool = True) -> list[CallResult]:
        """The answers at a block, in the order of `calls`; what no node answered is left out.

        `patient`: a node that does not have the block's state yet is asked again. UnknownBlockError if none has it.
        """
        return await self._reads.make(calls, from_hex(header.number), header.hash, patient=patient) if calls else []

    async def blocks(self, filters: Sequence[LogFilter], first: int, last: int) -> list[BlockFrame]:
        """The blocks from `first` to `last` that have logs of `filters`, oldest first, without the others.

        SourceError if blocks changed while they were asked for.
        """
        wanted = Wanted(filters)
        by_block: dict[int, list[RawLog]] = {}
        for log in await self._logs(lambda low, high: partial(_logs, wanted, low, high), first, last):
            if log.block_number is not None:
                by_block.setdefault(from_hex(log.block_number), []).append(log)
        headers = await self._headers(sorted(by_block))
        frames: list[BlockFrame] = []
        for number, held in sorted(by_block.items()):
            header = headers[number]
            if any(log.block_hash and log.block_hash.lower() != header.hash.lower() for log in held):
                raise SourceError(f"chain {self.chain.name}: block {number} was replaced while it was read; ask again")
            held.sort(key=_place)
            frames.append(BlockFrame(self.chain.chain_id, header, tuple(held)))
        return frames

    async def search(self, scan: Scan, last: int, *, most: int = 200) -> list[RawLog] | None:
        """The logs of a search up to `last`; None if that would take more than `most` questions."""
        query = Query(scan.addresses, scan.topics)
        if last - scan.from_block >= most * self.span:
            return None
        return await self._logs(lambda low, high: partial(_plain, query, low, high), scan.from_block, last)

    async def _logs(
        self, question: Callable[[int, int], Callable[[int, Rpc], Awaitable[Sequence[RawLog]]]], first: int, last: int
    ) -> list[RawLog]:
        found: list[RawLog] = []
        low = first
        while low <= last:
            high = min(last, low + self.span - 1)
            try:
                found += await self._ask(question(low, high))
            except LimitError as error:
                if not error.too_large or high == low:
                    raise
                self.span = (high - low + 2) // 2
                continue
            low = high + 1
        return found

    async def _headers(self, numbers: Sequence[int]) -> dict[int, Header]:
        found: dict[int, Header] = {}
        at = 0
        while at < len(numbers):
            part = numbers[at : at + self.batch]
            try:
                answers = await self._ask(partial(_headers, part))
            except (AnswerError, LimitError, NodeError):
                if len(part) == 1:
                    raise
                self.batch = (len(part) + 1) // 2
                continue
            for number, header in zip(part, answers, strict=True):
                if header is None or not header.hash:
                    raise SourceError(f"chain {self.chain.name}: it has no block {number}")
                found[number] = header
            at += len(part)
        return found

    async def _ask(self, question: Callable[[int, Rpc], Awaitable[T]]) -> T:
        """Put a question, again elsewhere or later where an endpoint failed."""
        for attempt in range(_TRIES):
            try:
                return await self._endpoints.ask(attempt, question)
            except LimitError as error:
                if error.too_large or attempt + 1 == _TRIES:
                    raise
                await asyncio.sleep(min(error.retry_after or 0.2 * 2**attempt, _LONGEST_WAIT_S))
            except NodeError:
                raise
            except EndpointError:
                if attempt + 1 == _TRIES:
                    raise
                await asyncio.sleep(0.1 * 2**attempt)
        raise SourceError(f"chain {self.chain.name}: no endpoint answered")


async def _logs(wanted: Wanted, first: int, last: int, _: int, rpc: Rpc) -> list[RawLog]:
    return await logs.of_range(rpc, wanted, first, last)


async def _plain(query: Query, first: int, last: int, _: int, rpc: Rpc) -> Sequence[RawLog]:
    return await logs.plain(rpc, query, first, last)


async def _headers(numbers: Sequence[int], _: int, rpc: Rpc) -> list[Header | None]:
    if len(numbers) == 1:
        return [await rpc.call("eth_getBlockByNumber", [hex(numbers[0]), False], HEADER)]
    found: list[Header | None] = []
    for answer in await rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number in numbers], HEADER):
        if isinstance(answer, NodeError):
            raise answer
        found.append(answer)
    return found


def _place(log: RawLog) -> int:
    return from_hex(log.log_index) if log.log_index else 0
