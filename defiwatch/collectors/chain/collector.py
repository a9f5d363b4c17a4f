"""A chain's collector: the life of its endpoints, and who follows its blocks: the line itself, and at times a scout."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping

from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.follower import Follower, OnProgress, Progress, Start
from defiwatch.collectors.chain.health import Health
from defiwatch.collectors.chain.limits import Limits
from defiwatch.collectors.chain.patient import PatientEndpoints
from defiwatch.collectors.chain.removals import Removals
from defiwatch.collectors.chain.scout import Scout
from defiwatch.collectors.chain.telling import Telling
from defiwatch.collectors.seam import Emit, Needs
from defiwatch.collectors.wire import Rpc
from defiwatch.config import Chain
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, Frame, Header

__all__ = ["ChainCollector", "OnProgress", "Progress"]

_PATIENCE = 60.0
"""Seconds after which a question counts as lost."""
_LONG_PATIENCE = 600.0
"""The same where questions may have to wait for what the head needs."""


class ChainCollector:
    """One chain's frames, for as long as it runs. Implements `seam.Collector`.

    It goes on after the newest of `needs.blocks()`; where there are none, after `start_at` (a block that was taken
    before; its hash may be ""); else it begins `lookback` blocks below the head. `until_head`:
    `run` returns once the head is reached, its reads are made and the history is searched. `wall` gives Unix seconds,
    for health frames only. `limits` is where it keeps what endpoints allow. `ahead` is what a scout at the head needs
    (`catch_up = "head_first"`); its frames come marked as such. SourceError if no endpoint was ever
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
        ahead: Needs | None = None,
    ) -> None:
        self.chain = chain
        self._kept_limits: MutableMapping[str, int] = {} if limits is None else limits
        self._needs = needs
        self._emit = emit
        self._on_progress = on_progress
        self._until_head = until_head
        self._start = Start(lookback, start_at)
        self._wall = wall
        self._open_rpc = open_rpc
        self._timeout = timeout
        self._ahead = ahead if chain.catch_up == "head_first" and not until_head else None
        self._made_endpoints()

    @property
    def name(self) -> str:
        """The chain's name."""
        return self.chain.name

    async def run(self) -> None:
        """Emit frames until cancelled (or, with `until_head`, until everything up to the head was emitted)."""
        self._set_up()
        async with self._endpoints:
            try:
                while not await self._turn():
                    pass
            finally:
                if self._scout is not None:
                    await self._scout.end()
                await self._removals.close()
                await self._follower.close()

    def _made_endpoints(self) -> Endpoints:
        chain = self.chain
        return Endpoints(
            chain,
            Health(len(chain.endpoints), chain.block_time),
            on_head=self._on_head,
            stir=self._stir,
            timeout=self._timeout,
            open_rpc=self._open_rpc,
        )

    def _set_up(self) -> None:
        """Everything anew: nothing of an earlier run is left."""
        chain = self.chain
        self._endpoints = self._made_endpoints()
        self._health = self._endpoints.health
        self._telling = Telling(chain, self._emit, self._wall)
        self._scout: Scout | None = None
        patient: PatientEndpoints | None = None
        if self._ahead is not None:
            patient = PatientEndpoints(self._endpoints, lambda: None if self._scout is None else self._scout.began)
        self._follower = Follower(
            chain,
            patient or self._endpoints,
            self._needs,
            self._emit_own,
            self._start,
            telling=self._telling,
            on_progress=self._on_progress,
            until_head=self._until_head,
            patience=_PATIENCE if patient is None else _LONG_PATIENCE,
        )
        self._ledger = self._follower.ledger
        self._removals = Removals(self._recheck)
        if patient is not None and patient.largest is not None:
            self._ledger.header_batch = min(self._ledger.header_batch, patient.largest)
            self._follower.reads.batch = min(self._follower.reads.batch, patient.largest)
        self._limits = Limits(self._kept_limits, self._ledger, self._follower.reads, self._follower.history)

    async def _turn(self) -> bool:
        """Do what is due, then wait for more; True once there is nothing left to do (`until_head`)."""
        now = asyncio.get_running_loop().time()
        await self._telling.health(self._health, now)
        notices, self._ledger.notices = self._ledger.notices, []
        await self._telling.notices(notices, self._ledger)
        self._endpoints.raise_if_hopeless()
        if self._scout is not None:
            self._scout.raise_faults()
        elif self._ahead is not None and self._ledger.resumed and Scout.worth(self._ledger.behind):
            self._scout = Scout(self.chain, self._endpoints, self._ahead, self._emit, self._telling)
        if self.chain.subscribe_logs:
            self._follow_removals()
        self._limits.note()
        if await self._follower.turn():
            return False
        if self._until_head and self._follower.done:
            return True
        await self._follower.rest(self._health.wake(now))
        return False

    async def _emit_own(self, frame: Frame) -> None:
        """A frame of the line itself. Where it has come as far as the scout, nothing of the scout follows it."""
        scout = self._scout
        if scout is not None and isinstance(frame, BlockFrame) and scout.is_reached(frame, self._ledger.behind):
            await scout.end()
            self._scout = None
        await self._emit(frame)

    def _on_head(self, index: int, header: Header) -> None:
        self._follower.on_head(index, header)
        if self._scout is not None:
            self._scout.follower.on_head(index, header)

    def _follow_removals(self) -> None:
        self._removals.raise_faults()
        active = self._health.active
        if active is not None and (self._ledger.at_head or self._scout is not None):
            self._removals.follow(self._endpoints.rpcs[active], self._follower.wanted)

    def _recheck(self) -> None:
        """A log was taken back: the chain may be another."""
        self._ledger.recheck()
        if self._scout is not None:
            self._scout.follower.ledger.recheck()
        self._stir()

    def _stir(self) -> None:
        self._follower.stirred.set()
        if self._scout is not None:
            self._scout.follower.stirred.set()
