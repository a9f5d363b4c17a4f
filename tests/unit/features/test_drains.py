"""What left a pool: shares that multiply, windows that end, trades that are no drain."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.domain.events import BlockRef, LiquidityMoved, Swapped
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Pool
from defiwatch.features import FEATURES, Features
from defiwatch.state.journal import JournaledBook

ID = "0x" + "cd" * 20
A, B = "0x" + "01" * 20, "0x" + "02" * 20
WINDOW = 600.0


def pool(reserve0: float, reserve1: float, *, price: float | None = None, unknown: str = "") -> Pool:
    held = (int(reserve0 * 10**18), int(reserve1 * 10**18))
    spot = price if price is not None else (reserve1 / reserve0 if reserve0 else 0.0)
    return Pool(1, "p", ID, "A/B", (A, B), ("A", "B"), (18, 18), held, 3000, spot, unknown=unknown)


class Chain:
    def __init__(self) -> None:
        self.book = JournaledBook(1)
        self.features = Features(WINDOW)
        self.number = 0

    def at(self, time: int, state: Pool, *facts: float | str, standing: bool = False) -> dict[str, float] | None:
        """A block at `time` that ends with `state`; a float is a liquidity move of that share, a text a trade."""
        self.number += 1
        at = BlockRef(1, self.number, f"0x{self.number:x}", time)
        self.book.open(at)
        for fact in facts:
            event = (
                LiquidityMoved(ID, "p", 0, 0, fact, "", -1)
                if isinstance(fact, float)
                else Swapped(ID, "p", A, B, 1, -1, state.price, 3000, "", -1)
            )
            list(self.features.on_fact(self.book, at, event, state if isinstance(event, Swapped) else None))
        looked = (("p", ID),) if standing else ()
        found: list[Observation] = [
            obs for obs in self.features.on_block(self.book, at, lambda _p, _i: state, looked) if obs.kind == "drain"
        ]
        assert len(found) <= 1
        return found[0].values if found else None


def test_removals_multiply_within_the_window_and_leave_it() -> None:
    chain = Chain()
    chain.at(0, pool(100, 100), "trade")
    first = chain.at(60, pool(80, 80), -0.2)
    assert first is not None
    assert first["removed"] == pytest.approx(0.2)
    second = chain.at(120, pool(40, 40), -0.5)
    assert second is not None
    assert second["removed"] == pytest.approx(0.6)
    assert second["outflow"] == pytest.approx(0.0, abs=1e-9)
    after = chain.at(120 + int(WINDOW) + 60, pool(40, 40), standing=True)
    assert after == {"removed": 0.0, "outflow": 0.0}


def test_what_is_added_again_was_not_drained() -> None:
    """A removal is a share of what was there, an addition a share of what is there then: 100 → 60 → 100."""
    chain = Chain()
    chain.at(0, pool(100, 100), "trade")
    assert chain.at(60, pool(100, 100), -0.4, 0.4) is None
    assert chain.at(72, pool(60, 60), -0.4) is not None
    back = chain.at(84, pool(100, 100), 0.4, standing=True)
    assert back is not None
    assert back["removed"] == pytest.approx(0.0, abs=1e-9)


def test_liquidity_that_comes_and_goes_with_one_trade_is_no_drain() -> None:
    """Just-in-time: 97 % of what is there afterwards comes in, and goes out again in the same block."""
    chain = Chain()
    chain.at(0, pool(100, 100), "trade")
    assert chain.at(12, pool(100, 100), 0.97, "trade", -0.97) is None


def test_a_fair_trade_is_no_drain_and_a_worthless_one_is() -> None:
    """x·y = 10,000. Price up by a fifth: half of 1 - √(1/1.2) = 4.4 %. Worthless tokens for 95 % of a side: 47.5 %."""
    chain = Chain()
    chain.at(0, pool(100, 100), "trade")
    fair = chain.at(12, pool(100 / math.sqrt(1.2), 100 * math.sqrt(1.2)), "trade")
    assert fair is not None
    assert fair["outflow"] == pytest.approx(0.5 * (1 - math.sqrt(1 / 1.2)))
    assert fair["removed"] == 0.0
    chain = Chain()
    chain.at(0, pool(100, 100), "trade")
    bled = chain.at(12, pool(5, 2000), "trade")
    assert bled is not None
    assert bled["outflow"] == pytest.approx(0.475)


def test_a_concentrated_pool_that_turns_over_at_one_price_is_not_drained() -> None:
    chain = Chain()
    chain.at(0, pool(100, 100, price=1.0), "trade")
    assert chain.at(12, pool(10, 190, price=1.0), "trade") is None


def test_shares_of_a_pool_without_balances_mean_nothing() -> None:
    chain = Chain()
    blind = pool(0, 0, price=1.0, unknown="balances not read")
    chain.at(0, blind, "trade")
    assert chain.at(12, blind, -0.97) is None
    emptied = Chain()
    emptied.at(0, pool(100, 100), "trade")
    gone = emptied.at(12, pool(0, 0), -1.0)
    assert gone is not None
    assert gone["removed"] == pytest.approx(1.0, abs=1e-5)


def test_features_are_listed() -> None:
    chain = Chain()
    chain.at(0, pool(100, 100), "trade")
    found = chain.at(12, pool(50, 50), -0.5)
    assert found is not None
    assert tuple(found) == tuple(FEATURES["drain"])


@given(st.lists(st.floats(-0.99, 0.99), min_size=1, max_size=30))
def test_shares_stay_shares(moves: list[float]) -> None:
    chain = Chain()
    for i, share in enumerate(moves):
        found = chain.at(i * 30, pool(100, 100), share)
        if found is not None:
            assert 0.0 <= found["removed"] <= 1.0
            assert 0.0 <= found["outflow"] <= 0.5
