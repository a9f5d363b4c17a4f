"""What must hold of every cascade: the bracket is ordered, nothing is lost, a deeper pool takes more."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defiwatch.domain.risk import Leg
from defiwatch.domain.units import BPS, WAD
from defiwatch.protocols.aave_v3.forms import FORMS
from defiwatch.state.lending import exact
from defiwatch.state.lending.cascade import Amounts, Cascade, cascade
from defiwatch.state.lending.depth import Depth, Pair
from defiwatch.state.lending.strikes import Loan, of_aave
from tests.unit.state.lending.made_up import STETH, USDC, WBTC, WETH, leg

PAIRS = {"eth": (WETH, USDC, 3000.0), "btc": (WBTC, USDC, 60_000.0), "steth": (STETH, WETH, 3500.0 / 3000.0)}
DECIMALS = {WETH: 18, STETH: 18, USDC: 6, WBTC: 8}
FORM = FORMS[-1]


def pool(name: str, millions: float) -> Pair:
    """A pool at the oracle's price with this much on each side, in millions of dollars."""
    token, other, price = PAIRS[name]
    dollars = {WETH: 3000.0, STETH: 3500.0, WBTC: 60_000.0, USDC: 1.0}
    left = int(millions * 1e6 / dollars[token] * 10 ** DECIMALS[token])
    right = int(millions * 1e6 / dollars[other] * 10 ** DECIMALS[other])
    assert right / 10 ** DECIMALS[other] == pytest.approx(left / 10 ** DECIMALS[token] * price)
    return Pair((token, other), (left, right), 3000)


def pools(scale: float = 1.0) -> Depth:
    return Depth({name: pool(name, size * scale) for name, size in (("eth", 5.0), ("btc", 3.0), ("steth", 2.0))})


def loan(legs: tuple[Leg, ...], number: int = 0) -> Loan:
    return Loan(f"0x{number:040x}", legs, exact.of_aave(FORM), of_aave(FORM, {WETH: 1000}))


def simple(dollars: float, factor: float, number: int = 0) -> Loan:
    """WETH against USDC with this health factor at 3000."""
    held = leg(WETH, collateral=dollars / 3000.0, threshold=8000)
    return loan((held, leg(USDC, debt=dollars * 0.8 / factor)), number)


@st.composite
def borrowers(draw: st.DrawFn) -> list[Loan]:
    found = []
    for number in range(draw(st.integers(1, 8))):
        token = draw(st.sampled_from([WETH, STETH, WBTC]))
        worth = draw(st.floats(100.0, 2e6))
        price = {WETH: 3000.0, STETH: 3500.0, WBTC: 60_000.0}[token]
        threshold = draw(st.integers(5000, 9000))
        held = leg(token, collateral=worth / price, threshold=threshold, bonus=draw(st.integers(10_200, 11_000)))
        owed = worth * threshold / BPS / draw(st.floats(0.95, 1.6))
        lent = draw(st.sampled_from([USDC, WETH] if token != WETH else [USDC]))
        debt = leg(lent, debt=owed / (3000.0 if lent == WETH else 1.0))
        found.append(loan((held, debt), number))
    return found


@st.composite
def simple_borrowers(draw: st.DrawFn) -> list[Loan]:
    sizes = draw(st.lists(st.tuples(st.floats(1e3, 3e6), st.floats(1.0, 1.6)), min_size=1, max_size=8))
    return [simple(dollars, factor, number) for number, (dollars, factor) in enumerate(sizes)]


def run(owing: list[Loan], fall: float, depth: Depth | None = None, asset: str = WETH) -> Cascade:
    return cascade(owing, depth or pools(), asset, fall, follows={STETH: WETH}, still=[USDC])


def of(amounts: Amounts, asset: str) -> int:
    return dict(amounts).get(asset, 0)


falls = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3, 0.5])


@given(borrowers(), falls, st.sampled_from([WETH, WBTC]))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_and_the_bracket_is_ordered(owing: list[Loan], fall: float, asset: str) -> None:
    """Repaid + bad + left is the debt there was, to the unit; pools only is never less than one round."""
    found = run(owing, fall, asset=asset)
    least, most = found.first, found.pools
    for token in (USDC, WETH):
        owed = sum(item.debt for loan_ in owing for item in loan_.legs if item.asset == token)
        assert of(found.debt, token) == owed
        for end in (least, most):
            assert of(end.repaid, token) + of(end.bad, token) + of(end.left, token) == owed
            assert min(of(end.repaid, token), of(end.bad, token), of(end.left, token)) >= 0
        assert of(least.repaid, token) <= of(most.repaid, token)
        assert of(least.bad, token) <= of(most.bad, token)
        assert of(least.left, token) >= of(most.left, token)
        assert of(least.uncovered, token) <= of(most.uncovered, token) <= of(most.bad, token)
    for token in (WETH, STETH, WBTC):
        held = sum(item.collateral for loan_ in owing for item in loan_.legs if item.asset == token)
        assert of(least.sold, token) <= of(most.sold, token) <= held
    assert least.positions <= most.positions <= len(owing)
    assert most.price <= least.price == 1.0 - fall
    assert most.rests
    assert sum(of(item.repaid, USDC) for item in found.rounds) == of(most.repaid, USDC)


@given(borrowers(), falls)
@settings(max_examples=50, deadline=None)
def test_a_loan_that_is_left_is_healthy_at_the_last_prices(owing: list[Loan], fall: float) -> None:
    """Where it rests, nobody who still owes could be liquidated."""
    found = run(owing, fall)
    last = dict(found.rounds[-1].factors)
    untouched = 0
    for loan_ in owing:
        prices = {item.asset: round(item.price * factor(last, item.asset)) for item in loan_.legs}
        if loan_.health(exact.with_prices(loan_.legs, prices)) >= WAD:
            untouched += sum(item.debt for item in loan_.legs if item.asset == USDC)
    assert of(found.pools.left, USDC) >= untouched


