"""What borrowers pay as more is lent out: a market's own interest-rate curve, as every protocol can state it."""

from __future__ import annotations

from typing import Protocol

_PARTS = 10**15


def usage_of(used: float, scale: int) -> int:
    """A utilisation (0..1, cut to that) in fixed point, to fifteen places: 1.0 is exactly `scale`."""
    return round(min(max(used, 0.0), 1.0) * _PARTS) * scale // _PARTS


class RateCurve(Protocol):
    """The rate model of one market, by its contract's own integers."""

    def yearly(self, used: float) -> float:
        """The borrow rate, simple a year (0.05: 5 %), at a utilisation of `used` (0..1)."""

    def ahead(self, used: float, trend: float, days: float) -> float:
        """The same after some days in which utilisation, `used` now, changes by `trend` a day, until it is 0 or 1."""

    @property
    def daily(self) -> float:
        """By what part the rate rises in a day in which all is lent out: 0.0 for a curve that stays where it is."""
