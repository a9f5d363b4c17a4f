"""P(liquidation), corrected online: the barrier formula's number, moved by what the formula lacks.

The number is *P if nothing is done*: a case freezes a position as it stands, and its label is whether the frozen
position would have crossed at the protocol's prices and indices that followed. So neither closing nor topping up
censors a case or makes a warning false. Positives and negatives are both learnt when the horizon is over: a positive
learnt on arrival would come before its negatives and bias P upwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from river import base

from defiwatch.domain.view import ModelRow

Floats: TypeAlias = npt.NDArray[np.float64]

FEATURES = ("volatility_regime", "gap", "oracle_band", "push_interval")
"""What the formula lacks, each about 0 where it lacks nothing: ln(volatility now / its long-run), ln(1 + the largest
recent move beyond three standard deviations), the feeds' band as a share of the distance, ln(1 + hours between
pushes)."""

MOST_OPEN = 600
"""Cases that are open at once, over all horizons, each of which has the same part of them. Positions on one price path
are not so many samples: more of them would cost time and teach little."""

EVERY = 0.05
"""A position has a new case after this part of the horizon at the soonest."""

LEAST = 1e-5
"""Of what the formula says is less likely than this no case is opened; there the correction is that at `LEAST`."""

BLIND = 0.25
"""A horizon of which more than this part went by unseen in one piece teaches nothing, whatever was seen of it."""

_LOGIT = 12.0


class CorrectedProbability(base.Classifier):
    """Logistic regression around a given probability: logit P = b + a·logit(formula) + Σ w·x, from P = formula on.

    Weighted AdaGrad steps, pulled back to the formula by `pull`.

    Parameters
    ----------
    rate
        The step of AdaGrad.
    pull
        How strongly the weights are pulled back to where they started, per example.
    """

    def __init__(self, rate: float = 0.08, pull: float = 0.0005) -> None:
        self.rate = rate
        self.pull = pull
        self.weights: dict[Any, float] = {}
        self.squares: dict[Any, float] = {}

    def _terms(self, x: Mapping[Any, float]) -> list[tuple[Any, float]]:
        found = [("", 1.0)]
        for name in sorted(x, key=str):
            value = x[name]
            found.append((name, logit(value) if name == "formula" else math.tanh(value)))
        return found

    def _margin(self, terms: Iterable[tuple[Any, float]]) -> float:
        return math.fsum(self.weights.get(name, 1.0 if name == "formula" else 0.0) * value for name, value in terms)

    def predict_proba_one(self, x: dict[Any, float], **kwargs: Any) -> dict[Any, float]:  # noqa: ARG002 - river's own
        """{True: P, False: 1 - P}; the formula's own number while nothing was learnt."""
        p = 1.0 / (1.0 + math.exp(-min(_LOGIT, max(-_LOGIT, self._margin(self._terms(x))))))
        return {True: p, False: 1.0 - p}

    def learn_one(self, x: dict[Any, float], y: Any, w: float = 1.0) -> None:
        """Learn one case whose horizon is over, with weight `w`."""
        terms = self._terms(x)
        error = 1.0 / (1.0 + math.exp(-min(_LOGIT, max(-_LOGIT, self._margin(terms))))) - (1.0 if y else 0.0)
        for name, value in terms:
            start = 1.0 if name == "formula" else 0.0
            weight = self.weights.get(name, start)
            scale = 0.25 if name == "formula" else 1.0
            gradient = w * (error * value * scale + self.pull * (weight - start))
            squares = self.squares.get(name, 1.0) + gradient * gradient
            self.squares[name] = squares
            self.weights[name] = min(5.0, max(-5.0, weight - self.rate * scale * gradient / math.sqrt(squares)))

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {}


class Mark(msgspec.Struct, frozen=True):
    """What an asset of a market is worth to the protocol: its price, and the indices that its balances grow by."""

    price: float
    supply_index: float = 1.0
    debt_index: float = 1.0


class FrozenLeg(msgspec.Struct, frozen=True, array_like=True):
    """One asset of a frozen position: collateral weighted by its threshold, and debt; `mark` is that of their time."""

    asset: str
    weighted: float
    debt: float
    mark: Mark


class Case(msgspec.Struct, frozen=True):
    """A position as it stood: what was told of it, and whether it has crossed since. `due` in Unix seconds."""

    key: str
    horizon: str
    due: float
    formula: float
    told: float
    x: dict[str, float]
    legs: tuple[FrozenLeg, ...]
    weight: float = 1.0
    crossed: bool = False


