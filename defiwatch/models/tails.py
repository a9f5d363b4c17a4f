"""A running upper tail: how rare is a value this large, in a stream that never ends and is not normal.

River has quantiles and moments, but none of them answers beyond the data or forgets at a steady pace without being
carried off by the first outlier. `UpperTail` is a river statistic that does.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from river import stats

LEVEL = 0.9
"""Where the tail begins: the share of values below its foot."""

_HALF_TO_FOOT = math.log(0.5 / (1.0 - LEVEL))
_LEAST_SPREAD = 0.1
_LEAST_EXCESS = 0.3
_MOST_EXCESS = 3.0
_REACH = 3.0
"""An excess counts up to this many times its mean, and not at all beyond `_REJECT` times: outliers teach nothing."""
_REJECT = 5.0
_CUT = 1.0 - math.exp(-_REACH)
_FLOOR_TAIL = 1e-12


class KeptTail(msgspec.Struct, frozen=True, array_like=True):
    """A tail as a checkpoint holds it: its parameters, and where it stands (logarithms)."""

    median: float
    foot: float
    excess: float
    floor: float
    n: int
    age: int
    mid_now: float
    foot_now: float
    excess_now: float


class UpperTail(stats.base.Univariate):
    """Median and 90 % quantile of ln(x), tracked by small steps; above, P(X > x) = 0.1·(x/foot)^(-1/excess) (Pareto).

    Every observation moves a quantile by at most a step, however large it is (stochastic approximation of quantiles,
    Robbins and Monro 1951); the mean excess of ln(x) above the foot is Hill's estimator (1975) with bounded influence.
    Values at or below `floor` count as the floor. The first steps are larger and shrink to `rate`.

    Parameters
    ----------
    median, foot
        Where the quantiles start (the prior), in the units of x; both above `floor`.
    excess
        Where the mean excess starts: 1 / the Pareto exponent.
    floor
        The smallest value that is told from zero.
    rate
        The smallest step, as a share of the spread: 0.003 forgets over about a thousand observations.
    """

    def __init__(
        self, median: float = 1e-3, foot: float = 1e-2, excess: float = 0.67, floor: float = 1e-7, rate: float = 0.003
    ) -> None:
        self.median = median
        self.foot = foot
        self.excess = excess
        self.floor = floor
        self.rate = rate
        self.n = 0
        self._age = 0
        self._floor = math.log(floor)
        self._mid = math.log(max(median, floor))
        self._foot = max(math.log(max(foot, floor)), self._mid + _LEAST_SPREAD)
        self._excess = excess

    def update(self, x: float) -> None:
        """Take one more value."""
        y = math.log(x) if x > self.floor else self._floor
        self.n += 1
        self._age += 1
        step = max(self.rate, 1.0 / (self._age + 20)) * max(self._foot - self._mid, _LEAST_SPREAD)
        if y > self._foot:
            beyond = y - self._foot
            if beyond <= _REJECT * self._excess:
                rate = max(self.rate, 1.0 / (0.1 * self.n + 30.0))
                counted = min(beyond, _REACH * self._excess) / _CUT
                self._excess += rate * (counted - self._excess)
                self._excess = min(max(self._excess, _LEAST_EXCESS), _MOST_EXCESS)
            self._foot += step * LEVEL * 2.0
        else:
            self._foot -= step * (1.0 - LEVEL) * 2.0
        self._mid += step if y > self._mid else -step
        if self._foot < self._mid + _LEAST_SPREAD:
            self._foot = self._mid + _LEAST_SPREAD

    def get(self) -> float:
        """The median now."""
        return math.exp(self._mid)

    def tail(self, x: float, widen: float = 0.0) -> float:
        """The probability of a value above x, (0..1]. `widen` raises the foot by that much of ln(x)."""
        if x <= self.floor:
            return 1.0
        y = math.log(x)
        foot = self._foot + widen
        if y > foot:
            return max((1.0 - LEVEL) * math.exp((foot - y) / self._excess), _FLOOR_TAIL)
        slope = _HALF_TO_FOOT / (foot - self._mid)
        if y > self._mid:
            return 0.5 * math.exp(slope * (self._mid - y))
        return 1.0 - 0.5 * math.exp(slope * (y - self._mid))

    def at_tail(self, tail: float) -> float:
        """The value that is exceeded with probability `tail`: the inverse of `tail`."""
        if tail < 1.0 - LEVEL:
            return math.exp(self._foot + self._excess * math.log((1.0 - LEVEL) / tail))
        slope = _HALF_TO_FOOT / (self._foot - self._mid)
        if tail <= 0.5:
            return math.exp(self._mid + math.log(0.5 / tail) / slope)
        return math.exp(max(self._floor, self._mid + math.log(2.0 * (1.0 - tail)) / slope)) if tail < 1.0 else 0.0

    def successor(self) -> UpperTail:
        """A young one that starts from what this one has learnt."""
        young = UpperTail(self.median, self.foot, self.excess, self.floor, self.rate)
        young._mid, young._foot, young._excess = self._mid, self._foot, self._excess
        return young

    def relearn(self, n: int = 80) -> None:
        """The world has changed: move the quantiles by larger steps again, as after `n` observations.

        How the tail falls beyond them stays as it was learnt: too few values tell it.
        """
        self._age = min(self._age, n)

    def kept(self) -> KeptTail:
        """Everything that was learnt."""
        return KeptTail(
            self.median, self.foot, self.excess, self.floor, self.n, self._age, self._mid, self._foot, self._excess
        )

    @classmethod
    def restored(cls, kept: KeptTail) -> UpperTail:
        """The tail that `kept` was made of."""
        tail = cls(kept.median, kept.foot, kept.excess, kept.floor)
        tail.n, tail._age = kept.n, kept.age
        tail._mid, tail._foot, tail._excess = kept.mid_now, kept.foot_now, kept.excess_now
        return tail

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {}
