"""The command `defiwatch evaluate`: what was asked for, in one run, from the same frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from defiwatch.collectors.recording import RecordingReader
from defiwatch.commands.evaluate import insertions, tails, trials
from defiwatch.commands.evaluate.altered import OF_QUOTES, REMOVED, Altered, Ears, Step, observations, played
from defiwatch.commands.evaluate.insertions import Inserted, Plan
from defiwatch.commands.evaluate.labels import Label, read_labels
from defiwatch.commands.evaluate.match import by_kind, listen, moment_of
from defiwatch.commands.evaluate.results import (
    EVALUATION_SCHEMA,
    BudgetSpent,
    Evaluation,
    KindResult,
    TailShare,
    Trials,
)
from defiwatch.commands.evaluate.rivals import rivals
from defiwatch.commands.evaluate.words import table
from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, QuoteFrame
from defiwatch.engine.core import Engine
from defiwatch.errors import UsageError


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be evaluated beside the alerts against the labels.

    `insert` kinds of `insertions.KINDS`; `sizes` in place of each kind's own (0.05: 5 %); `times` each plan, for each
    of the `seeds`; `lasting` how many samples a moved quote stays; `false_per_day` what every
    detector may call falsely in a trial.
    """

    ablate: bool = False
    baselines: bool = False
    calibration: bool = False
    insert: tuple[str, ...] = ()
    sizes: tuple[float, ...] = ()
    seeds: tuple[int, ...] = (1,)
    times: int = 6
    lasting: int = insertions.LASTING
    false_per_day: float = 4.0


def run(
    config: Config,
    files: Sequence[Path],
    labels: Sequence[Path],
    asked: Asked,
    *,
    as_json: bool = False,
    say: Callable[[str], None] | None = None,
) -> str:
    """What the command prints. UsageError for labels that cannot be read and for what has no place to go into,
    RecordingError for what is no recording; a damaged line is told through `say` and left out."""
    known = [label for path in labels for label in read_labels(path)]
    frames = [frame for path in files for frame in RecordingReader(path, say)]
    result = evaluated(config, frames, within(frames, known, say), asked)
    return msgspec.json.encode(result).decode() if as_json else table(result)


def within(
    frames: Iterable[Frame], labels: Sequence[Label], say: Callable[[str], None] | None = None
) -> tuple[Label, ...]:
    """The labels of the time that the frames tell of; the others could not be found, which is told through `say`."""
    moments = [moment for moment in map(moment_of, frames) if moment is not None]
    first, last = min(moments, default=0.0), max(moments, default=0.0)
    kept = tuple(label for label in labels if label.end >= first and label.start <= last)
    if len(kept) < len(labels) and say is not None:
        say(f"{len(labels) - len(kept)} of {len(labels)} labels are of another time than the recordings: left out")
    return kept


def evaluated(config: Config, frames: Sequence[Frame], labels: Sequence[Label], asked: Asked) -> Evaluation:
    """The same of frames and labels at hand."""
    plans = plans_of(asked)
    into_quotes: tuple[Inserted, ...] = ()
    found: Trials | None = None
    if plans:
        found = _tried(config, frames, plans, asked)
        frames, into_quotes = insertions.insert_quotes(
            frames, plans, asked.seeds[0], times=asked.times, lasting=asked.lasting
        )
        if found is None and not into_quotes:
            raise UsageError(
                f"--insert {','.join(asked.insert)}: nothing in these recordings that it could go into"
                " (swaps of Uniswap v2 or v3 pools after a warm-up; for a drain with known reserves; or quotes)"
            )
    labels = (*labels, *(_label(item) for item in into_quotes))
    ears = Ears(config)
    begun = time.perf_counter()
    heard = listen(ears.play(frames))
    elapsed = time.perf_counter() - begun
    kinds = by_kind(heard.raised, labels, heard.span_days)
    others: dict[str, dict[str, KindResult]] = {}
    if asked.ablate and labels:
        blocks = any(isinstance(frame, BlockFrame) for frame in frames)
        for part, alter in REMOVED.items():
            if part not in OF_QUOTES and not blocks:
                continue
            less = listen(played(Altered(config, alter), frames))
            others[f"without {part}"] = by_kind(less.raised, labels, heard.span_days)
    if asked.baselines and labels:
        others |= rivals(ears.steps, kinds, labels, heard.span_days, config.models.seed)
    return Evaluation(
        schema=EVALUATION_SCHEMA,
        events=heard.events,
        events_per_s=heard.events / elapsed if elapsed > 0.0 else None,
        span_days=heard.span_days,
        kinds=kinds,
        others=others,
        trials=found,
        calibration=_calibration(config, frames, ears.models) if asked.calibration else {},
        budget=spent(ears.engine),
    )


