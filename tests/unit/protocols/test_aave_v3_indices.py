"""Indices and balances against what contracts answered, and rounding against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.domain.units import RAY
from defiwatch.protocols.aave_v3 import indices, rays
from defiwatch.protocols.aave_v3.forms import FORMS, NEWEST, form
from defiwatch.protocols.aave_v3.state import DATA, Reserve

AMOUNTS = st.integers(0, 10**30)
INDICES = st.integers(RAY, 10 * RAY)


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


@given(AMOUNTS, INDICES)
def test_products_and_quotients_round_as_they_say(amount: int, index: int) -> None:
    product, quotient = Fraction(amount * index, RAY), Fraction(amount * RAY, index)
    assert (rays.mul_floor(amount, index), rays.mul_ceil(amount, index)) == (floor(product), ceil(product))
    assert (rays.div_floor(amount, index), rays.div_ceil(amount, index)) == (floor(quotient), ceil(quotient))
    assert (rays.mul_half(amount, index), rays.div_half(amount, index)) == (half_up(product), half_up(quotient))


@given(AMOUNTS, st.integers(1, 20_000))
def test_percentages_round_half_up(amount: int, bps: int) -> None:
    assert rays.percent_mul(amount, bps) == half_up(Fraction(amount * bps, 10_000))
    assert rays.percent_div(amount, bps) == half_up(Fraction(amount * 10_000, bps))


# What contracts answered: (revision, liquidity index, rate, variable index, rate, seconds) -> income, debt
ANSWERED = [
    pytest.param(
        *(1, 1000000000307344972369714278, 5208220230619848593702906),
        *(1000000002403188642593971955, 16037333343525367647715371, 1784505780 - 1767225768),
        *(1002853821594490273523306908, 1008826199272836311070781213),
        id="3.0.2, 200 days, binomial",
    ),
    pytest.param(
        *(1, 1000000000625766015544027517, 5636332266411020255669372),
        *(1000000003429105076711842598, 13962405978339124468741889, 1784505780 - 1767225768),
        *(1003088404014290770251821532, 1007679908315866437139711923),
        id="3.0.2, 200 days, another reserve",
    ),
    pytest.param(
        *(11, 1000001542159206498580194807, 121657403149159930395779),
        *(1000027284776282462841470520, 2842728917274039695709601, 1747852584 - 1747758900),
        *(1000001903567429899057648076, 1000035729937585970082220157),
        id="3.7, 26 hours, exponential",
    ),
    pytest.param(
        *(8, 1000013992496385367515769376, 17790137398216759706141712),
        *(1000054145540986588766401268, 66689836928531995972847800, 1759588632 - 1759476684),
        *(1000077145660023616315171251, 1000290925156123044930919912),
        id="3.4, 31 hours, exponential",
    ),
]


@pytest.mark.parametrize(("revision", "li", "lr", "vi", "vr", "seconds", "income", "debt"), ANSWERED)
def test_indices_grow_as_the_contract_says(
    revision: int, li: int, lr: int, vi: int, vr: int, seconds: int, income: int, debt: int
) -> None:
    reserve = Reserve(
        "0xa", liquidity_index=li, liquidity_rate=lr, variable_index=vi, variable_rate=vr, updated=1_000_000
    )
    assert indices.income(reserve, 1_000_000 + seconds) == income
    assert indices.debt(form(revision), reserve, 1_000_000 + seconds) == debt
    assert (indices.income(reserve, 1_000_000), indices.debt(form(revision), reserve, 1_000_000)) == (li, vi)


def test_stable_debt_compounds_as_the_contract_says() -> None:
    """The devnet's 3.0.2: 427,777.78 DAI at 5.12 % for 200 days."""
    principal, rate = 427777777777000000000000, 51243614798677811885351588
    assert indices.stable_balance(principal, rate, 1767225768, 1784505780) == 439959331531287164763583
    assert indices.stable_balance(0, rate, 1767225768, 1784505780) == 0


def test_the_binomial_of_short_times() -> None:
    assert rays.compound_binomial(10**26, 0) == RAY
    assert rays.compound_binomial(10**26, 1) == RAY + 10**26 // 31_536_000
    assert rays.compound_binomial(10**26, 2) > RAY + 2 * 10**26 // 31_536_000


@given(AMOUNTS, INDICES, st.integers(-(10**30), 10**30), st.booleans())
def test_balances_that_were_rounded_are_inverted(scaled: int, index: int, delta: int, is_debt: bool) -> None:
    """From 3.5: the scaled balance after an event is the only one whose rounded balance is what the event says."""
    newest = FORMS[NEWEST]
    balance = indices.debt_balance if is_debt else indices.supply_balance
    wanted = balance(newest, scaled, index) + delta
    if wanted < 0:
        return
    after = indices.scaled_after(newest, scaled, delta, index, is_debt=is_debt)
    neighbours = {balance(newest, after + step, index): after + step for step in (-1, 0, 1) if after + step >= 0}
    if wanted in neighbours:
        assert balance(newest, after, index) == wanted
    assert indices.scaled_after(newest, scaled, 0, index, is_debt=is_debt) == scaled


def test_before_3_5_the_amount_is_scaled() -> None:
    index = 3 * RAY // 2
    assert indices.scaled_after(FORMS[7], 100, 50, index, is_debt=True) == 133
    assert indices.scaled_after(FORMS[7], 100, -50, index, is_debt=False) == 67
    assert indices.scaled_after(FORMS[7], 100, 1, index, is_debt=False) == 101


def test_an_update_leaves_alone_what_earns_nothing() -> None:
    """liquidityIndex moves only with a rate, variableBorrowIndex only with debt, the time always."""
    idle = Reserve("0xa", variable_rate=RAY // 10, updated=1000, have=DATA)
    after = indices.accrued(FORMS[NEWEST], idle, 1000 + 86_400, 7)
    assert (after.liquidity_index, after.variable_index, after.updated, after.accrual) == (RAY, RAY, 87_400, 0)
    used = msgspec.structs.replace(idle, liquidity_rate=RAY // 20, borrowed=10**21, configuration=1000 << 64)
    after = indices.accrued(FORMS[NEWEST], used, 1000 + 86_400, 7)
    assert after.liquidity_index > RAY
    assert after.variable_index > RAY
    # A tenth of a day's interest on 1000 whole tokens at 10 %.
    assert after.accrued_to_treasury == pytest.approx(1000e18 * 0.1 / 365 * 0.1, rel=1e-3)
    assert indices.accrued(FORMS[NEWEST], after, 1000 + 86_400, 8) is after


def test_forms_by_revision() -> None:
    assert [form(n).name for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)] == (
        ["3.0"] * 3 + ["3.1", "3.2", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.7"]
    )
    assert [n for n in range(1, 12) if form(n).doubled_accrual] == [9, 10]
    assert [n for n in range(1, 12) if not form(n).sentinel] == [11]
