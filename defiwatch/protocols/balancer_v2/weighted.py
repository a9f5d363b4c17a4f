"""Weighted pools: Π balanceᵢ^weightᵢ stays. Amounts and weights with 18 decimals.

balancer-v2-monorepo@06f3ee7 pkg/pool-weighted/contracts/WeightedMath.sol:79-152.
"""

from __future__ import annotations

from defiwatch.protocols.balancer_v2.fixed import (
    ONE,
    complement,
    div_down,
    div_up,
    mul_down,
    mul_up,
    power_up,
)

MAX_RATIO = 3 * ONE // 10
"""A swap may be at most this part of the balance on its side."""


def out_given_in(
    balance_in: int, weight_in: int, balance_out: int, weight_out: int, amount_in: int, *, shortcuts: bool = True
) -> int:
    """What `amount_in` (without fee) pays. ValueError where the pool would revert (more than 30 % of the balance)."""
    if amount_in > mul_down(balance_in, MAX_RATIO):
        raise ValueError("more than 30 % of the balance in")
    base = div_up(balance_in, balance_in + amount_in)
    left = power_up(base, div_down(weight_in, weight_out), shortcuts=shortcuts)
    return mul_down(balance_out, complement(left))


def in_given_out(
    balance_in: int, weight_in: int, balance_out: int, weight_out: int, amount_out: int, *, shortcuts: bool = True
) -> int:
    """What `amount_out` costs (without fee). ValueError where the pool would revert (more than 30 % of the balance)."""
    if amount_out > mul_down(balance_out, MAX_RATIO):
        raise ValueError("more than 30 % of the balance out")
    base = div_up(balance_out, balance_out - amount_out)
    grown = power_up(base, div_up(weight_out, weight_in), shortcuts=shortcuts)
    return mul_up(balance_in, grown - ONE)


def spot(balance_in: int, weight_in: int, balance_out: int, weight_out: int) -> float:
    """Units out for one unit in, without fee, for a size of nothing; 0.0 without balances."""
    if balance_in <= 0 or weight_out <= 0:
        return 0.0
    return balance_out * weight_in / (balance_in * weight_out)
