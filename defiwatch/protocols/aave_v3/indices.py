"""How a reserve's indices grow, and what an update of its state writes. Rules by revision: `forms`.

ReserveLogic.sol (getNormalizedIncome, updateState, _accrueToTreasury) of aave-v3-core@e0bfed1, aave-v3-origin@fd1fbd9.
"""

from __future__ import annotations

import msgspec

from defiwatch.protocols.aave_v3 import rays
from defiwatch.protocols.aave_v3.forms import Form
from defiwatch.protocols.aave_v3.state import Reserve


def compound(form: Form, rate: int, seconds: int) -> int:
    """The factor by which variable debt grows, ray."""
    return rays.compound_taylor(rate, seconds) if form.taylor else rays.compound_binomial(rate, seconds)


def income(reserve: Reserve, time: int) -> int:
    """getReserveNormalizedIncome at `time`, ray."""
    if time == reserve.updated:
        return reserve.liquidity_index
    return rays.mul_half(rays.linear(reserve.liquidity_rate, time - reserve.updated), reserve.liquidity_index)


def debt(form: Form, reserve: Reserve, time: int) -> int:
    """getReserveNormalizedVariableDebt at `time`, ray. It grows also without any debt; the stored index does not."""
    if time == reserve.updated:
        return reserve.variable_index
    return rays.mul_half(compound(form, reserve.variable_rate, time - reserve.updated), reserve.variable_index)


def supply_balance(form: Form, scaled: int, index: int) -> int:
    """An aToken balance in units, from its scaled balance."""
    return rays.mul_floor(scaled, index) if form.directional else rays.mul_half(scaled, index)


def debt_balance(form: Form, scaled: int, index: int) -> int:
    """A variable debt balance in units, from its scaled balance."""
    return rays.mul_ceil(scaled, index) if form.directional else rays.mul_half(scaled, index)


def stable_balance(principal: int, rate: int, updated: int, time: int) -> int:
    """A stable debt balance in units. aave-v3-core@e0bfed1 StableDebtToken.sol balanceOf."""
    if principal == 0:
        return 0
    return rays.mul_half(principal, rays.compound_binomial(rate, time - updated))


def scaled_after(form: Form, before: int, delta: int, index: int, *, is_debt: bool) -> int:
    """A scaled balance after an event whose balance change is `delta` units (signed).

    From 3.5 the event carries balances that were rounded already, so the change is inverted through the balance, which
    is unique because an index is at least one ray. Before, the amount itself was scaled half up.
    """
    if not form.directional:
        scaled = rays.div_half(abs(delta), index)
        return before + scaled if delta >= 0 else before - scaled
    if is_debt:
        return rays.div_floor(rays.mul_ceil(before, index) + delta, index)
    return rays.div_ceil(rays.mul_floor(before, index) + delta, index)


def accrued(form: Form, reserve: Reserve, time: int, block: int) -> Reserve:
    """The reserve after updateState at `time`: indices, treasury, time. Unchanged if it was updated at that time.

    The contract updates the state before it mints or burns debt tokens, so this is applied before their events are.
    """
    if time == reserve.updated:
        return reserve
    liquidity_index, variable_index = reserve.liquidity_index, reserve.variable_index
    if reserve.liquidity_rate != 0:
        liquidity_index = income(reserve, time)
    if reserve.borrowed != 0:
        variable_index = debt(form, reserve, time)
    if form.directional:
        interest = rays.mul_floor(reserve.borrowed, variable_index - reserve.variable_index)
        minted = rays.div_floor(rays.percent_mul(interest, reserve.factor), liquidity_index)
    else:
        interest = rays.mul_half(reserve.borrowed, variable_index)
        interest -= rays.mul_half(reserve.borrowed, reserve.variable_index)
        if form.stable_debt:
            interest += stable_interest(reserve, time)
        minted = rays.div_half(rays.percent_mul(interest, reserve.factor), liquidity_index)
    return msgspec.structs.replace(
        reserve,
        liquidity_index=liquidity_index,
        variable_index=variable_index,
        updated=time,
        accrued_to_treasury=reserve.accrued_to_treasury + minted,
        touched=block,
        touches=0,
        accrual=minted,
    )


def stable_interest(reserve: Reserve, time: int) -> int:
    """What all stable debt grew by since the reserve's last update, units."""
    principal, rate, since = reserve.stable_principal, reserve.stable_rate, reserve.stable_updated
    return stable_balance(principal, rate, since, time) - stable_balance(principal, rate, since, reserve.updated)
