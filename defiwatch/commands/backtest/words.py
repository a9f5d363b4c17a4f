"""A backtest for people: plain text tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from defiwatch.commands.backtest.results import (
    HorizonResult,
    Interval,
    LiquidationBacktest,
    RecordingResult,
    RuleResult,
)
from defiwatch.commands.evaluate.words import aligned
from defiwatch.domain.units import span


def lines(backtest: LiquidationBacktest) -> list[str]:
    """The whole, line by line."""
    found = ["P(liquidation), if nothing is done, on recorded prices", ""]
    found += _recordings(backtest.recordings)
    found += ["", "assumed:", *(f"  {text}" for text in backtest.assumed)]
    for name, horizon in backtest.horizons.items():
        found += ["", *_horizon(name, horizon)]
    found += ["", *_warnings(backtest.warnings)]
    if backtest.not_better:
        found += ["", "not shown to be better:", *(f"  {text}" for text in backtest.not_better)]
    return found


def _recordings(recordings: Sequence[RecordingResult]) -> list[str]:
    rows: list[Sequence[str]] = [("recording", "part", "days", "a price in", "a push in", "positions", "assets")]
    for one in recordings:
        length, step, push = f"{one.days:.1f}", span(one.step_s), span(one.push_s)
        rows.append((one.name, one.part, length, step, push, f"{one.positions:,}", " ".join(one.assets)))
    found = aligned(rows, left=2)
    for one in recordings:
        if one.rebased:
            legs = ", ".join(f"{move} ({n:,})" for move, n in one.rebased.items())
            found.append(f"  {one.name}: rebased to the assets that have prices: {legs}")
    for why in sorted({why for one in recordings for why in one.left_out}):
        counts = sorted({one.left_out.get(why, 0) for one in recordings})
        shown = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
        found.append(f"  left out: {shown} positions ({why})")
    return found


def _horizon(name: str, horizon: HorizonResult) -> list[str]:
    if not horizon.n:
        return [f"{name}: not scored" + (f": {horizon.unseen}" if horizon.unseen else "")]
    crossed = f"{horizon.crossed:,} crossed"
    if horizon.base_rate is not None and horizon.crossed >= 5:
        crossed += f" ({100.0 * horizon.base_rate:.3g} %)"
    blocks = "1 day" if horizon.block_days == 1 else f"{horizon.block_days} days"
    found = [f"{name}: {horizon.n:,} cases on {horizon.days} days, {crossed}; intervals by blocks of {blocks}"]
    if horizon.unseen:
        found.append(f"  not scored on {horizon.unseen}")
    rows: list[Sequence[str]] = [("forecast", "Brier", "skill", "mean P", "Brier less ours (95 %)", "% of ours")]
    first = next(iter(horizon.forecasts.values()))
    for forecast, one in horizon.forecasts.items():
        rows.append(
            (
                forecast,
                f"{one.brier:.6f}",
                "-" if one.skill is None else f"{100.0 * one.skill:.1f} %",
                f"{100.0 * one.mean:.3f} %",
                "" if one.worse is None else _between(one.worse, 1.0, "+.6f"),
                "" if one.worse is None or not first.brier else f"{100.0 * one.worse.value / first.brier:+.1f} %",
            )
        )
    found += aligned(rows)
    table: list[Sequence[str]] = [("told", "n", "crossed", "told on average", "crossed in fact (95 %)")]
    for told in horizon.reliability:
        observed = "-" if told.observed is None else _between(told.observed, 100.0, ".3g") + " %"
        between = f"{100.0 * told.low:g} to {100.0 * told.high:g} %"
        table.append((between, f"{told.n:,}", f"{told.crossed:,}", f"{100.0 * told.mean:.3g} %", observed))
    return [*found, *(f"  {line}" for line in aligned(table))]


def _between(interval: Interval, scale: float, form: str) -> str:
    text = f"{scale * interval.value:{form}}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} ({scale * interval.low:{form}} to {scale * interval.high:{form}})"


def _warnings(rules: Mapping[str, RuleResult]) -> list[str]:
    head = ("warns at", "crossings", "warned", "lead (median, least)", "warnings", "false", "false a position-day")
    rows: list[Sequence[str]] = [head]
    for name, rule in rules.items():
        lead = rule.lead_s
        rows.append(
            (
                name,
                f"{rule.crossings:,}",
                f"{100.0 * rule.warned / rule.crossings:.1f} %" if rule.crossings >= 5 else str(rule.warned),
                "-" if lead is None else f"{span(lead.median)}, {span(lead.min)}",
                f"{rule.warnings:,}",
                f"{100.0 * rule.false / rule.warnings:.0f} %" if rule.warnings >= 5 else str(rule.false),
                "-" if rule.false_per_position_day is None else f"{rule.false_per_position_day:.4f}",
            )
        )
    drawn = max((rule.drawn for rule in rules.values()), default=0)
    note = f"leads leave out warnings that stood from when the position was drawn (up to {drawn:,}); false: no crossing"
    return [*aligned(rows), f"  {note} within a day of the warning's beginning, nor while it stood"]
