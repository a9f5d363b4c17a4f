"""The outlook of one line: forecasts and P(liquidation), noted at the head and learnt when a block is confirmed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Market, Pool, Position
from defiwatch.domain.units import BPS, UINT256_MAX, WAD, YEAR_S, ratio, to_float
from defiwatch.domain.view import ModelRow
from defiwatch.models.forecasts import Forecasts, Interval, KeptForecasts
from defiwatch.models.liquidations import FrozenLeg, KeptLiquidations, Liquidations, Mark
from defiwatch.state.lending.barrier import HORIZONS, p_horizons
from defiwatch.state.lending.volatility import Variance, Volatilities

FAST_S = 6.0 * 3600.0
"""Half-life of the volatility that is held against the slow one: the regime."""

NEAREST = 3.0
"""Positions above this factor are no cases: nothing would be learnt from them."""

CASES_S = 300.0
"""Seconds between two looks for positions that need a new case."""

KNOWN_S = 1800.0
"""Seconds that a position's pairs must have been watched before a probability is told of it."""

PUSH_S = 3600.0
"""Seconds between two oracle pushes, where nothing else is known."""


class Scene(msgspec.Struct, frozen=True):
    """What a block showed: prices by asset in one unit, levels by (kind, series), each position, and by mark key
    ("protocol:market:asset") the yearly rates (supply, borrow) that its balances grow at."""

    at: BlockRef
    prices: dict[str, float]
    levels: dict[tuple[str, str], float]
    positions: tuple[Position, ...]
    rates: dict[str, tuple[float, float]]


class KeptScene(msgspec.Struct, frozen=True):
    """A scene as a checkpoint holds it: JSON has no pairs for keys."""

    at: BlockRef
    prices: dict[str, float]
    levels: tuple[tuple[str, str, float], ...]
    positions: tuple[Position, ...]
    rates: dict[str, tuple[float, float]]


class KeptVolatilities(msgspec.Struct, frozen=True):
    """Running variances as a checkpoint holds them; `sampled` None before the first."""

    pairs: tuple[tuple[str, str, float, float], ...]
    last: dict[str, tuple[float, float]]
    sampled: float | None


class KeptOutlook(msgspec.Struct, frozen=True):
    """The whole as a checkpoint holds it."""

    forecasts: KeptForecasts
    liquidations: KeptLiquidations
    slow: KeptVolatilities
    fast: KeptVolatilities
    marks: dict[str, Mark]
    time: float
    opened: float | None
    noted: tuple[KeptScene, ...] = ()


