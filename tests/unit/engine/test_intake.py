from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, CallResult, ReadsFrame, RemovedFrame
from defiwatch.engine.intake import Intake
from defiwatch.protocols.abi import Call, function
from defiwatch.protocols.spec import Book, Table
from tests.unit.engine.toy import GET, HOME, SUM, Toy, block, block_hash, log, reads


def intake(*, journal: int = 64) -> Intake:
    return Intake(1, [Toy()], journal=journal)


def total(line: Intake) -> int:
    return line.book.get(SUM, HOME) or 0


def test_blocks_apply_their_logs_once() -> None:
    line = intake()
    line.on_block(block(1, 5))
    line.on_block(block(2, 7, 1))
    line.on_block(block(2, 7, 1))
    assert (total(line), line.events, line.duplicates) == (13, 3, 1)


def test_a_head_that_goes_back_in_silence_undoes_what_stood_there() -> None:
    line = intake()
    for n in range(1, 6):
        line.on_block(block(n, n))
    taken = line.on_block(block(4, 100, fork="b", parent_fork="a"))
    assert [b.number for b in taken.undone] == [5, 4]
    assert total(line) == 1 + 2 + 3 + 100
    assert line.reorgs == 1


def test_a_parent_that_does_not_fit_takes_the_old_head_away() -> None:
    line = intake()
    line.on_block(block(1, 1))
    line.on_block(block(2, 2))
    line.on_block(block(3, 30, fork="b"))
    assert total(line) == 31
    assert any("replaced by one that is not in the stream" in text for text in line.book.notices)


def test_removed_blocks_are_undone_down_to_the_one_named() -> None:
    line = intake()
    for n in range(1, 5):
        line.on_block(block(n, n))
    undone = line.on_removed(RemovedFrame(1, hex(3), block_hash(3)))
    assert [b.number for b in undone] == [4, 3]
    assert line.on_removed(RemovedFrame(1, hex(9), block_hash(9))) == ()
    assert total(line) == 3


def test_a_reorg_beyond_the_journal_starts_anew_and_says_so() -> None:
    line = intake(journal=3)
    for n in range(1, 9):
        line.on_block(block(n, n))
    line.on_block(block(2, 50, fork="b", parent_fork="a"))
    assert total(line) == 50
    assert line.resyncs == 1
    assert any("beyond the 3 blocks kept" in text for text in line.book.take_notices())


def test_blocks_without_hashes_are_taken_as_they_come() -> None:
    line = intake()
    line.on_block(block(10, 1, linked=False))
    line.on_block(block(17, 2, linked=False))
    assert total(line) == 3
    assert line.book.take_notices() == []


def test_a_log_with_too_little_data_is_counted_told_once_and_skipped() -> None:
    line = intake()
    bad = BlockFrame(1, block(1).header, (log(0, data="0x12"), log(0, data="0x12"), log(4)))
    line.on_block(bad)
    assert total(line) == 4
    assert line.undecoded == 2
    assert len(line.book.take_notices()) == 1


def test_reads_close_the_wants_of_their_block_only() -> None:
    line = intake()
    line.on_block(block(1))
    assert len(line.wants()) == 1
    assert line.on_reads(reads(1))
    assert line.wants() == ()
    line.on_block(block(2))
    assert not line.on_reads(reads(1, fork="b"))
    assert len(line.wants()) == 1


LIST = function("list()", "address")
OTHER = "0x" + "22" * 20
LISTED: Table[str, str] = Table("toy.listed")


class Late(Toy):
    """Learns of the toy's home by a read of its own, and only then wants the same of it as the toy itself."""

    protocol = "late"

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        if book.get(LISTED, OTHER) is None:
            return (LIST.call(OTHER),)
        return () if book.get(LISTED, HOME) == str(at.number) else (GET.call(HOME),)

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        if call.to == OTHER and LIST.matches(call):
            book.put(LISTED, OTHER, HOME)
        elif GET.matches(call) and book.get(LISTED, OTHER) is not None:
            book.put(LISTED, HOME, str(at.number))
        return False


def test_what_was_answered_at_a_block_is_not_asked_there_again() -> None:
    line = Intake(1, [Toy(), Late()], journal=8)
    line.on_block(block(1))
    assert line.wants() == (GET.call(HOME), LIST.call(OTHER))
    assert line.on_reads(reads(1))
    assert line.wants() == (LIST.call(OTHER),)
    listed = CallResult(to=OTHER, data=LIST.selector, result="0x" + HOME[2:].rjust(64, "0"))
    assert line.on_reads(ReadsFrame(1, "0x1", (listed,), block_hash(1)))
    assert line.wants() == ()
    line.on_block(block(2))
    assert line.wants() == (GET.call(HOME),)


def test_reads_that_come_before_their_block_wait_for_it() -> None:
    line = intake()
    line.on_block(block(1))
    assert not line.on_reads(reads(2))
    line.on_block(block(2))
    assert line.wants() == ()


@given(st.data())
def test_whatever_forks_came_the_state_is_that_of_the_last_chain(data: st.DataObject) -> None:
    """Random forks off a growing chain end in the same state as the canonical blocks alone."""
    line = intake(journal=128)
    chain: list[tuple[int, str, int]] = []
    for step in range(data.draw(st.integers(1, 12))):
        keep = data.draw(st.integers(0, len(chain))) if chain else 0
        chain = chain[: max(keep, 1)] if chain else []
        fork = chr(ord("a") + step)
        for _ in range(data.draw(st.integers(1, 4))):
            number = len(chain) + 1
            parent = chain[-1][1] if chain else "a"
            amount = data.draw(st.integers(0, 9))
            if number == 1 and chain:
                continue
            chain.append((number, fork, amount))
            line.on_block(block(number, amount, fork=fork, parent_fork=parent))
    clean = intake(journal=128)
    parent = "a"
    for number, fork, amount in chain:
        clean.on_block(block(number, amount, fork=fork, parent_fork=parent))
        parent = fork
    assert line.book.digest() == clean.book.digest()


@pytest.mark.parametrize("number", ["0x", "zz"])
def test_a_header_without_a_number_is_refused(number: str) -> None:
    from defiwatch.domain.frames import Header
    from defiwatch.errors import DecodeError

    frame = BlockFrame(1, Header(number=number, timestamp="0x1"))
    with pytest.raises(DecodeError, match="block header"):
        intake().on_block(frame)
