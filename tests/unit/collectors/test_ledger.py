"""The ledger, one hard case at a time. `tests/property/test_collector_ledger.py` plays storms."""

from __future__ import annotations

import msgspec

from defiwatch.collectors.chain.ledger import Ledger
from defiwatch.collectors.chain.ledger.asks import Ask, AskHeader, AskHeaders, AskLatest, AskLogs, AskRange
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, RemovedFrame
from defiwatch.domain.units import from_hex
from tests.unit.collectors.made_up_chain import MadeUpChain

NEVER = 10_000.0


def ledger_at(chain: MadeUpChain, length: int = 6, *, depth: int = 64, segment: int = 32) -> Ledger:
    """A ledger that has the chain's newest blocks and waits for more."""
    own = [BlockRef(1, b.number, b.hash, 0, b.header.parent_hash) for b in chain.canonical[-length:]]
    ledger = Ledger(1, own=own, confirmations=8, depth=depth, segment=segment, block_time=2.0)
    ledger.pace(NEVER, NEVER)
    (ask,) = ledger.asks(0.0)
    assert isinstance(ask, AskLatest)
    ledger.on_latest(ask.id, chain.head.header, 0.0)
    assert ledger.take() is None
    assert ledger.at_head
    return ledger


def answer(ledger: Ledger, chain: MadeUpChain, ask: Ask, now: float) -> None:
    """The node's honest answer."""
    if isinstance(ask, AskLatest):
        ledger.on_latest(ask.id, chain.head.header, now)
    elif isinstance(ask, AskHeader):
        block = chain.blocks.get(ask.hash)
        ledger.on_header(ask.id, None if block is None else block.header, now)
    elif isinstance(ask, AskHeaders):
        found = [chain.at(number) for number in range(ask.first, ask.last + 1)]
        ledger.on_headers(ask.id, [None if block is None else block.header for block in found], now)
    elif isinstance(ask, AskLogs):
        ledger.on_logs(ask.id, chain.blocks[ask.hash].logs, now)
    else:
        blocks = [chain.canonical[number] for number in range(ask.first, ask.last + 1)]
        ledger.on_range(ask.id, [log for block in blocks for log in block.logs], now)


def settle(ledger: Ledger, chain: MadeUpChain, now: float) -> list[BlockFrame | RemovedFrame]:
    """Answer everything until nothing more is asked for or handed out."""
    frames: list[BlockFrame | RemovedFrame] = []
    for _ in range(200):
        asks = ledger.asks(now)
        for ask in asks:
            answer(ledger, chain, ask, now)
        frame = ledger.take()
        if frame is not None:
            frames.append(frame)
        elif not asks:
            return frames
    raise AssertionError("it never came to rest")


def kinds(frames: list[BlockFrame | RemovedFrame]) -> list[tuple[str, int]]:
    return [
        ("+", from_hex(frame.header.number)) if isinstance(frame, BlockFrame) else ("-", from_hex(frame.number))
        for frame in frames
    ]


def test_a_head_that_follows_costs_one_question() -> None:
    chain = MadeUpChain(20)
    ledger = ledger_at(chain)
    chain.mine()
    ledger.on_head(chain.head.header, 1.0)
    (ask,) = ledger.asks(1.0)
    assert isinstance(ask, AskLogs)
    assert ask.hash == chain.head.hash
    ledger.on_logs(ask.id, chain.head.logs, 1.0)
    frame = ledger.take()
    assert frame == BlockFrame(1, chain.head.header, chain.head.logs)
    assert ledger.asks(1.1) == []


def test_a_late_notice_of_an_orphan_removes_nothing() -> None:
    chain = MadeUpChain(20)
    chain.reorg(1, 1)
    orphan = next(b for b in chain.blocks.values() if b.number == 19 and b is not chain.head)
    ledger = ledger_at(chain)
    ledger.on_head(orphan.header, 1.0)
    (ask,) = ledger.asks(1.0)
    assert isinstance(ask, AskLatest)
    assert ledger.take() is None
    ledger.on_latest(ask.id, chain.head.header, 1.0)
    assert ledger.asks(1.0) == []
    assert ledger.take() is None
    assert ledger.at_head


def test_a_higher_head_of_another_fork_removes_only_once_confirmed() -> None:
    chain = MadeUpChain(20)
    ledger = ledger_at(chain)
    other = MadeUpChain(20)
    other.reorg(2, 3)
    chain.blocks |= other.blocks
    ledger.on_head(other.head.header, 1.0)
    for _ in range(5):
        for ask in ledger.asks(1.0):
            if not isinstance(ask, AskLatest):
                answer(ledger, chain, ask, 1.0)
        assert ledger.take() is None
    # Asked for its newest block, the node names the one that we have: the notice was a lie.
    chain.mine()
    frames = settle_after_patience(ledger, chain)
    assert kinds(frames) == [("+", 20)]


