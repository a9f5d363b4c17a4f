"""The seam between features, models and scoring: what was observed, and how unusual the models find it."""

from __future__ import annotations

import math

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

    `rarity` is the score that is calibrated: powers of ten (see `rarity`). The tail is of episodes: the part of all
    ten-minute episodes of subjects of this kind that peak higher. `joint_tail` is that of the forest's score alone,
    among single observations.
    """

    features: tuple[FeatureSurprise, ...]
    joint: float
    seen: int
    young: bool
    tail: float = 1.0
    extrapolated: bool = False
    rarity: float = 0.0
    joint_tail: float = 1.0


GROUPS: dict[str, dict[str, tuple[tuple[str, ...], float]]] = {
    "pool": {
        "price": (("move", "block_move", "deviation"), 1.0),
        "size": (("size",), 0.9),
        "flow": (("flow",), 0.8),
        "pace": (("pace", "gap"), 0.7),
    },
    "flow": {
        "price": (("close_move", "deviation"), 1.0),
        "size": (("volume", "reserve_change"), 0.9),
        "flow": (("flow",), 0.8),
        "pace": (("trades",), 0.7),
    },
    "feed": {
        "push": (("push",), 1.0),
        "market": (("away",), 1.0),
        "pace": (("interval", "pushes"), 0.8),
    },
    "market": {
        "use": (("supplied", "withdrawn", "borrowed", "repaid", "drained"), 1.0),
        "liquidations": (("liquidated",), 1.0),
        "utilisation": (("step", "strayed"), 0.9),
    },
    "transfer": {
        "amount": (("amount",), 1.0),
        "moved": (("moved",), 0.8),
    },
}
"""By kind, what belongs together: of a group only the rarest feature counts, times the group's weight."""

JOINT_WEIGHT = 0.8
"""The weight of all features together, beside the groups."""


def decades(tail: float) -> float:
    """Powers of ten by which a tail probability is beyond one in ten; 0 for what is more usual than that."""
    return max(0.0, -math.log10(tail) - 1.0) if tail > 0.0 else 12.0


def rarity(kind: str, features: tuple[FeatureSurprise, ...], joint_tail: float) -> float:
    """How rare the rarest group of features is, in weighted powers of ten beyond one in ten.

    Groups measure one event from several sides, so their rarities are not added. A kind that has no groups counts
    every feature in full.
    """
    by_name = {feature.name: decades(feature.tail) for feature in features}
    found = [JOINT_WEIGHT * decades(joint_tail)]
    if kind in GROUPS:
        for names, weight in GROUPS[kind].values():
            found += [weight * by_name[name] for name in names if name in by_name]
    else:
        found += by_name.values()
    return max(found)
