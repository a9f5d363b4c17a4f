"""P(liquidation) of many positions at once: `Outlook.chances`, as arrays. The same numbers (tests hold them together),
for what looks at a whole market: a backtest, a ladder of chances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from defiwatch.models.liquidations import Floats
from defiwatch.models.outlook import KNOWN_S, Outlook
from defiwatch.state.lending.barrier import HORIZONS
from defiwatch.state.lending.chances import BLENDS, p_many
from defiwatch.state.lending.pushes import USUAL_S, Rhythm
from defiwatch.state.lending.volatility import Variance, Volatilities

_NO_WEIGHT = 1e-15


class Crowd:
    """Positions as arrays: `weighted` (collateral times its threshold) and `debt`, positions by assets, in one unit at
    the protocol's prices. `assets` by the names under which volatilities are watched, all in dollars.

    Each has a debt, and is above 1 where a probability is asked for.
    """

    def __init__(self, assets: Sequence[str], weighted: Floats, debt: Floats) -> None:
        self.assets = tuple(assets)
        owed, backed = debt.sum(axis=1), weighted.sum(axis=1)
        self.factors: Floats = backed / owed
        weights = weighted / backed[:, None] - debt / owed[:, None]
        self.weights: Floats = np.where(np.abs(weights) > _NO_WEIGHT, weights, 0.0)
        self._holds = (self.weights != 0.0).astype(np.float64)

    def sigmas(self, volatilities: Volatilities) -> Floats:
        """`Volatilities.of_position` of each."""
        size = len(self.assets)
        table = np.zeros((size, size))
        for i, one in enumerate(self.assets):
            for j in range(i):
                table[i, j] = table[j, i] = volatilities.variance(one, self.assets[j])
        variance: Floats = -0.5 * ((self.weights @ table) * self.weights).sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(0.0, variance)), dtype=np.float64)

    def known(self, volatilities: Volatilities) -> Floats:
        """`Volatilities.known` of each, in seconds."""
        return self._over_pairs(volatilities, "weight", least=True)

    def gaps(self, volatilities: Volatilities) -> Floats:
        """`Volatilities.gap` of each."""
        return np.log1p(self._over_pairs(volatilities, "gap", least=False))

    def _over_pairs(self, volatilities: Volatilities, field: str, *, least: bool) -> Floats:
        found = np.full(len(self.factors), math.inf if least else 0.0)
        for i, one in enumerate(self.assets):
            for j in range(i):
                pair = (one, self.assets[j]) if one < self.assets[j] else (self.assets[j], one)
                value = float(getattr(volatilities.pairs.get(pair, Variance()), field))
                both = self._holds[:, i] * self._holds[:, j] > 0.0
                found = np.where(both, (np.minimum if least else np.maximum)(found, value), found)
        return found

    def beats(self, rhythms: Mapping[str, Rhythm]) -> tuple[Floats, Floats]:
        """`pushes.beat` of each: seconds between pushes, and the band (nan where one is not known). Every asset has its
        rhythm."""
        own = [rhythms[asset] for asset in self.assets]
        rates = np.array([rhythm.rate for rhythm in own])
        intervals = np.array([rhythm.interval for rhythm in own])
        bands = np.array([math.nan if rhythm.band is None else rhythm.band for rhythm in own])
        parts = self.weights * self.weights * rates
        movement = parts.sum(axis=1)
        least = np.where(self._holds > 0.0, intervals, math.inf).min(axis=1)
        least = np.where(np.isfinite(least), least, USUAL_S)
        mean = (parts * intervals).sum(axis=1) / np.where(movement > 0.0, movement, 1.0)
        band = np.where(self._holds > 0.0, np.abs(self.weights) * bands, 0.0).sum(axis=1)
        return np.where(movement > 0.0, mean, least), band


def chances(
    outlook: Outlook, crowd: Crowd, rhythms: Mapping[str, Rhythm], *, corrected: bool = True
) -> dict[str, Floats]:
    """`Outlook.chances` of each position, by horizon; nan where its volatility is not known well enough, 1 where the
    factor is 1 or less. Without `corrected`: before what was learnt online moves it."""
    fast, slow, long = (crowd.sigmas(item) for item in (outlook.fast, outlook.slow, outlook.long))
    interval, band = crowd.beats(rhythms)
    above = crowd.factors > 1.0
    factors = np.where(above, crowd.factors, 2.0)
    x = {
        "volatility_regime": np.log(np.where((slow > 0.0) & (fast > 0.0), fast, 1.0))
        - np.log(np.where((slow > 0.0) & (fast > 0.0), slow, 1.0)),
        "gap": crowd.gaps(outlook.fast),
        "oracle_band": np.where(np.isnan(band), 0.0, np.minimum(10.0, band / np.log(factors))),
        "push_interval": np.log1p(interval / 3600.0),
    }
    unknown = crowd.known(outlook.slow) < KNOWN_S
    formulas: dict[str, Floats] = {}
    least = np.zeros(len(factors))
    for name, seconds in HORIZONS.items():
        blend = BLENDS[name]
        sigma = np.sqrt(blend.fast * fast * fast + blend.slow * slow * slow + blend.long * long * long)
        moving = sigma > 0.0
        p = p_many(factors, np.where(moving, sigma, 1.0), seconds, interval, spread=blend.spread)
        least = np.maximum(least, np.where(moving, np.minimum(1.0, p), 0.0))
        formulas[name] = np.where(above, least, 1.0)
    found: dict[str, Floats] = {}
    least = np.zeros(len(factors))
    for name, formula in formulas.items():
        told = outlook.liquidations.probabilities(name, formula, x) if corrected else formula
        least = np.maximum(least, told)
        found[name] = np.where(unknown, math.nan, least)
    return found
