"""What a backtest of P(liquidation) finds, as `evaluate --positions --json` prints it."""

from __future__ import annotations

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """A number with its 95 % interval by block bootstrap over days; None where there are too few days for one."""

    value: float
    low: float | None = None
    high: float | None = None


class Forecast(msgspec.Struct, frozen=True):
    """How one forecast fared on the scored part. `skill`: 1 − Brier ÷ that of always telling the base rate of these
    very cases; `worse`: its Brier score less ours, positive where ours is better, with the interval."""

    brier: float
    skill: float | None
    mean: float
    worse: Interval | None = None


class Bin(msgspec.Struct, frozen=True):
    """Of the cases that were told a probability from `low` to below `high`: how many, what they were told on average,
    and which part crossed; None where fewer than five did, or did not."""

    low: float
    high: float
    n: int
    crossed: int
    mean: float
    observed: Interval | None


class HorizonResult(msgspec.Struct, frozen=True):
    """One horizon. `n` cases on `days` days, resampled in blocks of `block_days`. `forecasts` by name, ours first."""

    n: int
    crossed: int
    base_rate: float | None
    days: int
    block_days: int
    forecasts: dict[str, Forecast]
    reliability: tuple[Bin, ...]
    unseen: str = ""
    """Recordings on which it is not scored, and why."""


class LeadTimes(msgspec.Struct, frozen=True):
    """Seconds from the beginning of a warning to the crossing."""

    median: float
    min: float


class RuleResult(msgspec.Struct, frozen=True):
    """One rule of warning. Of `crossings`, `warned` found a warning standing; `drawn` of these stood from when the
    position was drawn and have no lead of their own. `false` of `warnings` ended without a crossing within a day of
    their beginning."""

    crossings: int
    warned: int
    drawn: int
    lead_s: LeadTimes | None
    warnings: int
    false: int
    false_per_position_day: float | None


class RecordingResult(msgspec.Struct, frozen=True):
    """One recording: `part` is tuning, scored, or halves (the first half of its days tunes, the second is scored)."""

    name: str
    part: str
    days: float
    step_s: float
    push_s: float
    """Seconds between the pushes of the asset that most collateral is in, on average."""
    assets: tuple[str, ...]
    positions: int
    rebased: dict[str, int]
    left_out: dict[str, int]


class LiquidationBacktest(msgspec.Struct, frozen=True):
    """The whole. `assumed` says in words what was taken for granted."""

    recordings: tuple[RecordingResult, ...]
    assumed: tuple[str, ...]
    horizons: dict[str, HorizonResult]
    warnings: dict[str, RuleResult]
    not_better: tuple[str, ...]
    """Where ours is not better than a baseline, the interval included; in words."""
