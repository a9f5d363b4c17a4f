"""The journal: what was undone never happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.domain.events import BlockRef
from defiwatch.protocols.spec import Table
from defiwatch.state.journal import JournaledBook, JournalTooShortError


class Row(msgspec.Struct, frozen=True):
    amount: int
    note: str = ""


NUMBERS: Table[str, int] = Table("test.numbers")
ROWS: Table[tuple[str, int], Row] = Table("test.rows")

Write: TypeAlias = tuple[str, str, int | None]
Step: TypeAlias = Sequence[Write] | None
"""A block's writes (table, key, value; None drops), or None: the newest block is undone."""


def block(number: int, fork: int = 0) -> BlockRef:
    return BlockRef(1, number, f"0x{number:x}.{fork:x}", number * 12)


def write(book: JournaledBook, item: Write) -> None:
    table, key, value = item
    if table == "numbers":
        book.drop(NUMBERS, key) if value is None else book.put(NUMBERS, key, value)
    else:
        row = (key, len(key))
        book.drop(ROWS, row) if value is None else book.put(ROWS, row, Row(value, key))


def play(steps: Sequence[Step]) -> JournaledBook:
    book = JournaledBook(1)
    number = 0
    for fork, step in enumerate(steps):
        if step is None:
            if number:
                assert book.undo().number == number
                number -= 1
            continue
        number += 1
        book.open(block(number, fork))
        for item in step:
            write(book, item)
    return book


def survivors(steps: Sequence[Step]) -> list[Step]:
    kept: list[Step] = []
    for step in steps:
        if step is not None:
            kept.append(step)
        elif kept:
            kept.pop()
    return kept


writes = st.tuples(
    st.sampled_from(["numbers", "rows"]), st.sampled_from("abcd"), st.one_of(st.none(), st.integers(-(2**256), 2**256))
)
steps = st.lists(st.one_of(st.none(), st.lists(writes, max_size=6)), max_size=25)


@given(steps)
def test_undone_is_as_if_it_had_never_happened(history: Sequence[Step]) -> None:
    book, never = play(history), play(survivors(history))
    assert {k: v for k, v in book.tables().items() if v} == {k: v for k, v in never.tables().items() if v}
    assert book.digest() == never.digest()
    assert [at.number for at in book.blocks] == [at.number for at in never.blocks]


@given(steps, steps)
def test_the_digest_tells_states_apart(one: Sequence[Step], other: Sequence[Step]) -> None:
    first, second = play(one), play(other)
    same = {k: v for k, v in first.tables().items() if v} == {k: v for k, v in second.tables().items() if v}
    assert (first.digest() == second.digest()) == same


@given(steps)
def test_undoing_all_leaves_nothing(history: Sequence[Step]) -> None:
    book = play(history)
    while book.head is not None:
        book.undo()
    assert not any(book.tables().values())
    assert book.digest() == JournaledBook(1).digest()


def test_what_was_written_before_the_first_block_stays() -> None:
    book = JournaledBook(1)
    book.put(NUMBERS, "a", 1)
    book.open(block(1))
    book.put(NUMBERS, "a", 2)
    book.undo()
    assert book.get(NUMBERS, "a") == 1
    assert book.head is None


def test_the_journal_forgets_beyond_its_depth() -> None:
    book = JournaledBook(1, depth=3)
    for number in range(1, 6):
        book.open(block(number))
        book.put(NUMBERS, "n", number)
    assert [at.number for at in book.blocks] == [3, 4, 5]
    for _ in range(3):
        book.undo()
    assert book.get(NUMBERS, "n") == 2
    with pytest.raises(JournalTooShortError, match="chain 1: the journal keeps 3 blocks"):
        book.undo()


def test_writes_after_an_undo_belong_to_the_block_below() -> None:
    book = JournaledBook(1)
    book.open(block(1))
    book.open(block(2))
    book.undo()
    book.put(NUMBERS, "late", 1)
    book.undo()
    assert book.get(NUMBERS, "late") is None


def test_notices_are_told_once_and_counted() -> None:
    book = JournaledBook(1)
    for _ in range(3):
        book.notice("odd")
    assert book.take_notices() == ["odd"]
    assert book.take_notices() == []
    assert book.notices == {"odd": 3}


def test_reading_tables_that_hold_nothing() -> None:
    book = JournaledBook(1)
    book.drop(NUMBERS, "a")
    assert book.get(NUMBERS, "a") is None
    assert list(book.items(NUMBERS)) == []
    assert book.size(NUMBERS) == 0
