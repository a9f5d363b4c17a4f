"""Brier scores and reliability, summed by day, and intervals by block bootstrap over the days."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from defiwatch.commands.backtest.results import Bin, Forecast, HorizonResult, Interval
from defiwatch.models.liquidations import Floats

DAY_S = 86_400.0
EDGES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the bins of the reliability table."""
_FINE = (1.0, 1.0025, 1.005, 1.01, 1.015, 1.02, 1.03, 1.04, 1.05, 1.065, 1.08, 1.1, 1.13, 1.16, 1.2, 1.25, 1.3, 1.4)
FACTORS = (*_FINE, 1.6, 2.0, 3.0)
"""Of the bins of health factors whose frequencies a static table learns; each is a threshold that may be chosen."""
THRESHOLD, TABLE = "static threshold, 0 or 1", "static table of health factors"
FEWEST = 5
RESAMPLES = 2000
SEED = 7

Bools = npt.NDArray[np.bool_]


class Static:
    """What the health factor alone says, learnt on the tuning part: how often each bin of factors crossed, and the
    threshold below which "crosses" has the best Brier score."""

    def __init__(self) -> None:
        self.n = np.zeros(len(FACTORS) - 1)
        self.crossed = np.zeros(len(FACTORS) - 1)

    def learn(self, factors: Floats, crossed: Bools) -> None:
        """Count the cases of one look."""
        bins = _bin(factors, FACTORS)
        self.n += np.bincount(bins, minlength=len(self.n))
        self.crossed += np.bincount(bins, weights=crossed, minlength=len(self.n))

    def table(self, factors: Floats) -> Floats:
        """The frequency of each factor's bin; one case at the base rate stands in every bin beforehand."""
        total = float(self.n.sum())
        base = float(self.crossed.sum()) / total if total else 0.0
        found: Floats = ((self.crossed + base) / (self.n + 1.0))[_bin(factors, FACTORS)]
        return found

    @property
    def threshold(self) -> float:
        """The edge of `FACTORS` that has the fewest wrong cases below and above it; 1 (never) if nothing was learnt."""
        missed = float(self.crossed.sum())
        best, found, wrong = missed, 1.0, missed
        for i, (n, crossed) in enumerate(zip(self.n.tolist(), self.crossed.tolist(), strict=True)):
            wrong += n - 2.0 * crossed
            if wrong < best:
                best, found = wrong, FACTORS[i + 1]
        return found


def _bin(values: Floats, edges: Sequence[float]) -> npt.NDArray[np.int64]:
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)


class Tally:
    """One horizon's sums by day (a day in several recordings is one): n, crossings, each forecast's squared error and
    mean, and for the reliability table of the first forecast n, Σ P and crossings by bin."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.days: dict[int, Floats] = {}

    def add(self, time: float, told: Sequence[Floats], crossed: Bools) -> None:
        """The cases of one look; `told` in the order of `names`."""
        bins = len(EDGES) - 1
        label = crossed.astype(np.float64)
        which = _bin(told[0], EDGES)
        row = [float(len(label)), float(label.sum())]
        row += [float(((p - label) ** 2).sum()) for p in told]
        row += [float(p.sum()) for p in told]
        parts = [np.bincount(which, weights=w, minlength=bins) for w in (np.ones(len(label)), told[0], label)]
        day = int(time // DAY_S)
        found = np.concatenate([row, *parts])
        before = self.days.get(day)
        self.days[day] = found if before is None else before + found

    def result(self, block_days: int, unseen: str = "") -> HorizonResult:
        """Everything summed up; `block_days` consecutive days are resampled together."""
        days = sorted(self.days)
        if not days:
            return HorizonResult(0, 0, None, 0, block_days, {}, (), unseen)
        rows = np.array([self.days[day] for day in days])
        total = rows.sum(axis=0)
        n, crossed = total[0], total[1]
        base = crossed / n
        drawn = resampled(rows, days, block_days)
        size = len(self.names)
        forecasts = {}
        for i, name in enumerate(self.names):
            brier = total[2 + i] / n
            worse = None
            if i:
                spread = None if drawn is None else (drawn[:, 2 + i] - drawn[:, 2]) / drawn[:, 0]
                worse = _interval((total[2 + i] - total[2]) / n, spread)
            skill = 1.0 - brier / (base * (1.0 - base)) if 0.0 < base < 1.0 else None
            forecasts[name] = Forecast(float(brier), _plain(skill), float(total[2 + size + i] / n), worse)
        return HorizonResult(
            int(n),
            int(crossed),
            float(base),
            len(days),
            block_days,
            forecasts,
            self._reliability(total[2 + 2 * size :], None if drawn is None else drawn[:, 2 + 2 * size :]),
            unseen,
        )

    def _reliability(self, total: Floats, drawn: Floats | None) -> tuple[Bin, ...]:
        bins = len(EDGES) - 1
        found = []
        for i in range(bins):
            n, told, crossed = total[i], total[bins + i], total[2 * bins + i]
            if not n:
                continue
            observed = None
            if FEWEST <= crossed <= n - FEWEST:
                spread = None
                if drawn is not None:
                    some = drawn[drawn[:, i] > 0.0]
                    spread = some[:, 2 * bins + i] / some[:, i]
                observed = _interval(crossed / n, spread)
            found.append(Bin(EDGES[i], EDGES[i + 1], int(n), int(crossed), float(told / n), observed))
        return tuple(found)


def _plain(value: float | None) -> float | None:
    return None if value is None else float(value)


def _interval(value: float, drawn: Floats | None) -> Interval:
    if drawn is None:
        return Interval(float(value))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(value), float(low), float(high))


def resampled(rows: Floats, days: Sequence[int], block: int) -> Floats | None:
    """Sums of the rows over resampled days (one row each, `days` their numbers): moving blocks of `block` consecutive
    days, drawn with replacement until there are as many rows as there were. None for fewer than four blocks."""
    size = len(rows)
    if size < 4 * block:
        return None
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    starts = [i for i in range(size - block + 1) if days[i + block - 1] - days[i] == block - 1]
    if not starts:
        return None
    blocks = sums[np.array(starts) + block] - sums[np.array(starts)]
    equal = np.full(len(starts), 1.0 / len(starts))
    times = np.random.default_rng(SEED).multinomial(math.ceil(size / block), equal, RESAMPLES)
    found: Floats = times.astype(np.float64) @ blocks
    return found
