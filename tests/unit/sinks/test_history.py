from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from defiwatch.domain.frames import InputFrame
from defiwatch.domain.keccak import keccak
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import iso
from defiwatch.errors import StoreError, UsageError
from defiwatch.sinks.history import History, Inbox, Store, Verdict
from defiwatch.sinks.history import sink as sink_module
from tests.unit.sinks.samples import START, alert


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite"


def filled(path: Path, count: int = 5) -> list[Alert]:
    alerts = [alert(n) for n in range(1, count + 1)]
    with Store(path) as store:
        assert store.append(alerts) == count
    return alerts


def edit(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def verdict(path: Path) -> Verdict:
    with Store(path, create=False) as store:
        return store.verify()


# The store.


def test_keeps_alerts_as_they_were(path: Path) -> None:
    alerts = filled(path)
    with Store(path) as store:
        assert list(store.alerts()) == alerts
        assert [line.encode() for line in store.lines()] == [msgspec.json.encode(a) for a in alerts]
        assert store.size() == 5


def test_selects(path: Path) -> None:
    items = [
        alert(1, severity="info"),
        alert(2, severity="warning", key="k"),
        alert(3, severity="critical"),
        alert(4, severity="info", key="k"),
    ]
    with Store(path) as store:
        store.append(items)
        assert [a.id for a in store.alerts(severity="warning")] == ["id-2", "id-3"]
        assert [a.id for a in store.alerts(severity="info", since=START + 3)] == ["id-3", "id-4"]
        assert [a.id for a in store.alerts(key="k")] == ["id-2", "id-4"]
        assert [a.id for a in store.latest("k")] == ["id-4"]
        assert [a.id for a in store.latest("id-3")] == ["id-3"]


def test_finds_by_an_address_in_any_case(path: Path) -> None:
    with Store(path) as store:
        store.append([alert(1, key="1:aave_v3:0xAbC:liquidation")])
        assert [a.id for a in store.latest("0xaBC")] == ["id-1"]
        assert store.keys("0xABC") == ["1:aave_v3:0xAbC:liquidation"]


def test_a_repeated_id_is_left_out(path: Path) -> None:
    filled(path, 2)
    with Store(path) as store:
        assert store.append([alert(2), alert(3), alert(3)]) == 1
        assert [a.id for a in store.alerts()] == ["id-1", "id-2", "id-3"]
        assert store.verify().broken is None


def test_the_chain_is_what_the_docs_say(path: Path) -> None:
    alerts = filled(path, 2)
    link = keccak(b"defiwatch.journal/1").hex()
    for item in alerts:
        link = keccak(link.encode() + b"\n" + msgspec.json.encode(item)).hex()
    assert verdict(path) == Verdict(2, link)


def test_an_empty_journal_is_whole(path: Path) -> None:
    Store(path).close()
    assert verdict(path).broken is None


@pytest.mark.parametrize(
    ("statement", "broken", "problem"),
    [
        ("UPDATE alerts SET line = replace(line, 'warning', 'info') WHERE n = 3", 3, "does not fit its hash"),
        ("UPDATE alerts SET severity = 'info' WHERE n = 2", 2, "columns"),
        ("UPDATE alerts SET time = time - 1 WHERE n = 4", 4, "columns"),
        ("DELETE FROM alerts WHERE n = 1", 1, "is missing"),
        ("DELETE FROM alerts WHERE n = 3", 3, "is missing"),
        ("DELETE FROM alerts WHERE n >= 4", 4, r"is missing \(5 were written"),
        ("UPDATE alerts SET hash = 'x' WHERE n = 5", 5, "does not fit its hash"),
        ("UPDATE alerts SET line = x'00' WHERE n = 2", 2, "does not fit its hash"),
        ("UPDATE journal SET hash = 'x'", 6, "was added from outside"),
    ],
)
def test_says_the_first_broken_line(path: Path, statement: str, broken: int, problem: str) -> None:
    filled(path)
    edit(path, statement)
    found = verdict(path)
    assert found.broken == broken
    assert found.lines == broken - 1
    assert re.search(problem, found.problem)


def test_an_edit_with_its_own_hash_breaks_the_next_line(path: Path) -> None:
    alerts = filled(path)
    line = msgspec.json.encode(alert(2, title="nothing to see")).decode()
    link = keccak(b"defiwatch.journal/1").hex()
    link = keccak(f"{link}\n".encode() + msgspec.json.encode(alerts[0])).hex()
    link = keccak(f"{link}\n{line}".encode()).hex()
    edit(path, f"UPDATE alerts SET line = '{line}', hash = '{link}' WHERE n = 2")
    assert verdict(path).broken == 3


def test_a_row_put_in_from_outside(path: Path) -> None:
    filled(path)
    with Store(path) as store:
        length, link = 5, store.verify().hash
    line = msgspec.json.encode(alert(6)).decode()
    made = keccak(f"{link}\n{line}".encode()).hex()
    edit(
        path,
        f"INSERT INTO alerts SELECT 6, 'id-6', '{alert(6).key}', state, kind, severity, {START + 6}, '{line}', '{made}'"
        " FROM alerts WHERE n = 5",
    )
    found = verdict(path)
    assert (found.broken, length) == (6, 5)


def test_a_damaged_file_is_broken_where_it_stops(path: Path) -> None:
    filled(path, 200)
    with Store(path) as store:
        store.verify()
    edit(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    page = int.from_bytes(data[16:18], "big")
    for at in range(len(data) // page // 2 * page, len(data) // page // 2 * page + 64):
        data[at] = 0xFF
    path.write_bytes(bytes(data))
    found = verdict(path)
    assert found.broken is not None


def test_a_file_that_is_none_of_ours(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello, this is no database at all" * 10)
    with pytest.raises(StoreError, match="text: file is not a database"):
        Store(text)
    other = tmp_path / "other"
    edit(other, "CREATE TABLE t (a)")
    with pytest.raises(StoreError, match="is a database of another program"):
        Store(other)


def test_a_newer_format_is_refused(path: Path) -> None:
    filled(path)
    edit(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"newer defiwatch \(format 99"):
        Store(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file cannot be made"):
        Store(tmp_path / "file" / "history.sqlite")


def test_nothing_is_created_by_looking(path: Path) -> None:
    assert Store.existing(path) is None
    assert not path.parent.exists()


def test_two_writers_make_one_chain(path: Path) -> None:
    Store(path).close()

    def write(first: int) -> None:
        with Store(path) as store:
            for n in range(first, first + 20):
                store.append([alert(n)])

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = verdict(path)
    assert (found.lines, found.broken) == (40, None)


# The sink.


def test_the_sink_keeps_everything_in_order(path: Path) -> None:
    history = History(Store(path), origin="me", tell=print)
    for n in range(100):
        history.put(alert(n))
    assert history.flush(60)
    with Store(path) as store:
        assert [a.id for a in store.alerts()] == [f"id-{n}" for n in range(100)]
    history.close()


class Flaky(Store):
    """Cannot write for a while."""

    failures = 0

    def append(self, alerts: Sequence[Alert]) -> int:
        if self.failures:
            self.failures -= 1
            raise StoreError("disk is full")
        return super().append(alerts)


def test_nothing_is_lost_while_the_disk_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "FIRST_RETRY_S", 0.001)
    words: list[str] = []
    store = Flaky(path)
    store.failures = 5
    history = History(store, origin="me", tell=words.append, size=2)
    for n in range(30):
        history.put(alert(n))
    assert history.flush(60)
    history.close()
    assert words == ["history: alerts wait in memory: disk is full", "history: alerts are kept again"]
    with Store(path) as reopened:
        assert reopened.size() == 30


def test_what_could_not_be_kept_is_told_at_the_end(path: Path) -> None:
    words: list[str] = []
    store = Flaky(path)
    store.failures = 10**9
    history = History(store, origin="me", tell=words.append)
    history.put(alert(1))
    history.put(alert(2))
    with pytest.raises(StoreError, match="2 alerts could not be kept"):
        history.close()
    assert len(words) == 1


# The way back.


def said(action: str, key: str, at: float, until: float | None = None) -> InputFrame:
    return InputFrame(action=action, key=key, time=iso(at), until=None if until is None else iso(until))


def test_a_running_engine_hears_what_others_said(path: Path) -> None:
    with Store(path) as other:
        other.add_input(said("ack", "old", START), "command")
        inbox = Inbox(Store(path), origin="me")
        assert inbox.fresh() == []
        other.add_input(said("ack", "a", START), "command")
        other.add_input(said("ack", "mine", START), "me")
        other.add_input(said("snooze", "b", START, START + 60), "command")
        assert [frame.key for frame in inbox.fresh()] == ["a", "b"]
        assert inbox.fresh() == []
        inbox.close()


def test_what_a_later_start_honours(path: Path) -> None:
    with Store(path) as store:
        for frame in (
            said("snooze", "over", START, START + 10),
            said("snooze", "on", START, START + 1000),
            said("snooze", "twice", START, START + 1000),
            said("snooze", "twice", START + 1, START + 5),
            said("ack", "stands", START + 10),
            said("ack", "cleared", START + 10),
            said("ack", "cleared before", START + 10),
            said("noise", "judged", START),
            said("config", "", START),
        ):
            store.add_input(frame, "me")
        store.append(
            [
                alert(1, key="stands", time=START + 5),
                alert(2, key="cleared", time=START + 5),
                alert(3, key="cleared", state="cleared", time=START + 20),
                alert(4, key="cleared", time=START + 30),
                alert(5, key="cleared before", state="cleared", time=START + 5),
            ]
        )
    inbox = Inbox(Store(path), origin="another")
    assert [(f.action, f.key) for f in inbox.standing(START + 100)] == [
        ("snooze", "on"),
        ("ack", "stands"),
        ("ack", "cleared before"),
        ("noise", "judged"),
    ]
    inbox.close()


def test_what_this_process_said_is_kept_but_not_heard_again(path: Path) -> None:
    history = History(Store(path), origin="me", tell=print)
    inbox = Inbox(Store(path), origin="me")
    history.put(said("ack", "k", START))
    assert history.flush(60)
    assert inbox.fresh() == []
    history.close()
    later = Inbox(Store(path), origin="later")
    assert [frame.key for frame in later.standing(START)] == ["k"]
    inbox.close()
    later.close()
