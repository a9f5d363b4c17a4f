"""Points that add up, and numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from defiwatch.domain.risk import Reason

FULL = 100.0


def settle(reasons: Iterable[Reason]) -> tuple[float, tuple[Reason, ...]]:
    """(score, reasons): points to one decimal, most first; the score is their sum, at most 100.

    Reasons without points are kept only where they name a fact (`_FACTS`); what adds up to
    more than 100 is scaled.
    """
    kept = list(reasons)
    total = math.fsum(reason.points for reason in kept)
    scale = FULL / total if total > FULL else 1.0
    rounded = [
        Reason(reason.name, finite(reason.value), round(reason.points * scale, 1), reason.text, reason.usual)
        for reason in kept
    ]
    told = [reason for reason in rounded if reason.points > 0.0 or reason.name in _FACTS]
    told.sort(key=lambda reason: (-reason.points, reason.name))
    return min(FULL, round(math.fsum(reason.points for reason in told), 1)), tuple(told)


_FACTS = frozenset({"health_factor", "jump", "watched", "episode", "rate_path"})


def allot(total: float, weights: Mapping[str, float]) -> dict[str, float]:
    """`total` points divided by weight; {} where nothing weighs."""
    whole = math.fsum(weights.values())
    return {name: total * weight / whole for name, weight in weights.items()} if whole > 0.0 else {}


def finite(value: float) -> float:
    """`value` where JSON can hold it; what is beyond, at the edge."""
    if value != value:
        return 0.0
    return max(-1e300, min(1e300, value))


def number(value: float) -> str:
    """A number with about three figures: 0.0213, 5.1, 1,234."""
    size = abs(value)
    if size >= 1000.0:
        return f"{value:,.0f}"
    if size >= 100.0:
        return f"{value:.0f}"
    if size >= 0.001 or size == 0.0:
        return f"{value:.3g}"
    return f"{value:.1e}"


def price(value: float) -> str:
    """A price: two decimals from 10 on, four from 0.1 on, else four figures."""
    return f"{value:,.2f}" if value >= 10.0 else f"{value:.4f}" if value >= 0.1 else f"{value:.4g}"


def percent(share: float) -> str:
    """A share as percent: 0.051 is "5.1 %", 0.0002 is "0.02 %"."""
    size = abs(share) * 100.0
    if size >= 100.0:
        return f"{share * 100.0:,.0f} %"
    if size >= 1.0:
        return f"{share * 100.0:.1f} %"
    if size >= 0.01:
        return f"{share * 100.0:.2f} %"
    if size >= 0.0001:
        return f"{share * 100.0:.4f}".rstrip("0") + " %"
    return "0 %" if size < 1e-9 else "< 0.0001 %"


def dollars(usd: float) -> str:
    """An amount of dollars, short: $950, $12.3k, $4.5M."""
    size = abs(usd)
    for bound, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= bound:
            return f"${usd / bound:.1f}{unit}"
    return f"${usd:,.0f}" if size >= 10.0 else f"${usd:.2f}"