def settle_after_patience(ledger: Ledger, chain: MadeUpChain) -> list[BlockFrame | RemovedFrame]:
    """The open questions are given up first."""
    return settle(ledger, chain, 100.0)


def test_a_reorg_removes_newest_first_and_then_follows() -> None:
    chain = MadeUpChain(20)
    ledger = ledger_at(chain)
    chain.reorg(3, 4)
    for block in chain.canonical[-4:]:
        ledger.on_head(block.header, 1.0)
    assert kinds(settle(ledger, chain, 1.0)) == [
        ("-", 19),
        ("-", 18),
        ("-", 17),
        ("+", 17),
        ("+", 18),
        ("+", 19),
        ("+", 20),
    ]
    assert ledger.reorgs == 1


def test_logs_of_another_block_are_refused() -> None:
    chain = MadeUpChain(20)
    ledger = ledger_at(chain)
    chain.mine()
    ledger.on_head(chain.head.header, 1.0)
    (ask,) = ledger.asks(1.0)
    wrong = [msgspec.structs.replace(log, block_hash="0x" + "77" * 32) for log in chain.canonical[5].logs]
    assert wrong
    ledger.on_logs(ask.id, wrong, 1.0)
    assert ledger.take() is None
    assert kinds(settle(ledger, chain, 2.0)) == [("+", 20)]


def test_removed_logs_in_an_answer_are_refused() -> None:
    chain = MadeUpChain(21)
    ledger = ledger_at(chain)
    chain.mine()
    ledger.on_head(chain.head.header, 1.0)
    (ask,) = ledger.asks(1.0)
    assert chain.head.logs
    ledger.on_logs(ask.id, [msgspec.structs.replace(log, removed=True) for log in chain.head.logs], 1.0)
    assert ledger.take() is None
    assert kinds(settle(ledger, chain, 2.0)) == [("+", 21)]


def test_a_change_of_the_filter_makes_older_answers_worthless() -> None:
    chain = MadeUpChain(22)
    ledger = ledger_at(chain)
    chain.mine()
    ledger.on_head(chain.head.header, 1.0)
    (ask,) = ledger.asks(1.0)
    ledger.on_filter()
    ledger.on_logs(ask.id, (), 1.0)
    assert ledger.take() is None
    (frame,) = settle(ledger, chain, 1.0)
    assert isinstance(frame, BlockFrame)
    assert frame.logs == chain.head.logs


def test_an_answer_that_was_given_up_is_ignored() -> None:
    chain = MadeUpChain(20)
    ledger = ledger_at(chain)
    chain.mine()
    ledger.on_head(chain.head.header, 1.0)
    (lost,) = ledger.asks(1.0)
    (again,) = [ask for ask in ledger.asks(100.0) if isinstance(ask, AskLogs)]
    assert again.id != lost.id
    assert again.attempt == 1
    ledger.on_logs(lost.id, (), 100.0)
    assert ledger.take() is None
    ledger.on_logs(again.id, chain.head.logs, 100.0)
    assert ledger.take() is not None


def test_a_range_answered_from_another_fork_is_asked_again() -> None:
    chain = MadeUpChain(20)
    ledger = ledger_at(chain)
    chain.mine(40)
    old = list(chain.canonical)
    ledger.on_head(chain.head.header, 1.0)
    (latest,) = ledger.asks(1.0)
    answer(ledger, chain, latest, 1.0)
    asks = ledger.asks(1.0)
    chain.reorg(35, 36)
    for ask in asks:
        if isinstance(ask, AskRange):
            logs = [log for block in old[ask.first : ask.last + 1] for log in block.logs]
            ledger.on_range(ask.id, logs, 1.0)
        else:
            answer(ledger, chain, ask, 1.0)
    frames: list[BlockFrame | RemovedFrame] = []
    for second in range(2, 30):
        frames += settle(ledger, chain, float(second))
    assert kinds(frames) == [("+", number) for number in range(20, 61)]
    assert all(isinstance(f, BlockFrame) and f.logs == chain.blocks[f.header.hash].logs for f in frames)


def test_blocks_fetched_by_height_are_not_torn_down_for_an_old_promise() -> None:
    """A target that was confirmed, then orphaned: its fork must not undo what the node's chain gave meanwhile."""
    chain = MadeUpChain(20)
    ledger = ledger_at(chain, segment=8)
    chain.mine(40)
    ledger.on_head(chain.head.header, 1.0)
    (latest,) = ledger.asks(1.0)
    answer(ledger, chain, latest, 1.0)
    orphaned = chain.head
    chain.reorg(39, 60)
    removed: list[tuple[str, int]] = []
    open_latest: list[Ask] = []
    for _ in range(200):
        for ask in ledger.asks(1.5):
            if isinstance(ask, AskLatest):
                open_latest.append(ask)
            else:
                answer(ledger, chain, ask, 1.5)
        while (frame := ledger.take()) is not None:
            removed += [one for one in kinds([frame]) if one[0] == "-"]
    assert removed == []
    assert open_latest
    for ask in open_latest:
        answer(ledger, chain, ask, 1.5)
    for second in range(2, 20):
        removed += [one for one in kinds(settle(ledger, chain, float(second))) if one[0] == "-"]
    assert removed == []
    assert ledger.tip == (chain.head.number, chain.head.hash)
    assert not ledger.owns(orphaned.number, orphaned.hash)


