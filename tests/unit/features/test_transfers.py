"""Transfers of a watched token, in usual ones of its own."""

from __future__ import annotations

import math

import pytest

from defiwatch.domain.events import BlockRef, Transferred
from defiwatch.domain.learning import Observation
from defiwatch.features import FEATURES, Features
from defiwatch.protocols.erc20 import TOKENS, Token
from defiwatch.state.journal import JournaledBook

USDC, ALICE, BOB = "0x" + "01" * 20, "0x" + "0a" * 20, "0x" + "0b" * 20


class Chain:
    def __init__(self, *, decimals: int | None = 6) -> None:
        self.book = JournaledBook(1)
        self.features = Features(600.0, lambda _: 1.0)
        self.number = 0
        self.book.open(BlockRef(1, 0, "0x0", 0))
        self.book.put(TOKENS, USDC, Token("USDC", "USD Coin", decimals))

    def block(self, time: int, *amounts: int, sender: str = ALICE) -> list[Observation]:
        self.number += 1
        at = BlockRef(1, self.number, hex(self.number), time)
        self.book.open(at)
        facts = [Transferred(USDC, sender, BOB, amount, f"0x{i}", i) for i, amount in enumerate(amounts)]
        return [obs for fact in facts for obs in self.features.on_fact(self.book, at, fact, None)]

    def still(self, time: int) -> list[Observation]:
        self.number += 1
        at = BlockRef(1, self.number, hex(self.number), time)
        self.book.open(at)
        return list(self.features.on_whole(self.book, at, [], [], {"transfer": (("erc20", USDC),)}))


def test_a_transfer_is_told_in_usual_ones() -> None:
    chain = Chain()
    assert chain.block(0, 100 * 10**6) == []
    (seen,) = chain.block(60, 10_000 * 10**6)
    assert seen.kind == "transfer"
    assert set(seen.values) == set(FEATURES["transfer"])
    assert seen.values["amount"] == pytest.approx(100.0)
    assert seen.values["moved"] == pytest.approx(100.0 + math.exp(-0.1))
    assert seen.facts == {"units": 10_000.0, "usd": 1.0}
    assert seen.subject.label == "USDC"
    (next_one,) = chain.block(120, 100 * 10**6)
    assert next_one.values["amount"] == pytest.approx(0.1), "the geometric mean of 100 and 10,000 is 1,000"


def test_what_is_nothing_or_goes_nowhere_is_left_out() -> None:
    chain = Chain()
    chain.block(0, 100)
    assert chain.block(12, 0) == []
    assert chain.block(24, 100, sender=BOB) == []


def test_without_decimals_no_amount_is_told() -> None:
    chain = Chain(decimals=None)
    chain.block(0, 100)
    (seen,) = chain.block(12, 2**255)
    assert seen.facts == {}
    assert seen.values["amount"] == pytest.approx(2**255 / 100)


def test_what_moved_is_looked_at_again_until_it_is_calm() -> None:
    chain = Chain()
    chain.block(0, 100)
    chain.block(0, 100)
    (seen,) = chain.still(600)
    assert seen.values == pytest.approx({"moved": 2.0 * math.exp(-1.0)})
    assert not seen.learnable
    chain.block(1_200, 100)
    assert chain.still(1_200) == []
