"""The barrier formula where the volatility to come is itself uncertain; for one position, and for many at once.

A horizon's variance is forecast from three running ones (`Blend`), and the formula is averaged over what the
volatility may turn out to be: ln σ is taken as normal around the forecast, its mean square kept, by three-point
Gauss–Hermite quadrature. So the tails are those of a price whose calm and storm are not known beforehand, and a
factor near 1 is not told to be lost. What the constants rest on: docs/decisions/0006-liquidation-backtest.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from defiwatch.domain.units import YEAR_S
from defiwatch.state.lending.barrier import HORIZONS, SHIFT, p_liquidation

Floats: TypeAlias = npt.NDArray[np.float64]

_NODES = ((-math.sqrt(3.0), 1.0 / 6.0), (0.0, 2.0 / 3.0), (math.sqrt(3.0), 1.0 / 6.0))


class Blend(msgspec.Struct, frozen=True):
    """How a horizon's volatility is forecast: the parts (they add to 1) that the fast, the slow and the long running
    variance have in it, and `spread`, the standard deviation of ln σ around it."""

    fast: float
    slow: float
    long: float
    spread: float

    def sigma(self, fast: float, slow: float, long: float) -> float:
        """The volatility a year from the three running ones."""
        return math.sqrt(self.fast * fast * fast + self.slow * slow * slow + self.long * long * long)


BLENDS: Mapping[str, Blend] = {
    "1h": Blend(0.8, 0.0, 0.2, 0.4),
    "24h": Blend(0.0, 0.8, 0.2, 0.5),
    "7d": Blend(0.0, 0.6, 0.4, 0.5),
}
"""By horizon."""


def multiples(spread: float) -> tuple[tuple[float, float], ...]:
    """(what σ is multiplied by, weight) for a spread of ln σ; the mean of the squares is 1."""
    if spread <= 0.0:
        return ((1.0, 1.0),)
    mean = math.fsum(weight * math.exp(2.0 * node * spread) for node, weight in _NODES)
    return tuple((math.exp(node * spread) / math.sqrt(mean), weight) for node, weight in _NODES)


def p_uncertain(
    health_factor: float, sigma: float, horizon_s: float, *, spread: float, push_s: float = 0.0, drift: float = 0.0
) -> float:
    """`barrier.p_liquidation`, averaged over a volatility whose logarithm is uncertain by `spread`."""
    return math.fsum(
        weight * p_liquidation(health_factor, sigma * times, horizon_s, push_s=push_s, drift=drift)
        for times, weight in multiples(spread)
    )


def p_blended(
    health_factor: float, fast: float, slow: float, long: float, *, push_s: float = 0.0, drift: float = 0.0
) -> dict[str, float]:
    """The probability for each horizon from the three running volatilities, a year; it never falls with the
    horizon."""
    found: dict[str, float] = {}
    least = 0.0
    for name, seconds in HORIZONS.items():
        blend = BLENDS[name]
        sigma = blend.sigma(fast, slow, long)
        p = p_uncertain(health_factor, sigma, seconds, spread=blend.spread, push_s=push_s, drift=drift)
        least = max(least, min(1.0, p))
        found[name] = least
    return found


_FAR = 9.0
"""Standard deviations beyond which a chance is below 1e-18."""

_erfc = np.frompyfunc(math.erfc, 1, 1)


def _phi(x: Floats) -> Floats:
    return 0.5 * np.asarray(_erfc(-x / math.sqrt(2.0)), dtype=np.float64)


def _log_phi(x: Floats) -> Floats:
    deep = np.minimum(x, -30.0)
    tail = -0.5 * deep * deep - np.log(-deep) - 0.5 * math.log(2.0 * math.pi) + np.log1p(-1.0 / (deep * deep))
    return np.where(x > -30.0, np.log(_phi(np.maximum(x, -30.0))), tail)


def p_many(factors: Floats, sigmas: Floats, horizon_s: float, push_s: Floats, *, spread: float = 0.0) -> Floats:
    """`p_uncertain` without drift for many positions at once: factors above 1, volatilities above 0, seconds between
    pushes (0: watched without a break), all of one length. What lies beyond `_FAR` standard deviations is 0."""
    total = np.zeros(len(factors))
    width = math.sqrt(horizon_s / YEAR_S)
    far = np.log(factors)
    for times, weight in multiples(spread):
        near = np.flatnonzero(far < _FAR * width * times * sigmas)
        sigma = sigmas[near] * times
        distance = -far[near] - SHIFT * sigma * np.sqrt(np.minimum(push_s[near], horizon_s) / YEAR_S)
        nu = -0.5 * sigma * sigma * width * width
        reach = sigma * width
        log_second = 2.0 * nu * distance / (reach * reach) + _log_phi((distance + nu) / reach)
        p = _phi((distance - nu) / reach) + np.exp(np.minimum(0.0, log_second))
        total[near] += weight * np.clip(p, 0.0, 1.0)
    return total
