"""How long an endpoint lets one wait between two heads: the longest of a thousand waits, learnt online."""

from __future__ import annotations

import math

LEVEL = 0.999
"""The quantile that is followed."""
ENOUGH = 1000
"""Waits that must have been seen before it counts."""
_STEP = 0.4
"""How far, in logarithm, one wait moves it; steps up and down are even where `LEVEL` of all waits are shorter."""
_CAP = 1.5
"""At first it is the longest wait seen; one that is so many times longer than all before counts as that."""


class Rhythm:
    """Stochastic approximation of a quantile (Robbins and Monro, 1951) of waits in seconds: two numbers are all it
    keeps, and one hour of silence among thousands of short waits moves it by half."""

    def __init__(self, seconds: float = 0.0, seen: int = 0) -> None:
        self.seconds = seconds
        """The quantile as it stands; 0.0 before the first wait."""
        self.seen = seen

    @property
    def longest(self) -> float:
        """The wait that only one in a thousand exceeds; 0.0 while too few were seen."""
        return self.seconds if self.seen >= ENOUGH else 0.0

    def note(self, wait: float) -> None:
        """A head came `wait` seconds after the one before."""
        if wait <= 0.0:
            return
        if self.seen == 0:
            self.seconds = wait
        elif self.seen < ENOUGH:
            self.seconds = max(self.seconds, min(wait, _CAP * self.seconds))
        else:
            self.seconds *= math.exp(_STEP * (LEVEL if wait > self.seconds else LEVEL - 1.0))
        self.seen += 1
