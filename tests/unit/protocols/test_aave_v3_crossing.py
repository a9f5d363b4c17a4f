"""The liquidation price is where the factor crosses 1: held against the account's own arithmetic at other prices."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defiwatch.domain.risk import Leg
from defiwatch.domain.units import BPS, WAD
from defiwatch.protocols.aave_v3.account import AccountData, health_factor
from defiwatch.protocols.aave_v3.crossing import liquidation_prices
from defiwatch.protocols.aave_v3.forms import FORMS, Form

Spec = tuple[int, int, int, int, int]
"""Decimals, collateral, debt, price, threshold."""


def leg(form: Form, place: int, spec: Spec) -> Leg:
    decimals, collateral, debt, price, threshold = spec
    unit = 10**decimals
    owed = -(-debt * price // unit) if form.directional else debt * price // unit
    value = collateral * price // unit if threshold else 0
    return Leg(f"0x{place}", "", decimals, collateral, debt, price, threshold, value, owed, 10500)


def account(form: Form, specs: list[Spec]) -> AccountData:
    legs = tuple(leg(form, place, spec) for place, spec in enumerate(specs))
    collateral = sum(one.collateral_base for one in legs)
    debt = sum(one.debt_base for one in legs)
    weighted = sum(one.collateral_base * one.liquidation_threshold for one in legs)
    factor = health_factor(form, collateral, weighted, debt)
    return AccountData(collateral, debt, 0, 0, 0, factor, weighted, legs)


def factor_at(form: Form, specs: list[Spec], place: int, price: int) -> int:
    decimals, collateral, debt, _, threshold = specs[place]
    moved = [*specs]
    moved[place] = (decimals, collateral, debt, price, threshold)
    return account(form, moved).health_factor


@st.composite
def spec(draw: st.DrawFn) -> Spec:
    decimals = draw(st.sampled_from([6, 8, 18]))
    price = draw(st.integers(10**6, 10**13))
    worth = draw(st.integers(10**9, 10**15))  # 10 to 10 million dollars
    side = draw(st.sampled_from(["collateral", "debt", "both"]))
    amount = worth * 10**decimals // price
    owed = amount * draw(st.integers(1, 150)) // 100
    threshold = draw(st.sampled_from([0, 6800, 7800, 8250, 9300, 9500]))
    return (decimals, 0 if side == "debt" else amount, 0 if side == "collateral" else owed, price, threshold)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([1, 7, 8, 9, 10, 11]), st.lists(spec(), min_size=2, max_size=4))
def test_the_factor_crosses_one_there(revision: int, specs: list[Spec]) -> None:
    form = FORMS[revision]
    data = account(form, specs)
    prices = liquidation_prices(form, data)
    for place, (decimals, collateral, debt, price, threshold) in enumerate(specs):
        weight = collateral * threshold - debt * BPS
        # Where it is on both sides, rounding makes neighbours alternate this far around the crossing.
        blur = 4 * BPS * 10**decimals // abs(weight) + 2 if weight and collateral and debt and threshold else 0
        found = prices.get(f"0x{place}")
        if found is None:
            others = data.weighted - data.legs[place].collateral_base * threshold
            if others == 0 or (collateral and debt and threshold) or data.debt == 0:
                continue  # nothing to cross, or a crossing that only rounding makes
            sides = {factor_at(form, specs, place, at) < WAD for at in (1, price // 50 + 1, price, price * 50, 10**60)}
            assert len(sides) == 1, (place, specs)
            continue
        falls = weight > 0
        step = 1 if falls else -1
        assert factor_at(form, specs, place, found) < WAD
        assert factor_at(form, specs, place, found + step) >= WAD
        for far in (1, 2, 10, 1_000, found // 1_000, found // 10):
            beyond = found + step * (1 + blur + far)
            if beyond >= 1:
                assert factor_at(form, specs, place, beyond) >= WAD
            before = found - step * (blur + far)
            if before >= 1 and form.directional:
                assert factor_at(form, specs, place, before) < WAD


@pytest.mark.parametrize("revision", [1, 8, 9, 11])
def test_simple_crossings(revision: int) -> None:
    """10 ETH at 80 % against 8,000 USD: at risk below 1,000, or if USD is above 1.25 while ETH stands at 1,250."""
    form = FORMS[revision]
    eth: Spec = (18, 10 * 10**18, 0, 1_250 * 10**8, 8000)
    usd: Spec = (6, 0, 8_000 * 10**6, 10**8, 0)
    prices = liquidation_prices(form, account(form, [eth, usd]))
    rounding = 0 if form.directional else 1  # up to 3.4 the weighted collateral is rounded half up
    assert prices["0x0"] in (1_000 * 10**8 - 1, 1_000 * 10**8 - 1 - rounding)
    assert prices["0x1"] == 125_000_001


@pytest.mark.parametrize("revision", [1, 11])
def test_what_no_price_decides(revision: int) -> None:
    form = FORMS[revision]
    eth: Spec = (18, 10**18, 0, 2_000 * 10**8, 8000)
    both: Spec = (18, 10**18, 10**17, 2_000 * 10**8, 8000)
    assert liquidation_prices(form, account(form, [eth])) == {}
    assert liquidation_prices(form, account(form, [both])) == {}  # it owes a tenth of what it holds, at any price
    worthless: Spec = (18, 10**18, 0, 10**8, 0)
    assert set(liquidation_prices(form, account(form, [eth, worthless, (6, 0, 10**8, 10**8, 0)]))) == {"0x0", "0x2"}


def test_already_beyond() -> None:
    """Below 1 the price is the one that would save it."""
    form = FORMS[11]
    specs: list[Spec] = [(18, 10**18, 0, 1_000 * 10**8, 8000), (6, 0, 1_000 * 10**6, 10**8, 0)]
    data = account(form, specs)
    assert data.health_factor < WAD
    assert liquidation_prices(form, data) == {"0x0": 1_250 * 10**8 - 1, "0x1": 80_000_001}
