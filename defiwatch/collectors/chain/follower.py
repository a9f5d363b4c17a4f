"""One line's way along a chain: the ledger's questions are sent, its frames handed out, the line's reads made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

import msgspec

from defiwatch.collectors.chain.answers import Answers
from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.filters import Wanted
from defiwatch.collectors.chain.findings import Finding
from defiwatch.collectors.chain.history import History, Piece
from defiwatch.collectors.chain.ledger import Ask, AskHeaders, Ledger
from defiwatch.collectors.chain.omissions import Omissions
from defiwatch.collectors.chain.reads import Reads
from defiwatch.collectors.chain.telling import Telling
from defiwatch.collectors.chain.trust import Verifier
from defiwatch.collectors.seam import Emit, Needs
from defiwatch.config import Chain, duration
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, Header, ReadsFrame
from defiwatch.domain.ids import Hash
from defiwatch.domain.units import from_hex
from defiwatch.errors import AnswerError, EndpointError, LimitError, NodeError, UnknownBlockError
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import LogFilter

_MAX_ROUNDS = 16
_MAX_TRIES = 5
_LONGEST_PAUSE = 30.0
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


class Start(msgspec.Struct, frozen=True):
    """Where a follower begins: after the line's own blocks; where it has none, after `at` (a block that was taken
    before; its hash may be ""), else `lookback` blocks below the head.
    """

    lookback: int
    at: BlockRef | None = None


class Follower:
    """See the module. `endpoints` is the way it asks; `until_head`: reads that were coalesced are made up for there."""

    def __init__(
        self,
        chain: Chain,
        endpoints: Endpoints,
        needs: Needs,
        emit: Emit,
        start: Start,
        *,
        telling: Telling,
        on_progress: OnProgress | None = None,
        until_head: bool = False,
        patience: float = 60.0,
    ) -> None:
        self.chain = chain
        self.stirred = asyncio.Event()
        """Set when something happened that it should look at."""
        self._needs = needs
        self.wanted = Wanted(())
        """The logs that the line asks for."""
        self.ledger = self._made_ledger(start, patience)
        self.reads = Reads(endpoints)
        self.verifier = Verifier(chain, endpoints, self.stirred.set)
        self.history = History(endpoints, self.stirred.set)
        self._endpoints = endpoints
        self._health = endpoints.health
        self._omissions = Omissions(endpoints)
        self._answers = Answers(self.ledger, self._health, self.verifier, self._omissions)
        self._emit = emit
        self._telling = telling
        self._on_progress = on_progress
        self._until_head = until_head
        self._filters: Sequence[LogFilter] = ()
        self._every = duration(chain.reads) if chain.reads else 0.0
        self._read_at: int | None = None
        self._unread: BlockFrame | None = None
        self._asked: tuple[Hash, set[Call]] = ("", set())
        self._piece: Piece | None = None
        """A piece of history whose reads were not answered yet."""
        self._tries = 0
        self._piece_after = 0.0
        """When they may be asked for again."""
        self._reach: int | None = None
        """How far below the head a node still has state, once one had none; None while that is not known."""
        self._total = 0
        self._served_by: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def _made_ledger(self, start: Start, patience: float) -> Ledger:
        own = list(self._needs.blocks())
        if not own and start.at is not None:
            own = [start.at]
        first = None
        if own and not own[-1].hash:
            first, own = own[-1].number + 1, []
        return Ledger(
            self.chain.chain_id,
            own=own,
            first=first,
            lookback=start.lookback,
            confirmations=self.chain.confirmations,
            depth=self.chain.journal,
            patience=patience,
            block_time=self.chain.block_time,
            doubts=lambda header, found: self.wanted.doubts(header, found),
        )

    # -- the parts of a turn ---------------------------------------------------------------------------------------

    async def turn(self) -> bool:
        """Ask what is to be asked, and hand out one frame; whether there was one."""
        self._raise_faults()
        self.verifier.settle()
        for header in self.ledger.take_settled():
            for index in self._omissions.suspects(header):
                self._spawn(self._omissions.confront(header, self.wanted, index))
        if self._health.active is not None:
            self._set_pace(self._health.active)
            if self._health.active != self._served_by:
                self._served_by = self._health.active
                self.ledger.recheck()
            self._follow_filters()
            for ask in self.ledger.asks(_now()):
                self._send(ask)
        return await self._step()

    @property
    def done(self) -> bool:
        """Whether the head is reached, its reads are made, and the history is searched."""
        return (
            self.ledger.at_head
            and self.history.idle
            and (self._piece is None or self._tries >= _MAX_TRIES)
            and self.verifier.idle
        )

    async def rest(self, latest: float | None = None) -> None:
        """Wait until something happens or is due, at the latest until `latest`."""
        now = _now()
        until = now + _MAX_IDLE if latest is None else min(latest, now + _MAX_IDLE)
        if self._health.active is not None:
            until = min(until, self.ledger.wake(now))
        try:
            async with asyncio.timeout(max(0.0, until - now)):
                await self.stirred.wait()
        except TimeoutError:
            return
        self.stirred.clear()

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.verifier.close()
        await self.history.close()

    def on_head(self, index: int, header: Header) -> None:
        """An endpoint showed a head."""
        self.verifier.header_from(index, header)
        if index == self._health.active:
            self.ledger.on_head(header, _now())

    async def _step(self) -> bool:
        """Emit one frame, or take one piece of history. False if there is none."""
        if self.verifier.findings:
            await self._take_finding(self.verifier.findings.popleft())
            return True
        frame = self.ledger.take() if self.verifier.has_room else None
        if isinstance(frame, BlockFrame):
            frame = await self._checked(frame)
            await self._emit(frame)
            self._follow_filters()
            await self._after_block(frame)
            return True
        if frame is not None:
            await self._emit(frame)
            return True
        if self._unread is not None and self.ledger.at_head and self._until_head:
            await self._read_open(self._unread)
            return True
        return self._has_state() and await self._take_history()

    async def _checked(self, frame: BlockFrame) -> BlockFrame:
        """The block as it is to be emitted. Close to the head it waits a little for its check, so that what is told of
        it can say how far it is trusted; further below, the finding follows it.
        """
        patience = min(self.chain.block_time / 2, _LONGEST_CHECK) if self.ledger.behind <= _CLOSE else 0.0
        finding = await self.verifier.check(frame, self.wanted, patience)
        if finding is None:
            return frame
        await self._telling.finding(finding)
        return finding.correct or frame

    async def _take_finding(self, finding: Finding) -> None:
        """A finding that comes after its block."""
        header = finding.frame.header
        if not self.ledger.owns(from_hex(header.number), header.hash):
            return
        if finding.correct is None:
            await self._telling.finding(finding)
        else:
            self.ledger.correct(finding.correct.header, finding.correct.logs)

    def _raise_faults(self) -> None:
        """A fault of ours in a task comes out here."""
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    def _set_pace(self, active: int) -> None:
        block_time = self.chain.block_time
        if self._endpoints.pushes[active]:
            self.ledger.pace(2.5 * block_time, block_time)
        else:
            again = min(max(block_time / 8, 0.05), 2.0)
            self.ledger.pace(block_time, again)

    def _follow_filters(self) -> None:
        filters = self._needs.filters()
        if filters is not self._filters and tuple(filters) != tuple(self._filters):
            self.wanted = Wanted(filters)
            self.ledger.on_filter()
        self._filters = filters

    # -- questions -------------------------------------------------------------------------------------------------

    def _send(self, ask: Ask) -> None:
        self._spawn(self._answer(ask, self.wanted))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda _: self.stirred.set())

    async def _answer(self, ask: Ask, wanted: Wanted) -> None:
        try:
            take = await self._endpoints.ask(ask.attempt, partial(self._answers.put, ask, wanted))
        except EndpointError as error:
            too_large = isinstance(error, LimitError) and error.too_large
            if isinstance(ask, AskHeaders) and ask.last > ask.first and isinstance(error, (AnswerError, NodeError)):
                # A server that takes no batches says so in many ways.
                too_large = not isinstance(error, UnknownBlockError)
            now = _now()
            delay = 0.0 if self._health.order(now) else self._health.wait(now)
            self.ledger.on_failure(ask.id, now, too_large=too_large, delay=delay)
            return
        take(_now())

    # -- reads -----------------------------------------------------------------------------------------------------

    def _has_state(self) -> bool:
        """Whether the nodes can be expected to know the state at our tip."""
        return self._reach is None or self.ledger.behind <= self._reach

    async def _after_block(self, frame: BlockFrame) -> None:
        behind = self.ledger.behind
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
        if self.ledger.owns(number, block_hash):
            self.history.start(self._needs.scans(), number)

    async def _read(self, wanted: Sequence[Call], number: int, block_hash: Hash) -> bool:
        """Make one round of reads; False if there was nothing new to ask or nothing came of it."""
        if self._asked[0] != block_hash:
            self._asked = (block_hash, set())
        calls = [call for call in dict.fromkeys(wanted) if call not in self._asked[1]]
        if not calls:
            return False
        self._asked[1].update(calls)
        behind = self.ledger.behind
        try:
            answers = await self.reads.make(calls, number, block_hash, patient=behind < _FAR)
        except UnknownBlockError:
            if behind > 0:
                self._reach = behind // 2
            return False
        except EndpointError as error:
            await self._telling.say("down", f"reads at block {number} were not answered: {error}", number)
            return False
        if behind > 0 and self._reach is not None:
            self._reach = max(self._reach, behind)
        if not answers or not self.ledger.owns(number, block_hash):
            return False
        await self._emit(ReadsFrame(self.chain.chain_id, hex(number), tuple(answers), block_hash))
        self._follow_filters()
        return True

    async def _take_history(self) -> bool:
        """Take one piece of history; one whose reads were not answered is tried again a little later."""
        tip = self.ledger.tip
        if tip is None or _now() < self._piece_after or (self._piece is None and self.history.pieces.empty()):
            return False
        piece = self._piece = self._piece or self.history.pieces.get_nowait()
        done = await self._take_piece(piece, *tip)
        self._tries = 0 if done else self._tries + 1
        self._piece_after = _now() + min(0.5 * 2.0**self._tries, _LONGEST_PAUSE) if self._tries else 0.0
        if done:
            self._piece = None
            self._needs.searched(piece.scan, piece.first)
            self.history.start(self._needs.scans(), tip[0])
            if self._on_progress is not None:
                self._on_progress(Progress(self.chain.name, "history", piece.done, piece.total))
        return True

    async def _take_piece(self, piece: Piece, number: int, block_hash: Hash) -> bool:
        """Make the reads that a piece leads to. False if they were not answered."""
        asked = self._asked[1] if self._asked[0] == block_hash else set()
        calls = [call for call in self._needs.on_scan(piece.scan, piece.logs) if call not in asked]
        if not calls:
            return True
        if not await self._read(calls, number, block_hash):
            self._asked[1].difference_update(calls)
            return False
        for _ in range(_MAX_ROUNDS):
            if not await self._read(self._needs.wants(), number, block_hash):
                break
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
