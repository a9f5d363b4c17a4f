"""The models' facade: an observation in, how unusual it is out. Scores first, learns later, and only when told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from defiwatch.config import Models as Settings
from defiwatch.domain.learning import FeatureSurprise, Observation, Surprise, rarity
from defiwatch.domain.view import ModelRow
from defiwatch.errors import StoreError
from defiwatch.models.hours import HOUR
from defiwatch.models.kind import CHECKED, RARE, KeptKind, KeptSubject, KindModel, SubjectModel, mean_surprise
from defiwatch.models.scaler import SurprisalScaler

SubjectKey: TypeAlias = tuple[str, int, str, str]
"""(kind, chain id, protocol, subject id)."""

PARTS = ("own", "joint", "hours", "drift")
"""What can be left out, to see what it earns: a subject's own history, the forest, the hours of the day, and looking
for a change of regime."""


class KeptModels(msgspec.Struct, frozen=True):
    """All models of one line, as a checkpoint holds them."""

    seed: int
    warm_up: int
    kinds: dict[str, KeptKind]
    subjects: tuple[tuple[SubjectKey, KeptSubject], ...]


class Models:
    """All models of one line. Deterministic: the same observations in the same order give the same scores.

    `without` names `PARTS` that are left out: an ablation.
    """

    def __init__(self, settings: Settings, *, without: frozenset[str] = frozenset()) -> None:
        self.settings = settings
        self.without = without
        self._kinds: dict[str, KindModel] = {}
        self._subjects: dict[SubjectKey, SubjectModel] = {}
        self._unseen: dict[str, KindModel] = {}

    def score(self, obs: Observation) -> Surprise:
        """How unusual `obs` is, before anything is learnt from it."""
        kind = self._kinds.get(obs.kind) or self._fresh(obs.kind)
        own = None if "own" in self.without else self._subjects.get(_key(obs))
        scaler = own.scaler if own is not None else kind.scaler.successor()
        widening = own.widening if own is not None else scaler.widening
        found = []
        for name, value in kind.at_hour(obs).items():
            tail = scaler.tail_of(name)
            scale = obs.values[name] / value if value != 0.0 else 1.0
            found.append(
                FeatureSurprise(
                    name=name,
                    value=obs.values[name],
                    usual=tail.get() * scale,
                    low=tail.at_tail(0.95) * scale,
                    high=tail.at_tail(0.05) * scale,
                    tail=tail.tail(value, widening),
                )
            )
        features = tuple(found)
        joint, joint_tail = self._see_joint(kind, features)
        score = rarity(obs.kind, features, joint_tail)
        tail_now, extrapolated = self._calibrated(kind, score)
        return Surprise(
            features=features,
            joint=joint,
            seen=scaler.seen,
            young=scaler.young,
            tail=tail_now,
            extrapolated=extrapolated,
            rarity=score,
            joint_tail=joint_tail,
        )

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
            own = self._subjects[key] = SubjectModel(kind.scaler.successor())
        scaler = own.scaler if "own" not in self.without else kind.scaler.successor()
        values = kind.at_hour(obs)
        widening = own.widening
        tails = {name: scaler.tail_of(name).tail(value, widening) for name, value in values.items()}
        squashed = kind.squashed(tails)
        kind.events += 1
        kind.values += len(tails)
        kind.rare_values += sum(tail < RARE for tail in tails.values())
        joint_tail = 1.0
        if "joint" not in self.without:
            joint_tail = self._learn_joint(kind, squashed)
        features = tuple(FeatureSurprise(name, values[name], 0.0, 0.0, 0.0, tail) for name, tail in tails.items())
        self._count(kind, key, obs.at.time, rarity(obs.kind, features, joint_tail))
        changed = own.learn(values, 0.0 if "drift" in self.without else mean_surprise(tails), obs.at.number)
        if changed:
            kind.changes += 1
            kind.calmed += changed == "calm"
            kind.last_change = obs.at.time
        kind.scaler.learn_one(values)
        if "hours" not in self.without:
            kind.hours.learn_one({HOUR: obs.at.time / 3600.0, **{name: obs.values[name] for name in values}})

    def _see_joint(self, kind: KindModel, features: tuple[FeatureSurprise, ...]) -> tuple[float, float]:
        """(the forest's score of all features together, the tail probability of it); (0, 1) while it sees nothing."""
        if kind.forest.blind or not features or "joint" in self.without:
            return 0.0, 1.0
        joint = kind.forest.score_one(kind.squashed({feature.name: feature.tail for feature in features}))
        return joint, kind.rarity.tail(_thinness(joint))

    def _calibrated(self, kind: KindModel, score: float) -> tuple[float, bool]:
        """(P(an episode peaks higher), whether that lies beyond the data)."""
        return kind.calibrator.tail(score)

    def _count(self, kind: KindModel, key: SubjectKey, time: float, score: float) -> None:
        kind.count_episode(key[2:], time, score)

    def _learn_joint(self, kind: KindModel, squashed: dict[str, float]) -> float:
        """Teach the forest; returns how rare it had found what it is taught."""
        tail = 1.0
        if not kind.forest.blind:
            thinness = _thinness(kind.forest.score_one(squashed))
            tail = kind.rarity.tail(thinness)
            kind.seeing += 1
            kind.rare_joints += tail < RARE
            kind.rarity.update(thinness)
        kind.forest.learn_one(squashed)
        return tail

    def _fresh(self, kind: str) -> KindModel:
        """A kind that nothing was learnt of, made once: scoring remembers nothing."""
        if kind not in self._unseen:
            self._unseen[kind] = KindModel(kind, self.settings)
        return self._unseen[kind]

    # The report card.

    def report(self, cost_us: Mapping[str, float] | None = None) -> tuple[ModelRow, ...]:
        """The running record of each model: measured on every observation before it was learnt.

        `cost_us`: microseconds an event by model name, measured by the caller, because time is not known here.
        """
        costs = cost_us or {}
        rows: list[ModelRow] = []
        for name in sorted(self._kinds):
            kind = self._kinds[name]
            mine = [subject for key, subject in self._subjects.items() if key[0] == name]
            young = sum(subject.scaler.young for subject in mine)
            unrest = sum(subject.watch.unrest > 0 for subject in mine)
            changed = ""
            if kind.changes:
                changed = f", {kind.changes} changes of regime ({kind.calmed} to a calmer one), {unrest} relearning"
            rows.append(
                ModelRow(
                    name=f"{name} tails",
                    kind=name,
                    events=kind.events,
                    metric="share beyond the 1 % line",
                    value=kind.rare_values / kind.values if kind.values else None,
                    note=f"{len(mine)} subjects, {young} young{changed}",
                    cost_us=costs.get(f"{name} tails"),
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
                    cost_us=costs.get(f"{name} forest"),
                )
            )
            rows.append(
                ModelRow(
                    name=f"{name} calibration",
                    kind=name,
                    events=kind.calibrator.n,
                    metric="share of episodes beyond the 10 % line",
                    value=kind.crossed[0] / kind.checked if kind.checked else None,
                    note=_calibration(kind),
                    cost_us=costs.get(f"{name} calibration"),
                )
            )
        return tuple(rows)

    # To disk and back.

    def dump(self) -> KeptModels:
        """Everything that was learnt, exactly: a restart from it gives the same scores as none."""
        return KeptModels(
            seed=self.settings.seed,
            warm_up=self.settings.warm_up,
            kinds={name: kind.kept() for name, kind in self._kinds.items()},
            subjects=tuple((key, subject.kept()) for key, subject in self._subjects.items()),
        )

    def load(self, kept: KeptModels) -> None:
        """Take up what `dump` gave. StoreError if it was learnt under other settings; nothing is changed then."""
        if (kept.seed, kept.warm_up) != (self.settings.seed, self.settings.warm_up):
            raise StoreError("the models on disk were learnt with another `seed` or `warm_up`")
        kinds: dict[str, KindModel] = {}
        for name, kind in kept.kinds.items():
            kinds[name] = KindModel(name, self.settings)
            kinds[name].take(kind)
        subjects: dict[SubjectKey, SubjectModel] = {}
        for key, subject in kept.subjects:
            subjects[key] = SubjectModel(_scaler(key[0], self.settings))
            subjects[key].take(subject)
        self._kinds, self._subjects = kinds, subjects


def _scaler(kind: str, settings: Settings) -> SurprisalScaler:
    return SurprisalScaler(kind=kind, warm_up=settings.warm_up)


def _key(obs: Observation) -> SubjectKey:
    return (obs.kind, obs.subject.chain_id, obs.subject.protocol, obs.subject.id)


def _thinness(joint: float) -> float:
    return 1.0 / max(1.0 - joint, 1e-9)


def _calibration(kind: KindModel) -> str:
    """Each line that at least five crossings are due of, with what crossed it."""
    parts = [
        f"{line:g}: {crossed} of {line * kind.checked:.0f} due"
        for line, crossed in zip(CHECKED, kind.crossed, strict=True)
        if line * kind.checked >= 5.0
    ]
    return "; ".join(parts) or "too few episodes"
