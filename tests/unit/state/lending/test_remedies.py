"""The smallest amount that makes safe, and why it cannot be done."""

from __future__ import annotations

import pytest

from defiwatch.domain.units import UINT256_MAX, WAD
from defiwatch.protocols.aave_v3.forms import FORMS
from defiwatch.state.lending import exact
from defiwatch.state.lending.remedies import Room, after, amount_for, remedies, smallest
from tests.unit.state.lending.made_up import BASE, USDC, WBTC, WETH, leg, position


def test_the_smallest_amounts() -> None:
    """10 ETH against 20,000: HF 1.2. For 1.5 repay 4,000, or add 2.5 ETH."""
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    found = {(item.action, item.symbol): item for item in remedies(it, exact.plain, 1.5)}
    assert set(found) == {("repay", "USDC"), ("supply", "WETH")}
    assert found["repay", "USDC"].amount == 4000 * 10**6
    assert found["supply", "WETH"].amount == pytest.approx(2.5 * 10**18, rel=1e-9)
    assert found["supply", "WETH"].value == pytest.approx(7500 * BASE, abs=1)
    for (action, _), item in found.items():
        assert exact.plain(after(it.legs, item.action, item.asset, item.amount)) >= item.target == 15 * WAD // 10
        assert exact.plain(after(it.legs, item.action, item.asset, item.amount - 1)) < item.target
        assert item.possible and item.why == "" and action == item.action


def test_the_cheapest_that_can_be_done_comes_first() -> None:
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    assert [item.action for item in remedies(it, exact.plain, 1.5)] == ["repay", "supply"]
    rooms = {USDC: Room(wallet=100 * 10**6)}
    first, second = remedies(it, exact.plain, 1.5, rooms)
    assert (first.action, second.action) == ("supply", "repay")
    assert second.why == "the wallet holds 100000000 units of USDC only"


@pytest.mark.parametrize(
    ("room", "action", "why"),
    [
        (Room(paused=True), "repay", "WETH is paused"),
        (Room(paused=True), "supply", "WETH is paused"),
        (Room(frozen=True), "repay", ""),
        (Room(frozen=True), "supply", "WETH is frozen: it can be repaid, not supplied"),
        (Room(supply_left=5), "supply", "the supply cap of WETH leaves room for 5 units only"),
        (Room(supply_left=5), "repay", ""),
        (Room(withdrawable=7), "repay_from_supply", "only 7 units of WETH can be withdrawn now"),
        (Room(withdrawable=7, wallet=0), "repay", "the wallet holds 0 units of WETH only"),
        (Room(wallet=0), "repay_from_supply", ""),
    ],
)
def test_what_stands_against_it(room: Room, action: str, why: str) -> None:
    it = position(leg(WETH, 10, 7), leg(WBTC, 0.01))
    found = {item.action: item for item in remedies(it, exact.plain, 1.2, {WETH: room}) if item.asset == WETH}
    assert (found[action].why, found[action].possible) == (why, not why)  # type: ignore[index]
    assert found[action].amount > 0  # type: ignore[index]


def test_what_no_amount_can_do() -> None:
    it = position(leg(WETH, 10), leg(USDC, debt=10_000), leg(WBTC, debt=0.2))
    found = {(item.action, item.symbol): item for item in remedies(it, exact.plain, 3.0)}
    assert found["repay", "USDC"].why == "repaying all USDC is not enough"
    assert (found["repay", "WBTC"].amount, found["repay", "WBTC"].possible) == (0, False)
    assert found["supply", "WETH"].possible
    loop = position(leg(WETH, 1, 5, threshold=1000), leg(WBTC, 1, threshold=2500))
    assert any(item.action == "repay_from_supply" and not item.possible for item in remedies(loop, exact.plain, 5.0))


def test_nothing_to_do() -> None:
    assert remedies(position(leg(WETH, 10), leg(USDC, debt=20_000)), exact.plain, 1.2) == []
    assert remedies(position(leg(WETH, 10)), exact.plain, 2.0) == []
    assert remedies(position(leg(WETH, 10), leg(USDC, debt=20_000), unknown="no price"), exact.plain, 2.0) == []
    assert amount_for(exact.plain, position(leg(WETH, 1)).legs, "repay", USDC, WAD) is None


def test_the_search_finds_the_first_that_passes() -> None:
    asked = []

    def reaches(amount: int) -> bool:
        asked.append(amount)
        return amount >= 123_456_789

    assert smallest(reaches, 2**200) == 123_456_789
    assert len(asked) < 70
    assert smallest(lambda amount: amount >= 0, 5) == 0
    assert smallest(lambda amount: amount >= 5, 5) == 5
    assert smallest(lambda amount: amount >= 6, 5) is None
    assert smallest(lambda amount: amount >= 1, 0) is None


def test_every_revision_of_aave_has_its_own_roundings() -> None:
    it = position(leg(WETH, 10.000000000000000001), leg(USDC, debt=19_999.999999))
    factors = set()
    for form in FORMS:
        health = exact.of_aave(form)
        factors.add(health(it.legs))
        assert health(position(leg(WETH, 1)).legs) == UINT256_MAX
        amount = amount_for(health, it.legs, "repay", USDC, 15 * WAD // 10)
        assert amount is not None
        assert health(after(it.legs, "repay", USDC, amount)) >= 15 * WAD // 10
        assert health(after(it.legs, "repay", USDC, amount - 1)) < 15 * WAD // 10
    assert all(abs(factor - 12 * WAD // 10) < 10**11 for factor in factors)
