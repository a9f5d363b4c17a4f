"""Pushes of oracle feeds: moves, intervals, pace; the first push and a second look show nothing."""

from __future__ import annotations

import math

import pytest

from defiwatch.domain.events import BlockRef, PricePushed
from defiwatch.domain.learning import Observation
from defiwatch.domain.risk import Feed
from defiwatch.features import FEATURES, Features
from defiwatch.state.journal import JournaledBook

ETH = "0x" + "fe" * 20


class Chain:
    def __init__(self) -> None:
        self.book = JournaledBook(1)
        self.features = Features(600.0)
        self.number = 0
        self.answer = 0

    def block(
        self, time: int, *answers: int, away: float | None = None, standing: bool = False, unknown: str = ""
    ) -> list[Observation]:
        self.number += 1
        at = BlockRef(1, self.number, hex(self.number), time)
        self.book.open(at)
        for i, answer in enumerate(answers):
            fact = PricePushed(ETH, "chainlink", "ETH", "USD", answer, 8, 1, time - 5, f"0x{i}", i)
            assert list(self.features.on_fact(self.book, at, fact, None)) == []
            self.answer = answer
        return self.look(at, away=away, standing=standing, unknown=unknown)

    def look(
        self, at: BlockRef, *, away: float | None = None, standing: bool = False, unknown: str = ""
    ) -> list[Observation]:
        feed = Feed(1, "chainlink", ETH, "ETH", "USD", self.answer, 8, at.time, unknown=unknown)
        looked = {"feed": (("chainlink", ETH),)} if standing else {}
        return list(self.features.on_whole(self.book, at, [(feed, away)], [], looked))


def test_a_push_is_held_against_the_one_before() -> None:
    chain = Chain()
    assert chain.block(1_000, 2_000 * 10**8) == []
    (seen,) = chain.block(4_600, 2_100 * 10**8, away=0.01)
    assert seen.kind == "feed"
    assert seen.subject.label == "ETH/USD"
    assert set(seen.values) == set(FEATURES["feed"])
    assert seen.values["push"] == pytest.approx(math.log(1.05))
    assert seen.values["interval"] == 3_600.0
    assert seen.values["pushes"] == pytest.approx(1.0 + math.exp(-1.0))
    assert seen.values["away"] == 0.01
    assert seen.facts["push"] == pytest.approx(0.05)
    assert (seen.tx, seen.log_index) == ("0x0", 0)
    assert seen.learnable


def test_the_farthest_move_of_a_block_counts_and_says_where() -> None:
    chain = Chain()
    chain.block(0, 1_000)
    (seen,) = chain.block(60, 1_001, 1_201, 1_200)
    assert seen.values["push"] == pytest.approx(math.log(1_201 / 1_001))
    assert (seen.tx, seen.log_index) == ("0x1", 1)
    assert seen.values["interval"] == 60.0
    (after,) = chain.block(120, 1_200)
    assert after.values["push"] == 0.0, "from the block's last answer on"


def test_a_second_look_shows_nothing_new_and_a_calm_feed_is_only_looked_at_again() -> None:
    chain = Chain()
    chain.block(0, 1_000)
    assert len(chain.block(60, 1_100)) == 1
    assert chain.look(BlockRef(1, chain.number, hex(chain.number), 60)) == []
    assert chain.block(72) == []
    (again,) = chain.block(84, standing=True, away=0.002)
    assert again.values == {"push": 0.0, "away": 0.002}
    assert not again.learnable


@pytest.mark.parametrize("answer", [0, -5])
def test_an_answer_that_is_no_price_moves_nothing(answer: int) -> None:
    chain = Chain()
    chain.block(0, 1_000)
    (seen,) = chain.block(60, answer)
    assert seen.values["push"] == 0.0
    (seen,) = chain.block(120, 1_000)
    assert seen.values["push"] == 0.0


def test_what_nobody_knows_is_not_observed() -> None:
    chain = Chain()
    chain.block(0, 1_000)
    assert chain.block(60, 1_100, unknown="cannot be read") == []


def test_a_reorg_undoes_it() -> None:
    chain, straight = Chain(), Chain()
    for one in (chain, straight):
        one.block(0, 1_000)
        one.block(60, 1_010)
    chain.block(120, 5_000)
    chain.book.undo()
    chain.number -= 1
    assert chain.block(120, 1_020) == straight.block(120, 1_020)
    assert chain.book.digest() == straight.book.digest()
