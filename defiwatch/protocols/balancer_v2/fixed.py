"""Balancer's numbers: 18 decimals as integers, with its own logarithm, exponential and power.

balancer-v2-monorepo@06f3ee7 pkg/solidity-utils/contracts/math/LogExpMath.sol:89-453, FixedPoint.sol:22-150. Division
cuts towards zero, as the contract's does.
"""

from __future__ import annotations

ONE = 10**18
TWO = 2 * ONE
FOUR = 4 * ONE
_ONE_20 = 10**20
_ONE_36 = 10**36
_MAX_EXPONENT = 130 * ONE
_MIN_EXPONENT = -41 * ONE
_MAX_POW_ERROR = 10_000
"""The power is trusted to 10**-14 of itself."""

_LARGE = (
    (128 * ONE, 38877084059945950922200000000000000000000000000000000000),
    (64 * ONE, 6235149080811616882910000000),
)
"""(x, e**x) without decimals."""
_SMALL = (
    (32 * _ONE_20, 7896296018268069516100000000000000),
    (16 * _ONE_20, 888611052050787263676000000),
    (8 * _ONE_20, 298095798704172827474000),
    (4 * _ONE_20, 5459815003314423907810),
    (2 * _ONE_20, 738905609893065022723),
    (1 * _ONE_20, 271828182845904523536),
    (_ONE_20 // 2, 164872127070012814685),
    (_ONE_20 // 4, 128402541668774148407),
    (_ONE_20 // 8, 113314845306682631683),
    (_ONE_20 // 16, 106449445891785942956),
)
"""(x, e**x) with 20 decimals; the exponential uses the first eight."""


def mul_down(a: int, b: int) -> int:
    """a·b, rounded down."""
    return a * b // ONE


def mul_up(a: int, b: int) -> int:
    """a·b, rounded up."""
    return -(-a * b // ONE)


def div_down(a: int, b: int) -> int:
    """a/b, rounded down."""
    return a * ONE // b


def div_up(a: int, b: int) -> int:
    """a/b, rounded up."""
    return -(-a * ONE // b)


def complement(x: int) -> int:
    """1 - x, at least 0."""
    return max(ONE - x, 0)


def _cut(a: int, b: int) -> int:
    """a // b towards zero; b is positive."""
    return a // b if a >= 0 else -(-a // b)


def _series(z: int, one: int, terms: int) -> int:
    """z + z³/3 + z⁵/5 + …"""
    squared = _cut(z * z, one)
    power = total = z
    for k in range(1, terms):
        power = _cut(power * squared, one)
        total += _cut(power, 2 * k + 1)
    return total


def ln(a: int) -> int:
    """The natural logarithm of a positive number, 18 decimals (LogExpMath.sol:323-417)."""
    if a < ONE:
        return -ln(ONE * ONE // a)
    total = 0
    for x, e_x in _LARGE:
        if a >= e_x * ONE:
            a //= e_x
            total += x
    total *= 100
    a *= 100
    for x, e_x in _SMALL:
        if a >= e_x:
            a = a * _ONE_20 // e_x
            total += x
    return (total + 2 * _series((a - _ONE_20) * _ONE_20 // (a + _ONE_20), _ONE_20, 6)) // 100


def ln_36(x: int) -> int:
    """The natural logarithm of a number near one, with 36 decimals (LogExpMath.sol:425-470)."""
    wide = x * ONE
    return 2 * _series(_cut((wide - _ONE_36) * _ONE_36, wide + _ONE_36), _ONE_36, 8)


def exp(x: int) -> int:
    """e**x (LogExpMath.sol:143-262). ValueError outside -41 … 130."""
    if not _MIN_EXPONENT <= x <= _MAX_EXPONENT:
        raise ValueError(f"the exponent {x / ONE:g} is out of range")
    if x < 0:
        return ONE * ONE // exp(-x)
    first = 1
    for step, e_step in _LARGE:
        if x >= step:
            x -= step
            first = e_step
            break
    x *= 100
    product = _ONE_20
    for step, e_step in _SMALL[:8]:
        if x >= step:
            x -= step
            product = product * e_step // _ONE_20
    term = x
    total = _ONE_20 + term
    for n in range(2, 13):
        term = term * x // _ONE_20 // n
        total += term
    return product * total // _ONE_20 * first // 100


def power(x: int, y: int) -> int:
    """x**y (LogExpMath.sol:89-134). ValueError where the contract would revert."""
    if y == 0:
        return ONE
    if x == 0:
        return 0
    if x >> 255 or y >= (1 << 254) // _ONE_20:
        raise ValueError("the power's base or exponent is out of range")
    if 9 * ONE // 10 < x < 11 * ONE // 10:
        log = ln_36(x)
        whole = _cut(log, ONE)
        product = whole * y + _cut((log - whole * ONE) * y, ONE)
    else:
        product = ln(x) * y
    return exp(_cut(product, ONE))


def power_up(x: int, y: int, *, shortcuts: bool = True) -> int:
    """x**y, surely not below (FixedPoint.sol:98-134). `shortcuts`: 1, 2 and 4 are multiplied out, as newer pools do."""
    if shortcuts:
        if y == ONE:
            return x
        if y == TWO:
            return mul_up(x, x)
        if y == FOUR:
            squared = mul_up(x, x)
            return mul_up(squared, squared)
    raw = power(x, y)
    return raw + mul_up(raw, _MAX_POW_ERROR) + 1
