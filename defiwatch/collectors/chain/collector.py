"""The thin shell around the ledger: sends its questions, hands out its frames, makes the reads that the line wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import partial

import msgspec

from defiwatch.collectors.chain import headers, logs
from defiwatch.collectors.chain.asks import Ask, AskHeader, AskHeaders, AskLatest, AskLogs
from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.filters import Wanted
from defiwatch.collectors.chain.health import Health
from defiwatch.collectors.chain.history import History, Piece
from defiwatch.collectors.chain.ledger import Ledger
from defiwatch.collectors.chain.limits import Limits
from defiwatch.collectors.chain.reads import Reads
from defiwatch.collectors.chain.telling import Telling
from defiwatch.collectors.chain.trust import Finding, Verifier
from defiwatch.collectors.seam import Emit, Needs
from defiwatch.collectors.wire import HEADER, Rpc
from defiwatch.config import Chain, duration
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, Header, ReadsFrame
from defiwatch.domain.ids import Hash
from defiwatch.domain.units import from_hex
from defiwatch.errors import AnswerError, EndpointError, LimitError, NodeError, UnknownBlockError
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import LogFilter

_MAX_ROUNDS = 16
_FAR = 32
_MAX_IDLE = 1.0
_CLOSE = 2
_LONGEST_CHECK = 2.0


class Progress(msgspec.Struct, frozen=True):
    """How far a start has come. `stage` is blocks (the look back, a gap) or history; `done` of `total` blocks."""

    chain: str
    stage: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


class ChainCollector:
    """One chain's frames, for as long as it runs. Implements `seam.Collector`.

    It goes on after the newest of `needs.blocks()`; where there are none, after `start_at` (a block that was taken
    before; its hash may be ""); else it begins `lookback` blocks below the head. `until_head`:
    `run` returns once the head is reached, its reads are made and the history is searched. `wall` gives Unix seconds,
    for health frames only. `limits` is where it keeps what endpoints allow. SourceError if no endpoint was ever
    reached, WrongChainError if all serve another chain.
    """

    def __init__(
        self,
        chain: Chain,
        needs: Needs,
        emit: Emit,
        *,
        lookback: int,
        on_progress: OnProgress | None = None,
        start_at: BlockRef | None = None,
        until_head: bool = False,
        wall: Callable[[], float] = time.time,
        open_rpc: Callable[[str], Awaitable[Rpc]] | None = None,
        timeout: float = 20.0,
        limits: MutableMapping[str, int] | None = None,
    ) -> None:
        self._kept_limits: MutableMapping[str, int] = {} if limits is None else limits
        self.chain = chain
        self._needs = needs
        self._emit = emit
        self._on_progress = on_progress
        self._until_head = until_head
        self._lookback = lookback
        self._start_at = start_at
        self._stirred = asyncio.Event()
        self._health = Health(len(chain.endpoints), chain.block_time)
        self._endpoints = Endpoints(
            chain,
            self._health,
            on_head=self._on_head,
            stir=self._stirred.set,
            timeout=timeout,
            open_rpc=open_rpc,
        )
        self._reads = Reads(self._endpoints)
        self._verifier = Verifier(chain, self._endpoints, self._stirred.set)
        self._telling = Telling(chain, emit, wall)
        self._history = History(self._endpoints, self._stirred.set)
        self._filters: Sequence[LogFilter] = ()
        self._wanted = Wanted(())
        self._every = duration(chain.reads) if chain.reads else 0.0
        self._read_at: int | None = None
        self._unread: BlockFrame | None = None
        self._asked: tuple[Hash, set[Call]] = ("", set())
        self._reach: int | None = None
        """How far below the head a node still has state, once one had none; None while that is not known."""
        self._total = 0
        self._served_by: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ledger = self._make_ledger()

    @property
    def name(self) -> str:
        """The chain's name."""
        return self.chain.name

    async def run(self) -> None:
        """Emit frames until cancelled (or, with `until_head`, until everything up to the head was emitted)."""
        self._ledger = self._make_ledger()
        self._limits = Limits(self._kept_limits, self._ledger, self._reads, self._history)
        async with self._endpoints:
            try:
                while not await self._turn():
                    pass
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                self._tasks.clear()
                await self._verifier.close()
                await self._history.close()

    # -- the parts of a turn ---------------------------------------------------------------------------------------

    async def _turn(self) -> bool:
        """Do what is due, then wait for more; True once there is nothing left to do (`until_head`)."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._raise_faults()
        self._health.judge(now)
        for change in self._health.changes():
            await self._telling.change(change)
        notices, self._ledger.notices = self._ledger.notices, []
        await self._telling.notices(notices, self._ledger)
        self._verifier.settle()
        self._endpoints.raise_if_hopeless()
        if self._health.active is not None:
            self._set_pace(self._health.active)
            if self._health.active != self._served_by:
                self._served_by = self._health.active
                self._ledger.recheck()
            self._follow_filters()
            for ask in self._ledger.asks(now):
                self._send(ask)
        self._limits.note()
        if await self._step():
            return False
        if self._until_head and self._ledger.at_head and self._history.idle and self._verifier.idle:
            return True
        await self._rest(loop.time())
        return False

    def _make_ledger(self) -> Ledger:
        own = list(self._needs.blocks())
        if not own and self._start_at is not None:
            own = [self._start_at]
        first = None
        if own and not own[-1].hash:
            first, own = own[-1].number + 1, []
        return Ledger(
            self.chain.chain_id,
            own=own,
            first=first,
            lookback=self._lookback,
            confirmations=self.chain.confirmations,
            depth=self.chain.journal,
            block_time=self.chain.block_time,
            doubts=lambda header, found: self._wanted.doubts(header, found),
        )

    async def _step(self) -> bool:
        """Emit one frame, or take one piece of history. False if there is none."""
        if self._verifier.findings:
            await self._take_finding(self._verifier.findings.popleft())
            return True
        frame = self._ledger.take() if self._verifier.has_room else None
        if isinstance(frame, BlockFrame):
            frame = await self._checked(frame)
            await self._emit(frame)
            self._follow_filters()
            await self._after_block(frame)
            return True
        if frame is not None:
            await self._emit(frame)
            return True
        if self._unread is not None and self._ledger.at_head and self._until_head:
            await self._read_open(self._unread)
            return True
        if not self._history.pieces.empty() and self._has_state():
            await self._take_piece(self._history.pieces.get_nowait())
            return True
        return False

    async def _checked(self, frame: BlockFrame) -> BlockFrame:
        """The block as it is to be emitted. Close to the head it waits a little for its check, so that what is told of
        it can say how far it is trusted; further below, the finding follows it.
        """
        patience = min(self.chain.block_time / 2, _LONGEST_CHECK) if self._ledger.behind <= _CLOSE else 0.0
        finding = await self._verifier.check(frame, self._wanted, patience)
        if finding is None:
            return frame
        await self._telling.finding(finding)
        return finding.correct or frame

    async def _take_finding(self, finding: Finding) -> None:
        """A finding that comes after its block."""
        header = finding.frame.header
        if not self._ledger.owns(from_hex(header.number), header.hash):
            return
        if finding.correct is None:
            await self._telling.finding(finding)
        else:
            self._ledger.correct(finding.correct.header, finding.correct.logs)

    async def _rest(self, now: float) -> None:
        """Wait until something happens or is due."""
        until = now + _MAX_IDLE
        if self._health.active is not None:
            until = min(until, self._ledger.wake(now))
        changing = self._health.wake(now)
        if changing is not None:
            until = min(until, changing)
        try:
            async with asyncio.timeout(max(0.0, until - now)):
                await self._stirred.wait()
        except TimeoutError:
            return
        self._stirred.clear()

    def _raise_faults(self) -> None:
        """A fault of ours in a task comes out here."""
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    def _set_pace(self, active: int) -> None:
        block_time = self.chain.block_time
        if self._endpoints.pushes[active]:
            self._ledger.pace(2.5 * block_time, block_time)
        else:
            again = min(max(block_time / 8, 0.05), 2.0)
            self._ledger.pace(block_time, again)

    def _follow_filters(self) -> None:
        filters = self._needs.filters()
        if filters is not self._filters and tuple(filters) != tuple(self._filters):
            self._wanted = Wanted(filters)
            self._ledger.on_filter()
        self._filters = filters

    def _on_head(self, index: int, header: Header) -> None:
        self._verifier.header_from(index, header)
        if index == self._health.active:
            self._ledger.on_head(header, asyncio.get_running_loop().time())

    # -- questions -------------------------------------------------------------------------------------------------

    def _send(self, ask: Ask) -> None:
        task = asyncio.create_task(self._answer(ask, self._wanted))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._stirred.set())

    async def _answer(self, ask: Ask, wanted: Wanted) -> None:
        loop = asyncio.get_running_loop()
        ledger = self._ledger
        try:
            take = await self._endpoints.ask(ask.attempt, partial(self._put, ask, wanted))
        except EndpointError as error:
            too_large = isinstance(error, LimitError) and error.too_large
            if isinstance(ask, AskHeaders) and ask.last > ask.first and isinstance(error, (AnswerError, NodeError)):
                # A server that takes no batches says so in many ways.
                too_large = not isinstance(error, UnknownBlockError)
            now = loop.time()
            delay = 0.0 if self._health.order(now) else self._health.wait(now)
            ledger.on_failure(ask.id, now, too_large=too_large, delay=delay)
            return
        take(loop.time())

    async def _put(self, ask: Ask, wanted: Wanted, index: int, rpc: Rpc) -> Callable[[float], None]:
        """Put the ledger's question to an endpoint. Returns what hands the answer to the ledger, at a time."""
        ledger = self._ledger
        if isinstance(ask, AskLatest):
            latest = await rpc.call("eth_getBlockByNumber", ["latest", False], HEADER)
            if latest is not None and latest.hash:
                self._health.head(index, from_hex(latest.number), asyncio.get_running_loop().time())
            self._verifier.header_from(index, latest)
            return partial(ledger.on_latest, ask.id, latest)
        if isinstance(ask, AskHeader):
            header = await rpc.call("eth_getBlockByHash", [ask.hash, False], HEADER)
            self._verifier.header_from(index, header)
            return partial(ledger.on_header, ask.id, header)
        if isinstance(ask, AskHeaders):
            found_headers = await headers.of_range(rpc, ask.first, ask.last)
            for header in found_headers:
                self._verifier.header_from(index, header)
            return partial(ledger.on_headers, ask.id, found_headers)
        if isinstance(ask, AskLogs):
            found = await logs.of_block(rpc, wanted, ask.hash)
            self._verifier.logs_from(index, ask.hash)
            return partial(ledger.on_logs, ask.id, found)
        found = await logs.of_range(rpc, wanted, ask.first, ask.last)
        self._verifier.range_from(index, ask.first, ask.last)
        return partial(ledger.on_range, ask.id, found)

    # -- reads -----------------------------------------------------------------------------------------------------

    def _has_state(self) -> bool:
        """Whether the nodes can be expected to know the state at our tip."""
        return self._reach is None or self._ledger.behind <= self._reach

    async def _after_block(self, frame: BlockFrame) -> None:
        behind = self._ledger.behind
        self._total = max(self._total, behind + 1)
        if self._on_progress is not None and (behind > 0 or self._total > 1):
            self._on_progress(Progress(self.chain.name, "blocks", self._total - behind, self._total))
        if behind == 0:
            self._total = 0
        self._unread = frame
        seconds = from_hex(frame.header.timestamp)
        due = self._read_at is None or seconds - self._read_at >= self._every or seconds < self._read_at
        if due and self._has_state():
            await self._read_open(frame)

    async def _read_open(self, frame: BlockFrame) -> None:
        """Make the reads that the line wants at a block, round after round, until it wants no more."""
        self._unread = None
        number, block_hash = from_hex(frame.header.number), frame.header.hash
        for _ in range(_MAX_ROUNDS):
            if not await self._read(self._needs.wants(), number, block_hash):
                break
            self._read_at = from_hex(frame.header.timestamp)
        if self._ledger.owns(number, block_hash):
            self._history.start(self._needs.scans(), number)

    async def _read(self, wanted: Sequence[Call], number: int, block_hash: Hash) -> bool:
        """Make one round of reads; False if there was nothing new to ask or nothing came of it."""
        if self._asked[0] != block_hash:
            self._asked = (block_hash, set())
        calls = [call for call in dict.fromkeys(wanted) if call not in self._asked[1]]
        if not calls:
            return False
        self._asked[1].update(calls)
        behind = self._ledger.behind
        try:
            answers = await self._reads.make(calls, number, block_hash, patient=behind < _FAR)
        except UnknownBlockError:
            if behind > 0:
                self._reach = behind // 2
            return False
        except EndpointError as error:
            await self._telling.say("down", f"reads at block {number} were not answered: {error}", number)
            return False
        if behind > 0 and self._reach is not None:
            self._reach = max(self._reach, behind)
        if not answers or not self._ledger.owns(number, block_hash):
            return False
        await self._emit(ReadsFrame(self.chain.chain_id, hex(number), tuple(answers), block_hash))
        self._follow_filters()
        return True

    async def _take_piece(self, piece: Piece) -> None:
        tip = self._ledger.tip
        if tip is None:
            return
        if self._on_progress is not None:
            self._on_progress(Progress(self.chain.name, "history", piece.done, piece.total))
        if not piece.logs and not piece.last:
            return
        number, block_hash = tip
        if await self._read(self._needs.on_scan(piece.scan, piece.logs), number, block_hash):
            for _ in range(_MAX_ROUNDS):
                if not await self._read(self._needs.wants(), number, block_hash):
                    break


async def collect_chain(
    chain: Chain,
    needs: Needs,
    emit: Emit,
    *,
    lookback: int,
    on_progress: OnProgress | None = None,
    start_at: BlockRef | None = None,
    until_head: bool = False,
) -> None:
    """Collect one chain's frames: `ChainCollector` as a function."""
    collector = ChainCollector(
        chain,
        needs,
        emit,
        lookback=lookback,
        on_progress=on_progress,
        start_at=start_at,
        until_head=until_head,
    )
    await collector.run()
