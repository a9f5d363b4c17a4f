"""Warnings on the way: when each rule would have begun to warn of a position, and whether it crossed then."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from defiwatch.commands.backtest.cohorts import Cohort, Rows
from defiwatch.commands.backtest.results import LeadTimes, RuleResult
from defiwatch.config import Alerts
from defiwatch.models.liquidations import Floats

Bools: TypeAlias = npt.NDArray[np.bool_]

DAY_S = 86_400.0
ENDS = 0.5
"""A warning ends when the chance, or the distance of the factor from its line, is back by this part."""


class Rule:
    """`told` at or above `line` warns; below `ENDS` of it the warning ends."""

    def __init__(self, line: float) -> None:
        self.line = line
        self._since: dict[int, Floats] = {}
        self._drawn: dict[int, Bools] = {}
        self._leads: list[float] = []
        self._crossings = self._warned = self._at_draw = self._warnings = self._false = 0

    def look(self, cohort: Cohort, rows: Rows, time: float, told: Floats) -> None:
        """What is told of a cohort's standing positions at `time`."""
        since = self._since.get(id(cohort))
        if since is None:
            since = self._since[id(cohort)] = np.full(len(cohort.rows), math.nan)
            self._drawn[id(cohort)] = np.zeros(len(cohort.rows), dtype=bool)
            self._drawn[id(cohort)][rows[told >= self.line]] = True
        standing = ~np.isnan(since[rows])
        ended = rows[standing & (told < ENDS * self.line)]
        for row in ended.tolist():
            self._end(cohort, row, float(since[row]), time)
        since[ended] = math.nan
        self._drawn[id(cohort)][ended] = False
        since[rows[~standing & (told >= self.line)]] = time

    def close(self, cohort: Cohort, end: float) -> None:
        """The cohort's life is over, at `end`."""
        since = self._since.pop(id(cohort), None)
        if since is None:
            return
        drawn = self._drawn.pop(id(cohort))
        for row, crossed in enumerate(cohort.crossed.tolist()):
            begun = float(since[row])
            if not math.isnan(begun):
                self._end(cohort, row, begun, min(crossed, end))
            if crossed <= end:
                self._crossings += 1
                if not math.isnan(begun):
                    self._warned += 1
                    if drawn[row]:
                        self._at_draw += 1
                    else:
                        self._leads.append(crossed - begun)

    def _end(self, cohort: Cohort, row: int, begun: float, end: float) -> None:
        self._warnings += 1
        self._false += float(cohort.crossed[row]) > max(end, begun + DAY_S)

    def forget(self) -> None:
        """What stands now was not seen to its end."""
        self._since.clear()
        self._drawn.clear()

    def result(self, position_days: float) -> RuleResult:
        """How the rule fared, over so many days of positions."""
        leads = LeadTimes(statistics.median(self._leads), min(self._leads)) if self._leads else None
        return RuleResult(
            self._crossings,
            self._warned,
            self._at_draw,
            leads,
            self._warnings,
            self._false,
            self._false / position_days if position_days > 0.0 else None,
        )


class Warnings:
    """The rules of `[alerts]`, by the chance within a day and by the health factor, on the scored part."""

    def __init__(self, settings: Alerts) -> None:
        chances = (settings.p_liquidation_warning, settings.p_liquidation_critical)
        factors = (settings.health_factor_warning, settings.health_factor_critical)
        self.chances: Mapping[str, Rule] = {f"P(24h) from {p:.0%}": Rule(p) for p in chances}
        self.factors: Mapping[str, Rule] = {f"health factor below {f:g}": Rule(1.0 / math.log(f)) for f in factors}
        self._standing: dict[int, tuple[Cohort, float]] = {}
        self._days = 0.0
        self._last: dict[int, float] = {}

    def look(self, cohort: Cohort, rows: Rows, time: float, end: float, factors: Floats, chances: Floats) -> None:
        """One cohort at one look; `end` is when its life ends."""
        self._standing[id(cohort)] = (cohort, end)
        self._days += len(rows) * (time - self._last.get(id(cohort), time)) / DAY_S
        self._last[id(cohort)] = time
        for rule in self.chances.values():
            rule.look(cohort, rows, time, chances)
        for rule in self.factors.values():
            rule.look(cohort, rows, time, 1.0 / np.log(np.maximum(factors, 1.0 + 1e-12)))

    def close(self, time: float) -> None:
        """Settle the cohorts whose life is over by `time`."""
        for key, (cohort, end) in sorted(self._standing.items(), key=lambda item: item[1][1]):
            if end <= time:
                for rule in (*self.chances.values(), *self.factors.values()):
                    rule.close(cohort, end)
                del self._standing[key], self._last[key]

    def forget(self) -> None:
        """A recording is over: what stands now was not seen to its end and does not count."""
        self._standing.clear()
        self._last.clear()
        for rule in (*self.chances.values(), *self.factors.values()):
            rule.forget()

    def results(self) -> dict[str, RuleResult]:
        """By rule."""
        return {name: rule.result(self._days) for name, rule in (*self.chances.items(), *self.factors.items())}
