"""The models' facade: an observation in, how unusual it is out. Scores first, learns later, and only when told."""

from __future__ import annotations

import math
from typing import TypeAlias

from defiwatch.config import Models as Settings
from defiwatch.domain.learning import FeatureSurprise, Observation, Surprise
from defiwatch.domain.view import ModelRow
from defiwatch.models.forest import EarlyHalfSpaceTrees
from defiwatch.models.priors import PRIORS
from defiwatch.models.scaler import SurprisalScaler
from defiwatch.models.tails import UpperTail

SubjectKey: TypeAlias = tuple[str, int, str, str]
"""(kind, chain id, protocol, subject id)."""

_RARE = 0.01
"""The line that the running record counts crossings of: 1 % of all values should lie beyond it."""


class KindModel:
    """What one kind of subject shares: the prior of new subjects, the forest, and the running record."""

    def __init__(self, kind: str, settings: Settings) -> None:
        self.kind = kind
        self.scaler = SurprisalScaler(kind=kind, warm_up=settings.warm_up)
        self.names = tuple(PRIORS.get(kind, ()))
        self.forest = EarlyHalfSpaceTrees(seed=settings.seed)
        self.rarity = UpperTail(median=1.5, foot=4.0, floor=1.0)
        """Of 1 / (1 - forest score): how thin the place is where an observation lies."""
        self.events = 0
        self.values = 0
        self.rare_values = 0
        self.seeing = 0
        self.rare_joints = 0

    def squashed(self, tails: dict[str, float]) -> dict[str, float]:
        """What the forest takes: every feature of the kind; one that was not observed counts as usual."""
        squash = self.scaler.squash
        return {name: squash(tails[name]) if name in tails else 0.0 for name in self.names or sorted(tails)}


class Models:
    """All models of one line. Deterministic: the same observations in the same order give the same scores."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._kinds: dict[str, KindModel] = {}
        self._subjects: dict[SubjectKey, SurprisalScaler] = {}
        self._unseen: dict[str, KindModel] = {}

    def score(self, obs: Observation) -> Surprise:
        """How unusual `obs` is, before anything is learnt from it."""
        kind = self._kinds.get(obs.kind) or self._fresh(obs.kind)
        own = self._subjects.get(_key(obs))
        scaler = own if own is not None else kind.scaler.successor()
        features = _features(scaler, obs.values)
        joint, tail = 0.0, 1.0
        if not kind.forest.blind and features:
            joint = kind.forest.score_one(kind.squashed({feature.name: feature.tail for feature in features}))
            tail = kind.rarity.tail(_thinness(joint))
        return Surprise(features=features, joint=joint, seen=scaler.seen, young=scaler.young, tail=tail)

    def learn(self, obs: Observation) -> None:
        """Learn one observation of a confirmed block. What was only looked at again teaches nothing."""
        if not obs.learnable or not obs.values:
            return
        kind = self._kinds.get(obs.kind)
        if kind is None:
            kind = self._kinds[obs.kind] = KindModel(obs.kind, self.settings)
        key = _key(obs)
        own = self._subjects.get(key)
        if own is None:
            own = self._subjects[key] = kind.scaler.successor()
        values = _usable(obs.values)
        widening = own.widening
        tails = {name: own.tail_of(name).tail(value, widening) for name, value in values.items()}
        squashed = kind.squashed(tails)
        kind.events += 1
        kind.values += len(tails)
        kind.rare_values += sum(tail < _RARE for tail in tails.values())
        if not kind.forest.blind:
            thinness = _thinness(kind.forest.score_one(squashed))
            kind.seeing += 1
            kind.rare_joints += kind.rarity.tail(thinness) < _RARE
            kind.rarity.update(thinness)
        kind.forest.learn_one(squashed)
        own.learn_one(values)
        kind.scaler.learn_one(values)

    def _fresh(self, kind: str) -> KindModel:
        """A kind that nothing was learnt of, made once: scoring remembers nothing."""
        if kind not in self._unseen:
            self._unseen[kind] = KindModel(kind, self.settings)
        return self._unseen[kind]

    def report(self) -> tuple[ModelRow, ...]:
        """The running record of each model: measured on every observation before it was learnt."""
        rows: list[ModelRow] = []
        for name in sorted(self._kinds):
            kind = self._kinds[name]
            subjects = sum(1 for key in self._subjects if key[0] == name)
            young = sum(1 for key, scaler in self._subjects.items() if key[0] == name and scaler.young)
            rows.append(
                ModelRow(
                    name=f"{name} tails",
                    kind=name,
                    events=kind.events,
                    metric="share beyond the 1 % line",
                    value=kind.rare_values / kind.values if kind.values else None,
                    note=f"{subjects} subjects, {young} young",
                )
            )
            rows.append(
                ModelRow(
                    name=f"{name} forest",
                    kind=name,
                    events=kind.seeing,
                    metric="share beyond the 1 % line",
                    value=kind.rare_joints / kind.seeing if kind.seeing else None,
                    note="blind until 64 observations" if kind.forest.blind else "",
                )
            )
        return tuple(rows)


def _key(obs: Observation) -> SubjectKey:
    return (obs.kind, obs.subject.chain_id, obs.subject.protocol, obs.subject.id)


def _thinness(joint: float) -> float:
    return 1.0 / max(1.0 - joint, 1e-9)


def _usable(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _features(scaler: SurprisalScaler, values: dict[str, float]) -> tuple[FeatureSurprise, ...]:
    widening = scaler.widening
    found = []
    for name, value in _usable(values).items():
        tail = scaler.tail_of(name)
        found.append(
            FeatureSurprise(
                name=name,
                value=value,
                usual=tail.get(),
                low=tail.at_tail(0.95),
                high=tail.at_tail(0.05),
                tail=tail.tail(value, widening),
            )
        )
    return tuple(found)
