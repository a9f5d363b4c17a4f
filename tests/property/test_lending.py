"""What must hold of every position: monotone in price, the crossing crosses, the ladder never falls, the safe amount
is safe."""

from __future__ import annotations

import gzip
from csv import DictReader
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import UINT256_MAX, WAD
from defiwatch.protocols.aave_v3.account import AccountData
from defiwatch.protocols.aave_v3.crossing import liquidation_prices
from defiwatch.protocols.aave_v3.forms import FORMS
from defiwatch.state.lending import barrier, distances, exact
from defiwatch.state.lending.ladder import Matrix
from defiwatch.state.lending.remedies import after, remedies
from tests.unit.state.lending.made_up import BASE, STETH, USDC, WBTC, WETH, leg, position

ASSETS = [WETH, STETH, USDC, WBTC]
amounts = st.floats(0.0, 1e7, allow_nan=False).map(lambda x: round(x, 6))


@st.composite
def positions(draw: st.DrawFn, account: str = "0x" + "99" * 20) -> Position:
    """One to four assets, on either side or both, worth from dust to billions."""
    chosen = draw(st.lists(st.sampled_from(ASSETS), min_size=1, max_size=4, unique=True))
    legs = []
    for asset in chosen:
        worth = 1.0 / (3000.0 if asset in (WETH, STETH) else 60_000.0 if asset == WBTC else 1.0)
        sides = draw(st.sampled_from(["collateral", "debt", "both"]))
        collateral = draw(amounts) * worth if sides != "debt" else 0.0
        debt = draw(amounts) * worth if sides != "collateral" else 0.0
        threshold, bonus = draw(st.integers(100, 9700)), draw(st.integers(10_100, 11_500))
        legs.append(leg(asset, collateral, debt, threshold=threshold, bonus=bonus))
    return position(*legs, account=account)


forms = st.sampled_from(FORMS)


@given(positions(), st.sampled_from(ASSETS), st.floats(0.0, 0.99))
def test_the_factor_is_monotone_in_every_price(it: Position, asset: str, fall: float) -> None:
    """Of a collateral upwards, of a debt downwards; of both by which outweighs."""
    mine = [item for item in it.legs if item.asset == asset]
    assume(bool(mine) and it.debt_base > 0)
    (item,) = mine
    before, now = exact.plain(it.legs), exact.plain(exact.shocked(it.legs, {asset: -fall}))
    if item.debt == 0:
        assert now <= before
    elif item.collateral == 0:
        assert now >= before


@given(positions(), st.integers(1, 10**20), st.integers(1, 10**20), forms)
def test_in_a_contracts_own_arithmetic_more_collateral_or_less_debt_never_hurts(
    it: Position, more: int, less: int, form: object
) -> None:
    """From 3.5 on; before, thresholds are averaged to a basis point, and weak collateral can lower the average."""
    health = exact.of_aave(form)  # type: ignore[arg-type]
    directional = bool(getattr(form, "directional", False))
    before = health(it.legs)
    for item in it.legs:
        if directional:
            assert health(exact.with_amounts(it.legs, item.asset, collateral=more)) >= before
        assert health(exact.with_amounts(it.legs, item.asset, debt=-less)) >= before


@st.composite
def loans(draw: st.DrawFn) -> Position:
    """WETH against USDC, with other assets on either side, none of them dust."""
    worth = {asset: draw(st.floats(10.0, 1e8)) for asset in ASSETS}
    own, odd = worth[WETH] / 3000, worth[STETH] / 3500
    legs = [leg(WETH, own, own * draw(st.floats(0.0, 0.7)), threshold=draw(st.integers(1000, 9500)))]
    legs.append(leg(USDC, debt=worth[USDC]))
    if draw(st.booleans()):
        legs.append(leg(STETH, odd, threshold=9000))
    if draw(st.booleans()):
        legs.append(leg(WBTC, debt=worth[WBTC] / 60_000))
    return position(*legs)


@given(loans(), st.sampled_from(ASSETS))
def test_the_closed_form_price_is_where_the_factor_crosses(it: Position, asset: str) -> None:
    """The float crossing, a hair to each side, against exact integers."""
    crossing = distances.liquidation_price(it, asset)
    if crossing is None:
        return
    (item,) = [found for found in it.legs if found.asset == asset]
    slope = item.collateral * item.liquidation_threshold - item.debt * 10_000
    now = abs(slope) * item.price / 10**item.decimals / 10_000
    moved = now * crossing / item.price
    # Floats round, and so do values and prices: now, at the crossing, and the price itself.
    margin = 1e-9 + 1e-14 * it.debt_base / moved + 4 / now + 8 / moved + 1 / crossing
    if margin > 0.01:
        return
    low = exact.plain(exact.with_prices(it.legs, {asset: round(crossing * (1 - margin))}))
    high = exact.plain(exact.with_prices(it.legs, {asset: round(crossing * (1 + margin))}))
    if slope > 0:
        assert low < WAD <= high
    else:
        assert low >= WAD > high


