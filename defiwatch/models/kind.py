"""What one kind of subject shares, and what one subject has of its own."""

from __future__ import annotations

import math

import msgspec

from defiwatch.config import Models as Settings
from defiwatch.domain.learning import Observation
from defiwatch.models.calibration import Episodes, KeptCalibrator, TailCalibrator
from defiwatch.models.drift import Change, KeptDrift, RegimeWatch
from defiwatch.models.forest import EarlyHalfSpaceTrees, KeptForest
from defiwatch.models.hours import HOUR, HourProfile, KeptHours
from defiwatch.models.priors import PRIORS
from defiwatch.models.scaler import KeptScaler, SurprisalScaler
from defiwatch.models.tails import KeptTail, UpperTail

RARE = 0.01
"""The line that the running record counts crossings of: 1 % of all values should lie beyond it."""

CHECKED = (0.1, 0.01, 0.001)
"""The tail probabilities whose crossings the calibration's record counts."""

CAUTION = 0.2
"""By how much of ln(x) tails are widened right after a change of regime."""

_MOST_SURPRISE = 2.0


class KeptSubject(msgspec.Struct, frozen=True):
    """One subject as a checkpoint holds it."""

    scaler: KeptScaler
    watch: KeptDrift


class KeptKind(msgspec.Struct, frozen=True):
    """One kind as a checkpoint holds it."""

    scaler: KeptScaler
    forest: KeptForest
    rarity: KeptTail
    calibrator: KeptCalibrator
    hours: KeptHours
    open: tuple[tuple[tuple[str, ...], int, float], ...]
    counts: tuple[int, ...]
    changes: int
    last_change: int
    calmed: int = 0


class SubjectModel:
    """One subject's own history, and whether it still holds."""

    __slots__ = ("scaler", "watch")

    def __init__(self, scaler: SurprisalScaler) -> None:
        self.scaler = scaler
        self.watch = RegimeWatch()

    @property
    def widening(self) -> float:
        """By how much of ln(x) tails are widened: while young, and after a change of regime."""
        return max(self.scaler.widening, CAUTION * self.watch.share)

    def learn(self, values: dict[str, float], surprise: float, block: int) -> Change:
        """Learn one observation; whether the block before has shown that the world has changed."""
        changed: Change = "" if self.scaler.young else self.watch.update(surprise, block)
        if changed:
            self.scaler.relearn()
        self.scaler.learn_one(values)
        return changed

    def kept(self) -> KeptSubject:
        """Everything that was learnt."""
        return KeptSubject(self.scaler.kept(), self.watch.kept())

    def take(self, kept: KeptSubject) -> None:
        """Take up what `kept` gave."""
        self.scaler.take(kept.scaler)
        self.watch.take(kept.watch)


class KindModel:
    """What one kind of subject shares: the prior of new subjects, the forest, the calibration, the running record."""

    def __init__(self, kind: str, settings: Settings) -> None:
        self.kind = kind
        self.scaler = SurprisalScaler(kind=kind, warm_up=settings.warm_up)
        self.names = tuple(PRIORS.get(kind, ()))
        self.forest = EarlyHalfSpaceTrees(seed=settings.seed)
        self.rarity = UpperTail(median=1.5, foot=4.0, floor=1.0)
        """Of 1 / (1 - forest score): how thin the place is where an observation lies."""
        self.calibrator = TailCalibrator()
        self.episodes = Episodes()
        self.hours = HourProfile()
        self.events = 0
        self.values = 0
        self.rare_values = 0
        self.seeing = 0
        self.rare_joints = 0
        self.checked = 0
        """Episodes whose tail was told before they were counted."""
        self.crossed = [0] * len(CHECKED)
        """How many of them lay beyond each of `CHECKED`."""
        self.changes = 0
        self.calmed = 0
        """How many of the changes of regime were to a calmer one."""
        self.last_change = 0

    def squashed(self, tails: dict[str, float]) -> dict[str, float]:
        """What the forest takes: every feature of the kind; one that was not observed counts as usual."""
        squash = self.scaler.squash
        return {name: squash(tails[name]) if name in tails else 0.0 for name in self.names or sorted(tails)}

    def at_hour(self, obs: Observation) -> dict[str, float]:
        """The observation's values that are numbers, as they would be at an average hour."""
        values = {name: value for name, value in obs.values.items() if math.isfinite(value)}
        return self.hours.transform_one({HOUR: obs.at.time / 3600.0, **values})

    def count_episode(self, subject: tuple[str, ...], time: float, score: float) -> None:
        """Note the score of an observation; an episode that is over goes to the calibration and its record."""
        peak = self.episodes.take(subject, time, score)
        if peak is None:
            return
        if self.calibrator.n >= 100:
            tail, _ = self.calibrator.tail(peak)
            self.checked += 1
            for i, line in enumerate(CHECKED):
                self.crossed[i] += tail < line
        self.calibrator.update(peak)

    def kept(self) -> KeptKind:
        """Everything that was learnt."""
        return KeptKind(
            scaler=self.scaler.kept(),
            forest=self.forest.kept(),
            rarity=self.rarity.kept(),
            calibrator=self.calibrator.kept(),
            hours=self.hours.kept(),
            open=tuple((key, *found) for key, found in self.episodes.open.items()),
            counts=(
                self.events,
                self.values,
                self.rare_values,
                self.seeing,
                self.rare_joints,
                self.checked,
                *self.crossed,
            ),
            changes=self.changes,
            last_change=self.last_change,
            calmed=self.calmed,
        )

    def take(self, kept: KeptKind) -> None:
        """Take up, in a kind that has learnt nothing, what `kept` gave."""
        self.scaler.take(kept.scaler)
        self.forest.take(kept.forest)
        self.rarity = UpperTail.restored(kept.rarity)
        self.calibrator.take(kept.calibrator)
        self.hours.take(kept.hours)
        self.episodes.open = {tuple(key): (number, peak) for key, number, peak in kept.open}
        self.events, self.values, self.rare_values, self.seeing, self.rare_joints, self.checked = kept.counts[:6]
        self.crossed = list(kept.counts[6:])
        self.changes, self.last_change, self.calmed = kept.changes, kept.last_change, kept.calmed


def mean_surprise(tails: dict[str, float]) -> float:
    """The mean -log10 of tail probabilities, each at most 2; 0.43 where all is as usual."""
    if not tails:
        return 0.0
    return math.fsum(min(_MOST_SURPRISE, -math.log10(tail)) for tail in tails.values()) / len(tails)
