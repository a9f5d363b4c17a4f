"""Forecasts with intervals whose coverage is tracked: volatility, utilisation, a pool's value, one step ahead.

Each series is sampled on a grid. What is forecast is the next sample: the mean and the pull back to it are learnt
online (a first-order autoregression on transformed values), the width of the intervals by online quantile tracking
of the errors (Gibbs and Candès, arXiv:2106.00170), so that what is called 80 % holds 80 % of what came, whatever the
errors' distribution is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from river import base

from defiwatch.domain.view import ModelRow

STEP_S = 3600.0
"""Seconds between two samples, and how far ahead a forecast looks."""

LEVELS = (0.8, 0.95)
"""What the intervals are to hold."""

_MEMORY = 0.02
_LEAST_SCALE = 1e-9
_Z = (1.2816, 1.96)
_YEAR_S = 31_536_000.0
_TINY_VOLATILITY = 1e-4


class KeptSeries(msgspec.Struct, frozen=True):
    """One series as a checkpoint holds it."""

    n: int
    mean: float
    variance: float
    covariance: float
    last: float
    error: float
    widths: tuple[float, ...]
    hits: tuple[int, ...]
    told: int


class Interval(msgspec.Struct, frozen=True):
    """A forecast: its middle, and (low, high) for each of `LEVELS`, in the series' own units."""

    value: float
    bounds: tuple[tuple[float, float], ...]
    n: int


class SteppedForecaster(base.Base):
    """One step ahead on one series; values may be any finite numbers, transformed by the caller.

    Parameters
    ----------
    memory
        The smallest step by which mean, variance and pull follow.
    """

    def __init__(self, memory: float = _MEMORY) -> None:
        self.memory = memory
        self.n = 0
        self.told = 0
        self.hits = [0] * len(LEVELS)
        self._mean = 0.0
        self._variance = 0.0
        self._covariance = 0.0
        self._last = 0.0
        self._error = 0.0
        self._widths = list(_Z)
        self._expected = 0.0

    @property
    def ready(self) -> bool:
        """Whether it has seen enough to say anything."""
        return self.n >= 8

    def learn_one(self, y: float) -> None:
        """Take the next sample; first it is held against what was forecast."""
        if self.ready:
            self._hold(y)
        rate = max(self.memory, 1.0 / (self.n + 1.0))
        before = self._last - self._mean
        self._mean += rate * (y - self._mean)
        deviation = y - self._mean
        self._variance += rate * (deviation * deviation - self._variance)
        if self.n > 0:
            self._covariance += rate * (deviation * before - self._covariance)
            change = abs(y - self._expected)
            self._error += max(self.memory, 1.0 / self.n) * (change - self._error)
        self._last = y
        self.n += 1
        self._expected = self.middle

    @property
    def middle(self) -> float:
        """The forecast of the next sample."""
        pull = self._covariance / self._variance if self._variance > 0.0 else 1.0
        pull = min(1.0, max(0.0, pull))
        trust = self.n / (self.n + 20.0)
        pull = trust * pull + (1.0 - trust)
        return self._mean + pull * (self._last - self._mean)

    def interval(self) -> Interval:
        """The forecast of the next sample, with its bounds."""
        middle, scale = self.middle, max(self._error * 1.2533, _LEAST_SCALE)
        bounds = tuple((middle - width * scale, middle + width * scale) for width in self._widths)
        return Interval(middle, bounds, self.told)

    def _hold(self, y: float) -> None:
        found = self.interval()
        self.told += 1
        step = 0.04 + 0.4 / (1.0 + self.told / 10.0)
        for i, (level, (low, high)) in enumerate(zip(LEVELS, found.bounds, strict=True)):
            inside = low <= y <= high
            self.hits[i] += inside
            self._widths[i] *= math.exp(step * ((0.0 if inside else 1.0) - (1.0 - level)))
            self._widths[i] = min(100.0, max(1e-3, self._widths[i]))

    def kept(self) -> KeptSeries:
        """Everything that was learnt."""
        return KeptSeries(
            self.n,
            self._mean,
            self._variance,
            self._covariance,
            self._last,
            self._error,
            tuple(self._widths),
            tuple(self.hits),
            self.told,
        )

    def take(self, kept: KeptSeries) -> None:
        """Take up what `kept` gave."""
        self.n, self.told, self.hits = kept.n, kept.told, list(kept.hits)
        self._mean, self._variance, self._covariance = kept.mean, kept.variance, kept.covariance
        self._last, self._error, self._widths = kept.last, kept.error, list(kept.widths)
        self._expected = self.middle

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {}


