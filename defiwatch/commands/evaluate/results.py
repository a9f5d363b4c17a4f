"""What `defiwatch evaluate` prints: the shapes of `defiwatch.evaluation/1`, and nothing that has to be computed."""

from __future__ import annotations

import msgspec

from defiwatch.commands.backtest.results import LiquidationBacktest

EVALUATION_SCHEMA = "defiwatch.evaluation/1"


class Lead(msgspec.Struct, frozen=True):
    """Seconds from the first alert to the label's beginning; positive: the alert came before it."""

    median: float
    min: float


class Apart(msgspec.Struct, frozen=True):
    """How the labels fared that one source alone tells of, and how many alerts found nothing but these."""

    labels: int
    found: int
    missed: tuple[str, ...]
    alerts: int


class KindResult(msgspec.Struct, frozen=True):
    """How one kind fared. `missed` names the labels that nothing found; `groups` counts by plan of insertion
    (found, labels)."""

    labels: int
    found: int
    missed: tuple[str, ...]
    lead_s: Lead | None
    alerts: int
    false: int
    false_per_day: float | None
    precision: float | None
    recall: float | None = None
    unconfirmed: Apart | None = None
    groups: dict[str, tuple[int, int]] = {}


class Detected(msgspec.Struct, frozen=True):
    """How one detector fared in a trial. `recall` by plan; `threshold` in its own scores; `interval`: recall 95 % of
    the time, were the insertions drawn anew (bootstrap)."""

    recall: dict[str, float]
    found: int
    inserted: int
    false: int
    false_per_day: float
    precision: float | None
    threshold: float
    interval: tuple[float, float] | None = None


class Trial(msgspec.Struct, frozen=True):
    """What was inserted into the subjects of one kind of alert, and every detector's catch, ours first.

    `calm`: the ten-minute episodes without an insertion; of these every detector may call `allowed` at most.
    """

    inserted: int
    calm: int
    allowed: int
    detectors: dict[str, Detected]


class Trials(msgspec.Struct, frozen=True):
    """The trials by kind of alert. `seeds` of the insertions; with several the runs are taken together."""

    span_days: float
    observations: int
    seeds: tuple[int, ...]
    kinds: dict[str, Trial]


class TailShare(msgspec.Struct, frozen=True):
    """Of `n` tail probabilities, told before what they were told of was learnt, `below` lay below `alpha`.

    `share` is below/n; `low` and `high` hold it 95 % of the time (block bootstrap, `block` in a row).
    """

    alpha: float
    n: int
    below: int
    share: float
    low: float
    high: float
    block: int


class BudgetSpent(msgspec.Struct, frozen=True):
    """Alerts of a kind that the budget told, and how many it was due over the replay. `ratio`: told/due."""

    budget: str
    told: int
    due: float
    ratio: float | None


class Evaluation(msgspec.Struct, frozen=True):
    """The whole. `events` counts logs and quotes; `span_days` is the frames' own time.

    `others`: the same labels held against the alerts of each part removed, and against the baselines, by detector and
    kind. `calibration`: by model. `liquidation`: the backtest of P(liquidation), where positions were given.
    """

    schema: str
    events: int
    events_per_s: float | None
    span_days: float
    kinds: dict[str, KindResult]
    others: dict[str, dict[str, KindResult]] = {}
    trials: Trials | None = None
    calibration: dict[str, tuple[TailShare, ...]] = {}
    budget: dict[str, BudgetSpent] = {}
    liquidation: LiquidationBacktest | None = None
