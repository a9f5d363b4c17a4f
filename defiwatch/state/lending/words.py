"""What is said of a position beside its numbers, in words that every face shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from defiwatch.domain.ids import short
from defiwatch.domain.units import YEAR_S, span
from defiwatch.state.lending.insight import Insight

NEVER_S = 50.0 * YEAR_S
"""Interest that takes longer than this to liquidate is no news."""


def remarks(insight: Insight) -> Iterator[str]:
    """How long interest alone takes, and where a liquidation would do harm."""
    if insight.carry_s is not None and 0.0 < insight.carry_s < NEVER_S:
        yield f"interest alone liquidates it in {span(insight.carry_s)}"
    for one in insight.toxic:
        yield (
            f"toxic: below {one.below:.4f} every liquidation of its {one.symbol or short(one.asset)} "
            "lowers the health factor"
        )


def movement(
    p_liquidation: Mapping[str, float], volatility: tuple[float, float] | None, learnt_from: str, known_s: float
) -> Iterator[str]:
    """What a probability rests on, or why there is none. `known_s`: seconds after which it is told."""
    if volatility is not None:
        by = f"; {learnt_from}" if learnt_from else ""
        yield f"volatility of collateral against debt {volatility[0]:.1%} a year (watched {span(volatility[1])}{by})"
        if not p_liquidation:
            yield f"P(liquidated) is told once the ratio was watched {span(known_s)}"
    elif learnt_from:
        yield learnt_from
    else:
        yield f"P(liquidated) is not told: its prices were not watched yet, {span(known_s)} are needed"
