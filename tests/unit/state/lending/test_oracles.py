"""The dual health factor, and how wrong an oracle may be."""

from __future__ import annotations

import pytest

from defiwatch.state.lending import oracles
from tests.unit.state.lending.made_up import BASE, STETH, USDC, WETH, leg, position


def test_the_dual_health_factor_names_what_each_oracle_sees() -> None:
    """A discount of 5 % on an LST: its oracle never reads the market, so the protocol will not see it."""
    it = position(leg(STETH, 10, threshold=9300), leg(WETH, debt=10))
    prices = {STETH: 3325.0 * BASE, WETH: 3000.0 * BASE}
    blind = oracles.dual(it, prices, {STETH: "ratio_cap", WETH: "feed"})
    assert blind.protocol == pytest.approx(1.085)
    assert blind.market == pytest.approx(1.085 * 0.95)
    assert blind.coming == pytest.approx(1.085)
    assert [(item.symbol, item.kind, item.seen) for item in blind.legs] == [
        ("wstETH", "ratio_cap", False),
        ("WETH", "feed", True),
    ]
    assert blind.legs[0].deviation == pytest.approx(-0.05)
    seen = oracles.dual(it, prices, {STETH: "feed", WETH: "feed"})
    assert seen.coming == seen.market
    missing = oracles.dual(it, {STETH: 3325.0 * BASE}, {})
    assert (missing.market, missing.coming) == (None, None)


def test_how_wrong_the_oracle_may_be() -> None:
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    assert oracles.sentence(it) == "liquidated if the oracle of WETH is 20.0 % too high"
    short = position(leg(USDC, 30_000), leg(WETH, debt=7.9))
    assert oracles.sentence(short) == "liquidated if the oracle of USDC is 1.3 % too high"
    under = position(leg(WETH, 10), leg(USDC, debt=25_000))
    assert oracles.sentence(under) == "liquidatable now; not so if the oracle of USDC is 4.0 % wrong"
    assert oracles.sentence(position(leg(WETH, 10))) == ""


def test_a_cap_s_growth_as_a_rate_a_year() -> None:
    assert oracles.yearly(int(1.17e18 * 0.0968 / 31_536_000), 117 * 10**16) == pytest.approx(0.0968, rel=1e-6)
    assert oracles.yearly(5, 0) == 0.0
