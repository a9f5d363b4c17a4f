"""Two plain baselines' alerts on what the engine saw, held against the same labels.

A baseline raises an alert where a series' score is above its threshold and clears it at the next look that is not; one
subject is told again after `COOL_DOWN_S` at the earliest, as ours is. Its threshold is chosen with the labels in hand:
of all that give no more false alerts than ours, the one that finds most. So it is as good as it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from defiwatch.commands.evaluate.altered import Step, alert_of
from defiwatch.commands.evaluate.labels import Label
from defiwatch.commands.evaluate.match import LEAD_S, Raised, by_kind
from defiwatch.commands.evaluate.results import KindResult
from defiwatch.domain.risk import Subject
from defiwatch.models.baselines import Detector, PlainTrees, ZScores

COOL_DOWN_S = 600.0

BASELINES: dict[str, Callable[[int], Detector]] = {
    "weighted z-score": lambda _: ZScores(),
    "plain half-space trees": PlainTrees,
}
"""By name, from the seed."""

_RATIO = 1.3
_WIDEST = 0.2


class Point(msgspec.Struct, frozen=True):
    """What a detector said of one subject at one moment."""

    subject: Subject
    time: float
    score: float


def points(steps: Sequence[Step], detector: Detector) -> list[Point]:
    """The detector over the steps; of one subject at one moment only the highest score."""
    found: list[Point] = []
    at: dict[tuple[str, str], int] = {}
    for step in steps:
        obs = step.obs
        if step.learn:
            detector.learn(obs)
            continue
        score = detector.score(obs).rarity
        key = (obs.subject.protocol, obs.subject.id)
        last = at.get(key)
        if last is not None and found[last].time == obs.at.time:
            if score > found[last].score:
                found[last] = Point(obs.subject, found[last].time, score)
            continue
        at[key] = len(found)
        found.append(Point(obs.subject, float(obs.at.time), score))
    return found


def alarms(said: Sequence[Point], threshold: float, kind: str) -> list[Raised]:
    """The alerts of `kind` that a threshold gives."""
    found: list[Raised] = []
    standing: dict[tuple[str, str], Raised] = {}
    told: dict[tuple[str, str], float] = {}
    for point in said:
        key = (point.subject.protocol, point.subject.id)
        if point.score <= threshold:
            item = standing.pop(key, None)
            if item is not None:
                item.until = point.time
        elif key not in standing and point.time - told.get(key, -COOL_DOWN_S) >= COOL_DOWN_S:
            standing[key] = Raised(kind, point.subject, point.time)
            told[key] = point.time
            found.append(standing[key])
    return found


def rivals(
    steps: Mapping[str, Sequence[Step]],
    ours: Mapping[str, KindResult],
    labels: Sequence[Label],
    span_days: float,
    seed: int,
    *,
    lead: float = LEAD_S,
) -> dict[str, dict[str, KindResult]]:
    """Every baseline by name and kind, of the kinds that have labels and a series that a baseline can be given."""
    result: dict[str, dict[str, KindResult]] = {}
    for name, make in BASELINES.items():
        result[name] = {}
        for kind in sorted({label.kind for label in labels}):
            mine = _mine(kind, steps)
            if mine and kind in ours:
                wanted = [label for label in labels if label.kind == kind]
                said = points(mine, make(seed))
                result[name][kind] = _best(said, kind, wanted, ours[kind], span_days, lead)
    return result


def _mine(kind: str, steps: Mapping[str, Sequence[Step]]) -> Sequence[Step]:
    """The series for a kind; a depeg is looked for among what is pegged only."""
    found = steps.get(kind.split(".")[0], ())
    if kind == "price.depeg":
        return [step for step in found if "away" in step.obs.values]
    exact = [step for step in found if alert_of(step.obs) == kind]
    return exact or found


def _best(
    said: Sequence[Point], kind: str, labels: Sequence[Label], ours: KindResult, span_days: float, lead: float
) -> KindResult:
    alert = kind.removesuffix("*") + ("baseline" if kind.endswith("*") else "")
    best, best_found = _held(said, float("inf"), kind, alert, labels, span_days, lead), -1
    ranked = sorted((point.score for point in said), reverse=True)
    rank = 1.0
    tried = float("inf")
    while rank < max(_WIDEST * len(ranked), 2.0) and int(rank) < len(ranked):
        threshold = ranked[int(rank)]
        rank = max(rank + 1.0, rank * _RATIO)
        if threshold == tried:
            continue
        tried = threshold
        held = _held(said, threshold, kind, alert, labels, span_days, lead)
        found = held.found + (held.unconfirmed.found if held.unconfirmed else 0)
        if held.false <= ours.false and (found, -held.false) > (best_found, -best.false):
            best, best_found = held, found
    return best


def _held(
    said: Sequence[Point],
    threshold: float,
    kind: str,
    alert: str,
    labels: Sequence[Label],
    span_days: float,
    lead: float,
) -> KindResult:
    return by_kind(alarms(said, threshold, alert), labels, span_days, lead=lead)[kind]
