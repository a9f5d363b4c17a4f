"""What owners do when it gets close: the share of them who let it happen, for what markets have to expect.

P(liquidation) says what happens if nothing is done, and that is what an owner is shown. A market has to expect less:
most owners repay or top up in time. Every position that was likely enough to be liquidated is frozen as it stood; when
the frozen one crosses, the real one says what its owner did. It was liquidated, or has crossed too: nothing that
helped. It stands, or is closed: it was saved. The share is learnt from those crossings alone, so that it is what the
probability has to be multiplied with.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from river import stats

from defiwatch.domain.view import ModelRow
from defiwatch.models.liquidations import FrozenLeg, Mark, factor_of

HIGH = 0.05
"""From this probability within `OF` on a position is watched."""

OF = "24h"

LASTS_S = 7 * 86_400.0
"""Seconds that a frozen position is watched."""

AGAIN_S = 86_400.0
"""Seconds after which the same position may be frozen again."""

MOST = 5_000
"""Positions watched at the same time."""


class KeptShare(msgspec.Struct, frozen=True):
    """A share as a checkpoint holds it."""

    n: int
    weight: float
    total: float


class IdleShare(stats.base.Univariate):
    """A share that is learnt from yes (1.0) and no (0.0), from a prior on and slowly forgetting.

    Parameters
    ----------
    prior
        What the share is taken to be while nothing was seen.
    worth
        How many answers the prior weighs as much as.
    memory
        After how many answers one counts 1/e.
    """

    def __init__(self, prior: float = 0.5, worth: float = 4.0, memory: float = 1000.0) -> None:
        self.prior = prior
        self.worth = worth
        self.memory = memory
        self.n = 0
        self._weight = 0.0
        self._total = 0.0

    def update(self, x: float, w: float = 1.0) -> None:
        """Count one more answer, with weight `w`: answers that came together are no independent ones."""
        kept = math.exp(-w / self.memory)
        self.n += 1
        self._weight = self._weight * kept + w
        self._total = self._total * kept + w * x

    def get(self) -> float:
        """The share now, 0..1."""
        return (self.worth * self.prior + self._total) / (self.worth + self._weight)

    def kept(self) -> KeptShare:
        """Everything that was learnt."""
        return KeptShare(self.n, self._weight, self._total)

    def take(self, kept: KeptShare) -> None:
        """Take up what `kept` gave."""
        self.n, self._weight, self._total = kept.n, kept.weight, kept.total

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {}


class Watched(msgspec.Struct, frozen=True):
    """A position as it stood when it had become likely to be liquidated; `due` in Unix seconds."""

    name: str
    due: float
    legs: tuple[FrozenLeg, ...]


class KeptOwners(msgspec.Struct, frozen=True):
    """The whole as a checkpoint holds it."""

    share: KeptShare
    brier: float
    idle: int
    open: tuple[Watched, ...]
    last: dict[str, float]


class Owners:
    """Whether owners do something. Fed confirmed blocks in order of time; positions by "protocol:market:account"."""

    def __init__(self) -> None:
        self.share = IdleShare()
        self.idle = 0
        """Of all crossings, those whose owner had done nothing that helped."""
        self._brier = 0.0
        self._open: dict[str, Watched] = {}
        self._last: dict[str, float] = {}

    def watch(self, name: str, time: float, chances: Mapping[str, float], legs: tuple[FrozenLeg, ...]) -> None:
        """Freeze a position if it is likely enough to be liquidated and not watched yet."""
        if chances.get(OF, 0.0) < HIGH or name in self._open or len(self._open) >= MOST:
            return
        if time >= self._last.get(name, -math.inf) + AGAIN_S:
            self._last[name] = time
            self._open[name] = Watched(name, time + LASTS_S, legs)

    def observe(
        self, time: float, factors: Mapping[str, float | None], seized: Collection[str], marks: Mapping[str, Mark]
    ) -> None:
        """What a block showed. `factors`: health factors, None where one cannot be told; who is not in it has closed.
        `seized`: who was liquidated in it, whole or in part. `marks`: prices and indices."""
        if not self._open:
            return
        answers: list[tuple[str, float]] = []
        for name in sorted(self._open):
            case = self._open[name]
            if name in seized:
                answers.append((name, 1.0))
            elif factor_of(case.legs, marks) < 1.0:
                now = factors.get(name, math.inf)
                if now is not None:
                    answers.append((name, 1.0 if now < 1.0 else 0.0))
            elif time >= case.due:
                del self._open[name]
        for name, idle in answers:
            self._brier += ((self.share.get() - idle) ** 2 - self._brier) / (self.share.n + 1)
            self.share.update(idle, 1.0 / math.sqrt(len(answers)))
            self.idle += idle == 1.0
            del self._open[name]
        if answers:
            self._last = {name: at for name, at in self._last.items() if at + AGAIN_S > time}

    def expected(self, chances: Mapping[str, float]) -> dict[str, float]:
        """P(liquidated) by horizon given P(if nothing is done): that times the share of owners who do nothing."""
        share = self.share.get()
        return {horizon: chance * share for horizon, chance in chances.items()}

    def report(self) -> tuple[ModelRow, ...]:
        """The running record: each crossing held against the share that was told before it."""
        if not self.share.n and not self._open:
            return ()
        told = f"{self.idle} of {self.share.n} crossings, {len(self._open)} watched"
        return (
            ModelRow(
                name="owners who do nothing",
                kind="market",
                events=self.share.n,
                metric="Brier score of the share",
                value=self._brier if self.share.n else None,
                note=f"{told}; the share is {self.share.get():.2f}",
            ),
        )

    def dump(self) -> KeptOwners:
        """Everything that was learnt."""
        return KeptOwners(self.share.kept(), self._brier, self.idle, tuple(self._open.values()), dict(self._last))

    def load(self, kept: KeptOwners) -> None:
        """Take up what `dump` gave."""
        self.share.take(kept.share)
        self._brier, self.idle = kept.brier, kept.idle
        self._open = {case.name: case for case in kept.open}
        self._last = dict(kept.last)
