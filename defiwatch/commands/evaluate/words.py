"""An evaluation for people: plain text tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from defiwatch.commands.evaluate.results import Evaluation, KindResult, TailShare, Trial, Trials

OURS = "defiwatch"


def table(evaluation: Evaluation) -> str:
    """The result for people: one line a kind, then what was missed, then whatever else was asked for."""
    speed = f", {evaluation.events_per_s:,.0f} events a second" if evaluation.events_per_s is not None else ""
    lines = [f"{evaluation.events:,} events over {evaluation.span_days:.2f} days{speed}"]
    if evaluation.kinds:
        head = (
            "kind",
            "labels",
            "found",
            "recall",
            "alerts",
            "false",
            "false/day",
            "precision",
            "lead (median, least)",
        )
        lines += ["", *aligned([head, *((name, *_cells(kind)) for name, kind in evaluation.kinds.items())])]
    for name, kind in evaluation.kinds.items():
        if kind.unconfirmed is not None:
            apart = kind.unconfirmed
            lines += ["", f"{name}, unconfirmed labels: {apart.found} of {apart.labels} found by {apart.alerts} alerts"]
            lines += [f"  missed: {text}" for text in apart.missed]
    for name, kind in evaluation.kinds.items():
        if kind.groups:
            lines += ["", f"{name}, found by what was inserted:"]
            lines += [f"  {group}: {hits} of {whole}" for group, (hits, whole) in kind.groups.items()]
    missed = [f"  {name}: {text}" for name, kind in evaluation.kinds.items() if not kind.groups for text in kind.missed]
    if missed:
        lines += ["", "missed:", *missed]
    if evaluation.others:
        lines += ["", *_others(evaluation)]
    if evaluation.trials is not None:
        lines += ["", *_trials(evaluation.trials)]
    if evaluation.calibration:
        lines += ["", *_calibration(evaluation.calibration)]
    for name, spent in evaluation.budget.items():
        ratio = f", {spent.ratio:.2f} of what was due" if spent.ratio is not None else ""
        lines += ["", f"budget of {name} ({spent.budget}): {spent.told} told, {spent.due:.1f} due{ratio}"]
    return "\n".join(lines)


def _cells(kind: KindResult) -> tuple[str, ...]:
    return (
        str(kind.labels),
        str(kind.found),
        _share(kind.recall),
        str(kind.alerts),
        str(kind.false),
        f"{kind.false_per_day:.2f}" if kind.false_per_day is not None else "-",
        _share(kind.precision),
        f"{kind.lead_s.median:.0f} s, {kind.lead_s.min:.0f} s" if kind.lead_s is not None else "-",
    )


def _others(evaluation: Evaluation) -> list[str]:
    """Beside the whole: each part removed, and the baselines, kind by kind. Unconfirmed labels as found/labels.

    "By label": found labels, unconfirmed ones too, of these and false alerts together, as a trial counts; a detector
    that tells of one incident many times gains nothing by it.
    """
    head = ("kind", "detector", "found", "unconfirmed", "alerts", "false", "false/day", "precision", "by label", "lead")
    rows: list[Sequence[str]] = [head]
    same: list[str] = []
    for name in labelled(evaluation.kinds):
        whole = evaluation.kinds[name]
        alike = []
        rows.append((name, OURS, *_beside(whole)))
        for who, results in evaluation.others.items():
            if name in results and results[name] == whole:
                alike.append(who.removeprefix("without "))
            elif name in results:
                rows.append(("", who, *_beside(results[name])))
        if alike:
            same.append(f"{name}: the same without {', '.join(alike)}")
    return [*aligned(rows, left=2), *same]


def labelled(kinds: dict[str, KindResult]) -> list[str]:
    """The kinds that have labels."""
    return [name for name, kind in kinds.items() if kind.labels or kind.unconfirmed is not None]


def _beside(kind: KindResult) -> tuple[str, ...]:
    apart = kind.unconfirmed
    found = kind.found + (apart.found if apart is not None else 0)
    return (
        f"{kind.found}/{kind.labels}" if kind.labels else "-",
        f"{apart.found}/{apart.labels}" if apart is not None else "-",
        *_cells(kind)[3:7],
        _share(found / (found + kind.false) if found + kind.false else None),
        f"{kind.lead_s.median:.0f} s" if kind.lead_s is not None else "-",
    )


def _trials(trials: Trials) -> list[str]:
    seeds = ", ".join(str(seed) for seed in trials.seeds)
    days = f"{trials.span_days:.2f} days" if len(trials.seeds) == 1 else f"{trials.span_days:.2f} days in all runs"
    lines: list[str] = []
    for name, trial in trials.kinds.items():
        calm = f"{trial.calm} calm episodes, at most {trial.allowed} of them called"
        lines += [f"{name}: {trial.inserted} insertions into {days} (seed {seeds}), {calm}", *_trial(trial), ""]
    return lines[:-1]


def _trial(trial: Trial) -> list[str]:
    plans = next(iter(trial.detectors.values())).recall
    rows: list[Sequence[str]] = [("detector", "recall", "(95 %)", "precision", "false", "false/day", *plans)]
    for name, result in trial.detectors.items():
        between = result.interval
        rows.append(
            (
                name,
                _share(result.found / max(result.inserted, 1)),
                f"{100.0 * between[0]:.0f}-{100.0 * between[1]:.0f}" if between is not None else "-",
                _share(result.precision),
                str(result.false),
                f"{result.false_per_day:.1f}",
                *(_share(share) for share in result.recall.values()),
            )
        )
    return aligned(rows)


def _calibration(models: dict[str, tuple[TailShare, ...]]) -> list[str]:
    rows: list[Sequence[str]] = [("model", "alpha", "n", "below", "share", "95 % (block bootstrap)", "share/alpha")]
    for name, shares in models.items():
        if not shares:
            rows.append((name, "-", "-", "-", "-", "-", "too few: n x alpha is below 100"))
        for i, row in enumerate(shares):
            rows.append(
                (
                    name if i == 0 else "",
                    f"{row.alpha:g}",
                    f"{row.n:,}",
                    f"{row.below:,}",
                    f"{row.share:.3g}",
                    f"{row.low:.3g} to {row.high:.3g}",
                    f"{row.share / row.alpha:.2f}",
                )
            )
    return aligned(rows)


def aligned(rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Rows as lines: the first `left` columns to the left, the others to the right."""
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:left], widths[:left], strict=True)]
        cells += [cell.rjust(width) for cell, width in zip(row[left:], widths[left:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100.0 * value:.0f} %"
