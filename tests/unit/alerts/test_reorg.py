"""Reorgs: what rested on a removed block is told otherwise, and the book is as if it had never been."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from defiwatch.alerts import AlertBook
from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Severity
from tests.unit.alerts.test_book import KEY, Line, judgement


def test_what_a_removed_block_raised_is_retracted() -> None:
    line = Line()
    line.tell(50, "warning")
    (gone,) = line.undo()
    assert (gone.state, gone.key, gone.severity) == ("retracted", KEY, "warning")
    assert gone.title == "at 50 (block 102 was removed by a reorg)"
    assert gone.evidence.block == 102
    assert line.standing() == []
    assert line.tell(50, "warning") == [("raised", "warning")]


def test_what_it_worsened_eased_or_cleared_is_told_as_it_was() -> None:
    line = Line()
    line.tell(50, "warning")
    line.tell(75, "critical")
    (back,) = line.undo()
    assert (back.state, back.severity, back.title) == (
        "eased",
        "warning",
        "at 50 (as before: block 103 was removed by a reorg)",
    )
    line.tell(75, "critical")
    line.tell(52, "warning")
    line.tell(52, "warning", wait=600)
    (back,) = line.undo()
    assert (back.state, back.severity, back.score) == ("worsened", "critical", 75.0)
    line.tell(1, None)
    (back,) = line.undo()
    assert (back.state, back.severity) == ("raised", "critical")
    assert back.title == "at 75 (stands again: block 105 was removed by a reorg)"
    assert line.standing() == ["critical"]


def test_what_it_raised_and_worsened_is_retracted_once_and_silence_stays_silence() -> None:
    line = Line()
    line.tell(50, "warning")
    line.again(75, "critical")
    assert [alert.state for alert in line.undo()] == ["retracted"]
    line.tell(50, "warning")
    line.tell(51, "warning")
    line.tell(45, None)
    assert line.undo() == []
    assert line.undo() == []
    assert line.standing() == ["warning"]


def test_once_is_retracted_and_may_happen_again() -> None:
    line = Line()
    line.tell(60, "info", once=True)
    assert [alert.state for alert in line.undo()] == ["retracted"]
    assert line.tell(60, "info", once=True) == [("raised", "info")]


def test_an_incident_that_replaced_another_is_retracted_and_the_other_stands_again() -> None:
    line = Line()
    line.tell(80, "critical", incident=True)
    line.again(3, None, incident=True)
    line.tell(90, "critical", incident=True)
    assert [(alert.state, alert.score) for alert in line.undo()] == [("retracted", 90.0), ("raised", 80.0)]
    assert line.book.standing()[0].alert.score == 80.0


def test_a_cool_down_that_began_in_a_removed_block_is_undone() -> None:
    line = Line()
    line.tell(50, "warning")
    line.tell(1, None)
    line.undo()
    line.undo()
    assert line.tell(50, "warning") == [("raised", "warning")]


def test_undoing_a_lower_block_undoes_all_above_it() -> None:
    line = Line()
    line.tell(50, "warning")
    first = line.at
    line.tell(75, "critical")
    line.tell(1, None)
    told = line.book.undo_block(first, line.now)
    assert [alert.state for alert in told] == ["raised", "eased", "retracted"]
    assert line.standing() == []


def test_a_block_beyond_the_journal_changes_nothing() -> None:
    book = AlertBook(Alerts(), depth=2)
    for number in range(1, 6):
        at = BlockRef(1, number, f"0x{number}", number)
        book.open_block(at)
        if number == 1:
            book.update(judgement(50, "warning"), 1.0, at=at)
    for number in range(5, 0, -1):
        assert book.undo_block(BlockRef(1, number, f"0x{number}", number), 9.0) == ()
    assert len(book.standing()) == 1


STEP = st.tuples(
    st.sampled_from(["a", "b"]),
    st.floats(0, 100),
    st.sampled_from([None, "info", "warning", "critical"]),
    st.booleans(),
    st.integers(0, 400),
)
BLOCKS = st.lists(st.lists(STEP, max_size=4), max_size=6)


def run(line: Line, blocks: list[list[tuple[str, float, Severity | None, bool, int]]]) -> None:
    for steps in blocks:
        line.open(12)
        for key, score, severity, incident, wait in steps:
            line.now += wait
            line.again(score, severity, key=key, incident=incident)


@given(kept=BLOCKS, orphaned=BLOCKS)
def test_the_book_is_as_if_it_never_saw_the_orphans(
    kept: list[list[tuple[str, float, Severity | None, bool, int]]],
    orphaned: list[list[tuple[str, float, Severity | None, bool, int]]],
) -> None:
    seen, never = Line(), Line()
    run(seen, kept)
    run(never, kept)
    run(seen, orphaned)
    before = seen.book.feed()
    told = [alert for _ in orphaned for alert in seen.undo()]
    left, right = seen.book.dump(), never.book.dump()
    assert left["slots"] == right["slots"]
    assert left["journal"] == right["journal"]
    assert seen.book.feed() == tuple(reversed(told)) + before
    assert len({alert.id for alert in told}) == len(told)


@given(kept=BLOCKS, orphaned=BLOCKS)
def test_a_reader_of_the_stream_ends_where_the_book_stands(
    kept: list[list[tuple[str, float, Severity | None, bool, int]]],
    orphaned: list[list[tuple[str, float, Severity | None, bool, int]]],
) -> None:
    """Whoever follows raised, cleared and retracted by key knows what stands, and how severe it is."""
    line = Line()
    run(line, kept)
    run(line, orphaned)
    for _ in orphaned:
        line.undo()
    known: dict[str, str] = {}
    for alert in reversed(line.book.feed()):
        if alert.state in ("cleared", "retracted"):
            assert alert.key in known or alert.state == "retracted"
            known.pop(alert.key, None)
        else:
            known[alert.key] = alert.severity
    assert known == {row.alert.key: row.alert.severity for row in line.book.standing()}
