"""The stableswap invariant in Curve's own integers: D, y, exchanges with their fees, prices.

Old pools: curvefi/curve-contract@15e303a contracts/pools/3pool/StableSwap3Pool.vy (get_D, get_y, exchange). New ones:
curvefi/stableswap-ng@2abe778 contracts/main/CurveStableSwapNG.vy:1009-1125 (get_D, get_y), :1313-1340 (_get_p),
:1393-1412 (moving average). Balances `xp` carry 18 decimals, times their rates; fees count in 10**-10.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

PRECISION = 10**18
FEE_DENOMINATOR = 10**10
_ROUNDS = 255
_MAX_SPOT = 2 * PRECISION


class Rules(msgspec.Struct, frozen=True):
    """What differs from pool to pool. `a_precision` is 1 in the oldest pools, else 100; `amp` is A times it.

    `offpeg` is the multiplier of the dynamic fee (10**10: none; 0 in old pools). `ng`: D as the new pools work it out.
    """

    amp: int
    a_precision: int
    fee: int
    admin_fee: int
    offpeg: int = 0
    ng: bool = False


class Exchanged(msgspec.Struct, frozen=True):
    """What an exchange does, in the tokens' units: `dy` is paid, `admin` leaves the pool's balance beside it."""

    dy: int
    admin: int


def get_d(xp: Sequence[int], rules: Rules) -> int:
    """The invariant; 0 for an empty pool. ValueError where the contract would divide by 0 or not converge."""
    total = sum(xp)
    if total == 0:
        return 0
    if min(xp) <= 0:
        raise ValueError("a balance is 0: the invariant has no value")
    n, precision = len(xp), rules.a_precision
    ann = rules.amp * n
    power = n**n
    d = total
    for _ in range(_ROUNDS):
        d_p = d
        if rules.ng:
            for x in xp:
                d_p = d_p * d // x
            d_p //= power
        else:
            for x in xp:
                d_p = d_p * d // (x * n)
        before = d
        up = (ann * total // precision + d_p * n) * d
        d = up // ((ann - precision) * d // precision + (n + 1) * d_p)
        if abs(d - before) <= 1:
            return d
    if rules.ng:
        raise ValueError("the invariant does not converge")
    return d


def get_y(i: int, j: int, x: int, xp: Sequence[int], rules: Rules, d: int) -> int:
    """The balance of coin j once coin i stands at `x`, the invariant as it was."""
    if i == j:
        raise ValueError("an exchange needs two different coins")
    n, precision = len(xp), rules.a_precision
    ann = rules.amp * n
    c, total = d, 0
    for k, held in enumerate(xp):
        if k == j:
            continue
        value = x if k == i else held
        if value <= 0:
            raise ValueError("a balance is 0: the invariant has no value")
        total += value
        c = c * d // (value * n)
    c = c * d * precision // (ann * n)
    b = total + d * precision // ann
    y = d
    for _ in range(_ROUNDS):
        before = y
        y = (y * y + c) // (2 * y + b - d)
        if abs(y - before) <= 1:
            return y
    if rules.ng:
        raise ValueError("the balance does not converge")
    return y


def dynamic_fee(x: int, y: int, rules: Rules) -> int:
    """The fee between two balances: it rises as they part (CurveStableSwapNG.vy `_dynamic_fee`)."""
    if rules.offpeg <= FEE_DENOMINATOR:
        return rules.fee
    squared = (x + y) ** 2
    return rules.offpeg * rules.fee // ((rules.offpeg - FEE_DENOMINATOR) * 4 * x * y // squared + FEE_DENOMINATOR)


def scaled(balances: Sequence[int], rates: Sequence[int]) -> list[int]:
    """Balances in units as `xp`."""
    return [rate * balance // PRECISION for balance, rate in zip(balances, rates, strict=True)]


def exchange(balances: Sequence[int], rates: Sequence[int], rules: Rules, i: int, j: int, dx: int) -> Exchanged:
    """Pay `dx` units of coin i for coin j. ValueError where the contract would revert.

    The administrator's part of the fee leaves the pool's balance too, and no event tells it.
    """
    if dx <= 0:
        raise ValueError("an exchange needs a positive amount")
    xp = scaled(balances, rates)
    x = xp[i] + dx * rates[i] // PRECISION
    y = get_y(i, j, x, xp, rules, get_d(xp, rules))
    gross = xp[j] - y - 1
    if gross < 0:
        raise ValueError("the amount is too small to be paid for")
    fee = gross * dynamic_fee((xp[i] + x) // 2, (xp[j] + y) // 2, rules) // FEE_DENOMINATOR
    admin = fee * rules.admin_fee // FEE_DENOMINATOR * PRECISION // rates[j]
    return Exchanged((gross - fee) * PRECISION // rates[j], admin)


def amp_at(initial: int, future: int, start: int, end: int, time: int) -> int:
    """A as it stands at `time` (Unix seconds) on its way from one value to another; `_A` of either contract."""
    if time >= end:
        return future
    if future > initial:
        return initial + (future - initial) * (time - start) // (end - start)
    return initial - (initial - future) * (time - start) // (end - start)


def prices(xp: Sequence[int], rules: Rules, d: int) -> list[int]:
    """Price of each coin from the second on, in the first, 18 decimals, before fees (`_get_p`)."""
    n = len(xp)
    rest = d // n**n
    for x in xp:
        rest = rest * d // x
    first = rules.amp * n * xp[0] // rules.a_precision
    return [PRECISION * (first + rest * xp[0] // x) // (first + rest) for x in xp[1:]]


def largest_share(xp: Sequence[int]) -> float:
    """The largest coin's part of the pool, 0..1: it leaves balance long before the price leaves its peg."""
    total = sum(xp)
    return max(xp) / total if total else 0.0


