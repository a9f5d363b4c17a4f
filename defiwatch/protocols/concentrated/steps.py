"""One step of a swap: what goes in, what comes out, where the price stands, between two prices of one liquidity.

Uniswap/v3-core@d8b1c63 contracts/libraries/SqrtPriceMath.sol, SwapMath.sol; v4-core 1.0.2
src/libraries/SwapMath.sol:52-108 writes the step otherwise and gives the same amounts. Prices are square roots in
Q64.96, fees parts per million of the amount in; every rounding goes against the trader.
"""

from __future__ import annotations

from defiwatch.protocols.concentrated.prices import sqrt_price_at
from defiwatch.protocols.ticks import Q96

PPM = 1_000_000
_UINT256 = 1 << 256
_UINT160 = 1 << 160


def amount0_between(lower: int, upper: int, liquidity: int, *, up: bool) -> int:
    """Units of token 0 that `liquidity` holds between two square-root prices (SqrtPriceMath.sol:153-171)."""
    if lower > upper:
        lower, upper = upper, lower
    product = (liquidity << 96) * (upper - lower)
    if up:
        numerator = -(-product // upper)
        return -(-numerator // lower)
    return product // upper // lower


def amount1_between(lower: int, upper: int, liquidity: int, *, up: bool) -> int:
    """Units of token 1 that `liquidity` holds between two square-root prices (SqrtPriceMath.sol:182-196)."""
    product = liquidity * abs(upper - lower)
    return -(-product >> 96) if up else product >> 96


def amounts_for(
    sqrt_price_x96: int, tick_lower: int, tick_upper: int, liquidity: int, *, up: bool = False
) -> tuple[int, int]:
    """What a position of `liquidity` between two ticks is made of at a price: units of token 0 and of token 1.

    UniswapV3Pool.sol:307-370. `up`: as it is paid in; otherwise as it is paid out.
    """
    lower, upper = sqrt_price_at(tick_lower), sqrt_price_at(tick_upper)
    inside = min(max(sqrt_price_x96, lower), upper)
    return (
        amount0_between(inside, upper, liquidity, up=up) if inside < upper else 0,
        amount1_between(lower, inside, liquidity, up=up) if inside > lower else 0,
    )


def price_after_input(sqrt_price_x96: int, liquidity: int, amount: int, *, zero_for_one: bool) -> int:
    """The price once `amount` came in, never past where it belongs (SqrtPriceMath.sol:106-121)."""
    if zero_for_one:
        if amount == 0:
            return sqrt_price_x96
        reserve = liquidity << 96
        product = amount * sqrt_price_x96
        if product < _UINT256 and reserve + product < _UINT256:
            return -(-reserve * sqrt_price_x96 // (reserve + product))
        return -(-reserve // (reserve // sqrt_price_x96 + amount))
    return sqrt_price_x96 + (amount << 96) // liquidity


def price_after_output(sqrt_price_x96: int, liquidity: int, amount: int, *, zero_for_one: bool) -> int:
    """The price once `amount` went out, at least as far as it belongs (SqrtPriceMath.sol:129-144).

    ValueError where the liquidity does not hold that much: the contract reverts.
    """
    if zero_for_one:
        after = sqrt_price_x96 + (-(amount << 96) // liquidity)
        if after <= 0:
            raise ValueError("the liquidity does not hold that much of token 1")
        return after
    reserve = liquidity << 96
    product = amount * sqrt_price_x96
    if product >= reserve or product >= _UINT256:
        raise ValueError("the liquidity does not hold that much of token 0")
    after = -(-reserve * sqrt_price_x96 // (reserve - product))
    if after >= _UINT160:
        raise ValueError("the price leaves 160 bits")
    return after


def swap_step(
    sqrt_price_x96: int, target: int, liquidity: int, remaining: int, fee_ppm: int, *, exact_in: bool
) -> tuple[int, int, int, int]:
    """(price after, amount in without fee, amount out, fee) of one step towards `target` (SwapMath.sol:21-97).

    `remaining` is positive: of the amount in (fee included) if `exact_in`, else of the amount out.
    """
    zero_for_one = sqrt_price_x96 >= target
    if exact_in:
        taxed = remaining * (PPM - fee_ppm) // PPM
        amount_in = _between(sqrt_price_x96, target, liquidity, zero=zero_for_one, up=True)
        if taxed >= amount_in:
            after = target
        else:
            after = price_after_input(sqrt_price_x96, liquidity, taxed, zero_for_one=zero_for_one)
            if after != target:
                amount_out = _between(sqrt_price_x96, after, liquidity, zero=not zero_for_one, up=False)
                amount_in = _between(sqrt_price_x96, after, liquidity, zero=zero_for_one, up=True)
                return after, amount_in, amount_out, remaining - amount_in
        amount_out = _between(sqrt_price_x96, target, liquidity, zero=not zero_for_one, up=False)
    else:
        amount_out = _between(sqrt_price_x96, target, liquidity, zero=not zero_for_one, up=False)
        if remaining >= amount_out:
            after = target
        else:
            after = price_after_output(sqrt_price_x96, liquidity, remaining, zero_for_one=zero_for_one)
            amount_out = min(_between(sqrt_price_x96, after, liquidity, zero=not zero_for_one, up=False), remaining)
        amount_in = _between(sqrt_price_x96, after, liquidity, zero=zero_for_one, up=True)
    return after, amount_in, amount_out, fee_on(amount_in, fee_ppm)


def fee_on(amount_in: int, fee_ppm: int) -> int:
    """The fee that stands above an amount in, rounded up: together they are what is paid (SwapMath.sol:91-96)."""
    if fee_ppm == PPM:
        return amount_in
    return -(-amount_in * fee_ppm // (PPM - fee_ppm))


def _between(a: int, b: int, liquidity: int, *, zero: bool, up: bool) -> int:
    if zero:
        return amount0_between(a, b, liquidity, up=up)
    return amount1_between(a, b, liquidity, up=up)


__all__ = [
    "PPM",
    "Q96",
    "amount0_between",
    "amount1_between",
    "amounts_for",
    "fee_on",
    "price_after_input",
    "price_after_output",
    "swap_step",
]
