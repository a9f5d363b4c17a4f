"""The snapshot: one frozen picture of all lines, for the screen and for `--snapshot-every`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from defiwatch.domain.ids import MARKET, short
from defiwatch.domain.risk import Alert, Leg, Pool, Position
from defiwatch.domain.units import UINT256_MAX, WAD, to_float
from defiwatch.domain.view import (
    SNAPSHOT_SCHEMA,
    AlertRow,
    AssetRow,
    ChainRow,
    MarketRow,
    ModelRow,
    PoolRow,
    PositionRow,
    PriceRow,
    Snapshot,
    SourceRow,
)
from defiwatch.engine.lending import Advice, advice, chances_of
from defiwatch.engine.line import Line
from defiwatch.engine.markets import market_rows
from defiwatch.engine.scout import Scout
from defiwatch.engine.stakes import stake_rows
from defiwatch.scoring import nearest
from defiwatch.state.hours import hour_change, hour_volume, twap
from defiwatch.state.lending.insight import base_usd
from defiwatch.state.prices.rates import Price

FEED = 200
"""Changes that a snapshot carries at most."""

DEEPEST = 5
"""Pools of an asset that are listed as sources of its price at most."""

Row = TypeVar("Row", PoolRow, PositionRow, MarketRow, PriceRow)


def picture(
    lines: Iterable[Line],
    *,
    sequence: int,
    mode: str,
    progress: float | None,
    sources: Iterable[SourceRow],
    notices: Iterable[str],
    events_per_s: float,
    scouts: Mapping[int, Scout] | None = None,
) -> Snapshot:
    """All lines as they stand. Rows come most urgent first; what a chain's scout knows comes from it: it is fresher."""
    ordered = sorted(lines, key=lambda line: line.settings.chain_id)
    ahead = scouts or {}
    standing: list[AlertRow] = []
    feed: list[Alert] = []
    for line in ordered:
        scout, alerts = ahead.get(line.settings.chain_id), line.judge.alerts
        standing += alerts.standing() if scout is None else scout.standing(alerts.standing())
        feed += alerts.feed() if scout is None else scout.feed(alerts.feed())

    def rows(make: Callable[[Line], Iterable[Row]]) -> list[Row]:
        return [row for line in ordered for row in _blended(make, line, ahead.get(line.settings.chain_id))]

    return Snapshot(
        schema=SNAPSHOT_SCHEMA,
        sequence=sequence,
        time=max((_now(line, mode) for line in (*ordered, *(scout.line for scout in ahead.values()))), default=0.0),
        mode=mode,
        progress=progress,
        chains=tuple(
            _chain(line, ahead.get(line.settings.chain_id)) for line in ordered if line.settings.chain_id != MARKET
        ),
        pools=tuple(sorted(rows(_pools), key=lambda row: (-row.score, row.key))),
        positions=tuple(sorted(rows(_positions), key=lambda row: (_urgency(row), row.key))),
        markets=tuple(rows(market_rows)),
        prices=tuple(rows(_prices)),
        alerts=tuple(sorted(standing, key=_standing_order)),
        feed=tuple(sorted(feed, key=lambda alert: alert.time, reverse=True)[:FEED]),
        sources=tuple(sorted(sources, key=lambda row: (row.chain, row.name))),
        models=tuple(row for line in ordered for row in _models(line)),
        events_per_s=events_per_s,
        notices=tuple(notices),
    )


def _now(line: Line, mode: str) -> float:
    """Live, the wall's time, so that a chain that stands still grows old. A replay goes by the chain's own time and the
    silence since its last block: its ticks may be of another day."""
    if mode == "live":
        return max(line.clock.now, line.arrival)
    if line.settings.chain_id != MARKET and line.last_block_seen is not None:
        return line.clock.now + max(0.0, line.arrival - line.last_block_seen)
    return line.clock.now


def _standing_order(row: AlertRow) -> tuple[int, float, str]:
    rank = {"critical": 0, "warning": 1, "info": 2}[row.alert.severity]
    return (rank, -row.since, row.alert.key)


def _urgency(row: PositionRow) -> float:
    return math.inf if row.distance is None else row.distance


