"""One pool's recent past: prices, sizes and flows, replaced whole with every trade."""

from __future__ import annotations

import math

import msgspec

from defiwatch.domain.events import BlockRef, Swapped
from defiwatch.domain.risk import Pool
from defiwatch.domain.units import ratio
from defiwatch.protocols.spec import Table

MEMORY_S = 600.0
"""Seconds after which what was counts 1/e: of the mean price and of the net flow."""


class PoolTrace(msgspec.Struct, frozen=True):
    """What one pair of a pool's tokens did lately. Prices are token 1 for one token 0; shares are parts of the pool.

    `close` is the price at the end of the last block before `block` that traded; `mean` the time-weighted mean of
    ln(price) up to `time`. `net` is the decayed signed flow (positive: token 0 came in) as it stood at `time`, `gross`
    the same without sign.
    """

    price: float
    close: float
    mean: float
    time: int
    block: int
    trades: int
    volume: float
    net: float
    gross: float
    reserves: tuple[int, ...] = ()
    """The reserves at the end of the last block that was closed here; () where they were not known."""
    decimals: tuple[int, ...] = ()
    """The tokens' decimals that prices were told with: what was told with others cannot be compared."""


TRACES: Table[tuple[str, str, str, str], PoolTrace] = Table("features.pool")
"""(protocol, pool, token 0, token 1) → what it did lately."""

TraceKey = tuple[str, str, str, str]


def trace_key(fact: Swapped) -> TraceKey:
    """Where a trade's trace is kept: a pool of more than two tokens has one per pair."""
    return (fact.protocol, fact.pool, fact.token0, fact.token1)


def depth(pool: Pool | None, fact: Swapped) -> tuple[float, float]:
    """What the pool has to trade with on either side, in the tokens' smallest units; 0.0 where it cannot be told.

    Concentrated liquidity L at price P (smallest units) trades like reserves L/√P and L·√P (v3-core SqrtPriceMath);
    every other pool by its reserves.
    """
    if pool is None or not fact.token0 or not fact.token1 or fact.token0 == fact.token1:
        return (0.0, 0.0)
    try:
        i, j = pool.tokens.index(fact.token0), pool.tokens.index(fact.token1)
    except ValueError:
        return (0.0, 0.0)
    if pool.liquidity > 0 and usable(fact.price):
        root = math.sqrt(fact.price) * 10.0 ** ((pool.decimals[j] - pool.decimals[i]) / 2)
        return (pool.liquidity / root, pool.liquidity * root)
    return (float(pool.reserves[i]), float(pool.reserves[j])) if len(pool.reserves) > max(i, j) else (0.0, 0.0)


def size(fact: Swapped, pool: Pool | None) -> tuple[float, float]:
    """The trade as a share of the pool: (larger side, 0..; the side of token 0, signed: positive came in).

    Zeros where what the pool has to trade with cannot be told.
    """
    depth0, depth1 = depth(pool, fact)
    share0 = abs(fact.amount0) / depth0 if depth0 > 0.0 else 0.0
    share1 = abs(fact.amount1) / depth1 if depth1 > 0.0 else 0.0
    larger = min(max(share0, share1), 1e6)
    inwards = fact.amount0 > 0 or (fact.amount0 == 0 and fact.amount1 < 0)
    return larger, larger if inwards else -larger


def usable(price: float) -> float:
    """`price` where it is one, else 0.0: an empty pool has none, and one at its bounds none that means anything."""
    return price if 0.0 < price < math.inf else 0.0


def log_ratio(price: float, before: float) -> float:
    """ln(price / before); 0.0 where either cannot be told."""
    return math.log(price / before) if price > 0.0 and before > 0.0 else 0.0


def mean_at(trace: PoolTrace, time: int) -> float:
    """The time-weighted mean of ln(price) as of `time`: since the last trade the price stood still."""
    if trace.price <= 0.0:
        return trace.mean
    kept = math.exp(-max(time - trace.time, 0) / MEMORY_S)
    return trace.mean * kept + math.log(trace.price) * (1.0 - kept)


def flow_at(trace: PoolTrace, time: int) -> tuple[float, float]:
    """(net, gross) flow as of `time`."""
    kept = math.exp(-max(time - trace.time, 0) / MEMORY_S)
    return trace.net * kept, trace.gross * kept


