"""One Uniswap v3 pool's state in the book, and the questions that tell it.

Uniswap/v3-core@d8b1c63 contracts/UniswapV3Pool.sol.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import function
from defiwatch.protocols.spec import Table

TOKEN0 = function("token0()", "address")
TOKEN1 = function("token1()", "address")
FEE = function("fee()", "uint24")
TICK_SPACING = function("tickSpacing()", "int24")
SLOT0 = function("slot0()", "uint160,int24")
"""sqrtPriceX96 and tick; what follows (observations, protocol fee, lock) is not needed and differs between forks."""
LIQUIDITY = function("liquidity()", "uint128")


class V3State(msgspec.Struct, frozen=True):
    """One pool's state. Tokens are "", the fee and spacing -1, price 0, liquidity and balances -1 until they are known.

    `ticks_from` is the block since which the tick table is complete; -1: it is not. `block` and `time` are of the last
    change.
    """

    token0: Address = ""
    token1: Address = ""
    fee: int = -1
    tick_spacing: int = -1
    sqrt_price_x96: int = 0
    tick: int = 0
    liquidity: int = -1
    balance0: int = -1
    balance1: int = -1
    ticks_from: int = -1
    block: int = 0
    time: int = 0


POOLS: Table[Address, V3State] = Table("uniswap_v3.pool")
MADE: Table[Address, tuple[Address, ...]] = Table("uniswap_v3.made")
"""factory → the pools it made while it was watched, oldest first."""
