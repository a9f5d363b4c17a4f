"""What the models cost an event, measured where they run: some calls are timed, and only the report card shows it.

The wall's clock must not reach anything that is replayed, so that only a live run has these; what they add is in no
alert, no score and no checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TypeAlias, TypeVar

import msgspec

from defiwatch.config import Models as Settings
from defiwatch.domain.learning import FeatureSurprise, Observation, Surprise
from defiwatch.domain.view import ModelRow
from defiwatch.models import Models, Outlook
from defiwatch.models.forecasts import Forecasts
from defiwatch.models.kind import KindModel
from defiwatch.models.liquidations import Liquidations
from defiwatch.models.stage import SubjectKey
from defiwatch.state.lending.barrier import HORIZONS

Clock: TypeAlias = Callable[[], float]
T = TypeVar("T")

EVERY = 32
"""One call in so many is timed."""

_RATE = 0.05


class Meter:
    """Running means of microseconds by name; a call that is timed counts in full, the others not at all."""

    def __init__(self, clock: Clock = perf_counter) -> None:
        self.clock = clock
        self._calls: dict[str, int] = {}
        self._means: dict[str, float] = {}

    def due(self, name: str) -> bool:
        """Whether this call is one to time; the first is."""
        calls = self._calls.get(name, 0)
        self._calls[name] = calls + 1
        return calls % EVERY == 0

    def take(self, name: str, seconds: float) -> None:
        """Note what a call took."""
        us = 1e6 * max(seconds, 0.0)
        before = self._means.get(name)
        self._means[name] = us if before is None else before + _RATE * (us - before)

    def us(self, *names: str) -> float | None:
        """The means of these added up; None where none was measured."""
        found = [self._means[name] for name in names if name in self._means]
        return sum(found) if found else None


class TimedModels(Models):
    """Models that know what each of their parts costs an event, scored and learnt."""

    def __init__(self, settings: Settings, clock: Clock = perf_counter) -> None:
        super().__init__(settings)
        self._meter = Meter(clock)
        self._parts: dict[str, float] | None = None
        """What the parts of the call that is timed took, in seconds; None while none is."""

    def score(self, obs: Observation) -> Surprise:
        """As `Models`."""
        return self._whole("score", obs.kind, lambda: super(TimedModels, self).score(obs))

    def learn(self, obs: Observation) -> None:
        """As `Models`."""
        if obs.learnable:
            self._whole("learn", obs.kind, lambda: super(TimedModels, self).learn(obs))

    def report(self, cost_us: Mapping[str, float] | None = None) -> tuple[ModelRow, ...]:
        """As `Models`, with what was measured."""
        costs = dict(cost_us or {})
        for kind in self._kinds:
            for part in ("tails", "forest", "calibration"):
                found = self._meter.us(f"score {kind} {part}", f"learn {kind} {part}")
                if found is not None:
                    costs[f"{kind} {part}"] = found
        return super().report(costs)

    def _see_joint(self, kind: KindModel, features: tuple[FeatureSurprise, ...]) -> tuple[float, float]:
        return self._part("forest", lambda: super(TimedModels, self)._see_joint(kind, features))

    def _learn_joint(self, kind: KindModel, squashed: dict[str, float]) -> float:
        return self._part("forest", lambda: super(TimedModels, self)._learn_joint(kind, squashed))

    def _calibrated(self, kind: KindModel, score: float) -> tuple[float, bool]:
        return self._part("calibration", lambda: super(TimedModels, self)._calibrated(kind, score))

    def _count(self, kind: KindModel, key: SubjectKey, time: float, score: float) -> None:
        self._part("calibration", lambda: super(TimedModels, self)._count(kind, key, time, score))

    def _whole(self, phase: str, kind: str, call: Callable[[], T]) -> T:
        if not self._meter.due(f"{phase} {kind}"):
            return call()
        self._parts = {"forest": 0.0, "calibration": 0.0}
        begun = self._meter.clock()
        result = call()
        whole = self._meter.clock() - begun
        parts, self._parts = self._parts, None
        for part, seconds in parts.items():
            self._meter.take(f"{phase} {kind} {part}", seconds)
        self._meter.take(f"{phase} {kind} tails", whole - sum(parts.values()))
        return result

    def _part(self, name: str, call: Callable[[], T]) -> T:
        if self._parts is None:
            return call()
        begun = self._meter.clock()
        result = call()
        self._parts[name] += self._meter.clock() - begun
        return result


class _TimedForecasts(Forecasts):
    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter

    def observe(self, kind: str, series: str, time: float, value: float) -> None:
        if not self._meter.due(kind):
            super().observe(kind, series, time, value)
            return
        begun = self._meter.clock()
        super().observe(kind, series, time, value)
        self._meter.take(kind, self._meter.clock() - begun)

    def report(self) -> tuple[ModelRow, ...]:
        return _with(super().report(), lambda row: self._meter.us(row.kind))


class _TimedLiquidations(Liquidations):
    def __init__(self, meter: Meter) -> None:
        super().__init__(HORIZONS)
        self._meter = meter

    def probability(self, horizon: str, formula: float, x: Mapping[str, float]) -> float:
        if not self._meter.due(horizon):
            return super().probability(horizon, formula, x)
        begun = self._meter.clock()
        found = super().probability(horizon, formula, x)
        self._meter.take(horizon, self._meter.clock() - begun)
        return found

    def report(self) -> tuple[ModelRow, ...]:
        return _with(super().report(), lambda row: self._meter.us(row.name.rsplit(" ", 1)[-1]))


class TimedOutlook(Outlook):
    """An outlook that knows what a value costs a forecast, and what one probability costs."""

    def __init__(self, clock: Clock = perf_counter) -> None:
        super().__init__()
        self.forecasts = _TimedForecasts(Meter(clock))
        self.liquidations = _TimedLiquidations(Meter(clock))


def _with(rows: tuple[ModelRow, ...], cost: Callable[[ModelRow], float | None]) -> tuple[ModelRow, ...]:
    return tuple(msgspec.structs.replace(row, cost_us=cost(row)) for row in rows)
