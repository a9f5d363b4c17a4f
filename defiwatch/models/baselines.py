"""Two plain baselines behind the models' own interface, to be measured beside them: what a first try would be."""

from __future__ import annotations

import math
from typing import Any, Protocol

from river import anomaly, compose, preprocessing, stats

from defiwatch.domain.learning import FeatureSurprise, Observation, Surprise, rarity


class Detector(Protocol):
    """What `Models` is to whoever measures it."""

    def score(self, obs: Observation) -> Surprise:
        """How unusual an observation is; learns nothing."""

    def learn(self, obs: Observation) -> None:
        """Learn a confirmed observation."""


class ZScores:
    """An exponentially weighted z-score per subject and feature; its tail is the normal distribution's.

    `fading`: the weight of the newest value.
    """

    def __init__(self, fading: float = 0.01) -> None:
        self.fading = fading
        self._known: dict[tuple[str, str, str, str], tuple[Any, Any, list[int]]] = {}

    def score(self, obs: Observation) -> Surprise:
        """Each feature's one-sided normal tail."""
        found = []
        for name, value in obs.values.items():
            known = self._known.get((obs.kind, obs.subject.protocol, obs.subject.id, name))
            tail, usual = 1.0, value
            if known is not None and known[2][0] >= 30:
                mean, variance, _ = known
                usual = mean.get()
                deviation = math.sqrt(max(variance.get(), 0.0)) or 1e-12
                tail = max(1e-300, 0.5 * math.erfc((value - usual) / deviation / math.sqrt(2.0)))
            found.append(FeatureSurprise(name, value, usual, usual, usual, tail))
        features = tuple(found)
        return Surprise(features, 0.0, 0, young=False, rarity=rarity(obs.kind, features, 1.0))

    def learn(self, obs: Observation) -> None:
        """Follow mean and variance."""
        if not obs.learnable:
            return
        for name, value in obs.values.items():
            key = (obs.kind, obs.subject.protocol, obs.subject.id, name)
            if key not in self._known:
                self._known[key] = (stats.EWMean(self.fading), stats.EWVar(self.fading), [0])
            mean, variance, count = self._known[key]
            mean.update(value)
            variance.update(value)
            count[0] += 1


class PlainTrees:
    """River's half-space trees out of the box, a min-max scaler before them as its documentation has it, one a kind."""

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed
        self._known: dict[str, Any] = {}

    def score(self, obs: Observation) -> Surprise:
        """River's own score, 0..1, as the rarity."""
        pipeline = self._known.get(obs.kind)
        score = float(pipeline.score_one(obs.values)) if pipeline is not None else 0.0
        return Surprise((), score, 0, young=False, rarity=score)

    def learn(self, obs: Observation) -> None:
        """Learn it."""
        if not obs.learnable or not obs.values:
            return
        if obs.kind not in self._known:
            self._known[obs.kind] = compose.Pipeline(
                preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=self.seed)
            )
        self._known[obs.kind].learn_one(obs.values)