def first(fact: Swapped, at: BlockRef, pool: Pool | None) -> PoolTrace:
    """The trace after a pool's first trade."""
    larger, signed = size(fact, pool)
    price = usable(fact.price)
    return PoolTrace(
        price=price,
        close=price,
        mean=math.log(price) if price > 0.0 else 0.0,
        time=at.time,
        block=at.number,
        trades=1,
        volume=larger,
        net=signed,
        gross=larger,
        reserves=pool.reserves if pool else (),
        decimals=pool.decimals if pool else (),
    )


def after(trace: PoolTrace, fact: Swapped, at: BlockRef, pool: Pool | None) -> PoolTrace:
    """The trace after one more trade. A price that cannot be told leaves the last one standing."""
    larger, signed = size(fact, pool)
    net, gross = flow_at(trace, at.time)
    price = usable(fact.price) or trace.price
    known = trace.mean if trace.price > 0.0 else (math.log(price) if price > 0.0 else 0.0)
    if trace.block == at.number:
        return PoolTrace(
            price=price,
            close=trace.close,
            mean=known,
            time=at.time,
            block=at.number,
            trades=trace.trades + 1,
            volume=trace.volume + larger,
            net=net + signed,
            gross=gross + larger,
            reserves=trace.reserves,
            decimals=trace.decimals,
        )
    close = trace.price if trace.price > 0.0 else price
    return PoolTrace(
        price=price,
        close=close,
        mean=mean_at(trace, at.time) if trace.price > 0.0 else known,
        time=at.time,
        block=at.number,
        trades=1,
        volume=larger,
        net=net + signed,
        gross=gross + larger,
        reserves=trace.reserves,
        decimals=trace.decimals,
    )


def swap_values(before: PoolTrace, now: PoolTrace, fact: Swapped, pool: Pool | None, at: BlockRef) -> dict[str, float]:
    """The features of one trade; `before` and `now` are the traces around it.

    Without `size` and `flow` where what the pool has to trade with cannot be told.
    """
    values = {
        "move": abs(log_ratio(now.price, before.price)),
        "block_move": abs(log_ratio(now.price, now.close)),
        "deviation": abs(math.log(now.price) - now.mean) if now.price > 0.0 else 0.0,
    }
    if max(depth(pool, fact)) > 0.0:
        values |= {"size": size(fact, pool)[0], "flow": abs(now.net)}
    return values | {"pace": float(now.trades), "gap": float(max(at.time - before.time, 0))}


def swap_facts(before: PoolTrace, now: PoolTrace) -> dict[str, float]:
    """What reasons quote of one trade: prices, and the moves with their sign (1.0 is +100 %)."""
    return {
        "price": now.price,
        "price_before": before.price,
        "move": now.price / before.price - 1.0 if before.price > 0.0 else 0.0,
        "block_move": now.price / now.close - 1.0 if now.close > 0.0 else 0.0,
        "deviation": now.price / math.exp(now.mean) - 1.0 if now.price > 0.0 else 0.0,
        "net": now.net,
        "gross": now.gross,
    }


def reserve_change(trace: PoolTrace, pool: Pool | None) -> float:
    """The largest relative change of a reserve over the block; 0.0 where the reserves cannot be told.

    A reserve of nothing was not known, or the pool was empty: what comes then is no change.
    """
    if pool is None or len(trace.reserves) != len(pool.reserves):
        return 0.0
    changes = [
        abs(ratio(after - before, max(after, before)))
        for before, after in zip(trace.reserves, pool.reserves, strict=True)
        if before > 0
    ]
    return max(changes, default=0.0)


def block_values(trace: PoolTrace, pool: Pool | None) -> dict[str, float]:
    """The features of a block that traded, at its end; without `volume` and `flow` where no trade's size was known."""
    values = {
        "close_move": abs(log_ratio(trace.price, trace.close)),
        "deviation": abs(math.log(trace.price) - trace.mean) if trace.price > 0.0 else 0.0,
    }
    if trace.gross > 0.0:
        values |= {"volume": trace.volume, "flow": abs(trace.net)}
    return values | {"reserve_change": reserve_change(trace, pool), "trades": float(trace.trades)}


def block_facts(trace: PoolTrace) -> dict[str, float]:
    """What reasons quote of a block: prices, and the moves with their sign."""
    return {
        "price": trace.price,
        "price_before": trace.close,
        "block_move": trace.price / trace.close - 1.0 if trace.close > 0.0 else 0.0,
        "deviation": trace.price / math.exp(trace.mean) - 1.0 if trace.price > 0.0 else 0.0,
        "net": trace.net,
        "gross": trace.gross,
    }
