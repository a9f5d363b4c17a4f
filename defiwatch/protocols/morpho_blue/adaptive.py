"""The rate model of nearly every Morpho market: a curve through the rate at 90 % utilisation, which itself adapts.

morpho-blue-irm@10be222 src/adaptive-curve-irm/AdaptiveCurveIrm.sol and its libraries ExpLib, MathLib, ConstantsLib.
Rates in wad a second, divisions toward zero. The model is followed from Morpho's own AccrueInterest after one read of
`rateAtTarget`: each such event also states the rate that it was made with, which must come out.
"""

from __future__ import annotations

import math

import msgspec

from defiwatch.domain.rates import usage_of
from defiwatch.domain.units import WAD, YEAR_S
from defiwatch.protocols.abi import function
from defiwatch.protocols.morpho_blue.shares import Totals

RATE_AT_TARGET = function("rateAtTarget(bytes32)", "int256")

STEEPNESS = 4 * WAD
SPEED = 50 * WAD // YEAR_S
TARGET = 9 * WAD // 10
INITIAL = WAD * 4 // 100 // YEAR_S
LEAST = WAD // 1000 // YEAR_S
MOST = 2 * WAD // YEAR_S

_LN_2 = 693_147_180_559_945_309
_LN_WEI = -41_446_531_673_892_822_312
_STEPS = 96


def _cut(a: int, b: int) -> int:
    """a / b toward zero."""
    return a // b if (a >= 0) == (b > 0) else -(-a // b)


def _exp(x: int) -> int:
    """ExpLib.wExp: 2^q · (1 + r + r²/2). Below its upper bound, which no utilisation reaches within decades."""
    if x < _LN_WEI:
        return 0
    q = _cut(x + (_LN_2 // 2 if x >= 0 else -(_LN_2 // 2)), _LN_2)
    r = x - q * _LN_2
    whole = WAD + r + r * r // WAD // 2
    return whole << q if q >= 0 else whole >> -q


def utilisation(totals: Totals) -> int:
    """Borrowed ÷ supplied, wad; 0 for an empty market."""
    return totals.borrow_assets * WAD // totals.supply_assets if totals.supply_assets else 0


def off_target(used: int) -> int:
    """How far a utilisation is from the target, -wad (nothing lent out) to wad (all of it)."""
    return _cut((used - TARGET) * WAD, WAD - TARGET if used > TARGET else TARGET)


def curve(at_target: int, off: int) -> int:
    """The rate at a distance from the target: a quarter of the rate there at the lower end, four times at the upper."""
    steep = WAD - _cut(WAD * WAD, STEEPNESS) if off < 0 else STEEPNESS - WAD
    return _cut((_cut(steep * off, WAD) + WAD) * at_target, WAD)


def _moved(at_target: int, adaptation: int) -> int:
    return min(max(_cut(at_target * _exp(adaptation), WAD), LEAST), MOST)


def step(at_target: int, off: int, seconds: int) -> tuple[int, int]:
    """(the mean rate, the rate at target at the end) after some seconds at one utilisation: `_borrowRate`."""
    if at_target == 0:
        return curve(INITIAL, off), INITIAL
    adaptation = _cut(SPEED * off, WAD) * seconds
    if adaptation == 0:
        return curve(at_target, off), at_target
    end, middle = _moved(at_target, adaptation), _moved(at_target, _cut(adaptation, 2))
    return curve((at_target + end + 2 * middle) // 4, off), end


class AdaptiveCurve(msgspec.Struct, frozen=True):
    """One market's curve. `at_target`: the rate at the target as it is now, wad a second."""

    at_target: int

    def yearly(self, used: float) -> float:
        """As `RateCurve.yearly`: at once, before the model adapts."""
        return curve(self.at_target, off_target(usage_of(used, WAD))) * YEAR_S / WAD

    def ahead(self, used: float, trend: float, days: float) -> float:
        """As `RateCurve.ahead`: all the while the rate at target moves, by how far the utilisation is from it."""
        moments = [days * (i + 0.5) / _STEPS for i in range(_STEPS)]
        offs = [off_target(usage_of(used + trend * moment, WAD)) / WAD for moment in moments]
        adaptation = SPEED / WAD * math.fsum(offs) / _STEPS * days * 86_400.0
        moved = min(max(self.at_target * math.exp(adaptation), LEAST), MOST)
        return AdaptiveCurve(round(moved)).yearly(used + trend * days)

    @property
    def daily(self) -> float:
        """As `RateCurve.daily`."""
        return math.exp(SPEED * 86_400 / WAD) - 1.0
