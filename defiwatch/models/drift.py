"""Whether the world has changed: river's Page-Hinkley test on how surprised a subject's model is."""

from __future__ import annotations

import math

import msgspec
from river import drift

UNREST = 100
"""How many observations after a change tails are widened and learnt faster."""


class KeptDrift(msgspec.Struct, frozen=True):
    """A detector as a checkpoint holds it; `least` None while nothing was seen."""

    n: float
    mean: float
    rise: float
    fall: float
    least: float | None
    most: float
    detected: bool
    changes: int
    unrest: int


class RegimeWatch:
    """Watches the mean surprise of a subject: above what it was for long, its usual is not usual any more."""

    __slots__ = ("_test", "changes", "unrest")

    def __init__(self) -> None:
        self._test = drift.PageHinkley(min_instances=60, delta=0.12, threshold=25.0, mode="up")
        self.changes = 0
        self.unrest = 0

    def update(self, surprise: float) -> bool:
        """Take how surprised the model was; True if that shows a change of regime."""
        self.unrest = max(0, self.unrest - 1)
        self._test.update(surprise)  # type: ignore[no-untyped-call]  # river types its estimators in part
        if not self._test.drift_detected:
            return False
        self.changes += 1
        self.unrest = UNREST
        return True

    @property
    def share(self) -> float:
        """How much of the unrest after the last change is left, 0..1."""
        return self.unrest / UNREST

    def kept(self) -> KeptDrift:
        """Everything that was learnt."""
        test = self._test
        least = test._min_increase
        return KeptDrift(
            n=test._x_mean.n,
            mean=test._x_mean._mean,
            rise=test._sum_increase,
            fall=test._sum_decrease,
            least=least if math.isfinite(least) else None,
            most=float(test._max_decrease),
            detected=bool(test.drift_detected),
            changes=self.changes,
            unrest=self.unrest,
        )

    def take(self, kept: KeptDrift) -> None:
        """Take up what `kept` gave."""
        test = self._test
        test._x_mean.n, test._x_mean._mean = kept.n, kept.mean
        test._sum_increase, test._sum_decrease = kept.rise, kept.fall
        test._min_increase = math.inf if kept.least is None else kept.least
        test._max_decrease = kept.most  # type: ignore[assignment]  # river starts it as an int
        test._drift_detected = kept.detected
        self.changes, self.unrest = kept.changes, kept.unrest