def _blended(make: Callable[[Line], Iterable[Row]], line: Line, scout: Scout | None) -> Iterable[Row]:
    """The rows of a line; where it has a scout, with the scout's in their place, and without the positions that the
    scout looked for in vain: they are no more."""
    if scout is None or scout.line.judged < 0:
        return make(line)
    own = {_key(row): row for row in make(line)}
    fresh = {_key(row): row for row in make(scout.line)}
    gone = {f"{line.settings.chain_id}:{':'.join(key)}" for key in scout.handed} - fresh.keys()
    known = {
        key: row
        for key, row in fresh.items()
        if key not in own or isinstance(row, MarketRow | PriceRow) or not row.unknown
    }
    return ({key: row for key, row in own.items() if key not in gone} | known).values()


def _key(row: PoolRow | PositionRow | MarketRow | PriceRow) -> str:
    if isinstance(row, PriceRow):
        return f"{row.symbol}/{'' if row.sources else row.source}"
    return row.key


def _chain(line: Line, scout: Scout | None) -> ChainRow:
    own = line.intake.head
    head = own if scout is None or scout.line.intake.head is None else scout.line.intake.head
    number = head.number if head else 0
    return ChainRow(
        name=line.settings.name,
        chain_id=line.settings.chain_id,
        head=number,
        confirmed=max(0, number - line.settings.confirmations),
        time=float(head.time) if head else 0.0,
        trust=line.trust_of(head),
        events=line.intake.events,
        reorgs=line.intake.reorgs,
        warming=line.warming,
        gap=number - own.number if own else 0,
    )


def _pools(line: Line) -> Iterable[PoolRow]:
    book, now = line.intake.book, line.clock.now
    for instance in line.intake.instances:
        held = stake_rows(line, instance)
        for pool in instance.pools(book):
            key = (pool.protocol, pool.id)
            last = line.judge.pools.get(key)
            volume = hour_volume(book, key, now)
            unit = line.judge.prices.usd(pool.tokens[0]) if pool.tokens else None
            mean = twap(book, key, now) if len(pool.tokens) == 2 else None
            yield PoolRow(
                key=f"{pool.chain_id}:{pool.protocol}:{pool.id}",
                chain=line.settings.name,
                protocol=pool.protocol,
                label=pool.label,
                price=pool.price,
                value_usd=_value(line, pool),
                volume_usd_1h=volume * unit if unit is not None and not pool.raw else None,
                change_1h=hour_change(book, key, now),
                score=last.score if last else 0.0,
                reasons=last.reasons if last else (),
                events=line.judge.traded.get(key, 0),
                block=pool.block,
                time=float(pool.time or now),
                source=line.settings.name,
                unknown=pool.unknown,
                twap=mean,
                twap_gap=abs(math.log(pool.price / mean)) if mean and 0.0 < pool.price < math.inf else None,
                share=pool.share,
                depth_usd=_depth(line, pool),
                stakes=held.get(pool.id, ()),
                stakes_unseen=instance.unseen(book, pool.id),
            )


def _depth(line: Line, pool: Pool) -> tuple[float, float] | None:
    """What moves the price by 2 % either way, in dollars; None where it or a price is not known."""
    if min(pool.depth) <= 0 or len(pool.tokens) != 2 or len(pool.decimals) != 2:
        return None
    units = [line.judge.prices.usd(token) for token in pool.tokens]
    if units[0] is None or units[1] is None:
        return None
    return (to_float(pool.depth[0], pool.decimals[0]) * units[0], to_float(pool.depth[1], pool.decimals[1]) * units[1])


def _value(line: Line, pool: Pool) -> float | None:
    """Dollars in the pool, None where one of its tokens has no price or a reserve is not known."""
    if len(pool.reserves) != len(pool.tokens) or len(pool.decimals) != len(pool.tokens):
        return None
    total = []
    for token, reserve, decimals in zip(pool.tokens, pool.reserves, pool.decimals, strict=True):
        unit = line.judge.prices.usd(token)
        if unit is None:
            return None
        total.append(unit * to_float(reserve, decimals))
    return math.fsum(total)


