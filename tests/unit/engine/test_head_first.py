"""Head first: a scout tells of the head while the chain's own line goes through the gap, and changes nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import pytest

from defiwatch.config import parse
from defiwatch.domain.frames import BlockFrame, Frame, HealthFrame, InputFrame, ReadsFrame, TickFrame, decode, encode
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import iso
from defiwatch.engine import Engine
from tests.unit.engine import lender
from tests.unit.engine.lender import Lender, block, block_hash, reads, removed, user

CONFIG = """
[[chains]]
name = "one"
chain_id = 1
confirmations = 4
catch_up = "head_first"
"""
ANN, BOB, CAT = (user(n) for n in range(1, 4))
START, HEAD = 10, 90

Story = Callable[[int], Mapping[Address, int]]
"""Every account's factor at a height."""


@pytest.fixture(autouse=True)
def _lender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defiwatch.engine.core.create", lambda *_: Lender())


def story(number: int) -> dict[Address, int]:
    """ANN: bad twice in the gap and at the head. BOB: bad in the gap only. CAT: always well, but she leaves."""
    return {
        ANN: 101 if 30 <= number < 40 or number >= 70 else 200,
        BOB: 102 if 45 <= number < 55 else 180,
        CAT: 150 if number < 50 else 0,
    }


def made() -> tuple[Engine, list[Alert]]:
    alerts: list[Alert] = []
    config = parse(CONFIG, "test")
    config = msgspec.structs.replace(config, deployments=(Lender().deployment,))
    return Engine(config, on_alert=alerts.append), alerts


def in_order(first: int, last: int, told: Story = story) -> Iterator[Frame]:
    for number in range(first, last + 1):
        before, now = told(number - 1), told(number)
        yield block(number, now if number == 1 else {a: f for a, f in now.items() if before[a] != f})
        yield reads(number, {account: factor for account, factor in now.items() if factor})


def ahead(frame: Frame) -> Frame:
    return msgspec.structs.replace(frame, ahead=True)


def at_head(number: int, known: Sequence[Address] = (ANN, BOB, CAT), told: Story = story) -> list[Frame]:
    """A block of the head as a scout is shown it: cold, it knows whom it was told to watch, by what is read."""
    factors = told(number)
    return [ahead(block(number)), ahead(reads(number, {account: factors[account] for account in known}))]


def interleaved(head: int = HEAD, told: Story = story) -> list[Frame]:
    """Started before, then the head and the gap by turns, until the own line is where the scout is, and beyond."""
    frames = list(in_order(1, START, told))
    newest = head
    for number in range(START + 1, head + 1):
        if (number - START) % 20 == 1:
            frames += at_head(newest, told=told)
            newest += 1
        frames += in_order(number, number, told)
    return [*frames, *in_order(head + 1, newest + 3, told)]


def key_of(account: Address) -> str:
    return f"1:lender:{lender.HOME}:{account}:liquidation"


def told_of(alerts: Sequence[Alert], account: Address) -> list[tuple[str, int | None]]:
    return [(alert.state, alert.evidence.block) for alert in alerts if alert.key == key_of(account)]


def fed(engine: Engine, frames: Sequence[Frame]) -> None:
    for frame in frames:
        engine.feed(frame)


def test_the_head_is_told_at_once_and_the_gap_too_and_nothing_twice() -> None:
    engine, alerts = made()
    fed(engine, interleaved())
    # At the head ANN stood at once; what the past says of her is held back, and nothing has to be corrected in the end.
    assert told_of(alerts, ANN) == [("raised", HEAD)]
    # Of BOB the head has nothing to say: his story is told as it was.
    assert [state for state, _ in told_of(alerts, BOB)] == ["raised", "cleared"]
    assert engine.scouts == {}
    assert [row.alert.key for row in engine.snapshot().alerts] == [key_of(ANN)]


def test_the_state_is_that_of_a_run_in_order() -> None:
    engine, alerts = made()
    frames = interleaved()
    fed(engine, frames)
    plain, theirs = made()
    fed(plain, [f for f in frames if not (isinstance(f, BlockFrame | ReadsFrame) and f.ahead)])
    ours = engine.lines[1]
    assert ours.intake.book.digest() == plain.lines[1].intake.book.digest()
    assert msgspec.json.encode(engine.checkpoint()) == msgspec.json.encode(plain.checkpoint())
    assert msgspec.json.encode(ours.judge.alerts.dump()) == msgspec.json.encode(plain.lines[1].judge.alerts.dump())
    assert [a.state for a in theirs if a.key == key_of(ANN)] == ["raised", "cleared", "raised"]
    assert {a.key for a in alerts} == {a.key for a in theirs}


def test_its_recording_replays_to_the_same_bytes() -> None:
    engine, alerts = made()
    lines = [encode(engine.header())]
    for frame in interleaved():
        lines.append(encode(frame))
        engine.feed(frame)
    engine.finish()
    again: list[Alert] = []
    replayed = Engine(msgspec.structs.replace(engine.config), mode="replay", on_alert=again.append)
    fed(replayed, [decode(line) for line in lines])
    replayed.finish()
    assert [msgspec.json.encode(a) for a in again] == [msgspec.json.encode(a) for a in alerts]
    assert replayed.lines[1].intake.book.digest() == engine.lines[1].intake.book.digest()


