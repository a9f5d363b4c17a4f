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

STILL = 1e-4
"""A utilisation that changes by less than this a day does not move."""


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
        return (1.0 - self.utilisation) / self.trend if self.trend > STILL else None

    def ahead(self, days: float) -> float:
        """The utilisation after some days if it goes on like this, 0..1."""
        return min(1.0, max(0.0, self.utilisation + self.trend * days))


AHEAD: dict[str, float] = {"1d": 1.0, "7d": 7.0}
"""How far ahead the rate path looks: name → days."""


class RateStep(msgspec.Struct, frozen=True):
    """Where utilisation and borrow rate (a year) stand after some time, if it goes on like this."""

    utilisation: float
    rate: float


class RatePath(msgspec.Struct, frozen=True):
    """What borrowers pay: now as the market states it, and by its own curve at 100 % and along the course.

    `steps` by `AHEAD`; {} while no trend is known, or the utilisation does not rise.
    """

    now: float
    full: float
    daily: float
    """By what part the rate at 100 % rises in a day in which it stays there."""
    steps: dict[str, RateStep]


COURSES: Table[tuple[str, str], Course] = Table("state.course")
"""(protocol, market) → where it is heading."""


def utilisation(market: Market) -> float:
    """Lent out over what there is, 0..1: borrowed / (cash + borrowed); 0.0 for an empty market."""
    whole = market.cash + market.borrowed
    return min(market.borrowed / whole, 1.0) if whole > 0 else 0.0


def rate_path(market: Market, course: Course | None) -> RatePath | None:
    """The path of the borrow rate; None where the market's curve is not known."""
    if market.curve is None:
        return None
    steps: dict[str, RateStep] = {}
    if course is not None and course.trend > STILL:
        for name, days in AHEAD.items():
            rate = market.curve.ahead(course.utilisation, course.trend, days)
            steps[name] = RateStep(course.ahead(days), rate)
    return RatePath(market.borrow_rate, market.curve.yearly(1.0), market.curve.daily, steps)


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
