"""The whole backtest: recordings one after the other, those that tune first; what was told held against what came."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from defiwatch.commands.backtest.cohorts import GROUPS, LIFE_S, cohorts, unseen
from defiwatch.commands.backtest.leads import Warnings
from defiwatch.commands.backtest.market import Prices
from defiwatch.commands.backtest.results import HorizonResult, LiquidationBacktest, RecordingResult
from defiwatch.commands.backtest.run import OURS, PLAIN, PUSHES, UNTAUGHT, Run, Told
from defiwatch.commands.backtest.scores import DAY_S, TABLE, THRESHOLD, Static, Tally
from defiwatch.commands.backtest.snapshot import Rebased, Stand
from defiwatch.config import Alerts
from defiwatch.domain.units import span
from defiwatch.models.liquidations import KeptLiquidations
from defiwatch.models.outlook import NEAREST, Outlook
from defiwatch.state.lending.barrier import HORIZONS
from defiwatch.state.prices.assets import rank

NAMES = (OURS, UNTAUGHT, PUSHES, PLAIN, TABLE, THRESHOLD)
AGAINST = (PLAIN, TABLE, THRESHOLD)
"""The baselines."""
ISSUE_S = {"1h": 600.0, "24h": 3600.0, "7d": 21_600.0}
"""Seconds between two forecasts that are scored."""
SEEN_STEPS = 12
"""A horizon is scored where it has this many grid times: the hour on 1-minute prices, not on hourly ones."""
ASSUMED = (
    "positions are frozen: nobody repays, tops up or is liquidated; interest does not grow",
    f"drawn anew every {GROUPS} days, a part each day, with the snapshot's health factors at that moment's prices",
    f"scored while the health factor is between 1 and {NEAREST:g}; crossed: below 1 at the protocol's prices",
    "protocol prices: a push when the market is off by 0.5 % or after an hour (dollar-pegged 0.25 % or a day)",
    "pushes and crossings at the recording's own step; what the market did in between nobody sees",
    "staked coins follow their base as exchange-rate oracles do; a dollar without a price is a dollar",
)


class Trial:
    """Recordings in order. Mutable: sums grow as it goes on."""

    def __init__(self, stands: Sequence[Stand], settings: Alerts) -> None:
        self._stands = stands
        self._settings = settings
        self.static = {name: Static() for name in HORIZONS}
        self.tallies = {name: Tally(NAMES) for name in HORIZONS}
        self.warnings = Warnings(settings)
        self.recordings: list[RecordingResult] = []
        self._unseen: dict[str, list[str]] = {name: [] for name in HORIZONS}
        self._learnt: KeptLiquidations | None = None
        self.on_told: Callable[[Told], None] | None = None
        """Called with every look; a test's window."""

    def run(self, prices: Prices, part: str) -> None:
        """One recording; `part` is tuning, scored or halves."""
        rebased = Rebased(self._stands, prices.assets)
        drawn = list(cohorts(prices, rebased)) if len(rebased.accounts) else []
        outlook = Outlook()
        if self._learnt is not None:
            outlook.liquidations.load(self._learnt)
        size = len(prices.times)
        split = {"tuning": size, "scored": 0, "halves": size // 2}[part]
        hidden = {name: unseen(prices, seconds) for name, seconds in HORIZONS.items()}
        seen = [name for name, seconds in HORIZONS.items() if seconds >= SEEN_STEPS * prices.step_s]
        for name in HORIZONS:
            if name not in seen and part != "tuning":
                self._unseen[name].append(f"{prices.name} (one price in {span(prices.step_s)})")
        issued = dict.fromkeys(seen, -math.inf)
        end = size - round(DAY_S / prices.step_s)
        for told in Run(prices, rebased, drawn, outlook).looks(min(ISSUE_S[name] for name in seen)):
            if self.on_told is not None:
                self.on_told(told)
            if told.index >= split:
                self._warn(told, prices, end)
            for name in seen if told.issued else ():
                if told.time >= issued[name] + ISSUE_S[name] and not hidden[name][told.index]:
                    issued[name] = told.time
                    self._score(name, told, scored=told.index >= split)
        self.warnings.forget()
        self._learnt = KeptLiquidations(outlook.liquidations.dump().horizons, (), {})
        self.recordings.append(_described(prices, rebased, part))

    def _score(self, name: str, told: Told, *, scored: bool) -> None:
        due = told.time + HORIZONS[name]
        crossed = np.concatenate([cohort.crossed[rows] <= due for cohort, rows in told.stood])
        static = self.static[name]
        if not scored:
            static.learn(told.factors, crossed)
            return
        given = [told.chances[forecast][name] for forecast in (OURS, UNTAUGHT, PUSHES, PLAIN)]
        fixed = (told.factors < static.threshold).astype(np.float64)
        self.tallies[name].add(told.time, [*given, static.table(told.factors), fixed], crossed)

    def _warn(self, told: Told, prices: Prices, end: int) -> None:
        chances, place = told.chances[OURS]["24h"], 0
        for cohort, rows in told.stood:
            if cohort.end <= end:
                own = slice(place, place + len(rows))
                until = float(prices.times[cohort.born]) + LIFE_S
                self.warnings.look(cohort, rows, told.time, until, told.factors[own], chances[own])
            place += len(rows)
        self.warnings.close(told.time)

    def result(self) -> LiquidationBacktest:
        """What was found."""
        horizons = {
            name: self.tallies[name].result(1 + math.floor(seconds / DAY_S), ", ".join(self._unseen[name]))
            for name, seconds in HORIZONS.items()
        }
        return LiquidationBacktest(
            tuple(self.recordings), ASSUMED, horizons, self.warnings.results(), tuple(_not_better(horizons))
        )


def _not_better(horizons: dict[str, HorizonResult]) -> list[str]:
    found = []
    for name, horizon in horizons.items():
        for other in AGAINST:
            forecast = horizon.forecasts.get(other)
            if forecast is None or forecast.worse is None:
                continue
            worse = forecast.worse
            if worse.value <= 0.0:
                found.append(f"{name}: not better than the {other}")
            elif worse.low is None or worse.low <= 0.0:
                found.append(f"{name}: better than the {other}, but the interval holds 0")
    return found


def _described(prices: Prices, rebased: Rebased, part: str) -> RecordingResult:
    held = rebased.weighted.sum(axis=0)
    moving = [i for i, asset in enumerate(rebased.assets) if rank(asset) > 0]
    most = rebased.assets[max(moving, key=lambda i: (held[i], -i))] if len(held) and moving else prices.assets[0]
    pushed = int(prices.pushed[:, prices.assets.index(most)].sum())
    return RecordingResult(
        prices.name,
        part,
        prices.days,
        prices.step_s,
        prices.days * DAY_S / max(1, pushed),
        tuple(asset for asset in rebased.assets if rebased.weighted.any() and _held(rebased, asset)),
        len(rebased.accounts),
        dict(sorted(rebased.moved.items())),
        dict(sorted(rebased.left_out.items())),
    )


def _held(rebased: Rebased, asset: str) -> bool:
    i = rebased.assets.index(asset)
    return bool(rebased.weighted[:, i].any() or rebased.debt[:, i].any())


def backtest(
    scored: Sequence[Prices], tuning: Sequence[Prices], stands: Sequence[Stand], settings: Alerts
) -> LiquidationBacktest:
    """The recordings to tune on, then those to score on; without any to tune on, each is halved."""
    trial = Trial(stands, settings)
    for prices in tuning:
        trial.run(prices, "tuning")
    for prices in scored:
        trial.run(prices, "scored" if tuning else "halves")
    return trial.result()