def test_a_doubted_answer_is_asked_twice_more_and_then_taken_with_a_word() -> None:
    chain = MadeUpChain(20)
    own = [BlockRef(1, b.number, b.hash, 0, b.header.parent_hash) for b in chain.canonical[-5:]]
    ledger = Ledger(1, own=own, block_time=2.0, doubts=lambda _, logs: not logs)
    ledger.pace(NEVER, NEVER)
    settle(ledger, chain, 0.0)
    chain.mine()
    ledger.on_head(chain.head.header, 1.0)
    now, count = 1.0, 0
    while ledger.take() is None:
        for ask in ledger.asks(now):
            if isinstance(ask, AskLogs):
                count += 1
                assert ask.attempt == count - 1
                ledger.on_logs(ask.id, (), now)
            else:
                answer(ledger, chain, ask, now)
        now += 1.0
    assert count == 3
    assert len(ledger.notices) == 1
    assert "block 20" in ledger.notices[0]
    assert ledger.take_settled() == []


def test_logs_that_come_after_none_settle_the_doubt() -> None:
    chain = MadeUpChain(20)
    own = [BlockRef(1, b.number, b.hash, 0, b.header.parent_hash) for b in chain.canonical[-5:]]
    ledger = Ledger(1, own=own, block_time=2.0, doubts=lambda _, logs: not logs)
    ledger.pace(NEVER, NEVER)
    settle(ledger, chain, 0.0)
    chain.mine(2)
    ledger.on_head(chain.head.header, 1.0)
    heard: list[int] = []
    for second in range(1, 20):
        for ask in ledger.asks(float(second)):
            if isinstance(ask, AskLogs) and ask.attempt == 0 and ask.hash == chain.head.hash:
                ledger.on_logs(ask.id, (), float(second))
            else:
                answer(ledger, chain, ask, float(second))
        ledger.take()
        heard += [from_hex(header.number) for header in ledger.take_settled()]
    assert heard == [21]
    assert ledger.at_head


def test_wake_names_the_next_moment() -> None:
    chain = MadeUpChain(20)
    ledger = ledger_at(chain)
    ledger.pace(5.0, 1.0)
    assert ledger.wake(0.5) == 5.0
    assert ledger.asks(4.9) == []
    (ask,) = ledger.asks(5.0)
    ledger.on_failure(ask.id, 5.0, delay=3.0)
    assert ledger.wake(5.0) == 8.0
    (ask,) = ledger.asks(8.0)
    assert ask.attempt == 1


def test_a_reorg_under_a_stretch_that_is_half_handed_out() -> None:
    """The filter changes, the logs asked anew name other blocks: the stretch is fetched again and no longer fits."""
    chain = MadeUpChain(20)
    ledger = ledger_at(chain)
    stack = [block.hash for block in chain.canonical]

    def advance(now: float, most: int) -> None:
        for ask in ledger.asks(now):
            answer(ledger, chain, ask, now)
        for _ in range(most):
            frame = ledger.take()
            if isinstance(frame, RemovedFrame):
                assert stack.pop() == frame.hash
            elif frame is not None:
                assert stack[-1] == frame.header.parent_hash
                stack.append(frame.header.hash)

    chain.mine(40)
    ledger.on_head(chain.head.header, 1.0)
    advance(1.0, 0)
    advance(1.0, 4)
    assert len(stack) == 24
    ledger.on_filter()
    chain.reorg(38, 45)
    for second in range(2, 40):
        advance(float(second), 100)
    assert stack == [block.hash for block in chain.canonical]
    assert ledger.reorgs == 1


def test_refusals_of_questions_that_were_asked_together_halve_a_batch_once() -> None:
    chain = MadeUpChain(20)
    ledger = Ledger(1, own=[], first=0, confirmations=8, segment=256, header_batch=50, block_time=2.0)
    ledger.pace(NEVER, NEVER)
    chain.mine(100)
    (latest,) = ledger.asks(0.0)
    answer(ledger, chain, latest, 0.0)
    asked = ledger.asks(0.1)
    refused = [ask for ask in asked if isinstance(ask, AskHeaders) and ask.last - ask.first >= 12]
    assert len(refused) == 2
    for ask in refused:
        ledger.on_failure(ask.id, 0.2, too_large=True)
    assert ledger.header_batch == 25
    again = ledger.asks(0.3)
    assert max(ask.last - ask.first + 1 for ask in again if isinstance(ask, AskHeaders)) == 25
    for other in (*(ask for ask in asked if ask not in refused), *again):
        answer(ledger, chain, other, 0.4)
    assert len(settle(ledger, chain, 0.5)) == 120
