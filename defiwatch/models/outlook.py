"""The outlook of one line: forecasts and P(liquidation), noted at the head and learnt when a block is confirmed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Market, Pool, Position
from defiwatch.domain.units import BPS, UINT256_MAX, WAD, YEAR_S, ratio, to_float
from defiwatch.domain.view import ModelRow
from defiwatch.models.forecasts import Forecasts, Interval, KeptForecasts
from defiwatch.models.liquidations import FrozenLeg, KeptLiquidations, Liquidations, Mark
from defiwatch.models.owners import HIGH, OF, KeptOwners, Owners
from defiwatch.state.lending.barrier import HORIZONS
from defiwatch.state.lending.chances import p_blended
from defiwatch.state.lending.pushes import Beat, Rhythm, beat, share_of_distance
from defiwatch.state.lending.volatility import Variance, Volatilities, name_of

FAST_S = 6.0 * 3600.0
"""Half-life of the volatility that is held against the slow one: the regime."""

LONG_S = 30.0 * 86_400.0
"""Half-life of the volatility that a week's forecast leans on."""

NEAREST = 3.0
"""Positions above this factor are no cases: nothing would be learnt from them."""

CASES_S = 300.0
"""Seconds between two looks for positions that need a new case."""

KNOWN_S = 1800.0
"""Seconds that a position's pairs must have been watched before a probability is told of it."""


_WORTH_A_LOOK = 0.1 * HIGH
"""Where the formula says less than this, what is told is not high either."""


class Scene(msgspec.Struct, frozen=True):
    """What a block showed: prices by asset in one unit, levels by (kind, series), each position, and by mark key
    ("protocol:market:asset") the yearly rates (supply, borrow) that its balances grow at, and the rhythm of its price.

    `apart`: the prices of markets that do not count in dollars, each in its own unit, by `name_of`.
    """

    at: BlockRef
    prices: dict[str, float]
    levels: dict[tuple[str, str], float]
    positions: tuple[Position, ...]
    rates: dict[str, tuple[float, float]]
    rhythms: dict[str, Rhythm] = {}
    apart: tuple[dict[str, float], ...] = ()
    seized: tuple[str, ...] = ()
    """Positions ("protocol:market:account") that were liquidated in the block."""


class KeptScene(msgspec.Struct, frozen=True):
    """A scene as a checkpoint holds it: JSON has no pairs for keys."""

    at: BlockRef
    prices: dict[str, float]
    levels: tuple[tuple[str, str, float], ...]
    positions: tuple[Position, ...]
    rates: dict[str, tuple[float, float]]
    rhythms: dict[str, Rhythm] = {}
    apart: tuple[dict[str, float], ...] = ()
    seized: tuple[str, ...] = ()


class KeptVolatilities(msgspec.Struct, frozen=True):
    """Running variances as a checkpoint holds them; `sampled` None before the first."""

    pairs: tuple[tuple[str, str, float, float], ...]
    last: dict[str, tuple[float, float]]
    sampled: float | None
    gaps: tuple[tuple[str, str, float], ...] = ()


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
    owners: KeptOwners | None = None
    long: KeptVolatilities | None = None