class KeptHorizon(msgspec.Struct, frozen=True):
    """One horizon's model as a checkpoint holds it."""

    weights: dict[str, float]
    squares: dict[str, float]
    n: int
    positives: int
    brier: float
    brier_formula: float


class KeptLiquidations(msgspec.Struct, frozen=True):
    """The whole as a checkpoint holds it."""

    horizons: dict[str, KeptHorizon]
    open: tuple[Case, ...]
    last: dict[str, float]
    room: dict[str, tuple[float, float]] = {}
    seen: float | None = None


class _Horizon:
    """One horizon's model and its record: weighted means of squared errors, ours and the formula's."""

    def __init__(self) -> None:
        self.model = CorrectedProbability()
        self.n = 0
        self.positives = 0
        self.brier = 0.0
        self.brier_formula = 0.0


class Liquidations:
    """P(liquidation) of one line's positions. `horizons`: seconds by name, as the barrier formula has them."""

    def __init__(self, horizons: Mapping[str, float]) -> None:
        self.horizons = dict(horizons)
        self._models = {name: _Horizon() for name in self.horizons}
        self._open: list[Case] = []
        self._last: dict[str, float] = {}
        self._most = MOST_OPEN / max(1, len(self.horizons))
        self._room: dict[str, tuple[float, float]] = {}
        """By horizon: how many cases may be opened, and as of when."""
        self._seen = -math.inf

    def probability(self, horizon: str, formula: float, x: Mapping[str, float]) -> float:
        """P(crossed within the horizon, if nothing is done), 0..1; the formula's number until something was learnt."""
        model = self._models[horizon].model
        if not 0.0 < formula < 1.0 or not model.weights:
            return formula
        told = float(model.predict_proba_one({"formula": max(formula, LEAST), **x})[True])
        return told * min(1.0, formula / LEAST)

    def probabilities(self, horizon: str, formulas: Floats, x: Mapping[str, Floats]) -> Floats:
        """`probability` of many at once."""
        weights = self._models[horizon].model.weights
        if not weights:
            return formulas
        margin = weights.get("", 0.0) + weights.get("formula", 1.0) * _logits(np.maximum(formulas, LEAST))
        for name in sorted(x):
            margin = margin + weights.get(name, 0.0) * np.tanh(x[name])
        told: Floats = np.minimum(1.0, formulas / LEAST) / (1.0 + np.exp(-np.clip(margin, -_LOGIT, _LOGIT)))
        return np.where((formulas > 0.0) & (formulas < 1.0), told, formulas)

    def open_cases(
        self, key: str, time: float, formulas: Mapping[str, float], x: Mapping[str, float], legs: tuple[FrozenLeg, ...]
    ) -> None:
        """Freeze a position, for each horizon for which it is time. `formulas`: the barrier formula's P by horizon.

        A horizon's cases are opened at an even pace, so that they are of all hours and short ones not crowded out.
        """
        for horizon in sorted(formulas):
            formula = formulas[horizon]
            every = self.horizons[horizon] * EVERY
            slot = f"{horizon}|{key}"
            if not LEAST < formula < 1.0 or time < self._last.get(slot, -math.inf) + every:
                continue
            room = self._room_at(horizon, time)
            if room < 1.0:
                continue
            self._room[horizon] = (room - 1.0, time)
            self._last[slot] = time
            told = self.probability(horizon, formula, x)
            due = time + self.horizons[horizon]
            self._open.append(Case(key, horizon, due, formula, told, dict(x), legs))

    def _room_at(self, horizon: str, time: float) -> float:
        room, since = self._room.get(horizon, (self._most / 10.0, time))
        return min(self._most, room + (time - since) * self._most / self.horizons[horizon])

    def observe(self, time: float, marks: Mapping[str, Mark]) -> None:
        """Prices and indices as the protocol has them at `time` (confirmed); cases whose horizon is over are learnt.

        Cases of one horizon overlap and share one path of prices: all that are open at once count as one sample.

        Those of which too much went by unseen (`BLIND`) are dropped, crossed or not: to keep those that had crossed
        would bias P upwards.
        """
        before, self._seen = self._seen, time
        standing: list[Case] = []
        over: list[Case] = []
        for case in self._open:
            length = self.horizons[case.horizon]
            if min(time, case.due) - max(before, case.due - length) > BLIND * length:
                continue
            crossed = case.crossed
            if not crossed and time <= case.due and factor_of(case.legs, marks) < 1.0:
                crossed = True
            now = case if crossed == case.crossed else msgspec.structs.replace(case, crossed=True)
            (over if time >= case.due else standing).append(now)
        self._open = standing
        together: dict[str, int] = {}
        for case in (*standing, *over):
            together[case.horizon] = together.get(case.horizon, 0) + 1
        for case in over:
            self._learn(msgspec.structs.replace(case, weight=1.0 / together[case.horizon]))
        if over:
            self._forget(time)

    def _learn(self, case: Case) -> None:
        horizon = self._models[case.horizon]
        label = 1.0 if case.crossed else 0.0
        horizon.n += 1
        horizon.positives += case.crossed
        horizon.brier += ((case.told - label) ** 2 - horizon.brier) / horizon.n
        horizon.brier_formula += ((case.formula - label) ** 2 - horizon.brier_formula) / horizon.n
        horizon.model.learn_one({"formula": case.formula, **case.x}, case.crossed, case.weight)

    def _forget(self, time: float) -> None:
        longest = max(self.horizons.values())
        self._last = {slot: at for slot, at in self._last.items() if at + longest >= time}

    @property
    def open(self) -> int:
        """How many cases wait for their horizon."""
        return len(self._open)

    def record(self, horizon: str) -> tuple[int, int, float, float]:
        """(cases learnt, those that crossed, Brier score of what was told, that of the plain formula)."""
        found = self._models[horizon]
        return found.n, found.positives, found.brier, found.brier_formula

    def report(self) -> tuple[ModelRow, ...]:
        """A row a horizon: the Brier score, beside the plain formula's."""
        rows = []
        for name in sorted(self.horizons, key=lambda horizon: self.horizons[horizon]):
            n, positives, brier, formula = self.record(name)
            waiting = sum(1 for case in self._open if case.horizon == name)
            if n or waiting:
                rows.append(
                    ModelRow(
                        name=f"P(liquidation) {name}",
                        kind="position",
                        events=n,
                        metric="Brier score, if nothing is done",
                        value=brier if n else None,
                        note=f"{positives} crossed, {waiting} waiting"
                        + (f"; the plain formula {formula:.4f}" if n else ""),
                    )
                )
        return tuple(rows)

    def dump(self) -> KeptLiquidations:
        """Everything that was learnt."""
        horizons = {
            name: KeptHorizon(dict(h.model.weights), dict(h.model.squares), h.n, h.positives, h.brier, h.brier_formula)
            for name, h in self._models.items()
        }
        seen = self._seen if math.isfinite(self._seen) else None
        return KeptLiquidations(horizons, tuple(self._open), dict(self._last), dict(self._room), seen)

    def load(self, kept: KeptLiquidations) -> None:
        """Take up what `dump` gave; horizons that are not asked for now are left aside."""
        for name, saved in kept.horizons.items():
            if name in self._models:
                horizon = self._models[name] = _Horizon()
                horizon.model.weights, horizon.model.squares = dict(saved.weights), dict(saved.squares)
                horizon.n, horizon.positives = saved.n, saved.positives
                horizon.brier, horizon.brier_formula = saved.brier, saved.brier_formula
        self._open = [case for case in kept.open if case.horizon in self._models]
        self._last = dict(kept.last)
        self._room = {name: room for name, room in kept.room.items() if name in self._models}
        self._seen = -math.inf if kept.seen is None else kept.seen


def factor_of(legs: Iterable[FrozenLeg], marks: Mapping[str, Mark]) -> float:
    """The health factor of a frozen position at other marks; an asset without a mark stands where it stood."""
    weighted = owed = 0.0
    for leg in legs:
        then = leg.mark
        now = marks.get(leg.asset, then)
        move = now.price / then.price
        weighted += leg.weighted * move * now.supply_index / then.supply_index
        owed += leg.debt * move * now.debt_index / then.debt_index
    return weighted / owed if owed > 0.0 else math.inf


def _logits(p: Floats) -> Floats:
    held = np.clip(p, 1e-9, 1.0 - 1e-9)
    return np.clip(np.log(held / (1.0 - held)), -_LOGIT, _LOGIT)


def logit(p: float) -> float:
    """ln(p / (1 - p)), within ±12."""
    p = min(1.0 - 1e-9, max(1e-9, p))
    return min(_LOGIT, max(-_LOGIT, math.log(p / (1.0 - p))))
