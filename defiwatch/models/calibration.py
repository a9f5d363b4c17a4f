"""From a score to a tail probability: counted where there is data, a fitted tail beyond it.

What is counted are episodes: the highest score of one subject within `EPISODE_S`. Three alerts a week over thousands of
pools need probabilities far below one over the number of episodes, so beyond the data a generalised Pareto
distribution stands in (peaks over threshold: Davison and Smith, J. R. Statist. Soc. B 52 (1990) 393), and says so.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
from river import stats

from defiwatch.errors import StoreError

EPISODE_S = 600
"""Seconds: how long one episode of a subject is; its highest score is what counts."""

_GROUP = 24
_FIT_EVERY = 256
_SHARE = 0.05
"""The part of all scores that the tail is fitted to."""
_FEWEST = 40.0
_COUNTED = 25.0
"""With fewer scores than this above, the fitted tail speaks."""
_PRIOR = 30.0
"""How many scores the prior weighs as much as: one in ten is beyond 1, one in a hundred beyond 2."""
_SHAPE = (-0.4, 0.4)
_LEAST = 1e-15


class KeptCalibrator(msgspec.Struct, frozen=True):
    """A calibrator as a checkpoint holds it."""

    n: int
    counts: tuple[float, ...]
    groups: tuple[float, ...]
    total: float
    weight: float
    fit: tuple[float, float, float, float] | None


class TailCalibrator(stats.base.Univariate):
    """P(score above x), from the scores seen: exponentially forgotten counts in narrow bins, then a fitted tail.

    Parameters
    ----------
    top
        Where the bins end; scores are 0 or more, in powers of ten of rarity.
    bins
        How many bins there are.
    memory
        After how many scores one counts 1/e.
    """

    def __init__(self, top: float = 12.0, bins: int = 768, memory: int = 100_000) -> None:
        self.top = top
        self.bins = bins
        self.memory = memory
        self.n = 0
        self._counts = [0.0] * bins
        self._groups = [0.0] * (bins // _GROUP + 1)
        self._total = 0.0
        self._weight = 1.0
        self._growth = math.exp(1.0 / memory)
        self._fit: tuple[float, float, float, float] | None = None

    def update(self, x: float) -> None:
        """Count one more score."""
        i = min(self.bins - 1, max(0, int(x * self.bins / self.top)))
        self.n += 1
        self._weight *= self._growth
        self._counts[i] += self._weight
        self._groups[i // _GROUP] += self._weight
        self._total += self._weight
        if self._weight > 1e12:
            self._rescale()
        if self.n % _FIT_EVERY == 0 or (self.n < 8 * _FIT_EVERY and self.n % 64 == 0):
            self._fit = self._fitted()

    def get(self) -> float:
        """The score that one in a hundred exceeds."""
        return self.at_tail(0.01)

    @property
    def known(self) -> float:
        """How many scores are remembered, the forgotten part of each left out."""
        return self._total / self._weight

    def tail(self, x: float) -> tuple[float, bool]:
        """(P(score above x) in (0, 1], whether that lies beyond the data)."""
        prior = 10.0 ** -max(0.0, x)
        if self.n == 0:
            return max(_LEAST, prior), True
        above = self._above(x) / self._weight
        known = self.known
        share = above / known
        if above < _COUNTED and self._fit is not None and x > self._fit[0]:
            start, at_start, scale, shape = self._fit
            share = at_start * _pareto((x - start) / scale, shape)
        return max(_LEAST, min(1.0, (known * share + _PRIOR * prior) / (known + _PRIOR))), above < 1.0

    def at_tail(self, tail: float) -> float:
        """The score that is exceeded with probability `tail`."""
        low, high = 0.0, self.top
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.tail(middle)[0] > tail else (low, middle)
        return 0.5 * (low + high)

    def _above(self, x: float) -> float:
        """The weight of what lies above x, its own bin divided evenly."""
        place = max(0.0, x * self.bins / self.top)
        i = int(place)
        if i >= self.bins:
            return 0.0
        group = i // _GROUP
        inside = math.fsum(self._counts[i + 1 : (group + 1) * _GROUP])
        return math.fsum(self._groups[group + 1 :]) + inside + self._counts[i] * (1.0 - (place - i))

    def _rescale(self) -> None:
        self._counts = [count / self._weight for count in self._counts]
        self._groups = [math.fsum(self._counts[g * _GROUP : (g + 1) * _GROUP]) for g in range(len(self._groups))]
        self._total = math.fsum(self._counts)
        self._weight = 1.0

    def _fitted(self) -> tuple[float, float, float, float] | None:
        """(threshold, P(above it), scale, shape) of the tail by the method of moments; None with too little data."""
        wanted = max(_SHARE * self._total, _FEWEST * self._weight)
        if wanted > 0.5 * self._total:
            return None
        width = self.top / self.bins
        above, first, second = 0.0, 0.0, 0.0
        i = self.bins
        while i > 0 and above < wanted:
            i -= 1
            above += self._counts[i]
        for j in range(i, self.bins):
            if self._counts[j] > 0.0:
                excess = (j - i + 0.5) * width
                first += self._counts[j] * excess
                second += self._counts[j] * excess * excess
        mean = first / above
        spread = max(second / above - mean * mean, 1e-12)
        shape = min(_SHAPE[1], max(_SHAPE[0], 0.5 * (1.0 - mean * mean / spread)))
        return i * width, above / self._total, mean * (1.0 - shape), shape

    def kept(self) -> KeptCalibrator:
        """Everything that was learnt, exactly."""
        return KeptCalibrator(self.n, tuple(self._counts), tuple(self._groups), self._total, self._weight, self._fit)

    def take(self, kept: KeptCalibrator) -> None:
        """Take up what `kept` gave; StoreError if it was made with other bins."""
        if len(kept.counts) != len(self._counts) or len(kept.groups) != len(self._groups):
            raise StoreError(f"a calibration of {len(kept.counts)} bins, this version has {len(self._counts)}")
        self.n, self._total, self._weight, self._fit = kept.n, kept.total, kept.weight, kept.fit
        self._counts, self._groups = list(kept.counts), list(kept.groups)

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {}


def _pareto(x: float, shape: float) -> float:
    """P(above x) of a generalised Pareto distribution of scale 1."""
    if abs(shape) < 1e-6:
        return math.exp(-x)
    inside = 1.0 + shape * x
    return inside ** (-1.0 / shape) if inside > 0.0 else 0.0


class Episodes:
    """The highest score of each subject in its current episode; an episode that is over is handed back once."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, ...], tuple[int, float]] = {}

    def take(self, subject: tuple[str, ...], time: float, score: float) -> float | None:
        """Note a score; returns the height of the episode that this one ends, None if it ends none."""
        number = int(time // EPISODE_S)
        before = self.open.get(subject)
        if before is not None and before[0] == number:
            if score > before[1]:
                self.open[subject] = (number, score)
            return None
        self.open[subject] = (number, score)
        return before[1] if before is not None else None
