"""Ticks and square-root prices, to the unit.

Tick t stands for the raw price 1.0001**t (units of token 1 for one unit of token 0); the contracts keep its square
root in Q64.96. Uniswap/v3-core@d8b1c63 contracts/libraries/TickMath.sol:8-205; v4-core 1.0.2
src/libraries/TickMath.sol gives the same values.
"""

from __future__ import annotations

import math
from functools import lru_cache

MIN_TICK = -887_272
MAX_TICK = 887_272
MIN_SQRT_PRICE = 4_295_128_739
"""The square-root price of `MIN_TICK`; a swap can stop one above it at the lowest."""
MAX_SQRT_PRICE = 1_461_446_703_485_210_103_287_273_052_203_988_822_378_723_970_342
"""The square-root price of `MAX_TICK`; a swap can stop one below it at the highest."""

_Q128 = 1 << 128
_UINT256_MAX = (1 << 256) - 1

_POWERS = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)
"""sqrt(1.0001)**-(2**i) in Q128.128, as the contract rounds them."""

_LOG_BASE = math.log(1.0001) / 2
_Q96_FLOAT = float(1 << 96)


@lru_cache(maxsize=1 << 16)
def sqrt_price_at(tick: int) -> int:
    """The square-root price (Q64.96) at which `tick` begins. ValueError beyond the ends of the scale.

    TickMath.sol:23-54.
    """
    distance = abs(tick)
    if distance > MAX_TICK:
        raise ValueError(f"tick {tick} is beyond ±{MAX_TICK}")
    ratio = _Q128
    bit = 0
    while distance >> bit:
        if distance >> bit & 1:
            ratio = ratio * _POWERS[bit] >> 128
        bit += 1
    if tick > 0:
        ratio = _UINT256_MAX // ratio
    return -(-ratio >> 32)


def tick_at(sqrt_price_x96: int) -> int:
    """The greatest tick whose square-root price is not above `sqrt_price_x96` (TickMath.sol:61-204).

    ValueError where the contract would revert. Estimated in floats, then settled by the exact prices of its neighbours.
    """
    if not MIN_SQRT_PRICE <= sqrt_price_x96 < MAX_SQRT_PRICE:
        raise ValueError(f"square-root price {sqrt_price_x96} is off the scale")
    tick = min(max(math.floor(math.log(sqrt_price_x96 / _Q96_FLOAT) / _LOG_BASE), MIN_TICK), MAX_TICK - 1)
    while sqrt_price_at(tick) > sqrt_price_x96:
        tick -= 1
    while sqrt_price_at(tick + 1) <= sqrt_price_x96:
        tick += 1
    return tick


def moved(sqrt_price_x96: int, bps: int) -> int:
    """The square-root price at which the price itself stands `bps` basis points higher (negative: lower).

    Rounded down, kept within the scale of prices that a swap may stop at.
    """
    target = math.isqrt(sqrt_price_x96 * sqrt_price_x96 * (10_000 + bps) // 10_000)
    return min(max(target, MIN_SQRT_PRICE + 1), MAX_SQRT_PRICE - 1)
