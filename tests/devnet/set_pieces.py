"""The arranged events of the story: liquidity pulled out and put back, a stable pool pushed off its peg."""

from __future__ import annotations

from .abi import encode
from .chain import Tx
from .deploy_uniswap import DEADLINE, positions_of, raw_price, sqrt_price_x96
from .flows import swap
from .model import Devnet, PoolV3

MAX_UINT128 = 2**128 - 1
DRAIN = {2: 0.4, 3: 0.6, 4: 0.95}
"""Block of the drain phase -> the share of its liquidity in the pool that the drainer takes out."""
REFILL_BLOCK = 16
OVERSHOOT = 0.002
_POSITION = "uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128"


def _pool(devnet: Devnet, a: str, b: str) -> PoolV3:
    return next(pool for pool in devnet.v3.pools if {pool.token0, pool.token1} == {a, b})


def drained_pool(devnet: Devnet) -> PoolV3:
    """The pool that loses most of its liquidity."""
    return _pool(devnet, "WBTC", "WETH")


def peg_pool(devnet: Devnet) -> PoolV3:
    """The stable pool that loses its peg."""
    return _pool(devnet, "USDC", "USDT")


def drain(devnet: Devnet, at: int) -> list[Tx]:
    """The drainer's withdrawals in block `at` of the drain phase."""
    if at not in DRAIN:
        return []
    drainer, manager = devnet.roles.drainer, devnet.v3.positions
    txs: list[Tx] = []
    for number in positions_of(devnet.chain, devnet.v3, drainer, drained_pool(devnet), devnet.tokens):
        liquidity = devnet.chain.call(manager, "positions(uint256)", number, returns=_POSITION)[7]
        row = (number, int(liquidity * DRAIN[at]), 0, 0, DEADLINE)
        take = encode("decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))", row)
        collect = encode("collect((uint256,address,uint128,uint128))", (number, drainer, MAX_UINT128, MAX_UINT128))
        txs += [
            Tx(drainer, manager, take, f"liquidity out of {drained_pool(devnet).name}: {DRAIN[at]:.0%}"),
            Tx(drainer, manager, collect, "collect"),
        ]
    return txs


def refill(devnet: Devnet, at: int, prices: dict[str, float]) -> list[Tx]:
    """The drainer puts some liquidity back late in the recovery."""
    if at != REFILL_BLOCK:
        return []
    pool, drainer = drained_pool(devnet), devnet.roles.drainer
    (number, *_) = positions_of(devnet.chain, devnet.v3, drainer, pool, devnet.tokens)
    amounts = [devnet.tokens[symbol].units(2_000_000 / prices[symbol]) for symbol in (pool.token0, pool.token1)]
    data = encode(
        "increaseLiquidity((uint256,uint256,uint256,uint256,uint256,uint256))",
        (number, *amounts, 0, 0, DEADLINE),
    )
    return [Tx(drainer, devnet.v3.positions, data, f"liquidity back into {pool.name}")]


def push_off_peg(devnet: Devnet, prices: dict[str, float]) -> list[Tx]:
    """Sell USDT until the pool is a little below the market's USDT price; nothing if it is there already."""
    pool = peg_pool(devnet)
    token0, token1 = devnet.tokens[pool.token0], devnet.tokens[pool.token1]
    below = {**prices, "USDT": prices["USDT"] * (1.0 - OVERSHOOT)}
    target = sqrt_price_x96(raw_price(token0, token1, below))
    now = devnet.chain.call(pool.address, "slot0()", returns="uint160,int24,uint16,uint16,uint16,uint8,bool")[0]
    usdt, usdc = devnet.tokens["USDT"], devnet.tokens["USDC"]
    falling = now > target if token0.symbol == "USDT" else now < target
    if not falling:
        return []
    return [swap(devnet, pool, devnet.roles.pusher, usdt, usdc, usdt.units(100_000_000), target)]
