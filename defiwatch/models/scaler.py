"""A subject's own history, as a river transformer: raw features in, how unusual each is in [0, 1] out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from river import base

from defiwatch.models.priors import PRIORS, UNKNOWN
from defiwatch.models.tails import KeptTail, UpperTail

_LN10 = math.log(10.0)
_CAUTION = 0.7
"""By how much of ln(x) the tails of something never seen are widened: a factor of two."""


class KeptScaler(msgspec.Struct, frozen=True):
    """A scaler as a checkpoint holds it."""

    seen: int
    tails: dict[str, KeptTail]


class SurprisalScaler(base.Transformer):
    """Standardises each feature by its own running tail: 0 is usual, 1 is rarer than 10^-`decades`.

    z-scores would pile up in the edge leaves of a forest that expects [0, 1]; the logarithm of a tail probability does
    not. While fewer than `warm_up` observations were learnt, tails are widened.

    Parameters
    ----------
    kind
        Whose priors it starts from (see `models/priors.py`).
    warm_up
        How many observations make it grown up.
    decades
        The rarity, in powers of ten, that is squashed to 1.
    """

    def __init__(self, kind: str = "pool", warm_up: int = 60, decades: float = 6.0) -> None:
        self.kind = kind
        self.warm_up = warm_up
        self.decades = decades
        self.seen = 0
        self.tails: dict[str, UpperTail] = {}

    @property
    def young(self) -> bool:
        """Whether its own history is still too short."""
        return self.seen < self.warm_up

    @property
    def widening(self) -> float:
        """By how much of ln(x) tails are widened now; 0.0 once it is grown up."""
        return _CAUTION * max(0.0, 1.0 - self.seen / self.warm_up) if self.warm_up > 0 else 0.0

    def tail_of(self, name: str) -> UpperTail:
        """The running tail of a feature; its prior where the feature was never seen."""
        found = self.tails.get(name)
        return found if found is not None else self._prior(name)

    def learn_one(self, x: Mapping[Any, float]) -> None:
        """Take one observation; features may come and go."""
        if not x:
            return
        self.seen += 1
        for name, value in x.items():
            tail = self.tails.get(name)
            if tail is None:
                tail = self.tails[name] = self._prior(name)
            tail.update(value)

    def transform_one(self, x: Mapping[Any, float]) -> dict[Any, float]:
        """How unusual each feature is, squashed to [0, 1]."""
        widening = self.widening
        return {name: self.squash(self.tail_of(name).tail(value, widening)) for name, value in x.items()}

    def squash(self, tail: float) -> float:
        """A tail probability as a number in [0, 1]: its powers of ten below 1, up to `decades`."""
        return min(1.0, max(0.0, -math.log(tail) / (_LN10 * self.decades)))

    def relearn(self) -> None:
        """The world has changed: every tail takes larger steps again."""
        for tail in self.tails.values():
            tail.relearn()

    def kept(self) -> KeptScaler:
        """Everything that was learnt."""
        return KeptScaler(self.seen, {name: tail.kept() for name, tail in self.tails.items()})

    def take(self, kept: KeptScaler) -> None:
        """Take up what `kept` gave."""
        self.seen = kept.seen
        self.tails = {name: UpperTail.restored(tail) for name, tail in kept.tails.items()}

    def successor(self) -> SurprisalScaler:
        """A young one that starts from what this one has learnt: a new subject of a known kind."""
        young = SurprisalScaler(self.kind, self.warm_up, self.decades)
        young.tails = {name: tail.successor() for name, tail in self.tails.items()}
        return young

    def _prior(self, name: str) -> UpperTail:
        median, foot, floor = PRIORS.get(self.kind, {}).get(name, UNKNOWN)
        return UpperTail(median=median, foot=foot, floor=floor)