def _positions(line: Line) -> Iterable[PositionRow]:
    advised = advice(line, line.judge.settings.health_factor_safe)
    chances = chances_of(line)
    for (protocol, market, account), (position, assessment) in line.judge.standing.items():
        if position.debt_base == 0 and not position.unknown and account not in line.judge.watched:
            continue
        factor = None
        if not position.unknown and position.debt_base and position.health_factor < UINT256_MAX:
            factor = position.health_factor / WAD
        soonest = nearest(position) if factor is not None else None
        unit = base_usd(position, line.judge.prices) or 0.0
        more = advised.get((protocol, market, account), Advice())
        yield PositionRow(
            key=f"{position.chain_id}:{protocol}:{market}:{account}",
            chain=line.settings.name,
            protocol=protocol,
            market=market,
            account=account,
            label=position.label or short(account),
            watched=account in line.judge.watched,
            health_factor=factor,
            collateral_usd=to_float(position.collateral_base, position.base_decimals) * unit,
            debt_usd=to_float(position.debt_base, position.base_decimals) * unit,
            distance=(1.0 - 1.0 / factor if factor > 0.0 else -1.0) if factor is not None else None,
            nearest=f"{soonest[0].symbol or short(soonest[0].asset)} {soonest[1]:+.1%}" if soonest else "",
            score=assessment.score if assessment else 0.0,
            severity=assessment.severity if assessment else None,
            reasons=assessment.reasons if assessment else (),
            assets=tuple(_asset(position, leg) for leg in position.legs),
            block=position.block,
            time=float(position.time),
            source=line.settings.name,
            trust=line.trust_of(line.intake.head),
            p_liquidation=dict(chances(position)) if factor is not None else {},
            unknown=position.unknown,
            safe=more.safe,
            sentence=more.sentence,
            market_factor=more.market_factor,
            oracles=more.oracles,
            remarks=more.remarks,
        )


def _asset(position: Position, leg: Leg) -> AssetRow:
    crossing = position.liquidation_prices.get(leg.asset)
    scale = position.base_decimals
    return AssetRow(
        symbol=leg.symbol or short(leg.asset),
        address=leg.asset,
        collateral=to_float(leg.collateral, leg.decimals),
        debt=to_float(leg.debt, leg.decimals),
        price=to_float(leg.price, scale),
        liquidation_threshold=leg.liquidation_threshold / 10_000,
        liquidation_price=to_float(crossing, scale) if crossing is not None else None,
        distance=crossing / leg.price - 1.0 if crossing is not None and leg.price else None,
    )


def _prices(line: Line) -> Iterable[PriceRow]:
    for agreed in line.judge.prices.prices():
        if line.settings.chain_id == MARKET and len(line.judge.prices.sources(agreed.asset)) == 0:
            continue
        told = line.judge.prices.sources(agreed.asset)
        if len(told) > 1:
            yield PriceRow(
                symbol=agreed.symbol,
                price=agreed.price,
                source=f"{agreed.kind}, {agreed.sources} source{'s' if agreed.sources != 1 else ''}",
                time=agreed.time,
                deviation=agreed.spread if agreed.sources > 1 else None,
                chain=line.settings.name,
                sources=agreed.sources,
            )
        for one in _listed(told):
            yield PriceRow(
                symbol=agreed.symbol,
                price=one.price,
                source=one.source,
                time=one.time,
                deviation=one.price / agreed.price - 1.0 if len(told) > 1 else None,
                chain=line.settings.name,
            )


def _listed(told: Sequence[Price]) -> list[Price]:
    """The sources that are listed one by one: of the pools, which may be thousands, the deepest."""
    pools = sorted((one for one in told if one.kind == "dex"), key=lambda one: (-one.depth, one.source))
    return [*(one for one in told if one.kind != "dex"), *pools[:DEEPEST]]


def _models(line: Line) -> Iterable[ModelRow]:
    if line.settings.chain_id != MARKET:
        yield from line.judge.models.report()
        yield from line.judge.outlook.report()
    else:
        yield from line.judge.budget.report()
