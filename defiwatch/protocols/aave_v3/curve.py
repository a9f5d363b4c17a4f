"""The interest-rate strategy of a reserve: base, then one slope up to the optimal usage and a steeper one beyond.

Up to 3.0 each strategy is a contract with its constants (aave-v3-core@e0bfed1 DefaultReserveInterestRateStrategy.sol),
from 3.1 on one contract holds them by reserve (aave-v3-origin@95d1cc3 DefaultReserveInterestRateStrategyV2.sol). The
arithmetic of the variable rate is the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.rates import usage_of
from defiwatch.domain.units import RAY, to_float
from defiwatch.protocols.aave_v3 import rays, views
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import DATA, FAILED, STRATEGIES, Reserve, Strategy
from defiwatch.protocols.abi import Call, Function

UNREAD = "its rate strategy was not read"
UNTOLD = "its rate strategy does not tell its curve"

_CONSTANTS: tuple[tuple[Function, str], ...] = (
    (views.OPTIMAL_USAGE, "optimal"),
    (views.BASE_RATE, "base"),
    (views.SLOPE_1, "slope1"),
    (views.SLOPE_2, "slope2"),
)
_BY_SELECTOR = {asked.selector: field for asked, field in _CONSTANTS}


class Curve(msgspec.Struct, frozen=True):
    """The four numbers of a strategy, ray. `flat`: a reserve that is minted, not lent, costs `base` at any usage."""

    optimal: int
    base: int
    slope1: int
    slope2: int
    flat: bool = False

    def rate(self, usage: int) -> int:
        """The variable borrow rate at a borrow usage ratio, both ray: calculateInterestRates."""
        if self.flat or usage == 0:
            return self.base
        if usage > self.optimal:
            excess = rays.div_half(usage - self.optimal, RAY - self.optimal)
            return self.base + self.slope1 + rays.mul_half(self.slope2, excess)
        return self.base + rays.div_half(rays.mul_half(self.slope1, usage), self.optimal)

    def at(self, debt: int, cash: int) -> int:
        """The rate (ray) where `debt` (variable and stable) is owed and `cash` is left, token units."""
        return self.base if debt == 0 else self.rate(rays.div_half(debt, cash + debt))

    def yearly(self, used: float) -> float:
        """As `RateCurve.yearly`."""
        return to_float(self.rate(usage_of(used, RAY)), 27)

    def ahead(self, used: float, trend: float, days: float) -> float:
        """As `RateCurve.ahead`: the curve stays where it is."""
        return self.yearly(used + trend * days)

    @property
    def daily(self) -> float:
        """As `RateCurve.daily`."""
        return 0.0


def curve(ledger: Ledger, reserve: Reserve) -> Curve | str:
    """The curve of a reserve, or why it is not known."""
    told = ledger.book.get(STRATEGIES, _key(ledger, reserve)) if reserve.strategy else None
    if told is None or not (told.whole or told.refused):
        return UNREAD
    if told.refused or not 0 < told.optimal < RAY:
        return UNTOLD
    form = ledger.form
    flat = form.virtual_balance and not form.taylor and not reserve.virtual
    return Curve(told.optimal, told.base, told.slope1, told.slope2, flat)


def curve_wants(ledger: Ledger) -> list[Call]:
    """What is still open of the strategies of reserves that somebody borrows, each once."""
    failed, now = ledger.book.get, ledger.at.number
    found = dict.fromkeys(call for reserve in ledger.reserves() for call in _open(ledger, reserve))
    return [call for call in found if failed(FAILED, (call.to, call.data)) != now]


def _open(ledger: Ledger, reserve: Reserve) -> Iterator[Call]:
    if not reserve.have & DATA or not (reserve.borrowed or reserve.stable_principal):
        return
    if not reserve.strategy:  # kept by a version that did not look at it
        yield views.RESERVE_DATA.call(ledger.market.pool, reserve.asset)
    if reserve.strategy in ("", ZERO_ADDRESS):
        return
    told = ledger.book.get(STRATEGIES, _key(ledger, reserve)) or Strategy()
    if told.whole or told.refused:
        return
    if ledger.form.virtual_balance:
        yield views.RATE_DATA.call(reserve.strategy, reserve.asset)
        return
    for asked, field in _CONSTANTS:
        if getattr(told, field) < 0:
            yield asked.call(reserve.strategy)


def take_curve(ledger: Ledger, call: CallResult) -> bool:
    """Take an answer of a strategy; True if it is one that some reserve has. ReadError if it is malformed."""
    selector, to = call.data[:10].lower(), call.to.lower()
    by_reserve = selector == views.RATE_DATA.selector
    if not (by_reserve or selector in _BY_SELECTOR):
        return False
    if not any(reserve.strategy == to for reserve in ledger.reserves()):
        return False
    asset = views.RATE_DATA.arguments(call)[0] if by_reserve else ""
    key = (ledger.key, to, asset)
    before = ledger.book.get(STRATEGIES, key) or Strategy()
    if by_reserve:
        answer = views.RATE_DATA.result(call)
        after = None if answer is None else Strategy(*answer)
    else:
        asked = next(one for one, _ in _CONSTANTS if one.selector == selector)
        answer = asked.result(call)
        after = None if answer is None else msgspec.structs.replace(before, **{_BY_SELECTOR[selector]: answer[0]})
    ledger.book.put(STRATEGIES, key, msgspec.structs.replace(before, refused=True) if after is None else after)
    return True


def forget_curve(ledger: Ledger, strategy: Address, asset: Address) -> None:
    """A strategy was given other numbers for a reserve: they are read again."""
    ledger.book.drop(STRATEGIES, (ledger.key, strategy, asset))


def _key(ledger: Ledger, reserve: Reserve) -> tuple[Address, Address, Address]:
    return (ledger.key, reserve.strategy, reserve.asset if ledger.form.virtual_balance else "")