@given(positions(), forms)
def test_aaves_exact_crossings_agree_with_the_what_if_path(it: Position, form: object) -> None:
    """Two separate pieces of exact arithmetic: the contract's crossing, and the factor of legs at another price."""
    health = exact.of_aave(form)  # type: ignore[arg-type]
    directional = bool(getattr(form, "directional", False))
    legs: list[Leg] = []
    for item in it.legs:
        unit = 10**item.decimals
        owed = -(-item.debt * item.price // unit) if directional else item.debt * item.price // unit
        legs.append(msgspec.structs.replace(item, debt_base=owed))
    collateral = sum(item.collateral_base for item in legs)
    weighted = sum(item.collateral_base * item.liquidation_threshold for item in legs)
    debt = sum(item.debt_base for item in legs)
    average = weighted // collateral if collateral else 0
    data = AccountData(collateral, debt, 0, average, 0, health(legs), weighted, tuple(legs))
    for asset, price in liquidation_prices(form, data).items():  # type: ignore[arg-type]
        assert health(exact.with_prices(legs, {asset: price})) < WAD


shocks = st.dictionaries(st.sampled_from(ASSETS), st.floats(0.0, 1.0), max_size=4)


@given(st.lists(positions(), min_size=1, max_size=12), shocks)
def test_the_ladder_never_decreases_and_the_matrix_says_what_the_positions_say(
    held: list[Position], betas: dict[str, float]
) -> None:
    matrix = Matrix.of(held)
    rungs = matrix.ladder(betas)
    for before, now in pairwise(rungs):
        assert now.collateral >= before.collateral
        assert now.debt >= before.debt
        assert now.positions >= before.positions
    assert rungs[-1].collateral <= sum(it.collateral_base for it in held) * (1 + 1e-12)
    for it, factor in zip(held, matrix.health(), strict=True):
        if it.debt_base == 0:
            assert factor == float("inf")
        else:
            assert factor == pytest.approx(it.health_factor / WAD, rel=1e-9, abs=1e-15)


@given(positions(), st.sampled_from(ASSETS))
def test_a_rung_is_where_the_exact_path_says_it_is(it: Position, asset: str) -> None:
    """One position, one asset: it is on the rung if and only if the exact factor falls below 1 on the way."""
    assume(it.debt_base > 10**8 and it.collateral_base > 10**8)
    for rung in Matrix.of([it]).ladder({asset: 1.0}):
        factors = [exact.plain(exact.shocked(it.legs, {asset: -rung.fall * part})) for part in (0.0, 0.5, 1.0)]
        if min(factors) < WAD * (1 - 1e-7):
            assert rung.positions == 1
        if min(factors) > WAD * (1 + 1e-7):
            assert rung.positions == 0


@given(positions(), st.floats(1.01, 4.0), forms)
def test_the_safe_amount_makes_safe_and_one_unit_less_does_not(it: Position, target: float, form: object) -> None:
    health = exact.of_aave(form)  # type: ignore[arg-type]
    for item in remedies(it, health, target):
        if item.amount:
            assert health(after(it.legs, item.action, item.asset, item.amount)) >= item.target
            assert health(after(it.legs, item.action, item.asset, item.amount - 1)) < item.target
        else:
            assert item.why


@given(st.floats(1.0001, 10.0), st.floats(0.001, 3.0), st.floats(60.0, 3e6), st.floats(1.0, 7200.0))
def test_probabilities_behave(factor: float, sigma: float, horizon: float, push: float) -> None:
    told = barrier.p_liquidation(factor, sigma, horizon, push_s=push)
    assert 0.0 <= told <= 1.0
    assert told <= barrier.p_liquidation(factor, sigma, horizon) + 1e-12
    assert barrier.p_liquidation(factor * 1.01, sigma, horizon, push_s=push) <= told + 1e-12
    assert barrier.p_liquidation(factor, sigma, horizon * 1.5) >= barrier.p_liquidation(factor, sigma, horizon) - 1e-12


@given(positions())
def test_a_liquidation_in_the_toxic_zone_lowers_the_factor(it: Position) -> None:
    taken = distances.best_take(it, "half")
    if taken is None or taken.whole or distances.factor(it) >= 1.0 or taken.repay_value < 1e4:
        return
    zone = next(item for item in distances.toxic(it) if item.asset == taken.collateral)
    factor = distances.factor(it)
    if abs(factor / zone.below - 1.0) > 1e-6:
        assert (taken.factor_after < factor) is (factor < zone.below)


@pytest.mark.data
def test_real_accounts(data_folder: Path) -> None:
    """2,280 accounts with the factor that their contract returned: 2,276 agree to 1e-15 relative, all to 2e-13."""
    close = far = 0
    for name in ("steth_aave", "b1", "b2"):
        path = data_folder / "aave_positions_snapshot" / f"{name}.csv.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in DictReader(file):
                collateral, debt = (int(Decimal(row[key]).scaleb(36)) for key in ("collateral", "debt"))
                legs = (
                    Leg("c", "c", 36, collateral, 0, 10**36, int(row["threshold"])),
                    Leg("d", "d", 36, 0, debt, 10**36, 0),
                )
                told = Fraction(Decimal(row["healthf"]))
                error = abs(Fraction(exact.plain(legs), WAD) / told - 1)
                assert error <= Fraction(2, 10**13)
                close += error <= Fraction(1, 10**15)
                far += 1
    assert (close, far) == (2276, 2280)


def test_a_position_without_debt_has_no_end() -> None:
    assert exact.plain(position(leg(WETH, 1)).legs) == UINT256_MAX
    assert BASE == 10**8