def moving_average(last_price: int, last_average: int, seconds: int, window: int) -> int:
    """The oracle's average, 18 decimals, `seconds` after it was kept; `window` is its time in seconds over ln 2."""
    if seconds <= 0:
        return last_average
    alpha = wad_exp(-(seconds * PRECISION // window))
    return (last_price * (PRECISION - alpha) + last_average * alpha) // PRECISION


def next_average(spot: int, last_price: int, last_average: int, seconds: int, window: int) -> tuple[int, int]:
    """(price, average) as an exchange keeps them: the price is capped at 2, the average moves by the one before."""
    return min(spot, _MAX_SPOT), moving_average(last_price, last_average, seconds, window)


def wad_exp(x: int) -> int:
    """e**x for 18 decimals (`exp`, after Remco Bloemen's rational approximation). ValueError beyond 135."""
    if x <= -41446531673892822313:
        return 0
    if x >= 135305999368893231589:
        raise ValueError("the exponent is out of range")
    wide = x << 78
    value = wide // 5**18 if wide >= 0 else -(-wide // 5**18)
    shifted = value << 96
    log2 = 54916777467707473351141471128
    k = ((shifted // log2 if shifted >= 0 else -(-shifted // log2)) + 2**95) >> 96
    value -= k * log2
    y = ((value + 1346386616545796478920950773328) * value >> 96) + 57155421227552351082224309758442
    p = (y + value - 94201549194550492254356042504812) * y >> 96
    p = (p + 28719021644029726153956944680412240) * value + (4385272521454847904659076985693276 << 96)
    q = ((value - 2855989394907223263936484059900) * value >> 96) + 50020603652535783019961831881945
    for term in (
        -533845033583426703283633433725380,
        3604857256930695427073651918091429,
        -14423608567350463180887372962807573,
        26449188498355588339934803723976023,
    ):
        q = (q * value >> 96) + term
    return (p // q) * 3822833074963236453042738258902158003155416615667 >> (195 - k)
