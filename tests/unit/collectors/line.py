"""A line's stand-in: takes frames as the engine does, holds them to the collectors' promises, and wants things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from defiwatch.config import Chain
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, CallResult, Frame, HealthFrame, RawLog, ReadsFrame, RemovedFrame
from defiwatch.domain.units import from_hex
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import LogFilter, Scan
from tests.unit.collectors.made_up_chain import OTHER, SWAP, SYNC, TOKEN, MadeUp, MadeUpChain

FILTER = LogFilter(frozenset({TOKEN, OTHER}), frozenset({SWAP, SYNC}))


def chain_of(*urls: str, block_time: float = 0.05, confirmations: int = 4, reads: str = "", chain_id: int = 1) -> Chain:
    return Chain(
        name="made-up", chain_id=chain_id, rpc=urls, confirmations=confirmations, block_time=block_time, reads=reads
    )


class Line:
    """Implements `seam.Needs`; `emit` is its door."""

    def __init__(self, chain: MadeUpChain, calls: Callable[[int], Sequence[Call]] | None = None) -> None:
        self.chain = chain
        self.stack: list[BlockRef] = []
        self.frames: list[Frame] = []
        self.answers: dict[str, dict[Call, CallResult]] = {}
        self.reads: list[ReadsFrame] = []
        self.health: list[HealthFrame] = []
        self.removed: list[RemovedFrame] = []
        self.logs: dict[str, tuple[RawLog, ...]] = {}
        self.wanted_logs: Callable[[MadeUp], tuple[RawLog, ...]] = lambda block: tuple(
            log for log in block.logs if log.address in (TOKEN, OTHER)
        )
        self.filter = [FILTER]
        self.calls = calls or (lambda _: ())
        self.rounds = 1
        """How many rounds of reads the line wants at each block."""
        self.open_scans: list[Scan] = []
        self.scanned: list[RawLog] = []
        self.searched_to: int | None = None
        self.scan_calls: Callable[[Sequence[RawLog]], Sequence[Call]] = lambda _: ()
        self.stirred = asyncio.Event()

    async def emit(self, frame: Frame) -> None:
        self.frames.append(frame)
        if isinstance(frame, BlockFrame):
            number = from_hex(frame.header.number)
            if self.stack:
                assert frame.header.parent_hash == self.stack[-1].hash, f"block {number} does not follow"
            self.stack.append(
                BlockRef(1, number, frame.header.hash, from_hex(frame.header.timestamp), frame.header.parent_hash)
            )
            self.logs[frame.header.hash] = frame.logs
            block = self.chain.blocks.get(frame.header.hash)
            assert block is not None
            assert frame.logs == self.wanted_logs(block), f"block {number}"
        elif isinstance(frame, RemovedFrame):
            gone = self.stack.pop()
            assert (gone.hash, gone.number) == (frame.hash, from_hex(frame.number))
            self.removed.append(frame)
        elif isinstance(frame, ReadsFrame):
            assert (frame.block_hash, from_hex(frame.block)) == (self.stack[-1].hash, self.stack[-1].number)
            taken = self.answers.setdefault(frame.block_hash, {})
            for answer in frame.calls:
                call = Call(answer.to, answer.data)
                assert call not in taken, "asked twice at one block"
                taken[call] = answer
            self.reads.append(frame)
        elif isinstance(frame, HealthFrame):
            self.health.append(frame)
        self.stirred.set()
        await asyncio.sleep(0)

    def filters(self) -> Sequence[LogFilter]:
        return self.filter

    def wants(self) -> Sequence[Call]:
        if not self.stack:
            return ()
        taken = self.answers.get(self.stack[-1].hash, {})
        for turn in range(self.rounds):
            open_now = [Call(c.to, c.data + f"{turn:02x}") for c in self.calls(self.stack[-1].number)]
            open_now = [call for call in open_now if call not in taken]
            if open_now:
                return open_now
        return ()

    def scans(self) -> Sequence[Scan]:
        return self.open_scans

    def searched(self, scan: Scan, first: int) -> None:
        self.searched_to = first

    def on_scan(self, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:
        assert scan in self.open_scans
        self.scanned += logs
        return self.scan_calls(logs)

    def blocks(self) -> Sequence[BlockRef]:
        return self.stack

    async def until(self, what: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until the line has seen something."""
        async with asyncio.timeout(seconds):
            while not what():
                self.stirred.clear()
                await self.stirred.wait()

    @property
    def tip(self) -> str:
        return self.stack[-1].hash if self.stack else ""

    def states(self, source: str) -> list[str]:
        return [frame.state for frame in self.health if source in frame.source]
