"""Trials: how much of what was inserted into a recording is found, by our models, by each of them less one part, and by
two plain baselines; all in one run, on the same observations, each at the threshold that gives the same false alarms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from defiwatch.commands.insertions import Inserted
from defiwatch.config import Config
from defiwatch.config import Models as Settings
from defiwatch.domain.frames import Frame
from defiwatch.domain.learning import Observation, Surprise
from defiwatch.domain.view import ModelRow
from defiwatch.engine.core import Engine
from defiwatch.models.baselines import Detector, PlainTrees, ZScores
from defiwatch.models.stage import PARTS, Models

TRIALS_SCHEMA = "defiwatch.trials/1"
OURS = "defiwatch"
NEAR_S = 60
"""Seconds after an insertion in which what is found counts for it, or not at all."""
EPISODE_S = 600
"""False alarms are counted by episodes of a subject this long."""

KINDS = ("pool", "flow")


class Step(msgspec.Struct, frozen=True):
    """One step of the record: an observation that was to be scored, or learnt."""

    obs: Observation
    learn: bool


class Result(msgspec.Struct, frozen=True):
    """How one detector fared. `recall` by plan; `threshold` in its own scores."""

    recall: dict[str, float]
    found: int
    inserted: int
    false: int
    false_per_day: float
    precision: float | None
    threshold: float


class Trials(msgspec.Struct, frozen=True):
    """The whole: detectors by name, ours first."""

    schema: str
    span_days: float
    observations: int
    detectors: dict[str, Result]


class _Tape(Models):
    """Stands in for the models and notes what they would have been asked."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.steps: list[Step] = []

    def score(self, obs: Observation) -> Surprise:
        self.steps.append(Step(obs, learn=False))
        return Surprise((), 0.0, 0, young=True)

    def learn(self, obs: Observation) -> None:
        self.steps.append(Step(obs, learn=True))

    def report(self, cost_us: Mapping[str, float] | None = None) -> tuple[ModelRow, ...]:  # noqa: ARG002 - as `Models`
        return ()


def observations(frames: Iterable[Frame], config: Config) -> list[Step]:
    """What the engine would have its models score and learn, in order, over these frames."""
    engine = Engine(config, mode="replay")
    tapes: dict[int, _Tape] = {}
    for frame in frames:
        for chain_id in sorted(engine.lines):
            if chain_id not in tapes:
                tapes[chain_id] = _Tape(config.models)
                engine.lines[chain_id].judge.models = tapes[chain_id]
        engine.feed(frame)
    return [step for chain_id in sorted(tapes) for step in tapes[chain_id].steps]


def detectors(settings: Settings) -> dict[str, Callable[[], Detector]]:
    """Ours, ours less each part, and the two baselines."""
    found: dict[str, Callable[[], Detector]] = {OURS: lambda: Models(settings)}
    for part in PARTS:
        found[f"without {part}"] = lambda part=part: Models(settings, without=frozenset({part}))  # type: ignore[misc]
    found["weighted z-score"] = ZScores
    found["plain half-space trees"] = lambda: PlainTrees(settings.seed)
    return found


def run(
    steps: Sequence[Step], inserted: Sequence[Inserted], settings: Settings, *, false_per_day: float = 4.0
) -> Trials:
    """Each detector over the same steps; each at the threshold that gives `false_per_day` false alarms at most."""
    times = [step.obs.at.time for step in steps]
    span = (max(times) - min(times)) / 86_400.0 if times else 0.0
    allowed = int(false_per_day * span)
    results = {}
    for name, make in detectors(settings).items():
        results[name] = _result(_scores(steps, make()), inserted, allowed, span)
    return Trials(TRIALS_SCHEMA, span, len(steps), results)


def _scores(steps: Sequence[Step], detector: Detector) -> list[tuple[str, int, int, float]]:
    """(pool, block, time, rarity) of every observation that was scored."""
    found = []
    for step in steps:
        obs = step.obs
        if obs.kind not in KINDS:
            continue
        if step.learn:
            detector.learn(obs)
        else:
            found.append((obs.subject.id, obs.at.number, obs.at.time, detector.score(obs).rarity))
    return found


def _result(
    scores: Sequence[tuple[str, int, int, float]], inserted: Sequence[Inserted], allowed: int, span: float
) -> Result:
    where = {(item.pool, item.block): item for item in inserted}
    spoilt: dict[str, list[int]] = {}
    for item in inserted:
        spoilt.setdefault(item.pool, []).append(item.time)
    best: dict[tuple[str, int], float] = {}
    calm: dict[tuple[str, int], float] = {}
    for pool, block, time, rarity in scores:
        if (pool, block) in where:
            best[pool, block] = max(best.get((pool, block), 0.0), rarity)
        elif not any(0 <= time - other <= NEAR_S for other in spoilt.get(pool, ())):
            episode = (pool, time // EPISODE_S)
            calm[episode] = max(calm.get(episode, 0.0), rarity)
    ranked = sorted(calm.values(), reverse=True)
    threshold = ranked[allowed] if allowed < len(ranked) else 0.0
    false = sum(value > threshold for value in ranked)
    plans: dict[str, list[bool]] = {}
    for item in inserted:
        plans.setdefault(item.plan.name, []).append(best.get((item.pool, item.block), 0.0) > threshold)
    found = sum(sum(hits) for hits in plans.values())
    return Result(
        recall={name: sum(hits) / len(hits) for name, hits in sorted(plans.items(), key=lambda kv: _order(kv[0]))},
        found=found,
        inserted=len(inserted),
        false=false,
        false_per_day=false / span if span > 0.0 else 0.0,
        precision=found / (found + false) if found + false else None,
        threshold=threshold,
    )


def _order(name: str) -> tuple[str, float]:
    kind, size, _ = name.split(" ")
    return kind, float(size)


def table(trials: Trials) -> str:
    """The trials for people: a line a detector, a column a plan."""
    first = next(iter(trials.detectors.values()))
    head = ("detector", "recall", "precision", "false", *first.recall)
    rows = [head]
    for name, result in trials.detectors.items():
        rows.append(
            (
                name,
                f"{100.0 * result.found / max(result.inserted, 1):.0f} %",
                "-" if result.precision is None else f"{100.0 * result.precision:.0f} %",
                str(result.false),
                *(f"{100.0 * share:.0f} %" for share in result.recall.values()),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [f"{first.inserted} insertions into {trials.span_days:.2f} days", ""]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