def test_frames_that_are_not_ahead_are_written_as_before() -> None:
    for frame in (block(1), removed(1), reads(1, {ANN: 100})):
        assert b"ahead" not in encode(frame)
        assert b'"ahead":true' in encode(ahead(frame))
        assert decode(encode(ahead(frame))) == ahead(frame)


def test_the_scout_is_told_whom_to_look_at_nearest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defiwatch.engine.scout.PAIRS", 2)
    engine, _ = made()
    fed(engine, list(in_order(1, START)))
    engine.feed(at_head(HEAD)[0])
    (instance,) = engine.scouts[1].line.intake.instances
    assert isinstance(instance, Lender)
    assert instance.watched == tuple(sorted((CAT, BOB)))
    assert engine.scouts[1].line is engine.scout(1)


def test_the_line_that_a_collector_asks_before_is_the_one_that_is_used() -> None:
    engine, _ = made()
    fed(engine, list(in_order(1, START)))
    line = engine.scout(1)
    assert engine.scouts == {}
    assert (len(line.filters()), line.wants(), list(line.blocks())) == (1, (), [])
    fed(engine, at_head(HEAD))
    assert engine.scouts[1].line is line
    assert line.intake.head is not None
    assert line.intake.head.number == HEAD


def test_pictures_show_the_head_and_what_is_missing() -> None:
    engine, _ = made()
    fed(engine, [*in_order(1, START), at_head(HEAD)[0]])
    assert {row.account: row.block for row in engine.snapshot().positions} == {ANN: START, BOB: START, CAT: START}
    engine.feed(at_head(HEAD)[1])
    shown = engine.snapshot()
    (chain,) = shown.chains
    assert (chain.head, chain.gap) == (HEAD, HEAD - START)
    rows = {row.account: row for row in shown.positions}
    assert rows[ANN].health_factor == 1.01
    assert rows[ANN].block == HEAD
    assert set(rows) == {ANN, BOB}  # CAT was looked for, and is no more
    assert [row.alert.key for row in shown.alerts] == [key_of(ANN)]
    assert [alert.key for alert in shown.feed] == [key_of(ANN)]
    fed(engine, list(in_order(START + 1, HEAD)))
    (chain,) = engine.snapshot().chains
    assert (chain.head, chain.gap) == (HEAD, 0)


def test_who_was_not_looked_at_is_shown_as_the_own_line_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defiwatch.engine.scout.PAIRS", 1)
    engine, _ = made()
    fed(engine, [*in_order(1, START), *at_head(HEAD, (CAT,))])
    rows = {row.account: row.block for row in engine.snapshot().positions}
    assert rows == {ANN: START, BOB: START}


def test_what_only_the_scout_held_is_cleared_in_the_end() -> None:
    engine, alerts = made()
    fed(engine, [*in_order(1, START), ahead(block(50)), ahead(reads(50, {ANN: 200, BOB: 101, CAT: 150}))])
    assert told_of(alerts, BOB) == [("raised", 50)]
    fed(engine, list(in_order(START + 1, 44)))
    fed(engine, [f for n in range(45, 51) for f in (block(n), reads(n, {ANN: 200, BOB: 180, CAT: 150}))])
    assert told_of(alerts, BOB) == [("raised", 50), ("cleared", 50)]
    assert "over by now" in alerts[-1].title
    assert engine.scouts == {}


def test_what_was_held_back_and_still_stands_is_told_in_the_end() -> None:
    def getting_worse(number: int) -> dict[Address, int]:
        return {ANN: 101 if number >= 40 else 200, BOB: 180, CAT: 150}

    engine, alerts = made()
    fed(engine, list(in_order(1, START, getting_worse)))
    fed(engine, [ahead(block(50)), ahead(reads(50, {ANN: 101, BOB: 180, CAT: 150}))])
    fed(engine, [ahead(block(51)), ahead(reads(51, {ANN: 300, BOB: 180, CAT: 150}))])
    assert [state for state, _ in told_of(alerts, ANN)] == ["raised", "cleared"]
    fed(engine, list(in_order(START + 1, 51, getting_worse)))
    assert [state for state, _ in told_of(alerts, ANN)] == ["raised", "cleared", "raised"]
    assert len({alert.id for alert in alerts}) == len(alerts)


def test_a_reorg_at_the_head_is_the_scouts_alone() -> None:
    engine, alerts = made()
    fed(engine, [*in_order(1, START), *at_head(HEAD)])
    digest = engine.lines[1].intake.book.digest()
    assert told_of(alerts, ANN) == [("raised", HEAD)]
    engine.feed(ahead(removed(HEAD)))
    assert told_of(alerts, ANN) == [("raised", HEAD), ("retracted", HEAD)]
    fed(engine, [ahead(block(HEAD, fork=1)), ahead(reads(HEAD, {ANN: 102, BOB: 180, CAT: 0}, fork=1))])
    assert [state for state, _ in told_of(alerts, ANN)] == ["raised", "retracted", "raised"]
    assert engine.lines[1].intake.book.digest() == digest
    assert engine.lines[1].intake.head is not None
    assert engine.lines[1].intake.head.number == START


