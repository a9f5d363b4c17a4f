"""The stages from frames to alerts, in the engine's order, for tests that look at observations and scores."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from defiwatch.alerts import AlertBook
from defiwatch.config import Alerts, Deployment, duration
from defiwatch.config import Models as ModelSettings
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, Frame, ReadsFrame, RemovedFrame
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Alert, Pool
from defiwatch.engine.intake import Intake
from defiwatch.features import Features
from defiwatch.models import Models
from defiwatch.protocols.registry import create
from defiwatch.scoring import assess


class Stages:
    """One chain's pools, frame by frame."""

    def __init__(self, deployments: Iterable[Deployment], *, chain_id: int = 1, confirmations: int = 12) -> None:
        self.settings = Alerts()
        self.intake = Intake(chain_id, [create(chain_id, d) for d in deployments], journal=256)
        self.features = Features(duration(self.settings.drain_window))
        self.models = Models(ModelSettings())
        self.alerts = AlertBook(self.settings)
        self.confirmations = confirmations
        self.unlearnt: deque[tuple[BlockRef, Observation]] = deque()
        self.now = 0.0
        self.scores: list[tuple[Observation, float]] = []

    def feed(self, frame: Frame) -> list[Alert]:
        """Take one frame; returns the alerts that it led to."""
        told: list[Alert] = []
        if isinstance(frame, ReadsFrame):
            self.intake.on_reads(frame)
        elif isinstance(frame, RemovedFrame):
            for at in self.intake.on_removed(frame):
                told += self._undo(at)
        elif isinstance(frame, BlockFrame):
            taken = self.intake.on_block(frame)
            for at in taken.undone:
                told += self._undo(at)
            if taken.opened is not None:
                self.now = max(self.now, float(taken.opened.time))
                self.alerts.open_block(taken.opened)
                found = list(self._observe(taken.opened, frame, [fact for a in taken.applied for fact in a.facts]))
                for obs in found:
                    told += self._judge(obs, taken.opened)
                self._learn(taken.opened)
                self.unlearnt.extend((taken.opened, obs) for obs in found)
        return told

    def _observe(self, at: BlockRef, frame: BlockFrame, facts: list) -> Iterator[Observation]:  # type: ignore[type-arg]
        book = self.intake.book
        for fact in facts:
            pool = self._pool(fact.protocol, getattr(fact, "pool", ""))
            yield from self.features.on_fact(book, at, fact, pool)
        yield from self.features.on_block(book, at, self._pool, self.alerts.subjects("pool."))

    def _pool(self, protocol: str, pool_id: str) -> Pool | None:
        for instance in self.intake.instances:
            if instance.protocol == protocol:
                found = instance.pool(self.intake.book, pool_id)
                if found is not None:
                    return found
        return None

    def _judge(self, obs: Observation, at: BlockRef) -> list[Alert]:
        told: list[Alert] = []
        for assessment in assess(obs, self.models.score(obs), self.settings):
            self.scores.append((obs, assessment.score))
            told += self.alerts.update(assessment, self.now, at=at)
        return told

    def _learn(self, head: BlockRef) -> None:
        while self.unlearnt and self.unlearnt[0][0].number <= head.number - self.confirmations:
            self.models.learn(self.unlearnt.popleft()[1])

    def _undo(self, at: BlockRef) -> list[Alert]:
        while self.unlearnt and self.unlearnt[-1][0].number >= at.number:
            self.unlearnt.pop()
        return list(self.alerts.undo_block(at, self.now))
