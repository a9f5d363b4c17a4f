"""Fixed-point arithmetic of Aave v3, integer for integer: ray is 10**27, wad 10**18, percentages are basis points.

Half-up forms: aave-v3-core@e0bfed1 WadRayMath.sol, PercentageMath.sol. Floor and ceiling forms:
aave-v3-origin@fd1fbd9 WadRayMath.sol, TokenMath.sol. All arguments and results are non-negative.
"""

from __future__ import annotations

from defiwatch.domain.units import BPS, RAY, YEAR_S

_HALF_RAY = RAY // 2
_HALF_BPS = BPS // 2


def mul_half(a: int, b: int) -> int:
    """a·b/ray, rounded half up."""
    return (a * b + _HALF_RAY) // RAY


def mul_floor(a: int, b: int) -> int:
    """a·b/ray, rounded down."""
    return a * b // RAY


def mul_ceil(a: int, b: int) -> int:
    """a·b/ray, rounded up."""
    return -(-a * b // RAY)


def div_half(a: int, b: int) -> int:
    """a·ray/b, rounded half up."""
    return (a * RAY + b // 2) // b


def div_floor(a: int, b: int) -> int:
    """a·ray/b, rounded down."""
    return a * RAY // b


def div_ceil(a: int, b: int) -> int:
    """a·ray/b, rounded up."""
    return -(-a * RAY // b)


def percent_mul(a: int, bps: int) -> int:
    """a·bps/10000, rounded half up."""
    return (a * bps + _HALF_BPS) // BPS


def percent_div(a: int, bps: int) -> int:
    """a·10000/bps, rounded half up."""
    return (a * BPS + bps // 2) // bps


def linear(rate: int, seconds: int) -> int:
    """The factor by which an index grows at a simple `rate` (ray a year): MathUtils.calculateLinearInterest."""
    return RAY + rate * seconds // YEAR_S


def compound_binomial(rate: int, seconds: int) -> int:
    """Compound interest, three binomial terms: up to 3.3, and stable debt. aave-v3-core@e0bfed1 MathUtils.sol."""
    if seconds == 0:
        return RAY
    square = mul_half(rate, rate) // (YEAR_S * YEAR_S)
    cube = mul_half(square, rate) // YEAR_S
    second = seconds * (seconds - 1) * square // 2
    third = seconds * (seconds - 1) * max(seconds - 2, 0) * cube // 6
    return RAY + rate * seconds // YEAR_S + second + third


def compound_taylor(rate: int, seconds: int) -> int:
    """Compound interest, three terms of the exponential: from 3.4. aave-v3-origin@fd1fbd9 MathUtils.sol."""
    x = rate * seconds // YEAR_S
    return RAY + x + mul_half(x, x // 2 + mul_half(x, x // 6))
