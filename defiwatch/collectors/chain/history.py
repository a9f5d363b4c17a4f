"""Searches through past logs: what only history tells, newest first, in ranges that a node takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from defiwatch.collectors.chain import logs
from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.filters import Query
from defiwatch.collectors.wire import Rpc
from defiwatch.domain.frames import RawLog
from defiwatch.errors import EndpointError, LimitError
from defiwatch.protocols.spec import Scan

_MAX_RANGE = 100_000
_LONGEST_PAUSE = 30.0
_FEW_LOGS = 500


class Piece(msgspec.Struct, frozen=True):
    """Part of a search's outcome: the blocks from `first` on are searched now. `done` and `total` count blocks; `last`
    marks the end of the search."""

    scan: Scan
    logs: tuple[RawLog, ...]
    first: int
    done: int
    total: int
    last: bool


class History:
    """Runs searches one after the other. Pieces wait in a short queue: while nobody takes them, nothing is asked."""

    def __init__(self, endpoints: Endpoints, stir: Callable[[], None], *, span: int = 10_000) -> None:
        self.span = span
        """Blocks in one question; halved when a node refuses, doubled while answers are small."""
        self.pieces: asyncio.Queue[Piece] = asyncio.Queue(maxsize=4)
        self._endpoints = endpoints
        self._stir = stir
        self._started: set[str] = set()
        self._open: frozenset[str] = frozenset()
        self._waiting: list[tuple[Scan, int]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether every search was run and every piece taken."""
        return not self._waiting and self.pieces.empty() and (self._task is None or self._task.done())

    def start(self, scans: Sequence[Scan], until: int) -> None:
        """Begin those searches that were not begun yet, where they say, else at the height `until`. Those that are
        under way and no longer among `scans` are given up; one of them that opens again begins anew."""
        self._open = frozenset(scan.key for scan in scans)
        self._started &= self._open | {scan.key for scan, _ in self._waiting}
        for scan in scans:
            if scan.key not in self._started:
                self._started.add(scan.key)
                self._waiting.append((scan, until if scan.until is None else scan.until))
        if self._task is not None and self._task.done():
            self._task.result()
            self._task = None
        if self._waiting and self._task is None:
            self._task = asyncio.create_task(self._run(), name="history")

    async def close(self) -> None:
        """Stop searching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            scan, until = self._waiting[0]
            await self._search(scan, until)
            self._waiting.pop(0)
        self._stir()

    async def _search(self, scan: Scan, until: int) -> None:
        query = Query(scan.addresses, scan.topics)
        total = max(0, until - scan.from_block + 1)
        last = until
        attempt = 0
        while last >= scan.from_block and scan.key in self._open:
            first = max(scan.from_block, last - self.span + 1)
            try:
                found = await self._endpoints.ask(attempt, partial(_ask, query, first, last))
            except LimitError as error:
                if error.too_large and last > first:
                    self.span = (last - first + 2) // 2
                    continue
                attempt += 1
                await asyncio.sleep(min(error.retry_after or 0.5 * 2.0 ** min(attempt, 6), _LONGEST_PAUSE))
                continue
            except EndpointError:
                attempt += 1
                await asyncio.sleep(min(0.25 * 2.0 ** min(attempt, 7), _LONGEST_PAUSE))
                continue
            attempt = 0
            if len(found) < _FEW_LOGS and last - first + 1 == self.span:
                self.span = min(self.span * 2, _MAX_RANGE)
            last = first - 1
            done = until - last
            await self.pieces.put(Piece(scan, tuple(found), first, done, total, last < scan.from_block))
            self._stir()


async def _ask(query: Query, first: int, last: int, _: int, rpc: Rpc) -> Sequence[RawLog]:
    return await logs.plain(rpc, query, first, last)