class Outlook:
    """Volatility, utilisation and value one step ahead, and P(liquidation) of positions. Deterministic.

    `note` what a block shows at the head, `undo` it if a reorg takes it, `confirm` it once it is safe: then, and only
    then, it is learnt.
    """

    def __init__(self) -> None:
        self.forecasts = Forecasts()
        self.liquidations = Liquidations(HORIZONS)
        self.slow = Volatilities()
        self.fast = Volatilities(half_life_s=FAST_S)
        self._marks: dict[str, Mark] = {}
        self._time = 0.0
        self._opened = -math.inf
        self._noted: deque[Scene] = deque()

    def note(self, scene: Scene) -> None:
        """Take what the block at the head shows; a second look at the same block replaces the first."""
        if self._noted and self._noted[-1].at.number == scene.at.number:
            self._noted.pop()
        self._noted.append(scene)

    def undo(self, number: int) -> None:
        """A reorg took the blocks from `number` on."""
        while self._noted and self._noted[-1].at.number >= number:
            self._noted.pop()

    def confirm(self, number: int) -> None:
        """The blocks up to `number` are safe: learn them."""
        while self._noted and self._noted[0].at.number <= number:
            self._learn(self._noted.popleft())

    def chances(self, position: Position, *, push_s: float = PUSH_S, drift: float = 0.0) -> dict[str, float]:
        """P(crossed, if nothing is done) by horizon, 0..1, never falling with the horizon; {} without debt.

        {} also where the ratio that the position rests on was watched for less than `KNOWN_S`: a prior is no knowledge.
        """
        if self.slow.known(position) < KNOWN_S:
            return {}
        formulas = self._formulas(position, push_s, drift)
        x = self._context(position, push_s)
        found: dict[str, float] = {}
        least = 0.0
        for name in HORIZONS:
            if name in formulas:
                least = max(least, self.liquidations.probability(name, formulas[name], x))
                found[name] = least
        return found

    def volatility(self, asset: str) -> Interval | None:
        """The next hour's volatility of an asset (or "one/other", a ratio), a year."""
        return self.forecasts.forecast("volatility", asset)

    def report(self) -> tuple[ModelRow, ...]:
        """The running record of every model of the outlook."""
        return (*self.forecasts.report(), *self.liquidations.report())

    def dump(self) -> KeptOutlook:
        """Everything that was learnt, and what is noted and not confirmed yet."""
        return KeptOutlook(
            self.forecasts.dump(),
            self.liquidations.dump(),
            _kept(self.slow),
            _kept(self.fast),
            dict(self._marks),
            self._time,
            self._opened if math.isfinite(self._opened) else None,
            tuple(
                KeptScene(
                    item.at, item.prices, tuple((*key, v) for key, v in item.levels.items()), item.positions, item.rates
                )
                for item in self._noted
            ),
        )

    def load(self, kept: KeptOutlook) -> None:
        """Take up what `dump` gave."""
        self.forecasts.load(kept.forecasts)
        self.liquidations.load(kept.liquidations)
        _take(self.slow, kept.slow)
        _take(self.fast, kept.fast)
        self._marks, self._time = dict(kept.marks), kept.time
        self._opened = -math.inf if kept.opened is None else kept.opened
        self._noted = deque(
            Scene(item.at, item.prices, {(k, s): v for k, s, v in item.levels}, item.positions, item.rates)
            for item in kept.noted
        )

    def _learn(self, scene: Scene) -> None:
        time = float(scene.at.time)
        for asset in sorted(scene.prices):
            self.forecasts.observe("volatility", asset, time, scene.prices[asset])
        for one, other in _ratios(scene.positions):
            if scene.prices.get(one, 0.0) > 0.0 and scene.prices.get(other, 0.0) > 0.0:
                relative = scene.prices[one] / scene.prices[other]
                self.forecasts.observe("volatility", f"{one}/{other}", time, relative)
        for kind, series in sorted(scene.levels):
            self.forecasts.observe(kind, series, time, scene.levels[kind, series])
        self.slow.observe(time, scene.prices)
        self.fast.observe(time, scene.prices)
        self._mark(scene, time)
        self.liquidations.observe(time, self._marks)
        if time >= self._opened + CASES_S:
            self._opened = time
            for position in scene.positions:
                self._open(position, time)

    def _mark(self, scene: Scene, time: float) -> None:
        """Follow prices, and the indices by the rates that held since the block before."""
        years = max(0.0, time - self._time) / YEAR_S if self._time else 0.0
        self._time = time
        if years > 0.0:
            for key, (supply, borrow) in scene.rates.items():
                before = self._marks.get(key)
                if before is not None:
                    self._marks[key] = Mark(
                        before.price,
                        before.supply_index * (1.0 + supply * years),
                        before.debt_index * (1.0 + borrow * years),
                    )
        for position in scene.positions:
            for leg in position.legs:
                if leg.price > 0:
                    key = mark_key(position, leg.asset)
                    before = self._marks.get(key, Mark(0.0))
                    self._marks[key] = Mark(float(leg.price), before.supply_index, before.debt_index)

    def _open(self, position: Position, time: float) -> None:
        factor = _factor(position)
        if not 1.0 < factor < NEAREST:
            return
        formulas = self._formulas(position, PUSH_S, 0.0)
        legs = tuple(
            FrozenLeg(
                key,
                leg.collateral_base * leg.liquidation_threshold / BPS,
                float(leg.debt_base),
                self._marks[key],
            )
            for leg in position.legs
            if (key := mark_key(position, leg.asset)) in self._marks
        )
        if len(legs) == len(position.legs):
            name = f"{position.protocol}:{position.market}:{position.account}"
            self.liquidations.open_cases(name, time, formulas, self._context(position, PUSH_S), legs)

    def _formulas(self, position: Position, push_s: float, drift: float) -> dict[str, float]:
        factor = _factor(position)
        if math.isinf(factor) or position.unknown:
            return {}
        return p_horizons(factor, self.slow.of_position(position), push_s=push_s, drift=drift)

    def _context(self, position: Position, push_s: float) -> dict[str, float]:
        slow, fast = self.slow.of_position(position), self.fast.of_position(position)
        regime = math.log(fast / slow) if slow > 0.0 and fast > 0.0 else 0.0
        return {"volatility_regime": regime, "push_interval": math.log1p(push_s / 3600.0)}