def plans_of(asked: Asked) -> tuple[Plan, ...]:
    """The plans that were asked for. UsageError for sizes that are none."""
    plans = tuple(Plan(kind, size) for kind in asked.insert for size in asked.sizes or insertions.SIZES[kind])
    for plan in plans:
        if not 0.0 < plan.size < (1.0 if plan.kind == "drain" else 10.0):
            raise UsageError(f"--size: expected a share such as 5%, below 100 % for a drain, got {plan.name}")
    return plans


def _tried(config: Config, frames: Sequence[Frame], plans: Sequence[Plan], asked: Asked) -> Trials | None:
    """The trials in pools; None where no pool trades."""
    if not any(isinstance(frame, BlockFrame) for frame in frames):
        return None
    holding = held(config, frames) if any(plan.kind == "drain" for plan in plans) else {}
    runs = []
    for seed in asked.seeds:
        with_them, inserted = insertions.insert(frames, plans, seed, times=asked.times, holding=holding)
        if inserted:
            runs.append(trials.Run(observations(with_them, config), inserted, seed))
    if not runs:
        return None
    makers = trials.detectors(config.models, ablate=asked.ablate, baselines=asked.baselines)
    return trials.run(runs, config, makers, false_per_day=asked.false_per_day)


def held(config: Config, frames: Iterable[Frame]) -> dict[tuple[str, int], tuple[int, int]]:
    """What every pool of two tokens held after every block that it traded in, where that is known."""
    engine = Engine(config, mode="replay")
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for frame in frames:
        engine.feed(frame)
        if not isinstance(frame, BlockFrame):
            continue
        line = engine.lines[frame.chain_id]
        touched = {log.address.lower() for log in frame.logs}
        number = int(frame.header.number, 16)
        for instance in line.intake.instances:
            for address in sorted(touched):
                pool = instance.pool(line.intake.book, address)
                if pool is not None and len(pool.reserves) == 2 and min(pool.reserves) > 0:
                    found[address, number] = (pool.reserves[0], pool.reserves[1])
    return found


def _label(item: Inserted) -> Label:
    """What was inserted into quotes as a label: any alert on the asset's price may find it."""
    plan = item.plan
    return Label(
        kind="price.*", subject=item.subject, start=item.time, end=item.until, group=plan.name, order=plan.size
    )


def _calibration(config: Config, frames: Sequence[Frame], steps: Sequence[Step]) -> dict[str, tuple[TailShare, ...]]:
    found = tails.calibration(steps, config.models)
    if any(isinstance(frame, QuoteFrame) for frame in frames):
        found |= tails.calibration(tails.series_steps(frames), config.models)
    return found


def spent(engine: Engine) -> dict[str, BudgetSpent]:
    """What the engine told of its budget, by kind of alert."""
    rows = {}
    for kind, tracker in sorted(engine.budget._kinds.items()):
        ratio = tracker.spent / tracker.due if tracker.due > 0.0 else None
        rows[kind] = BudgetSpent(engine.budget.text, tracker.spent, tracker.due, ratio)
    return rows
