"""The seam between features, models and scoring: what was observed, and how unusual the models find it."""

from __future__ import annotations

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Hash
from defiwatch.domain.risk import Subject


class Observation(msgspec.Struct, frozen=True):
    """One subject's features at one moment. `kind` names which models take it (pool, feed, market, flow).

    `values` maps a feature's name to its raw value; `features/` documents each with its unit. `seq` orders observations
    inside a block.
    """

    subject: Subject
    kind: str
    values: dict[str, float]
    at: BlockRef
    tx: Hash = ""
    log_index: int = -1
    facts: dict[str, float] = {}
    """What reasons quote and models do not learn: sizes, prices."""
    learnable: bool = True
    """False where nothing happened and it was only looked at again: models score it and never learn it."""


class FeatureSurprise(msgspec.Struct, frozen=True):
    """One feature against its own history. `tail` is the probability of a value at least as extreme (0..1]."""

    name: str
    value: float
    usual: float
    low: float
    high: float
    tail: float


class Surprise(msgspec.Struct, frozen=True):
    """What the models say of one observation, before learning it.

    `joint` is the forest's score of all features together, 0..1. `seen` counts what the subject had shown; `young` says
    that its own history is too short and its kind's prior stands in. `tail` is the calibrated probability of a score at
    least this extreme; `extrapolated` that it lies beyond the data.
    """

    features: tuple[FeatureSurprise, ...]
    joint: float
    seen: int
    young: bool
    tail: float = 1.0
    extrapolated: bool = False
