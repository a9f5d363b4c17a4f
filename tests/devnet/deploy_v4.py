"""Uniswap v4: manager, routers, quoter, and pools of every kind: static fee, native coin, a hook that sets the fee.

Not part of `deploy`: tests that need it put it on a deployed chain.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from eth_utils.crypto import keccak

from . import abi
from .abi import MAX_UINT256, ZERO, encode
from .artifacts import bytecode, deployed_bytecode
from .chain import Tx
from .deploy_uniswap import raw_price, sqrt_price_x96, tick_at
from .model import Devnet, Token

CORE = "uniswap__v4-core"
PERIPHERY = "uniswap__v4-periphery"
KEY = "(address,address,uint24,int24,address)"
DYNAMIC_FEE = 0x800000
HOOK = "0x" + "d1" * 17 + "001080"
"""Its low bits say which calls the hook takes: after initialize (1 << 12), before swap (1 << 7)."""
MODIFY = f"modifyLiquidity({KEY},(int24,int24,int256,bytes32),bytes)"
SWAP = f"swap({KEY},(bool,int256,uint160),(bool,bool),bytes)"
GAS = 20_000_000


@dataclass(frozen=True, slots=True)
class PoolV4:
    """A v4 pool: its id, and its key as the contracts take it. Symbols in the pool's own order, ETH is native."""

    id: str
    token0: str
    token1: str
    key: tuple[str, str, int, int, str]


@dataclass(frozen=True, slots=True)
class UniswapV4:
    """`lens` is the StateView."""

    manager: str
    swapper: str
    modifier: str
    donor: str
    quoter: str
    lens: str
    pools: tuple[PoolV4, ...]


PLANS = (
    ("USDC", "WETH", 500, 10, ZERO, 60),
    ("USDC", "USDT", 100, 1, ZERO, 40),
    ("ETH", "USDC", 3000, 60, ZERO, 25),
    ("WETH", "DAI", DYNAMIC_FEE, 60, HOOK, 10),
)
"""token, token, fee, tick spacing, hook, how many positions"""


def token(devnet: Devnet, symbol: str) -> Token:
    """A token by symbol, the native coin included."""
    return Token("ETH", ZERO, 18) if symbol == "ETH" else devnet.tokens[symbol]


def price(devnet: Devnet, symbol: str) -> float:
    """USD at the start."""
    return devnet.start_prices["WETH" if symbol == "ETH" else symbol]


def deploy_v4(devnet: Devnet, seed: int = 1) -> UniswapV4:
    """Manager, routers, quoter, and pools with many positions each; mines what it needs to."""
    chain, roles = devnet.chain, devnet.roles
    admin = roles.admin
    manager = chain.deploy(admin, bytecode(CORE, "PoolManager"), "PoolManager", "address", admin)
    swapper, modifier, donor = (
        chain.deploy(admin, bytecode(CORE, name), name, "address", manager)
        for name in ("PoolSwapTest", "PoolModifyLiquidityTest", "PoolDonateTest")
    )
    quoter = chain.deploy(admin, bytecode(PERIPHERY, "V4Quoter"), "V4Quoter", "address", manager)
    lens = chain.deploy(admin, bytecode(PERIPHERY, "StateView"), "StateView", "address", manager)
    chain.node.rpc("anvil_setCode", HOOK, deployed_bytecode(CORE, "DynamicFeesTestHook"))
    chain.send([Tx(admin, HOOK, encode("setManager(address)", manager), "the hook's manager")])
    chain.send([Tx(admin, HOOK, encode("setFee(uint24)", 2500), "the hook's fee")])
    for spender in (swapper, modifier, donor):
        data = encode("approve(address,uint256)", spender, MAX_UINT256)
        people = (roles.lp, *roles.traders)
        chain.send([Tx(person, item.address, data, "approve") for person in people for item in devnet.tokens.values()])
    chain.mine(chain.node.timestamp() + 12)
    pools: list[PoolV4] = []
    rng = random.Random(f"v4:{seed}")
    for a, b, fee, spacing, hook, positions in PLANS:
        token0, token1 = sorted((token(devnet, a), token(devnet, b)), key=lambda item: int(item.address, 16))
        key = (token0.address, token1.address, fee, spacing, hook)
        types = "address,address,uint24,int24,address"
        pool = PoolV4("0x" + keccak(hexstr=abi.encode_arguments(types, *key)).hex(), token0.symbol, token1.symbol, key)
        prices = {symbol: price(devnet, symbol) for symbol in (a, b)}
        start = raw_price(token0, token1, prices)
        data = encode(f"initialize({KEY},uint160)", key, sqrt_price_x96(start))
        chain.send([Tx(admin, manager, data, f"v4 {a}/{b}", gas=GAS)])
        chain.send([position(devnet, modifier, pool, rng, tick_at(start)) for _ in range(positions)])
        pools.append(pool)
        chain.mine(chain.node.timestamp() + 12)
    return UniswapV4(manager, swapper, modifier, donor, quoter, lens, tuple(pools))


def position(
    devnet: Devnet, modifier: str, pool: PoolV4, rng: random.Random, tick: int, liquidity: int | None = None
) -> Tx:
    """Add a position of random width around `tick`, of about 10,000 to 300,000 USD a side; or of `liquidity`."""
    spacing = pool.key[3]
    lower = (tick + int(rng.gauss(0, 40 * spacing))) // spacing * spacing - rng.randrange(1, 60) * spacing
    upper = lower + rng.randrange(20, 150) * spacing
    if liquidity is None:
        token0 = token(devnet, pool.token0)
        usd = 10 ** rng.uniform(4, 5.5)
        amount0 = token0.units(usd / price(devnet, pool.token0))
        root = 1.0001 ** (tick / 2)
        liquidity = int(amount0 * root / (1 - 1.0001 ** (-(upper - lower) / 4)))
    return modify(devnet.roles.lp, modifier, pool, lower, upper, liquidity)


def modify(sender: str, modifier: str, pool: PoolV4, lower: int, upper: int, liquidity: int) -> Tx:
    """Change a position by `liquidity`; native coin is sent along and what is not used comes back."""
    data = encode(MODIFY, pool.key, (lower, upper, liquidity, b"\0" * 32), b"")
    value = 100_000 * 10**18 if pool.token0 == "ETH" and liquidity > 0 else 0
    return Tx(sender, modifier, data, f"v4 position in {pool.token0}/{pool.token1}", value=value, gas=GAS)


def swap(
    sender: str, v4: UniswapV4, pool: PoolV4, amount: int, *, zero_for_one: bool, exact_in: bool, limit: int = 0
) -> Tx:
    """Swap `amount` units, in or out, as far as the pool goes, or to the square-root price `limit`."""
    limit = limit or (4295128740 if zero_for_one else 1461446703485210103287273052203988822378723970341)
    data = encode(SWAP, pool.key, (zero_for_one, -amount if exact_in else amount, limit), (False, False), b"")
    value = 100_000 * 10**18 if pool.token0 == "ETH" and zero_for_one else 0
    return Tx(sender, v4.swapper, data, f"v4 swap in {pool.token0}/{pool.token1}", value=value, gas=GAS)
