"""Stable pools: Curve's invariant with Balancer's rounding. Balances with 18 decimals, times their rates.

balancer-v2-monorepo pkg/pool-stable/contracts/StableMath.sol:54-180, 398-442, in the form of the composable pools (task
20220906 and later), whose invariant always rounds down. `amp` is A·n^(n-1) times 1000.
"""

from __future__ import annotations

from collections.abc import Sequence

AMP_PRECISION = 1000
_ROUNDS = 255


def invariant(amp: int, balances: Sequence[int]) -> int:
    """D for these balances; 0 for an empty pool. ValueError where it does not converge."""
    total = sum(balances)
    if total == 0:
        return 0
    if min(balances) <= 0:
        raise ValueError("a balance is 0: the invariant has no value")
    n = len(balances)
    d = total
    amp_total = amp * n
    for _ in range(_ROUNDS):
        d_p = d
        for balance in balances:
            d_p = d_p * d // (balance * n)
        before = d
        up = (amp_total * total // AMP_PRECISION + d_p * n) * d
        down = (amp_total - AMP_PRECISION) * d // AMP_PRECISION + (n + 1) * d_p
        d = up // down
        if abs(d - before) <= 1:
            return d
    raise ValueError("the invariant does not converge")


def balance_given(amp: int, balances: Sequence[int], d: int, index: int) -> int:
    """The balance of `index` at which the invariant is `d`, the others as they are, rounded up (StableMath:398-442)."""
    n = len(balances)
    amp_total = amp * n
    total = balances[0]
    p_d = balances[0] * n
    for balance in balances[1:]:
        p_d = p_d * balance * n // d
        total += balance
    total -= balances[index]
    squared = d * d
    c = -(-squared // (amp_total * p_d)) * AMP_PRECISION * balances[index]
    b = total + d // amp_total * AMP_PRECISION
    balance = -(-(squared + c) // (d + b))
    for _ in range(_ROUNDS):
        before = balance
        balance = -(-(balance * balance + c) // (balance * 2 + b - d))
        if abs(balance - before) <= 1:
            return balance
    raise ValueError("the balance does not converge")


def out_given_in(amp: int, balances: Sequence[int], index_in: int, index_out: int, amount_in: int) -> int:
    """What `amount_in` (without fee) pays."""
    d = invariant(amp, balances)
    grown = list(balances)
    grown[index_in] += amount_in
    return balances[index_out] - balance_given(amp, grown, d, index_out) - 1


def in_given_out(amp: int, balances: Sequence[int], index_in: int, index_out: int, amount_out: int) -> int:
    """What `amount_out` costs (without fee). ValueError where the pool does not hold that much."""
    if amount_out >= balances[index_out]:
        raise ValueError("the pool does not hold that much")
    d = invariant(amp, balances)
    shrunk = list(balances)
    shrunk[index_out] -= amount_out
    return balance_given(amp, shrunk, d, index_in) - balances[index_in] + 1


def spot(amp: int, balances: Sequence[int], index_in: int, index_out: int) -> float:
    """Units out for one unit in, without fee, for a size of nothing; 0.0 for an empty pool.

    The slope of A·n^n·S + D = A·D·n^n + D^(n+1)/(n^n·P) at the balances: (1 + c/xᵢ)/(1 + c/xⱼ) with
    c = D^(n+1)/(n^n·P)/(A·n^n).
    """
    if min(balances, default=0) <= 0:
        return 0.0
    n = len(balances)
    d = invariant(amp, balances)
    tail = d
    for balance in balances:
        tail = tail * d // (balance * n)
    c = tail * AMP_PRECISION / (amp * n)
    return (1.0 + c / balances[index_in]) / (1.0 + c / balances[index_out])
