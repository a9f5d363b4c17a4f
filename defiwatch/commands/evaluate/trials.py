"""Trials: how much of what was inserted into a recording is found, by our models, by each of them less one part, and by
two plain baselines; all in one run, on the same observations, each at the threshold that gives the same false alarms.

What is inserted is one of many, so alerts themselves would not do: one that stands hides the next. What is compared is
the score that would raise one. Every detector's threshold is the lowest at which it calls no more calm episodes than
allowed (ten minutes of a subject after the warm-up, without an insertion in them or just before): the one number that
is chosen on what is reported, in the same way for all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from defiwatch.commands.evaluate.altered import Step, alert_of
from defiwatch.commands.evaluate.insertions import Inserted, begin_of
from defiwatch.commands.evaluate.results import Detected, Trial, Trials
from defiwatch.commands.evaluate.rivals import BASELINES
from defiwatch.commands.evaluate.words import OURS
from defiwatch.config import Alerts, Config
from defiwatch.config import Models as Settings
from defiwatch.models.baselines import Detector
from defiwatch.models.stage import PARTS, Models
from defiwatch.scoring import assess

NEAR_S = 60.0
"""Seconds after an insertion in which what is found counts for it, or not at all."""
DRAINED_S = 1500.0
"""The same after a drain."""
EPISODE_S = 600
"""False alarms are counted by episodes of a subject this long."""
_DRAWS = 400


class Said(msgspec.Struct, frozen=True):
    """What a detector said of one subject in one block, for one kind of alert."""

    alert: str
    subject: str
    block: int
    time: int
    score: float


class Run(msgspec.Struct, frozen=True):
    """One recording with its insertions: the steps of its models, and what went where."""

    steps: Sequence[Step]
    inserted: Sequence[Inserted]
    seed: int

    @property
    def span_days(self) -> float:
        """The steps' own time in days."""
        times = [step.obs.at.time for step in self.steps]
        return (max(times) - min(times)) / 86_400.0 if times else 0.0


Makers = dict[str, Callable[[], Detector]]


def detectors(settings: Settings, *, ablate: bool = True, baselines: bool = True) -> Makers:
    """Ours, ours less each part, and the baselines."""
    found: Makers = {OURS: lambda: Models(settings)}
    if ablate:
        for part in PARTS:
            found[f"without {part}"] = lambda part=part: Models(settings, without=frozenset({part}))  # type: ignore[misc]
    if baselines:
        for name, make in BASELINES.items():
            found[name] = lambda make=make: make(settings.seed)  # type: ignore[misc]
    return found


def run(runs: Sequence[Run], config: Config, makers: Makers | None = None, *, false_per_day: float = 4.0) -> Trials:
    """Each detector, fresh for each run, over the same steps; what they caught in all runs together.

    At most `false_per_day` calm episodes a day of one kind of alert may be called, and one of the whole at least.
    """
    makers = makers or detectors(config.models)
    span = sum(each.span_days for each in runs)
    allowed = max(1, int(false_per_day * span))
    kinds = sorted({item.plan.alert for each in runs for item in each.inserted})
    found: dict[str, dict[str, Detected]] = {kind: {} for kind in kinds}
    calm: dict[str, int] = dict.fromkeys(kinds, 0)
    for name, make in makers.items():
        said = [list(_said(each.steps, make(), config.alerts)) for each in runs]
        for kind in kinds:
            found[kind][name], looked_at = _result(kind, runs, said, allowed, span)
            calm[kind] = calm[kind] or looked_at
    inserted = {kind: sum(item.plan.alert == kind for each in runs for item in each.inserted) for kind in kinds}
    return Trials(
        span_days=span,
        observations=sum(len(each.steps) for each in runs),
        seeds=tuple(each.seed for each in runs),
        kinds={kind: Trial(inserted[kind], calm[kind], allowed, found[kind]) for kind in kinds},
    )


def _said(steps: Iterable[Step], detector: Detector, settings: Alerts) -> Iterator[Said]:
    """Everything that was scored. Ours counts as it is judged: what the budget weighs, or else the score.

    What left a pool is an observation only where something did: too seldom for a baseline to learn. So whatever a
    baseline says of a block as it closed, which tells how the reserves changed, counts for a drain too.
    """
    ours = isinstance(detector, Models)
    for step in steps:
        obs = step.obs
        if step.learn:
            detector.learn(obs)
            continue
        surprise = detector.score(obs)
        at = obs.at
        if not ours:
            yield Said(alert_of(obs), obs.subject.id, at.number, at.time, surprise.rarity)
            if obs.kind == "flow":
                yield Said("pool.drain", obs.subject.id, at.number, at.time, surprise.rarity)
            continue
        for judged in assess(obs, surprise, settings):
            score = judged.rarity if judged.budgeted else judged.score
            yield Said(judged.kind, obs.subject.id, at.number, at.time, score)


def _result(
    kind: str, runs: Sequence[Run], said: Sequence[Sequence[Said]], allowed: int, span: float
) -> tuple[Detected, int]:
    best: dict[tuple[int, str, int], float] = {}
    calm: dict[tuple[int, str, int], float] = {}
    for i, (each, all_) in enumerate(zip(runs, said, strict=True)):
        begin = begin_of(step.obs.at.time for step in each.steps)
        where = {(item.subject, item.block) for item in each.inserted}
        spoilt: dict[str, list[tuple[float, float]]] = {}
        for item in each.inserted:
            near = DRAINED_S if item.plan.kind == "drain" else NEAR_S
            spoilt.setdefault(item.subject, []).append((item.time, item.until + near))
        for one in all_:
            if one.alert != kind or one.time < begin:
                continue
            if (one.subject, one.block) in where:
                key = (i, one.subject, one.block)
                best[key] = max(best.get(key, 0.0), one.score)
            elif not any(begin <= one.time <= end for begin, end in spoilt.get(one.subject, ())):
                episode = (i, one.subject, one.time // EPISODE_S)
                calm[episode] = max(calm.get(episode, 0.0), one.score)
    ranked = sorted(calm.values(), reverse=True)
    threshold = ranked[allowed] if allowed < len(ranked) else 0.0
    false = sum(value > threshold for value in ranked)
    plans: dict[tuple[str, float], list[bool]] = {}
    for i, each in enumerate(runs):
        for item in each.inserted:
            if item.plan.alert == kind:
                hit = best.get((i, item.subject, item.block), 0.0) > threshold
                plans.setdefault((item.plan.kind, item.plan.size), []).append(hit)
    hits = [hit for group in plans.values() for hit in group]
    found = sum(hits)
    result = Detected(
        recall={f"{name} {100.0 * size:g} %": sum(group) / len(group) for (name, size), group in sorted(plans.items())},
        found=found,
        inserted=len(hits),
        false=false,
        false_per_day=false / span if span > 0.0 else 0.0,
        precision=found / (found + false) if found + false else None,
        threshold=threshold,
        interval=_interval(list(plans.values())),
    )
    return result, len(ranked)


def _interval(groups: Sequence[Sequence[bool]]) -> tuple[float, float] | None:
    """Between what the whole's recall lies 95 % of the time, the insertions of each plan drawn again and again."""
    whole = sum(len(group) for group in groups)
    if not whole:
        return None
    draw = random.Random(whole)  # noqa: S311 - seeded on purpose: the same run prints the same
    drawn = sorted(sum(sum(draw.choices(group, k=len(group))) for group in groups) / whole for _ in range(_DRAWS))
    return drawn[int(0.025 * _DRAWS)], drawn[int(0.975 * _DRAWS) - 1]