def scene(at: BlockRef, positions: Sequence[Position], markets: Iterable[Market], pools: Iterable[Pool]) -> Scene:
    """What a block shows, from the rows that the protocols give. Prices are those that lending markets use, in USD."""
    prices: dict[str, float] = {}
    for position in positions:
        if position.base == "USD" and not position.unknown:
            for leg in position.legs:
                if leg.price > 0:
                    prices[leg.asset] = to_float(leg.price, position.base_decimals)
    levels: dict[tuple[str, str], float] = {}
    rates: dict[str, tuple[float, float]] = {}
    for market in markets:
        name = market.id.split(":")[0]
        if market.supplied > 0 and not market.unknown:
            levels["utilisation", f"{market.protocol}:{market.id}"] = ratio(market.borrowed, market.supplied)
        rates[f"{market.protocol}:{name}:{market.asset}"] = (market.supply_rate, market.borrow_rate)
    for pool in pools:
        if not pool.unknown and len(pool.reserves) == 2 and any(pool.reserves) and pool.price > 0.0:
            held = to_float(pool.reserves[1], pool.decimals[1])
            held += to_float(pool.reserves[0], pool.decimals[0]) * pool.price
            levels["value", f"{pool.protocol}:{pool.id}"] = held
    return Scene(at, prices, levels, tuple(positions), rates)


def mark_key(position: Position, asset: str) -> str:
    """Under which key an asset's price and rates are known: each market has its own."""
    return f"{position.protocol}:{position.market}:{asset}"


def _factor(position: Position) -> float:
    if position.debt_base == 0 or position.health_factor >= UINT256_MAX:
        return math.inf
    return position.health_factor / WAD


def _ratios(positions: Sequence[Position]) -> list[tuple[str, str]]:
    """The pairs (collateral, debt) that any position rests on, sorted."""
    found = {
        (one.asset, other.asset)
        for position in positions
        for one in position.legs
        if one.collateral_base > 0
        for other in position.legs
        if other.debt_base > 0 and other.asset != one.asset
    }
    return sorted(found)


def _kept(volatilities: Volatilities) -> KeptVolatilities:
    pairs = tuple((one, other, v.rate, v.weight) for (one, other), v in sorted(volatilities.pairs.items()))
    sampled = volatilities._sampled
    return KeptVolatilities(pairs, dict(volatilities._last), sampled if math.isfinite(sampled) else None)


def _take(volatilities: Volatilities, kept: KeptVolatilities) -> None:
    volatilities.pairs = {(one, other): Variance(rate, weight) for one, other, rate, weight in kept.pairs}
    volatilities._last = dict(kept.last)
    volatilities._sampled = -math.inf if kept.sampled is None else kept.sampled
