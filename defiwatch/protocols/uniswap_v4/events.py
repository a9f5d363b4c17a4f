"""The events of Uniswap v4's PoolManager.

v4-core 1.0.2 src/interfaces/IPoolManager.sol:52-107, IProtocolFees.sol:20-23.
"""

from __future__ import annotations

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address, Hash
from defiwatch.protocols.abi import event


class V4Initialize(Event, frozen=True):
    """A pool began. `fee` in parts per million, 0x800000 where a hook sets it; the zero address is the native coin."""

    id: Hash
    currency0: Address
    currency1: Address
    fee: int
    tick_spacing: int
    hooks: Address
    sqrt_price_x96: int
    tick: int


class V4Swap(Event, frozen=True):
    """A trade. Amounts are the swapper's: positive was received, negative was paid (the opposite of v3).

    `fee` is what this trade paid in all, parts per million; the rest is the pool's state after it. Emitted before a
    hook takes its own part of the amounts.
    """

    id: Hash
    sender: Address
    amount0: int
    amount1: int
    sqrt_price_x96: int
    liquidity: int
    tick: int
    fee: int


class V4ModifyLiquidity(Event, frozen=True):
    """Liquidity between two ticks changed by `liquidity_delta` (0: only fees were taken)."""

    id: Hash
    sender: Address
    tick_lower: int
    tick_upper: int
    liquidity_delta: int
    salt: Hash


class V4Donate(Event, frozen=True):
    """Tokens given to the liquidity in range; the price stays."""

    id: Hash
    sender: Address
    amount0: int
    amount1: int


class V4ProtocolFeeUpdated(Event, frozen=True):
    """The protocol's fee, parts per million: the low 12 bits where token 0 is sold, the high 12 where token 1 is."""

    id: Hash
    protocol_fee: int


INITIALIZE = event(
    "Initialize(bytes32 indexed id, address indexed currency0, address indexed currency1, uint24 fee,"
    " int24 tickSpacing, address hooks, uint160 sqrtPriceX96, int24 tick)",
    V4Initialize,
)
SWAP = event(
    "Swap(bytes32 indexed id, address indexed sender, int128 amount0, int128 amount1, uint160 sqrtPriceX96,"
    " uint128 liquidity, int24 tick, uint24 fee)",
    V4Swap,
)
MODIFY_LIQUIDITY = event(
    "ModifyLiquidity(bytes32 indexed id, address indexed sender, int24 tickLower, int24 tickUpper,"
    " int256 liquidityDelta, bytes32 salt)",
    V4ModifyLiquidity,
)
DONATE = event("Donate(bytes32 indexed id, address indexed sender, uint256 amount0, uint256 amount1)", V4Donate)
PROTOCOL_FEE_UPDATED = event("ProtocolFeeUpdated(bytes32 indexed id, uint24 protocolFee)", V4ProtocolFeeUpdated)