class Outlook:
    """Volatility, utilisation and value one step ahead, and P(liquidation) of positions. Deterministic.

    `note` what a block shows at the head, `undo` it if a reorg takes it, `confirm` it once it is safe: then, and only
    then, it is learnt.
    """

    def __init__(self) -> None:
        self.forecasts = Forecasts()
        self.liquidations = Liquidations(HORIZONS)
        self.owners = Owners()
        """What owners do; for markets only, never for what an owner is shown."""
        self.slow = Volatilities()
        self.fast = Volatilities(half_life_s=FAST_S)
        self.long = Volatilities(half_life_s=LONG_S)
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

    def observe(self, time: float, prices: Mapping[str, float], apart: Iterable[Mapping[str, float]] = ()) -> None:
        """Take prices for the running volatilities, as `Volatilities.observe` does, oldest first."""
        lists = tuple(apart)
        self.slow.observe(time, prices, lists)
        self.fast.observe(time, prices, lists)
        self.long.observe(time, prices, lists)

    def chances(self, position: Position, *, by: Beat | None = None, drift: float = 0.0) -> dict[str, float]:
        """P(crossed, if nothing is done) by horizon, 0..1, never falling with the horizon; {} without debt. `by`: the
        rhythm of its prices, the usual one where it is not told.

        {} also where the ratio that the position rests on was watched for less than `KNOWN_S`: a prior is no knowledge.
        """
        if self.slow.known(position) < KNOWN_S:
            return {}
        rhythm = by or Beat()
        formulas = self._formulas(position, rhythm.interval, drift)
        x = self._context(position, rhythm)
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
        return (*self.forecasts.report(), *self.liquidations.report(), *self.owners.report())

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
                    item.at,
                    item.prices,
                    tuple((*key, v) for key, v in item.levels.items()),
                    item.positions,
                    item.rates,
                    item.rhythms,
                    item.apart,
                    item.seized,
                )
                for item in self._noted
            ),
            long=_kept(self.long),
            owners=self.owners.dump(),
        )

    def lend(self) -> KeptOutlook:
        """What was learnt without what is still to be: for others to tell chances by."""
        kept = self.dump()
        learnt = msgspec.structs.replace(kept.liquidations, open=(), last={})
        owners = msgspec.structs.replace(self.owners.dump(), open=(), last={})
        return msgspec.structs.replace(kept, liquidations=learnt, noted=(), marks={}, owners=owners)

    def load(self, kept: KeptOutlook) -> None:
        """Take up what `dump` gave."""
        self.forecasts.load(kept.forecasts)
        self.liquidations.load(kept.liquidations)
        if kept.owners is not None:
            self.owners.load(kept.owners)
        _take(self.slow, kept.slow)
        _take(self.fast, kept.fast)
        _take(self.long, kept.long or kept.slow)
        self._marks, self._time = dict(kept.marks), kept.time
        self._opened = -math.inf if kept.opened is None else kept.opened
        self._noted = deque(
            Scene(
                item.at,
                item.prices,
                {(k, s): v for k, s, v in item.levels},
                item.positions,
                item.rates,
                item.rhythms,
                item.apart,
                item.seized,
            )
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
        self.observe(time, scene.prices, scene.apart)
        self._mark(scene, time)
        self.liquidations.observe(time, self._marks)
        self.owners.observe(time, _factors(scene.positions), scene.seized, self._marks)
        if time >= self._opened + CASES_S:
            self._opened = time
            for position in _in_turn(scene.positions, time):
                self._open(position, time, scene.rhythms)

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

    def _open(self, position: Position, time: float, rhythms: Mapping[str, Rhythm]) -> None:
        factor = _factor(position)
        if not 1.0 < factor < NEAREST:
            return
        rhythm = beat(position, by_asset(position, rhythms))
        formulas = self._formulas(position, rhythm.interval, 0.0)
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
            self.liquidations.open_cases(name, time, formulas, self._context(position, rhythm), legs)
            if formulas.get(OF, 0.0) > _WORTH_A_LOOK:
                self.owners.watch(name, time, self.chances(position, by=rhythm), legs)

    def _formulas(self, position: Position, push_s: float, drift: float) -> dict[str, float]:
        factor = _factor(position)
        if math.isinf(factor) or position.unknown:
            return {}
        running = (volatilities.of_position(position) for volatilities in (self.fast, self.slow, self.long))
        return p_blended(factor, *running, push_s=push_s, drift=drift)

    def _context(self, position: Position, rhythm: Beat) -> dict[str, float]:
        slow, fast = self.slow.of_position(position), self.fast.of_position(position)
        return {
            "volatility_regime": math.log(fast / slow) if slow > 0.0 and fast > 0.0 else 0.0,
            "gap": self.fast.gap(position),
            "oracle_band": share_of_distance(position, rhythm.band),
            "push_interval": math.log1p(rhythm.interval / 3600.0),
        }


def by_asset(position: Position, rhythms: Mapping[str, Rhythm]) -> dict[str, Rhythm]:
    """The rhythms of a position's assets, of those by mark key."""
    found = {leg.asset: rhythms.get(mark_key(position, leg.asset)) for leg in position.legs}
    return {asset: rhythm for asset, rhythm in found.items() if rhythm is not None}


def scene(
    at: BlockRef,
    positions: Sequence[Position],
    markets: Iterable[Market],
    pools: Iterable[Pool],
    rhythms: Mapping[str, Rhythm] | None = None,
    seized: Iterable[str] = (),
) -> Scene:
    """What a block shows, from the rows that the protocols give. Prices are those that lending markets use."""
    prices: dict[str, float] = {}
    apart: dict[tuple[str, str], dict[str, float]] = {}
    for position in positions:
        if position.unknown:
            continue
        priced = prices if position.base == "USD" else apart.setdefault((position.protocol, position.market), {})
        for leg in position.legs:
            if leg.price > 0:
                priced[name_of(position, leg.asset)] = to_float(leg.price, position.base_decimals)
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
    ordered = tuple(found for _, found in sorted(apart.items()))
    return Scene(at, prices, levels, tuple(positions), rates, dict(rhythms or {}), ordered, tuple(seized))


def mark_key(position: Position, asset: str) -> str:
    """Under which key an asset's price and rates are known: each market has its own."""
    return f"{position.protocol}:{position.market}:{asset}"


def _factor(position: Position) -> float:
    if position.debt_base == 0 or position.health_factor >= UINT256_MAX:
        return math.inf
    return position.health_factor / WAD


def _factors(positions: Iterable[Position]) -> dict[str, float | None]:
    """The health factor of each with a debt by "protocol:market:account"; None where it cannot be told."""
    return {
        f"{position.protocol}:{position.market}:{position.account}": None if position.unknown else _factor(position)
        for position in positions
        if position.debt_base or position.unknown
    }


def _in_turn(positions: Sequence[Position], time: float) -> Sequence[Position]:
    """The positions from another one on at each look, so that where there is room for few cases all have their
    turn."""
    start = int(time // CASES_S) * 7919 % len(positions) if positions else 0
    return (*positions[start:], *positions[:start])


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
    ordered = sorted(volatilities.pairs.items())
    pairs = tuple((one, other, v.rate, v.weight) for (one, other), v in ordered)
    gaps = tuple((one, other, v.gap) for (one, other), v in ordered if v.gap > 0.0)
    sampled = volatilities._sampled
    return KeptVolatilities(pairs, dict(volatilities._last), sampled if math.isfinite(sampled) else None, gaps)


def _take(volatilities: Volatilities, kept: KeptVolatilities) -> None:
    gaps = {(one, other): gap for one, other, gap in kept.gaps}
    volatilities.pairs = {
        (one, other): Variance(rate, weight, gaps.get((one, other), 0.0)) for one, other, rate, weight in kept.pairs
    }
    volatilities._last = dict(kept.last)
    volatilities._sampled = -math.inf if kept.sampled is None else kept.sampled
