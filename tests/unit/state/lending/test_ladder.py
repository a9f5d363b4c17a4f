"""The matrix of positions, its ladder, and markets as a whole."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from defiwatch.domain.risk import Market
from defiwatch.state.lending.ladder import STEPS, Matrix
from defiwatch.state.lending.markets import concentration, debts_in, usage
from tests.unit.state.lending.made_up import BASE, STETH, USDC, WBTC, WETH, leg, position


def book() -> list:  # type: ignore[type-arg]
    """HF 1.2 on ETH; 1.05 on wstETH; a short; a loop; one underwater; one that cannot be told."""
    return [
        position(leg(WETH, 10), leg(USDC, debt=20_000), account="a"),
        position(leg(STETH, 10, threshold=9000), leg(USDC, debt=30_000), account="b"),
        position(leg(USDC, 30_000), leg(WETH, debt=5), account="c"),
        position(leg(STETH, 10, threshold=9300), leg(WETH, debt=10), account="d"),
        position(leg(WETH, 1), leg(USDC, debt=2900), account="e"),
        position(leg(WETH, 1), leg(USDC, debt=1), account="f", unknown="no price"),
        position(leg(WBTC, 1), account="g"),
    ]


def test_health_as_the_positions_have_it() -> None:
    matrix = Matrix.of(book())
    assert [key[1] for key in matrix.keys] == ["a", "b", "c", "d", "e", "g"]
    expected = [p.health_factor / 10**18 for p in book() if p.account != "f" and p.debt_base]
    assert matrix.health()[:5] == pytest.approx(expected, rel=1e-12)
    assert matrix.health()[5] == np.inf
    assert matrix.health(np.array([1]))[0] == pytest.approx(expected[1])


def test_a_tick_moves_who_holds_the_asset() -> None:
    matrix = Matrix.of(book())
    rows, factors = matrix.tick(WETH, 0.9)
    assert sorted(matrix.keys[row][1] for row in rows) == ["a", "c", "d", "e"]
    by_account = {matrix.keys[row][1]: factor for row, factor in zip(rows, factors, strict=True)}
    assert by_account["a"] == pytest.approx(1.08)
    assert by_account["c"] == pytest.approx(24_000 / 13_500)
    assert by_account["d"] == pytest.approx(35_000 * 0.93 / 27_000)
    moved = matrix.weighted.copy()
    matrix.refresh()
    assert moved == pytest.approx(matrix.weighted, rel=1e-12)
    assert matrix.tick("0x" + "ee" * 20, 2.0)[0].size == 0


def test_a_ladder_of_one_asset() -> None:
    """ETH alone: e is under already, a goes at −16.7 %; the short and the loop only get safer."""
    rungs = Matrix.of(book()).ladder({WETH: 1.0})
    assert [rung.fall for rung in rungs] == list(STEPS)
    by_fall = {rung.fall: rung for rung in rungs}
    assert by_fall[0.01].positions == 1
    assert by_fall[0.01].debt == pytest.approx(2900 * BASE)
    assert by_fall[0.15].positions == 1
    assert by_fall[0.2].positions == by_fall[0.5].positions == 2
    assert by_fall[0.2].collateral == pytest.approx(33_000 * BASE)


def test_a_ladder_of_what_falls_together() -> None:
    """With the LST the loop does not move, the loan on it does; at half the beta later."""
    matrix = Matrix.of(book())
    together = {rung.fall: rung.positions for rung in matrix.ladder({WETH: 1.0, STETH: 1.0})}
    assert (together[0.03], together[0.05], together[0.2]) == (1, 2, 3)
    half = {rung.fall: rung.positions for rung in matrix.ladder({STETH: 0.5})}
    assert (half[0.05], half[0.1]) == (1, 2)
    discount = {rung.fall: rung.positions for rung in matrix.ladder({STETH: 1.0})}
    assert discount[0.1] == 3  # the loop goes with a discount of the LST alone


def test_a_threshold_at_a_step_is_past_it() -> None:
    """Exactly at K = D nobody is liquidatable: the step that reaches it does not count it, the next does."""
    matrix = Matrix.of([position(leg(WETH, 10), leg(USDC, debt=18_000))])
    by_fall = {rung.fall: rung.positions for rung in matrix.ladder({WETH: 1.0}, (0.2, 0.25, 0.250001))}
    assert by_fall == {0.2: 0, 0.25: 0, 0.250001: 1}


def test_what_nobody_could_recover() -> None:
    matrix = Matrix.of(book())
    assert matrix.bad_debt() == 0.0
    assert matrix.insolvent({WETH: 1.0}, 0.5) == pytest.approx((20_000 - 15_000 + 2900 - 1500) * BASE)
    matrix.tick(WETH, 0.5)
    assert matrix.bad_debt() == pytest.approx((20_000 - 15_000 + 2900 - 1500) * BASE)


def test_an_empty_market() -> None:
    matrix = Matrix.of([])
    assert matrix.health().size == 0
    assert [rung.positions for rung in matrix.ladder({WETH: 1.0})] == [0] * 12
    assert matrix.bad_debt() == 0.0
    alone = Matrix.of([position(leg(WETH, 1))])
    assert [rung.positions for rung in alone.ladder({WETH: 9.0})] == [0] * 12


def market(**more: object) -> Market:
    plain = Market(1, "x", "m", "M", USDC, "USDC", 6, supplied=1000, borrowed=800, cash=200, debt_known=600)
    return msgspec.structs.replace(plain, **more)


def test_usage() -> None:
    found = usage(market(supply_cap=2000, borrow_cap=800, bad_debt=10))
    assert (found.utilisation, found.withdrawable, found.withdrawable_share) == (0.8, 200, 0.2)
    assert (found.supply_cap_used, found.supply_left) == (0.5, 1000)
    assert (found.borrow_cap_used, found.borrow_left) == (1.0, 0)
    assert (found.completeness, found.bad_debt_share) == (0.75, 0.01)
    empty = usage(market(supplied=0, borrowed=0, cash=0, debt_known=0))
    assert (empty.utilisation, empty.withdrawable_share, empty.completeness, empty.supply_left) == (
        0.0,
        None,
        None,
        None,
    )


def test_concentration() -> None:
    equal = concentration([(str(i), 5.0) for i in range(20)])
    assert equal.borrowers == 20
    assert (equal.hhi, equal.equal) == pytest.approx((0.05, 20))
    assert equal.top_share == pytest.approx(0.5)
    one = concentration([("a", 3.0), ("b", 0.0), ("a", 1.0)])
    assert (one.borrowers, one.hhi, one.top) == (1, 1.0, (("a", 1.0),))
    assert concentration([]).borrowers == 0
    told = concentration(debts_in(book()))
    assert told.top[0][0] == "b"
    assert told.top[0][1] == pytest.approx(30_000 / 97_900)
    assert dict(concentration(debts_in(book(), WETH)).top) == pytest.approx({"d": 2 / 3, "c": 1 / 3})
