"""Where each lending market is heading: utilisation and borrow rate against their own last hours."""

from __future__ import annotations

import math

import msgspec

from defiwatch.domain.risk import Market
from defiwatch.protocols.spec import Table

MEMORY_S = 6 * 3600.0
"""Seconds after which what was counts 1/e."""

KNOWN_S = 1_800.0
"""A trend is told once the past behind it is this old on average."""

DAY_S = 86_400.0


class Course(msgspec.Struct, frozen=True):
    """Utilisation 0..1 and borrow rate (a year) now, and the exponential means of both and of their time.

    The mean of the times is what makes the trend right from the start: how much both changed over how long.
    """

    utilisation: float
    rate: float
    time: float
    mean: float
    mean_rate: float
    mean_time: float

    @property
    def known(self) -> bool:
        """Whether the past suffices for a trend."""
        return self.time - self.mean_time >= KNOWN_S

    @property
    def trend(self) -> float:
        """Change of the utilisation a day; 0.0 while too little is known."""
        return (self.utilisation - self.mean) / (self.time - self.mean_time) * DAY_S if self.known else 0.0

    @property
    def rate_trend(self) -> float:
        """Change of the borrow rate a day."""
        return (self.rate - self.mean_rate) / (self.time - self.mean_time) * DAY_S if self.known else 0.0

    @property
    def days_to_full(self) -> float | None:
        """Days until everything is lent out if it goes on like this; None if it does not rise."""
        if self.utilisation >= 1.0:
            return 0.0
        return (1.0 - self.utilisation) / self.trend if self.trend > 1e-4 else None


COURSES: Table[tuple[str, str], Course] = Table("state.course")
"""(protocol, market) → where it is heading."""


def utilisation(market: Market) -> float:
    """Lent out over what there is, 0..1: borrowed / (cash + borrowed); 0.0 for an empty market."""
    whole = market.cash + market.borrowed
    return min(market.borrowed / whole, 1.0) if whole > 0 else 0.0


def follow(before: Course | None, market: Market, time: float) -> Course:
    """The course with the market as it stands at `time`."""
    used, rate = utilisation(market), market.borrow_rate
    if before is None:
        return Course(used, rate, time, used, rate, time)
    kept = math.exp(-max(time - before.time, 0.0) / MEMORY_S)
    return Course(
        utilisation=used,
        rate=rate,
        time=max(time, before.time),
        mean=before.mean * kept + used * (1.0 - kept),
        mean_rate=before.mean_rate * kept + rate * (1.0 - kept),
        mean_time=before.mean_time * kept + time * (1.0 - kept),
    )
