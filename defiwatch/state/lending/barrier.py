"""P(liquidated within a horizon), if nothing is done: the chance that a random walk of the collateral-to-debt ratio
falls to 1.

The ratio follows a geometric Brownian motion with volatility σ and drift μ a year; the barrier is at b = ln(1/HF).
Liquidation is possible only when an oracle pushes, so the barrier is moved away by 0.5826·σ·√Δt (Broadie, Glasserman,
Kou: A continuity correction for discrete barrier options, Mathematical Finance 7 (1997) 325-348: −ζ(1/2)/√(2π)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from defiwatch.domain.units import YEAR_S

HORIZONS: Mapping[str, float] = {"1h": 3600.0, "24h": 86_400.0, "7d": 604_800.0}
"""Seconds."""

SHIFT = 0.5826
"""−ζ(1/2)/√(2π)."""

FLOOR = 0.001
"""Below this a probability from price moves alone says nothing: what it leaves out is likelier."""


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _log_phi(x: float) -> float:
    """ln Φ(x), also far in the lower tail, where Φ underflows: by its asymptotic series."""
    if x > -30.0:
        return math.log(_phi(x))
    return -0.5 * x * x - math.log(-x) - 0.5 * math.log(2.0 * math.pi) + math.log1p(-1.0 / (x * x))


def p_liquidation(
    health_factor: float, sigma: float, horizon_s: float, *, push_s: float = 0.0, drift: float = 0.0
) -> float:
    """Probability, 0..1, that the factor falls to 1 within `horizon_s` seconds.

    `sigma` is the volatility a year of ln(collateral ÷ debt) (0.8: 80 %), `drift` its μ (what collateral earns beyond
    what debt costs, a year), `push_s` the time between oracle pushes in seconds (0: watched without a break). Φ((b −
    νT)/σ√T) + e^{2νb/σ²}·Φ((b + νT)/σ√T), ν = μ − σ²/2.
    """
    if health_factor <= 1.0:
        return 1.0
    if horizon_s <= 0.0 or not math.isfinite(health_factor):
        return 0.0
    years = horizon_s / YEAR_S
    distance = -math.log(health_factor)
    if sigma <= 0.0:
        return 1.0 if drift * years <= distance else 0.0
    if push_s > 0.0:
        distance -= SHIFT * sigma * math.sqrt(min(push_s, horizon_s) / YEAR_S)
    nu = drift - 0.5 * sigma * sigma
    spread = sigma * math.sqrt(years)
    first = _phi((distance - nu * years) / spread)
    log_second = 2.0 * nu * distance / (sigma * sigma) + _log_phi((distance + nu * years) / spread)
    second = math.exp(min(0.0, log_second)) if log_second > -745.0 else 0.0
    return min(1.0, max(0.0, first + second))


def p_horizons(health_factor: float, sigma: float, *, push_s: float = 0.0, drift: float = 0.0) -> dict[str, float]:
    """The probability for each of `HORIZONS`; it never falls with the horizon."""
    found: dict[str, float] = {}
    least = 0.0
    for name, seconds in HORIZONS.items():
        least = max(least, p_liquidation(health_factor, sigma, seconds, push_s=push_s, drift=drift))
        found[name] = least
    return found


def told(probability: float) -> str:
    """A probability as it is shown: never as a number that pretends to know the tail."""
    if probability < FLOOR:
        return "< 0.1 %, excludes oracle, cap and rate jumps"
    if probability < 0.1:
        return f"{probability * 100.0:.1f} %"
    return f"{min(probability, 0.999) * 100.0:.0f} %" if probability < 1.0 else "100 %"
