"""The running volatility of every pair of assets, and of a position's collateral-to-debt ratio from them.

Only ratios are learnt: an LST against ETH moves little though both move much against USD. Prices are sampled
together, on a grid of time, because feeds that push one after the other would make two assets that move together look
apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import BPS, YEAR_S

STEP_S = 600.0
HALF_LIFE_S = 3.0 * 86_400.0
PRIOR_SIGMA = 0.8
"""A year; what an asset that was not watched yet is taken to move."""
PRIOR_WEIGHT_S = 86_400.0
"""Watched time after which the prior counts nothing any more; until then less and less."""
_GAP_S = 6.0 * 3600.0
"""A pause longer than this is one return over all of it, and counts as `_GAP_S`."""
_USUAL = 3.0
"""Standard deviations within which a move is usual."""


class Variance(msgspec.Struct, frozen=True):
    """One pair's variance of the log ratio, per second, and the watched time behind it in seconds (forgotten like
    it). `gap`: the largest recent move's standard deviations beyond three, forgotten likewise."""

    rate: float = 0.0
    weight: float = 0.0
    gap: float = 0.0


class Volatilities:
    """Exponentially weighted variances of log price ratios. Deterministic; feed it confirmed prices, in order of
    time."""

    def __init__(
        self,
        *,
        step_s: float = STEP_S,
        half_life_s: float = HALF_LIFE_S,
        prior_sigma: float = PRIOR_SIGMA,
        prior_weight_s: float = PRIOR_WEIGHT_S,
    ) -> None:
        self.step_s = step_s
        self.half_life_s = half_life_s
        self.prior_sigma = prior_sigma
        self.prior_weight_s = prior_weight_s
        self.pairs: dict[tuple[Address, Address], Variance] = {}
        self._last: dict[Address, tuple[float, float]] = {}
        self._sampled = -math.inf

    def observe(
        self, time: float, prices: Mapping[Address, float], apart: Iterable[Mapping[Address, float]] = ()
    ) -> bool:
        """Take all prices at `time` (Unix seconds), in one unit; and those of markets that count in another, each
        `apart`, by `name_of`. True if they were a sample; sooner than a step they are not."""
        if time < self._sampled + self.step_s:
            return False
        self._sampled = time
        for together in (prices, *apart):
            self._sample(time, together)
        return True

    def _sample(self, time: float, prices: Mapping[Address, float]) -> None:
        returns: dict[Address, tuple[float, float]] = {}
        for asset in sorted(prices):
            price = prices[asset]
            if not price > 0.0 or not math.isfinite(price):
                continue
            now = math.log(price)
            before = self._last.get(asset)
            if before is not None and time > before[0]:
                returns[asset] = (now - before[1], time - before[0])
            self._last[asset] = (time, now)
        assets = list(returns)
        for i, one in enumerate(assets):
            for other in assets[i + 1 :]:
                if returns[one][1] == returns[other][1]:
                    self._learn((one, other), returns[one][0] - returns[other][0], returns[one][1])

    def _learn(self, pair: tuple[Address, Address], change: float, seconds: float) -> None:
        before = self.pairs.get(pair, Variance())
        counted = min(seconds, _GAP_S)
        kept = 0.5 ** (counted / self.half_life_s) * before.weight
        weight = kept + counted
        rate = (before.rate * kept + change * change / seconds * counted) / weight
        beyond = 0.0
        if before.rate > 0.0 and before.weight >= 6.0 * self.step_s:
            beyond = max(0.0, abs(change) / math.sqrt(before.rate * seconds) - _USUAL)
        gap = max(beyond, before.gap * 0.5 ** (counted / self.half_life_s))
        self.pairs[pair] = Variance(rate, weight, gap)

    def variance(self, one: Address, other: Address) -> float:
        """A pair's variance a year: what was learnt, with the prior as long as little was."""
        if one == other:
            return 0.0
        learnt = self.pairs.get((one, other) if one < other else (other, one), Variance())
        prior = self.prior_sigma * self.prior_sigma / YEAR_S
        share = max(0.0, 1.0 - learnt.weight / self.prior_weight_s) if self.prior_weight_s > 0.0 else 0.0
        return (learnt.rate * (1.0 - share) + prior * share) * YEAR_S

    def sigma(self, one: Address, other: Address) -> float:
        """A pair's volatility a year: 0.8 is 80 %."""
        return math.sqrt(self.variance(one, other))

    def known(self, position: Position) -> float:
        """The least watched time, in seconds, behind any pair that the position's ratio rests on."""
        return min((variance.weight for variance in self._of(position)), default=math.inf)

    def gap(self, position: Position) -> float:
        """ln(1 + the largest recent move of any of its pairs beyond three standard deviations)."""
        return math.log1p(max((variance.gap for variance in self._of(position)), default=0.0))

    def _of(self, position: Position) -> list[Variance]:
        assets = sorted(net_weights(position))
        return [self.pairs.get((one, other), Variance()) for i, one in enumerate(assets) for other in assets[i + 1 :]]

    def of_position(self, position: Position) -> float:
        """The volatility a year of the position's collateral-to-debt ratio.

        The net weights x sum to 0, so the variance of Σ x·ln P needs pair ratios alone: −½ Σᵢ Σⱼ xᵢ xⱼ Vᵢⱼ.
        """
        weights = net_weights(position)
        assets = sorted(weights)
        terms = [
            -weights[one] * weights[other] * self.variance(one, other)
            for i, one in enumerate(assets)
            for other in assets[i + 1 :]
        ]
        return math.sqrt(max(0.0, math.fsum(terms)))


def name_of(position: Position, asset: Address) -> str:
    """Under which name the price of a position's asset is watched: its own, where the market counts in dollars as all
    such markets do; else one of this market alone."""
    return asset if position.base == "USD" else f"{asset}@{position.market}"


def net_weights(position: Position) -> dict[str, float]:
    """Each asset's part of the weighted collateral less its part of the debt, by `name_of`; they sum to 0. {} without
    either side."""
    weighted = math.fsum(leg.collateral_base * leg.liquidation_threshold / BPS for leg in position.legs)
    debt = math.fsum(float(leg.debt_base) for leg in position.legs)
    if weighted <= 0.0 or debt <= 0.0:
        return {}
    weights: dict[Address, float] = {}
    for leg in position.legs:
        part = leg.collateral_base * leg.liquidation_threshold / BPS / weighted - leg.debt_base / debt
        name = name_of(position, leg.asset)
        weights[name] = weights.get(name, 0.0) + part
    return {name: part for name, part in weights.items() if abs(part) > 1e-15}