class KeptForecasts(msgspec.Struct, frozen=True):
    """All series of one line, as a checkpoint holds them; the key is (kind, series)."""

    series: tuple[tuple[tuple[str, str], KeptSeries], ...]
    open: tuple[tuple[tuple[str, str], tuple[float, float, float, float]], ...]


def _same(y: float) -> float:
    return y


_TRANSFORMS: Mapping[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "volatility": (lambda y: math.log(max(y, _TINY_VOLATILITY)), math.exp),
    "value": (lambda y: math.log(max(y, 1e-12)), math.exp),
    "utilisation": (_same, lambda y: min(1.0, max(0.0, y))),
}

KINDS = tuple(_TRANSFORMS)
"""What is forecast: a volatility (a year, of an asset or of a ratio), a value above 0, a utilisation 0..1."""


class Forecasts:
    """The forecasts of one line, by kind and series. Fed confirmed values in order of time."""

    def __init__(self, step_s: float = STEP_S) -> None:
        self.step_s = step_s
        self._series: dict[tuple[str, str], SteppedForecaster] = {}
        self._open: dict[tuple[str, str], tuple[float, float, float, float]] = {}
        """(number of the step, last time, last value, sum of squared log returns in it)."""

    def observe(self, kind: str, series: str, time: float, value: float) -> None:
        """Take a level (utilisation, value), or a price or ratio of prices, whose volatility is forecast."""
        if not math.isfinite(value) or value < 0.0 or (kind != "utilisation" and value <= 0.0):
            return
        key = (kind, series)
        number = float(time // self.step_s)
        before = self._open.get(key)
        if before is None:
            self._open[key] = (number, time, value, 0.0)
            return
        squares = before[3]
        if kind == "volatility":
            squares += math.log(value / before[2]) ** 2
        if number > before[0]:
            steps = number - before[0]
            sample = math.sqrt(squares * _YEAR_S / (self.step_s * steps)) if kind == "volatility" else before[2]
            forecaster = self._series.get(key)
            if forecaster is None:
                forecaster = self._series[key] = SteppedForecaster()
            forecaster.learn_one(_TRANSFORMS[kind][0](sample))
            squares = 0.0
        self._open[key] = (number, time, value, squares)

    def forecast(self, kind: str, series: str) -> Interval | None:
        """What the next step is expected to show; None while too little was seen."""
        forecaster = self._series.get((kind, series))
        if forecaster is None or not forecaster.ready:
            return None
        back = _TRANSFORMS[kind][1]
        found = forecaster.interval()
        return Interval(back(found.value), tuple((back(low), back(high)) for low, high in found.bounds), found.n)

    def coverage(self, kind: str) -> tuple[int, tuple[float, ...]]:
        """(forecasts that were held against what came, the share that each level's interval held)."""
        mine = [self._series[key] for key in sorted(self._series) if key[0] == kind]
        told = sum(series.told for series in mine)
        shares = tuple(sum(series.hits[i] for series in mine) / told if told else 0.0 for i in range(len(LEVELS)))
        return told, shares

    def report(self) -> tuple[ModelRow, ...]:
        """A row a kind: how much of what came its intervals held."""
        rows = []
        for kind in KINDS:
            told, shares = self.coverage(kind)
            if told:
                held = ", ".join(
                    f"{100.0 * share:.1f} % in the {100.0 * level:.0f} % interval"
                    for share, level in zip(shares, LEVELS, strict=True)
                )
                series = sum(1 for key in self._series if key[0] == kind)
                rows.append(
                    ModelRow(
                        name=f"{kind} forecast",
                        kind=kind,
                        events=told,
                        metric="share held by the 80 % interval",
                        value=shares[0],
                        note=f"{series} series; {held}",
                    )
                )
        return tuple(rows)

    def dump(self) -> KeptForecasts:
        """Everything that was learnt."""
        return KeptForecasts(
            tuple((key, series.kept()) for key, series in self._series.items()), tuple(self._open.items())
        )

    def load(self, kept: KeptForecasts) -> None:
        """Take up what `dump` gave."""
        self._series = {}
        for key, series in kept.series:
            self._series[key] = SteppedForecaster()
            self._series[key].take(series)
        self._open = dict(kept.open)