def test_it_ends_once_its_newest_block_was_judged_not_before() -> None:
    engine, _ = made()
    fed(engine, [*in_order(1, START), *at_head(40), *in_order(START + 1, 39)])
    engine.feed(block(40))
    assert 1 in engine.scouts
    engine.feed(reads(40, {ANN: 200, BOB: 180, CAT: 150}))
    assert engine.scouts == {}


def test_a_run_that_was_stopped_meanwhile_gets_a_scout_of_its_own() -> None:
    """DAN is bad at the first scout's head only, EVE from the second's on: both are told, in the end what holds."""
    dan, eve = user(4), user(5)

    def told(number: int) -> dict[Address, int]:
        return {dan: 101 if number == 60 else 200, eve: 101 if number >= HEAD else 200}

    engine, alerts = made()
    lines = [encode(engine.header())]

    def feed(frames: Sequence[Frame]) -> None:
        lines.extend(encode(frame) for frame in frames)
        fed(engine, frames)

    feed(list(in_order(1, START, told)))
    feed(at_head(60, (dan, eve), told))
    first = engine.scouts[1]
    assert told_of(alerts, dan) == [("raised", 60)]
    feed(list(in_order(START + 1, 30, told)))
    # Here it was stopped; the blocks from 61 on came while nobody looked.
    feed(at_head(HEAD, (dan, eve), told))
    assert engine.scouts[1] is not first
    assert [state for state, _ in told_of(alerts, dan)] == ["raised", "cleared"]
    assert told_of(alerts, eve) == [("raised", HEAD)]
    feed(list(in_order(31, HEAD, told)))
    assert engine.scouts == {}
    assert engine.notices() == []
    assert [state for state, _ in told_of(alerts, dan)] == ["raised", "cleared", "raised", "cleared"]
    assert told_of(alerts, eve) == [("raised", HEAD)]
    plain, _ = made()
    fed(plain, list(in_order(1, HEAD, told)))
    assert engine.lines[1].intake.book.digest() == plain.lines[1].intake.book.digest()
    again: list[Alert] = []
    fed(Engine(engine.config, mode="replay", on_alert=again.append), [decode(line) for line in lines])
    assert [a.id for a in again] == [a.id for a in alerts]


def test_reads_that_never_come_do_not_keep_it() -> None:
    engine, _ = made()
    fed(engine, [*in_order(1, START), *at_head(40), *in_order(START + 1, 39), block(40), block(41)])
    assert engine.scouts == {}


def test_a_head_that_is_shown_is_no_silence() -> None:
    engine, alerts = made()
    seconds = 1_700_001_000
    fed(engine, [TickFrame(iso(seconds)), *in_order(1, START)])
    for number in range(HEAD, HEAD + 30):
        seconds += 12
        fed(engine, [TickFrame(iso(seconds)), *at_head(number)])
    assert [alert for alert in alerts if alert.kind == "source.silent"] == []
    for _ in range(10):
        seconds += 12
        engine.feed(TickFrame(iso(seconds)))
    assert [alert.kind for alert in alerts if alert.kind == "source.silent"] == ["source.silent"]


def test_the_gap_stands_open_meanwhile() -> None:
    engine, alerts = made()
    gap = HealthFrame("one", "behind", iso(1_700_001_000.0), chain_id=1, detail="blocks 11 to 90 are missing")
    fed(engine, [*in_order(1, START), gap, *at_head(HEAD), *in_order(START + 1, HEAD)])
    assert [alert.state for alert in alerts if alert.kind == "source.gap"] == ["raised"]
    engine.feed(HealthFrame("one", "live", iso(1_700_002_000.0), chain_id=1))
    assert [alert.state for alert in alerts if alert.kind == "source.gap"] == ["raised", "cleared"]


def test_what_the_user_said_of_an_alert_of_the_scout_holds_on() -> None:
    engine, _ = made()
    fed(engine, [*in_order(1, START), *at_head(HEAD)])
    engine.feed(InputFrame("ack", key_of(ANN), iso(1_700_001_000.0)))
    assert engine.snapshot().alerts[0].acked
    fed(engine, list(in_order(START + 1, HEAD)))
    assert engine.scouts == {}
    (row,) = engine.snapshot().alerts
    assert row.acked


def test_frames_ahead_without_a_block_before_them_are_left_aside() -> None:
    engine, alerts = made()
    fed(engine, list(in_order(1, START)))
    digest = engine.lines[1].intake.book.digest()
    fed(engine, [ahead(reads(HEAD, {ANN: 101})), ahead(removed(HEAD))])
    assert (engine.scouts, alerts, engine.lines[1].intake.book.digest()) == ({}, [], digest)


def test_block_hashes_of_the_made_up_market_link() -> None:
    assert block(5).header.parent_hash == block_hash(4) == block(4).header.hash
