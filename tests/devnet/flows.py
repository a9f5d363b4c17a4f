"""Swaps: small random trades on every pool, and an arbitrageur who keeps pools near the market."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from .abi import encode
from .chain import Call, Tx
from .deploy_uniswap import DEADLINE, PAIRS_V2, POOLS_V3, raw_price, sqrt_price_x96
from .model import Devnet, PairV2, PoolV3, Token

SLOT0 = "uint160,int24,uint16,uint16,uint16,uint8,bool"
_V2_SWAP = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
_V3_SWAP = "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))"
Q96 = 2**96


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool as it stands: raw price (token1 units per token0 unit) and, for v2, its reserves."""

    pool: PairV2 | PoolV3
    price: float
    reserves: tuple[int, int]


def read_pools(devnet: Devnet, block: int | str = "latest") -> list[PoolView]:
    """Every pool's price, in the order pairs, then v3 pools."""
    calls = [Call(pair.address, "getReserves()", (), "uint112,uint112,uint32") for pair in devnet.v2.pairs]
    calls += [Call(pool.address, "slot0()", (), SLOT0) for pool in devnet.v3.pools]
    rows = devnet.chain.reads(calls, block)
    views = [
        PoolView(pair, row[1] / row[0], (row[0], row[1]))
        for pair, row in zip(devnet.v2.pairs, rows[: len(devnet.v2.pairs)], strict=True)
    ]
    views += [
        PoolView(pool, (row[0] / Q96) ** 2, (0, 0))
        for pool, row in zip(devnet.v3.pools, rows[len(devnet.v2.pairs) :], strict=True)
    ]
    return views


def side_usd(devnet: Devnet, pool: PairV2 | PoolV3) -> float:
    """About what one side of the pool held at the start, USD."""
    names = {pool.token0, pool.token1}
    if isinstance(pool, PairV2):
        return next(usd for base, quote, usd in PAIRS_V2 if {base, quote} == names)
    plan = next(plan for plan in POOLS_V3 if {plan.token_a, plan.token_b} == names and plan.fee == pool.fee)
    return sum(usd for _, usd, _ in plan.positions)


def swap(
    devnet: Devnet, pool: PairV2 | PoolV3, trader: str, sell: Token, buy: Token, amount: int, limit: int = 0
) -> Tx:
    """Sell `amount` units of `sell`; for v3 `limit` is the sqrt price (Q64.96) at which to stop (0: none)."""
    if isinstance(pool, PairV2):
        data = encode(_V2_SWAP, amount, 0, [sell.address, buy.address], trader, DEADLINE)
        return Tx(trader, devnet.v2.router, data, f"swap {sell.symbol} for {buy.symbol} in {pool.name}")
    row = (sell.address, buy.address, pool.fee, trader, DEADLINE, amount, 0, limit)
    return Tx(trader, devnet.v3.router, encode(_V3_SWAP, row), f"swap {sell.symbol} for {buy.symbol} in {pool.name}")


def noise(
    devnet: Devnet,
    rng: random.Random,
    prices: dict[str, float],
    pool: PairV2 | PoolV3,
    trader: str | None = None,
) -> Tx:
    """A small swap, 0.003 % to 0.1 % of a side."""
    token0, token1 = devnet.tokens[pool.token0], devnet.tokens[pool.token1]
    sell, buy = (token0, token1) if rng.random() < 0.5 else (token1, token0)
    usd = side_usd(devnet, pool) * 10 ** rng.uniform(-4.5, -3.0)
    amount = sell.units(usd / prices[sell.symbol])
    return swap(devnet, pool, trader or rng.choice(devnet.roles.traders), sell, buy, amount)


def arbitrage(devnet: Devnet, view: PoolView, prices: dict[str, float]) -> Tx | None:
    """The swap that brings a pool to within its fee of the market, or None when it is there."""
    pool = view.pool
    token0, token1 = devnet.tokens[pool.token0], devnet.tokens[pool.token1]
    market = raw_price(token0, token1, prices)
    fee = 0.003 if isinstance(pool, PairV2) else pool.fee / 1e6
    gap = math.log(view.price / market)
    if abs(gap) < fee + 0.0004:
        return None
    target = market * math.exp(math.copysign(fee, gap))
    trader = devnet.roles.arbitrageur
    sell, buy = (token0, token1) if gap > 0 else (token1, token0)
    if isinstance(pool, PoolV3):
        enough = sell.units(100_000_000 / prices[sell.symbol])
        return swap(devnet, pool, trader, sell, buy, enough, sqrt_price_x96(target))
    reserve0, reserve1 = view.reserves
    if gap > 0:
        amount = math.sqrt(reserve0 * reserve1 / target) - reserve0
    else:
        amount = math.sqrt(reserve0 * reserve1 * target) - reserve1
    return swap(devnet, pool, trader, sell, buy, int(amount))


def traffic(
    devnet: Devnet,
    rng: random.Random,
    prices: dict[str, float],
    *,
    busy: float = 0.35,
    quiet: frozenset[str] = frozenset(),
) -> list[Tx]:
    """One block's swaps: arbitrage where a pool is off the market, then noise with chance `busy` a pool.

    Pools whose address is in `quiet` are left to the noise.
    """
    txs: list[Tx] = []
    for view in read_pools(devnet):
        if view.pool.address not in quiet:
            trade = arbitrage(devnet, view, prices)
            if trade is not None:
                txs.append(trade)
        while rng.random() < busy:
            txs.append(noise(devnet, rng, prices, view.pool))
    return txs