def factor(factors: dict[str, float], asset: str) -> float:
    return factors.get(WETH if asset == STETH else asset, 1.0)


@given(borrowers(), falls)
@settings(max_examples=30, deadline=None)
def test_without_debt_nothing_happens(owing: list[Loan], fall: float) -> None:
    clear = [
        Loan(item.account, tuple(exact.with_amounts(item.legs, lent.asset, debt=-lent.debt)), item.health, item.rule)
        for item in owing
        for lent in item.legs
        if lent.debt
    ]
    found = run(clear, fall)
    assert found.debt == found.pools.repaid == found.pools.bad == found.pools.sold == ()
    assert found.pools.price == 1.0 - fall


@given(simple_borrowers(), st.sampled_from([0.05, 0.1, 0.2, 0.3]), st.sampled_from([1.5, 3.0, 10.0, 1000.0]))
@settings(max_examples=150, deadline=None)
def test_deeper_pools_are_no_worse_in_the_first_round(owing: list[Loan], fall: float, deeper: float) -> None:
    """No less repaid and no more bad debt, within the grain of a sale.

    (Where it rests may be worse: what a shallow pool could not take at all never moved the price, and toppled nobody.)
    """
    shallow, deep = (run(owing, fall, Depth({"eth": pool("eth", 2.0 * scale)})) for scale in (1.0, deeper))
    grain = of(shallow.debt, USDC) // 500 + 10
    assert of(deep.first.repaid, USDC) >= of(shallow.first.repaid, USDC) - grain
    assert of(deep.first.bad, USDC) <= of(shallow.first.bad, USDC) + grain


def test_a_deeper_pool_may_topple_more() -> None:
    """A sale that the shallow pool could not take moves the deeper one's price, to where another loan falls."""
    owing = [simple(1000.0, 1.0), simple(169_958.0, 1.30206, 1), simple(390_189.0, 1.0, 2)]
    shallow, deep = (run(owing, 0.2, Depth({"eth": pool("eth", 2.0 * scale)})) for scale in (1.0, 1.5))
    assert of(deep.first.bad, USDC) <= of(shallow.first.bad, USDC)
    assert deep.pools.positions > shallow.pools.positions
    assert deep.pools.price < shallow.pools.price


def test_an_endless_pool_changes_nothing_after_the_shock() -> None:
    found = run([simple(1e6, 1.1)], 0.2, Depth({"eth": pool("eth", 1e6)}))
    assert found.pools.price == pytest.approx(0.8, abs=1e-3)
    assert found.first.bad == found.pools.bad == ()
    assert found.pools.rounds <= 3


def test_sales_of_what_an_exchange_rate_prices_do_not_move_its_price() -> None:
    """The pool of wstETH is emptied; its oracle stands where WETH's does, which only the second hop moves."""
    held = leg(STETH, collateral=300.0, threshold=8000, bonus=11_000)
    it = loan((held, leg(WETH, debt=300.0 * 3500 / 3000 * 0.79)))
    depth = Depth({"steth": pool("steth", 20.0)})
    rated = cascade([it], depth, STETH, 0.0, follows={STETH: WETH})
    assert rated.debt == rated.pools.left  # healthy: 0.8 over 0.79
    weak = loan((held, leg(WETH, debt=300.0 * 3500 / 3000 * 0.81)))
    rated = cascade([weak], depth, WETH, 0.0, follows={STETH: WETH})
    market = cascade([weak], depth, WETH, 0.0)
    assert of(rated.pools.sold, STETH) > 0
    assert rated.rounds[-1].factors == ((WETH, 1.0),)
    assert dict(market.rounds[-1].factors)[STETH] < 1.0
    assert any("wstETH" in text for text in rated.assumes)
    assert not any("wstETH" in text for text in market.assumes)


def test_a_sale_stops_where_it_no_longer_pays() -> None:
    """A pool of $100k on each side and a loan of a million: what is sold leaves the price no lower than the bonus."""
    found = run([simple(1e6, 1.01)], 0.05, Depth({"eth": pool("eth", 0.1)}))
    assert 0 < of(found.first.repaid, USDC) < of(found.debt, USDC) // 50
    assert of(found.first.bad, USDC) == of(found.debt, USDC) - of(found.first.repaid, USDC)
    after = dict(found.rounds[0].factors)[WETH] / 0.95
    assert 1.0 / 1.05 - 0.001 < after < 1.0


def test_where_no_pool_buys_the_collateral_it_is_said() -> None:
    found = run([simple(1e6, 1.01)], 0.05, Depth({}))
    assert found.pools.unrouted == found.pools.repaid != ()
    assert found.pools.bad == ()
    assert found.pools.price == 0.95


def test_debt_beyond_the_collateral_is_told_apart() -> None:
    """After a fall by half all collateral goes: it repays its worth less the bonus, and what is left has none."""
    deep = Depth({"eth": pool("eth", 1e6)})
    found = run([simple(1e6, 1.1)], 0.5, deep).first
    debt, repaid = 1e6 * 0.8 / 1.1, 0.5e6 / 1.05
    assert of(found.repaid, USDC) / 1e6 == pytest.approx(repaid, rel=1e-3)
    assert of(found.bad, USDC) / 1e6 == pytest.approx(debt - repaid, rel=2e-3)
    assert found.uncovered == found.bad
