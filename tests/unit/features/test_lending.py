"""What users do to a lending market, as shares of it; utilisation against its own past; liquidations."""

from __future__ import annotations

import math

import pytest

from defiwatch.domain.events import BlockRef, LendingAction, LendingMoved, Liquidated
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Market
from defiwatch.features import FEATURES, Features
from defiwatch.state.journal import JournaledBook

POOL, USDC, WETH, USER = "0x" + "aa" * 20, "0x" + "01" * 20, "0x" + "02" * 20, "0x" + "99" * 20
UNIT = 10**6


def market(supplied: int, borrowed: int, *, unknown: str = "") -> Market:
    return Market(
        1, "aave_v3", f"{POOL}:{USDC}", "USDC", USDC, "USDC", 6, supplied * UNIT, borrowed * UNIT,
        (supplied - borrowed) * UNIT, borrowed * UNIT, unknown=unknown,
    )  # fmt: skip


def moved(action: LendingAction, amount: int, asset: str = USDC, tx: str = "0xa") -> LendingMoved:
    return LendingMoved("aave_v3", POOL, USER, asset, action, amount * UNIT, tx, 3)


def liquidated(amount: int) -> Liquidated:
    return Liquidated("aave_v3", POOL, USER, USER, WETH, USDC, 10**18, amount * UNIT, "0x1", 9)


class Chain:
    def __init__(self) -> None:
        self.book = JournaledBook(1)
        self.features = Features(600.0, {USDC: 1.0}.get)
        self.number = 0

    def block(
        self, time: int, state: Market, *facts: LendingMoved | Liquidated, standing: bool = False
    ) -> list[Observation]:
        self.number += 1
        at = BlockRef(1, self.number, hex(self.number), time)
        self.book.open(at)
        for fact in facts:
            assert list(self.features.on_fact(self.book, at, fact, None)) == []
        return self.look(at, state, standing=standing)

    def look(self, at: BlockRef, state: Market, *, standing: bool = False) -> list[Observation]:
        looked = {"market": (("aave_v3", state.id),)} if standing else {}
        return list(self.features.on_whole(self.book, at, [], [state], looked))


def test_what_users_do_is_a_share_of_the_market() -> None:
    chain = Chain()
    (first,) = chain.block(0, market(1_000, 500), moved("supply", 100), moved("supply", 20, tx="0xb"))
    assert first.values == pytest.approx({"supplied": 0.12, "drained": 0.12})
    (seen,) = chain.block(12, market(1_000, 600), moved("borrow", 100), moved("withdraw", 300, tx="0xc"))
    assert seen.values["borrowed"] == pytest.approx(0.1)
    assert seen.values["withdrawn"] == pytest.approx(0.3)
    assert seen.values["step"] == pytest.approx(0.1)
    assert seen.values["strayed"] == pytest.approx(0.1)
    assert seen.values["drained"] == pytest.approx((400.0 - 120.0 * math.exp(-12 / 3600)) / 1_000.0)
    assert seen.facts["drained"] > 0.0
    assert seen.facts["units"] == 1_000.0
    assert seen.facts["usd"] == 1.0
    assert (seen.tx, seen.log_index) == ("0xc", 3), "where the largest amount moved"
    assert seen.learnable


def test_liquidations_are_a_share_of_the_debt_over_an_hour() -> None:
    chain = Chain()
    (seen,) = chain.block(0, market(1_000, 450), liquidated(50))
    assert seen.values["liquidated"] == pytest.approx(0.1)
    (later,) = chain.block(3_600, market(1_000, 450), moved("repay", 1))
    assert later.values["liquidated"] == pytest.approx(50 * math.exp(-1) / (50 * math.exp(-1) + 450))
    (calm,) = chain.block(360_000, market(1_000, 450), moved("repay", 1))
    assert "liquidated" not in calm.values


def test_a_block_that_did_not_use_the_market_shows_nothing() -> None:
    chain = Chain()
    chain.block(0, market(1_000, 500), moved("supply", 1))
    assert chain.block(12, market(1_000, 900)) == [], "a total that was read anew is nobody's doing"
    assert chain.block(24, market(1_000, 900), moved("supply", 1, asset=WETH)) == []
    (again,) = chain.block(36, market(1_000, 500), standing=True)
    assert not again.learnable
    assert set(again.values) == {"drained", "strayed"}


def test_a_second_look_at_a_block_shows_nothing_new() -> None:
    chain = Chain()
    chain.block(0, market(1_000, 500), moved("supply", 100))
    assert chain.look(BlockRef(1, 1, "0x1", 0), market(1_000, 500)) == []


@pytest.mark.parametrize("state", [market(0, 0), market(1_000, 10, unknown="its rate was not read")])
def test_an_empty_or_unknown_market_shows_nothing(state: Market) -> None:
    assert Chain().block(0, state, moved("supply", 1)) == []


def test_every_feature_comes_up() -> None:
    chain = Chain()
    chain.block(0, market(1_000, 500), moved("supply", 1))
    done: tuple[LendingAction, ...] = ("supply", "withdraw", "borrow", "repay")
    acts: list[LendingMoved | Liquidated] = [*(moved(action, 1) for action in done), liquidated(1)]
    (seen,) = chain.block(12, market(1_000, 500), *acts)
    assert set(seen.values) == set(FEATURES["market"])


def test_a_reorg_undoes_it() -> None:
    chain, straight = Chain(), Chain()
    for one in (chain, straight):
        one.block(0, market(1_000, 500), moved("supply", 100))
    chain.block(12, market(1_000, 900), moved("borrow", 400))
    chain.book.undo()
    chain.number -= 1
    for one in (chain, straight):
        one.block(12, market(1_000, 510), moved("borrow", 10))
    assert chain.book.digest() == straight.book.digest()
