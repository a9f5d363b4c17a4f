"""One recording run through the outlook of a live line: at every grid time first what is known then is learnt, and then
the chances are told. Nothing that is told rests on a later price.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from defiwatch.commands.backtest.cohorts import Cohort, Rows
from defiwatch.commands.backtest.market import Prices
from defiwatch.commands.backtest.snapshot import Rebased
from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import BPS, UINT256_MAX, WAD, YEAR_S
from defiwatch.models.crowd import Crowd, chances
from defiwatch.models.liquidations import Floats
from defiwatch.models.outlook import CASES_S, NEAREST, Outlook, Scene, mark_key
from defiwatch.state.lending.barrier import HORIZONS
from defiwatch.state.lending.chances import p_many
from defiwatch.state.lending.pushes import Pushes, Rhythm, of_price, pushed, usual
from defiwatch.state.prices.assets import USD

OURS, UNTAUGHT, PUSHES, PLAIN = "ours", "ours, nothing learnt", "barrier, discrete pushes", "barrier, continuous"

SCENE_S = 600.0
"""Without a push a scene is looked at this often: as often as volatilities are sampled."""
CASES = 12
"""Positions from which a look may open cases."""
_PROTOCOL, _MARKET = "backtest", "snapshot"
_UNIT = 10**8
_SCALE = 10**12
LIKELY = 4.3
"""Standard deviations: what is farther away than this crosses once in 100,000 times."""
HOURS = 4.0
"""A horizon must have this many grid times at least to be seen."""


class Told(msgspec.Struct, frozen=True):
    """What was told at one grid time: of each cohort the places of the positions that stood between 1 and `NEAREST`,
    and in the same order their factors and, by forecast and horizon, probabilities (only ours where `issued` is
    False)."""

    index: int
    time: float
    stood: tuple[tuple[Cohort, Rows], ...]
    factors: Floats
    chances: dict[str, dict[str, Floats]]
    issued: bool


class Run:
    """One recording, a look at a time. Mutable: the outlook learns on the way."""

    def __init__(self, prices: Prices, rebased: Rebased, drawn: Sequence[Cohort], outlook: Outlook) -> None:
        self.prices = prices
        self.rebased = rebased
        self.outlook = outlook
        self._drawn = drawn
        self._own = [prices.assets.index(asset) for asset in rebased.assets]
        self._pushes: dict[str, Pushes] = {}
        self._rhythms: dict[str, Rhythm] = {asset: usual(asset) for asset in rebased.assets}
        self._rhythms[USD] = Rhythm(interval=SCENE_S, squared=0.0, band=0.0)
        self._turn = 0

    def looks(self, issue_s: float) -> Iterator[Told]:
        """Every look, in order; forecasts to be scored at every `issue_s` seconds."""
        prices = self.prices
        seen = issued = opened = -math.inf
        for index, time in enumerate(prices.times.tolist()):
            if not prices.pushed[index].any() and time < seen + SCENE_S:
                continue
            seen = time
            answers = prices.protocol[index, self._own]
            self._follow(index, time, answers)
            stood, weighted, debt = self._standing(index, time, answers)
            crowd = Crowd(self.rebased.assets, weighted, debt) if len(weighted) else None
            cases: tuple[Position, ...] = ()
            if crowd is not None and time >= opened + CASES_S:
                opened = time
                cases = tuple(self._position(stood, i, index, time, answers) for i in self._cases(crowd))
            self._learn(index, time, answers, cases)
            if crowd is None:
                continue
            told = chances(self.outlook, crowd, self._rhythms)
            if np.isnan(told["24h"]).any():
                continue
            due = time >= issued + issue_s
            issued = time if due else issued
            yield Told(index, time, stood, crowd.factors, self._all(crowd, told) if due else {OURS: told}, due)

    def _follow(self, index: int, time: float, answers: Floats) -> None:
        for i, asset in enumerate(self.rebased.assets):
            if asset != USD and self.prices.pushed[index, self._own[i]]:
                after = pushed(self._pushes.get(asset, Pushes()), time, float(answers[i]))
                self._pushes[asset] = after
                self._rhythms[asset] = of_price(after) or usual(asset)

    def _standing(
        self, index: int, time: float, answers: Floats
    ) -> tuple[tuple[tuple[Cohort, Rows], ...], Floats, Floats]:
        stood, weighted, debt = [], [], []
        for cohort in self._drawn:
            if cohort.born <= index < cohort.end:
                rows = cohort.alive(time)
                backed, owed = cohort.weighted[rows] * answers, cohort.debt[rows] * answers
                near = backed.sum(axis=1) < NEAREST * owed.sum(axis=1)
                stood.append((cohort, rows[near]))
                weighted.append(backed[near])
                debt.append(owed[near])
        empty = np.zeros((0, len(answers)))
        return tuple(stood), np.concatenate([empty, *weighted]), np.concatenate([empty, *debt])

    def _cases(self, crowd: Crowd) -> list[int]:
        """Some positions to open cases of, in turn, of those that may cross at all within the least and the longest
        horizon that can be seen."""
        far = np.log(np.maximum(crowd.factors, 1.0)) / np.maximum(crowd.sigmas(self.outlook.slow), 1e-9)
        least = next(s for s in sorted(HORIZONS.values()) if s >= HOURS * self.prices.step_s)
        found: set[int] = set()
        for seconds in (least, max(HORIZONS.values())):
            likely = np.flatnonzero(far < LIKELY * math.sqrt(seconds / YEAR_S))
            found |= {int(likely[(self._turn + k) % len(likely)]) for k in range(min(CASES // 2, len(likely)))}
        self._turn += CASES // 2
        return sorted(found)

    def _position(
        self, stood: Sequence[tuple[Cohort, Rows]], place: int, index: int, time: float, answers: Floats
    ) -> Position:
        """One of those that stand, as a protocol would show it."""
        sizes = [len(rows) for _, rows in stood]
        which = next(i for i in range(len(sizes)) if place < sum(sizes[: i + 1]))
        cohort, rows = stood[which]
        row = rows[place - sum(sizes[:which])]
        name = f"{self.rebased.accounts[cohort.rows[row]]}@{cohort.born}"
        return self._shown(name, cohort.weighted[row] * answers, cohort.debt[row] * answers, index, time, answers)

    def _shown(self, name: str, weighted: Floats, debt: Floats, index: int, time: float, answers: Floats) -> Position:
        legs = tuple(
            Leg(
                asset,
                asset,
                8,
                0,
                0,
                round(float(answers[i]) * _UNIT),
                BPS,
                collateral_base=round(float(weighted[i]) * _SCALE),
                debt_base=round(float(debt[i]) * _SCALE),
            )
            for i, asset in enumerate(self.rebased.assets)
            if weighted[i] or debt[i] or not debt.any()
        )
        backed, owed = sum(leg.collateral_base for leg in legs), sum(leg.debt_base for leg in legs)
        factor = backed * WAD // owed if owed else UINT256_MAX
        return Position(
            1, _PROTOCOL, _MARKET, name, index, "", int(time), factor, backed, owed, BPS, legs, base_decimals=8
        )

    def _learn(self, index: int, time: float, answers: Floats, cases: tuple[Position, ...]) -> None:
        """Hand the outlook what a live line hands it: prices, rhythms, and positions as they stand (one without a debt
        holds every asset, so that all prices are followed)."""
        none = np.zeros(len(answers))
        followed = self._shown("prices", none, none, index, time, answers)
        priced = dict(zip(self.rebased.assets, answers.tolist(), strict=True))
        rhythms = {mark_key(followed, asset): rhythm for asset, rhythm in self._rhythms.items()}
        at = BlockRef(1, index + 1, str(index), int(time))
        self.outlook.note(Scene(at, priced, {}, (followed, *cases), {}, rhythms))
        self.outlook.confirm(index + 1)

    def _all(self, crowd: Crowd, told: Mapping[str, Floats]) -> dict[str, dict[str, Floats]]:
        slow = crowd.sigmas(self.outlook.slow)
        intervals, _ = crowd.beats(self._rhythms)
        never = np.zeros(len(slow))
        return {
            OURS: dict(told),
            UNTAUGHT: chances(self.outlook, crowd, self._rhythms, corrected=False),
            PUSHES: {name: p_many(crowd.factors, slow, s, intervals) for name, s in HORIZONS.items()},
            PLAIN: {name: p_many(crowd.factors, slow, s, never) for name, s in HORIZONS.items()},
        }
