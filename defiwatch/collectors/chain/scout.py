"""A scout: it follows the head while the line that it belongs to still goes through a gap behind it, block by block."""

from __future__ import annotations

import asyncio

import msgspec

from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.follower import Follower, Start
from defiwatch.collectors.chain.telling import Telling
from defiwatch.collectors.seam import Emit, Needs
from defiwatch.config import Chain
from defiwatch.domain.frames import BlockFrame, Frame, ReadsFrame, RemovedFrame
from defiwatch.domain.units import from_hex

_WORTH = 64
"""Blocks that are missing from which a scout pays: its start is some dozen requests."""


class Scout:
    """Runs as a task of its own from when it is made until `end`. Its frames of blocks and reads are marked `ahead`."""

    def __init__(self, chain: Chain, endpoints: Endpoints, needs: Needs, emit: Emit, telling: Telling) -> None:
        self.began = asyncio.get_running_loop().time()
        """When it was made, in seconds of the loop's clock."""
        self._out = emit
        self._shown: int | None = None
        """The height of the newest block that was emitted, None before the first."""
        self._telling = telling
        self._health = endpoints.health
        self.follower = Follower(chain, endpoints, needs, self._emit, Start(0), telling=telling)
        self._task = asyncio.create_task(self._run(), name=f"{chain.name} scout")

    @staticmethod
    def worth(behind: int) -> bool:
        """Whether a gap of so many blocks is worth a scout."""
        return behind >= _WORTH

    def is_reached(self, frame: BlockFrame, behind: int) -> bool:
        """Whether the line, about to take `frame` with `behind` blocks to come, is as far as what the scout showed."""
        return behind == 0 if self._shown is None else from_hex(frame.header.number) >= self._shown

    def raise_faults(self) -> None:
        """A fault of ours in its task comes out here."""
        if self._task.done():
            self._task.result()

    async def end(self) -> None:
        """End it: nothing of it is emitted any more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.follower.close()

    async def _run(self) -> None:
        ledger = self.follower.ledger
        while True:
            # The line may be waiting for its turn meanwhile, so that nobody else looks after the endpoints.
            await self._telling.health(self._health, asyncio.get_running_loop().time())
            notices, ledger.notices = ledger.notices, []
            for notice in notices:
                await self._telling.say("untrusted", notice, ledger.height)
            if not await self.follower.turn():
                await self.follower.rest()

    async def _emit(self, frame: Frame) -> None:
        if isinstance(frame, BlockFrame):
            self._shown = from_hex(frame.header.number)
        elif isinstance(frame, RemovedFrame):
            self._shown = from_hex(frame.number) - 1
        if isinstance(frame, BlockFrame | RemovedFrame | ReadsFrame):
            frame = msgspec.structs.replace(frame, ahead=True)
        await self._out(frame)
