"""The events of Uniswap v3's pools and factory.

Uniswap/v3-core@d8b1c63 contracts/interfaces/pool/IUniswapV3PoolEvents.sol, IUniswapV3Factory.sol.
"""

from __future__ import annotations

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import event


class V3Initialize(Event, frozen=True):
    """A new pool got its first price; it holds no liquidity yet."""

    sqrt_price_x96: int
    tick: int


class V3Swap(Event, frozen=True):
    """A trade. Amounts are the pool's change: positive came in, negative went out. The rest is the state after it."""

    sender: Address
    recipient: Address
    amount0: int
    amount1: int
    sqrt_price_x96: int
    liquidity: int
    tick: int


class PancakeSwap(V3Swap, frozen=True):
    """PancakeSwap v3's trade: the same, with the protocol's part of the fee in either token.

    pancakeswap/pancake-v3-contracts projects/v3-core/contracts/interfaces/pool/IPancakeV3PoolEvents.sol.
    """

    protocol_fees_token0: int
    protocol_fees_token1: int


class V3Mint(Event, frozen=True):
    """`amount` of liquidity was added between two ticks, for `amount0` and `amount1` paid in."""

    sender: Address
    owner: Address
    tick_lower: int
    tick_upper: int
    amount: int
    amount0: int
    amount1: int


class V3Burn(Event, frozen=True):
    """`amount` of liquidity was removed; `amount0` and `amount1` may now be collected."""

    owner: Address
    tick_lower: int
    tick_upper: int
    amount: int
    amount0: int
    amount1: int


class V3Collect(Event, frozen=True):
    """Tokens owed to a position were paid out."""

    owner: Address
    recipient: Address
    tick_lower: int
    tick_upper: int
    amount0: int
    amount1: int


class V3Flash(Event, frozen=True):
    """A flash loan of `amount0` and `amount1` came back with `paid0` and `paid1` on top."""

    sender: Address
    recipient: Address
    amount0: int
    amount1: int
    paid0: int
    paid1: int


class V3CollectProtocol(Event, frozen=True):
    """The protocol's part of the fees was paid out."""

    sender: Address
    recipient: Address
    amount0: int
    amount1: int


class PoolCreated(Event, frozen=True):
    """A factory made a pool; `fee` in parts per million."""

    token0: Address
    token1: Address
    fee: int
    tick_spacing: int
    pool: Address


INITIALIZE = event("Initialize(uint160 sqrtPriceX96, int24 tick)", V3Initialize)
SWAP = event(
    "Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, uint160 sqrtPriceX96,"
    " uint128 liquidity, int24 tick)",
    V3Swap,
)
PANCAKE_SWAP = event(
    "Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, uint160 sqrtPriceX96,"
    " uint128 liquidity, int24 tick, uint128 protocolFeesToken0, uint128 protocolFeesToken1)",
    PancakeSwap,
)
MINT = event(
    "Mint(address sender, address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount,"
    " uint256 amount0, uint256 amount1)",
    V3Mint,
)
BURN = event(
    "Burn(address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount, uint256 amount0,"
    " uint256 amount1)",
    V3Burn,
)
COLLECT = event(
    "Collect(address indexed owner, address recipient, int24 indexed tickLower, int24 indexed tickUpper,"
    " uint128 amount0, uint128 amount1)",
    V3Collect,
)
FLASH = event(
    "Flash(address indexed sender, address indexed recipient, uint256 amount0, uint256 amount1, uint256 paid0,"
    " uint256 paid1)",
    V3Flash,
)
COLLECT_PROTOCOL = event(
    "CollectProtocol(address indexed sender, address indexed recipient, uint128 amount0, uint128 amount1)",
    V3CollectProtocol,
)
POOL_CREATED = event(
    "PoolCreated(address indexed token0, address indexed token1, uint24 indexed fee, int24 tickSpacing, address pool)",
    PoolCreated,
)
