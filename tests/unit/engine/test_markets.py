"""What a market has to expect of liquidations: by debt asset, chances times what owners do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from defiwatch.domain.risk import Position
from defiwatch.engine.markets import _Borrowers
from defiwatch.models import Owners
from defiwatch.state.prices import PriceBook
from tests.unit.models.test_outlook import USDC, WETH, position

CHANCES = {"1h": 0.01, "24h": 0.2, "7d": 0.4}


def told(where: Position) -> Mapping[str, float]:
    return {} if where.account == "unwatched" else CHANCES


def borrowers(*positions: Position) -> _Borrowers:
    return _Borrowers(list(positions), PriceBook(1), told)


def test_debt_is_expected_by_its_chance_and_by_what_owners_do() -> None:
    """Each owes 1,000 dollars of USDC; half of all owners are taken to do nothing before a crossing was seen."""
    found = borrowers(position(2000.0, 1.1, "a"), position(2000.0, 1.3, "b")).expected(USDC, Owners())
    assert found == pytest.approx({"1h": 10.0, "24h": 200.0, "7d": 400.0})


def test_what_is_below_one_counts_whole_and_what_is_far_not_at_all() -> None:
    found = borrowers(position(2000.0, 0.98, "a"), position(2000.0, 3.5, "b")).expected(USDC, Owners())
    assert found == pytest.approx({"1h": 1000.0, "24h": 1000.0, "7d": 1000.0})


def test_what_cannot_be_told_is_left_out_and_counted() -> None:
    book = borrowers(position(2000.0, 1.1, "unwatched"))
    assert book.expected(USDC, Owners()) == {}
    assert book.untold == {USDC: [1000.0]}


def test_an_asset_that_nobody_owes_has_none() -> None:
    assert borrowers(position(2000.0, 1.1, "a")).expected(WETH, Owners()) == {}


def test_a_position_without_debt_or_unknown_counts_nothing() -> None:
    near = position(2000.0, 1.1, "a")
    closed = msgspec.structs.replace(near, debt_base=0, legs=())
    unknown = msgspec.structs.replace(near, unknown="a price reverts")
    assert borrowers(closed, unknown).expected(USDC, Owners()) == {}
