"""A line: one chain's stages in their order, from a frame to alerts.

    frame → intake (reorgs, decode, state) → features → models (score) → scoring → alerts

Positions are judged once a block's reads are in, at the latest when the next block comes. Models learn an observation
when its block has `confirmations` blocks on top of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from defiwatch.clock import Clock, time_of
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import (
    BlockFrame,
    Frame,
    HealthFrame,
    InputFrame,
    QuoteFrame,
    RawLog,
    ReadsFrame,
    RemovedFrame,
    TickFrame,
    VerifiedFrame,
)
from defiwatch.domain.ids import MARKET
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Alert, Position, Trust
from defiwatch.engine.falls import Falls
from defiwatch.engine.intake import Intake, block_ref
from defiwatch.engine.judge import Judge
from defiwatch.engine.searches import Searches, origin
from defiwatch.protocols import sources
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import Instance, LogFilter, Scan

CHECK_EVERY = 50
"""Blocks between two readings of what only confirms (a market's totals)."""


_TRUST_KEPT = 4096
"""Blocks whose grade of trust is remembered."""


class LineSettings(msgspec.Struct, frozen=True):
    """What a line is told of its chain. `block_time` in seconds."""

    chain_id: int
    name: str
    confirmations: int = 12
    journal: int = 256
    block_time: float = 12.0


class Line:
    """One chain, stage by stage. `step` takes its frames in order; it implements `collectors.seam.Needs`."""

    def __init__(self, settings: LineSettings, instances: Sequence[Instance], judge: Judge) -> None:
        self.settings = settings
        self.clock = Clock()
        """The blocks' own time; what the wall says (ticks) is kept apart, in `arrival`."""
        self.intake = Intake(settings.chain_id, instances, journal=max(settings.journal, settings.confirmations + 1))
        self.judge = judge
        self.falls = Falls()
        """What if a major asset fell: kept for pictures only."""
        self.trust: dict[str, Trust] = {}
        self.last_block_seen: float | None = None
        """By the clock of arrival (ticks), Unix seconds; None before the first tick."""
        self.arrival = 0.0
        self._check_at = 0
        self.limits: dict[str, int] = {}
        """What the chain's collector learnt of its endpoints; kept with the state, no part of it."""
        self.searches = Searches()
        """How far the searches through history have come; kept with the state."""
        self.warming: float | None = None
        """How much of the warm-up is done, 0..1; None once it is over."""
        self.kept: dict[str, tuple[object, Any]] = {}
        """What pictures work out once for each look at the positions: name → (what it is of, result)."""
        self._unlearnt: deque[tuple[BlockRef, tuple[Observation, ...]]] = deque()
        self._open = False
        self.judged = -1
        """The height of the newest block whose positions were judged; -1 before the first."""

    # What a collector asks.

    def filters(self) -> Sequence[LogFilter]:
        """The logs that its instances ask for."""
        return self.intake.filters()

    def wants(self) -> Sequence[Call]:
        """The reads still open at the head, what its markets' price sources are, what tells more of what is known, and
        every `CHECK_EVERY` blocks what only confirms. Nothing is held up by the last three."""
        return (*self.intake.wants(), *self._checks())

    def _checks(self) -> Sequence[Call]:
        head, book = self.intake.head, self.intake.book
        if head is None:
            return ()
        origins = self.intake.price_sources()
        found = sources.unasked(book, origins)
        found += [call for instance in self.intake.instances for call in instance.extras(book, head)]
        if head.number >= self._check_at:
            found += [call for instance in self.intake.instances for call in instance.checks(book, head)]
            found += sources.changing(book, origins)
        return found

    def scans(self) -> Sequence[Scan]:
        """The history that is still open, from where it was left."""
        searching = [instance for instance in self.intake.instances if instance.deployment.scan]
        wanted = [scan for instance in searching for scan in instance.scans(self.intake.book)]
        return self.searches.open(wanted, self.intake.head, self.intake.resyncs)

    def searched(self, scan: Scan, first: int) -> None:
        """Everything of a scan from the block `first` on is searched and read."""
        self.searches.note(scan, first)

    def on_scan(self, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:
        """The calls that a piece of history leads to."""
        calls: dict[Call, None] = {}
        for instance in self.intake.instances:
            if any(one.key == origin(scan.key) for one in instance.scans(self.intake.book)):
                calls.update(dict.fromkeys(instance.on_scan(self.intake.book, scan, logs)))
        return tuple(calls)

    def blocks(self) -> Sequence[BlockRef]:
        """The blocks that can still be undone, oldest first."""
        return self.intake.book.blocks

    # What outlives a restart.

    @property
    def owed(self) -> Sequence[tuple[BlockRef, tuple[Observation, ...]]]:
        """What the models are to learn once its block is confirmed, oldest first."""
        return tuple(self._unlearnt)

    @property
    def midway(self) -> bool:
        """Whether the head's positions still wait for reads."""
        return self._open

    def resume(
        self, clock: float, owed: Sequence[tuple[BlockRef, tuple[Observation, ...]]], *, midway: bool = False
    ) -> None:
        """Go on from a kept state; the book, the alerts and the models were taken up already."""
        self.clock.advance(clock)
        self._open = midway
        self._unlearnt.extend(owed)
        self.judge.recall(self.intake, self.positions(), self.clock.now)

    # What the engine feeds.

    def step(self, frame: Frame) -> list[Alert]:
        """Take one frame; returns the alerts that it led to, in order."""
        if isinstance(frame, BlockFrame):
            return self._block(frame)
        if isinstance(frame, ReadsFrame):
            return self._reads(frame)
        if isinstance(frame, RemovedFrame):
            return self._undo(self.intake.on_removed(frame))
        if isinstance(frame, VerifiedFrame):
            self._verified(frame)
            return []
        if isinstance(frame, QuoteFrame):
            moment = time_of(frame)
            if moment is None:
                return []
            if self.settings.chain_id == MARKET:
                self.clock.advance(moment)
            return self.judge.on_quote(self.intake.book, frame, max(self.clock.now, moment), self.intake.head)
        if isinstance(frame, TickFrame):
            return self._tick(frame)
        if isinstance(frame, HealthFrame):
            if frame.chain_id != self.settings.chain_id:
                return []
            return self.judge.on_health(frame, max(self.arrival, time_of(frame) or 0.0))
        if isinstance(frame, InputFrame):
            self.judge.on_input(frame, self.clock.now)
        return []

    def sign_of_life(self) -> None:
        """A block of the chain came, if not for this line."""
        self.last_block_seen = self.arrival or None

    def settle(self) -> list[Alert]:
        """Judge the head's positions if they still wait for reads that did not come."""
        head = self.intake.head
        if not self._open or head is None:
            return []
        self.intake.note_missing(self.intake.wants())
        return self._judge_positions(head)

    def positions(self, at: BlockRef | None = None) -> list[Position]:
        """Every lending position at the head (or `at`), in the order market, account."""
        block = at or self.intake.head
        if block is None:
            return []
        found = [p for instance in self.intake.instances for p in instance.positions(self.intake.book, block)]
        return sorted(found, key=lambda p: (p.protocol, p.market, p.account))

    def trust_of(self, block: BlockRef | None) -> Trust:
        """How far the block was verified."""
        return self.trust.get(block.hash, "single") if block else "single"

    def _block(self, frame: BlockFrame) -> list[Alert]:
        head = self.intake.head
        alerts = self.settle() if head is not None and block_ref(frame).number > head.number else []
        taken = self.intake.on_block(frame)
        if taken.undone:
            alerts += self._undo(taken.undone)
        at = taken.opened
        if at is None:
            return alerts
        self.clock.advance(at.time)
        self.sign_of_life()
        self.judge.on_new_block(at)
        observations, judged = self.judge.on_events(self.intake, taken.applied, at, self.clock.now, self.trust_of(at))
        alerts += judged
        self._unlearnt.append((at, observations))
        self._learn(at)
        self._open = True
        if not self.intake.wants():
            alerts += self._judge_positions(at)
        return alerts

    def _reads(self, frame: ReadsFrame) -> list[Alert]:
        at_head = self.intake.on_reads(frame)
        head = self.intake.head
        if at_head and head is not None and head.number >= self._check_at:
            self._check_at = head.number + CHECK_EVERY
        if not at_head or head is None or self.intake.wants():
            return []
        return self._judge_positions(head)

    def _judge_positions(self, at: BlockRef) -> list[Alert]:
        self._open = False
        self.judged = at.number
        seen, alerts = self.judge.on_positions(self.intake, self.positions(at), at, self.clock.now, self.trust_of(at))
        if seen:
            self._unlearnt.append((at, seen))
        return alerts

    def _undo(self, undone: Sequence[BlockRef]) -> list[Alert]:
        alerts: list[Alert] = []
        for block in undone:
            self.trust.pop(block.hash, None)
            while self._unlearnt and self._unlearnt[-1][0].number >= block.number:
                self._unlearnt.pop()
            alerts += self.judge.on_undone(block, self.clock.now)
        if undone:
            self._open = False
        return alerts

    def _learn(self, head: BlockRef) -> None:
        while self._unlearnt and self._unlearnt[0][0].number <= head.number - self.settings.confirmations:
            at, observations = self._unlearnt.popleft()
            self.judge.learn(observations)
            self.judge.confirm(at.number)

    def _verified(self, frame: VerifiedFrame) -> None:
        if frame.trust in ("single", "quorum", "consistent", "proof"):
            self.trust[frame.hash.lower()] = frame.trust  # type: ignore[assignment]
            if len(self.trust) > _TRUST_KEPT:
                self.trust = dict(list(self.trust.items())[_TRUST_KEPT // 2 :])

    def _tick(self, frame: TickFrame) -> list[Alert]:
        self.arrival = max(self.arrival, time_of(frame) or 0.0)
        if self.last_block_seen is None:
            self.last_block_seen = self.arrival
        return self.judge.on_silence(self.arrival - self.last_block_seen, self.arrival)
