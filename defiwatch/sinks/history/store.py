"""The SQLite file: alerts as they were printed, in a hash chain, and what the user said to them.

Row n carries keccak(hash of row n-1, newline, its line); row 0 has the hash of the journal's name. The length and
last hash stand in a table of their own, written in the same transaction, so a row that was edited, taken out or cut off
is found.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from defiwatch.domain.frames import InputFrame
from defiwatch.domain.keccak import keccak
from defiwatch.domain.risk import SEVERITIES, Alert, Severity
from defiwatch.domain.units import from_iso
from defiwatch.errors import StoreError, UsageError

FILE_NAME = "history.sqlite"
"""Its name inside the data directory."""

VERSION = 1
APPLICATION_ID = 0x64667761
"""Marks the file as ours ("dfwa")."""

ROOT = keccak(b"defiwatch.journal/1").hex()
"""The hash before the first row."""

BUSY_S = 10.0

_SCHEMA = """
CREATE TABLE alerts (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  key TEXT NOT NULL,
  state TEXT NOT NULL,
  kind TEXT NOT NULL,
  severity TEXT NOT NULL,
  time REAL NOT NULL,
  line TEXT NOT NULL,
  hash TEXT NOT NULL
);
CREATE INDEX alerts_by_time ON alerts (time);
CREATE INDEX alerts_by_key ON alerts (key, n);
CREATE TABLE journal (only INTEGER PRIMARY KEY CHECK (only = 1), length INTEGER NOT NULL, hash TEXT NOT NULL);
CREATE TABLE inputs (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  action TEXT NOT NULL,
  key TEXT NOT NULL,
  time TEXT NOT NULL,
  until TEXT,
  value TEXT,
  origin TEXT NOT NULL
);
"""


class Verdict(msgspec.Struct, frozen=True):
    """What checking the journal found: `broken` is the number of the first line not as it was written, or None."""

    lines: int
    hash: str
    broken: int | None = None
    problem: str = ""


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--data-dir: {folder} cannot be made ({error.strerror or error})") from error


class Store:
    """The file, open. Every method raises StoreError, naming the file, where SQLite cannot do what is asked.
    UsageError for a folder that cannot be made.

    One thread at a time; several processes may have it open.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        if create:
            _make(path.parent)
        with self._told():
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
                uri=True,
                timeout=BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare()
            except (sqlite3.Error, StoreError):
                self._db.close()
                raise

    @classmethod
    def existing(cls, path: Path) -> Store | None:
        """The file at `path` if there is one; nothing is created."""
        return cls(path, create=False) if path.exists() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._told():
            self._db.close()

    # Alerts.

    def append(self, alerts: Sequence[Alert]) -> int:
        """Add alerts in order, in one transaction, leaving out those whose id is there. Returns how many were new."""
        with self._told(), self._transaction():
            length, head = self._db.execute("SELECT length, hash FROM journal").fetchone()
            before = length
            for alert in alerts:
                if self._db.execute("SELECT 1 FROM alerts WHERE id = ?", (alert.id,)).fetchone():
                    continue
                line = msgspec.json.encode(alert).decode()
                head = _link(head, line)
                length += 1
                self._db.execute(
                    "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (length, *_columns(alert), line, head)
                )
            self._db.execute("UPDATE journal SET length = ?, hash = ?", (length, head))
            return int(length - before)

    def alerts(
        self, *, since: float | None = None, severity: Severity | None = None, key: str | None = None
    ) -> Iterator[Alert]:
        """Alerts as printed, oldest first: from `since` (Unix seconds), of at least `severity`, under `key`."""
        with self._told():
            for (line,) in self._select("line", since=since, severity=severity, key=key):
                yield _decode(self.path, line)

    def lines(self, *, since: float | None = None, severity: Severity | None = None) -> Iterator[str]:
        """The same as the very text that was printed."""
        with self._told():
            for (line,) in self._select("line", since=since, severity=severity):
                yield line

    def latest(self, text: str) -> list[Alert]:
        """The last change of each alert whose key or id is `text`, or whose key holds it (an address); by key."""
        with self._told():
            rows = self._db.execute(
                "SELECT line FROM alerts WHERE n IN (SELECT max(n) FROM alerts"
                " WHERE key = ?1 OR id = ?1 OR instr(lower(key), lower(?1)) GROUP BY key) ORDER BY key",
                (text,),
            ).fetchall()
            return [_decode(self.path, line) for (line,) in rows]

    def keys(self, part: str) -> list[str]:
        """The keys that hold `part`, the latest first."""
        with self._told():
            rows = self._db.execute(
                "SELECT key FROM alerts WHERE instr(lower(key), lower(?)) GROUP BY key ORDER BY max(n) DESC", (part,)
            )
            return [key for (key,) in rows]

    def size(self) -> int:
        """How many alerts are kept."""
        with self._told():
            return int(self._db.execute("SELECT length FROM journal").fetchone()[0])

    def verify(self) -> Verdict:
        """Walk the chain from its first line. A file that SQLite itself cannot read counts as broken where it stops."""
        count, head = 0, ROOT
        try:
            rows = self._db.execute("SELECT n, id, key, state, kind, severity, time, line, hash FROM alerts ORDER BY n")
            for n, *columns, line, link in rows:
                expected = count + 1
                if n != expected:
                    return Verdict(count, head, expected, f"is missing (the next one is line {n})")
                if not isinstance(line, str) or _link(head, line) != link:
                    return Verdict(count, head, expected, "does not fit its hash and the line before it")
                if columns != _stated(line):
                    return Verdict(count, head, expected, "was changed in its columns, which differ from its text")
                count, head = n, link
            length, last = self._db.execute("SELECT length, hash FROM journal").fetchone()
        except sqlite3.DatabaseError as error:
            return Verdict(count, head, count + 1, f"cannot be read ({error})")
        if length > count:
            return Verdict(count, head, count + 1, f"is missing ({length} were written)")
        if (length, last) != (count, head):
            return Verdict(count, head, length + 1, f"was added from outside ({length} were written)")
        return Verdict(count, head)

    # What the user said.

    def add_input(self, frame: InputFrame, origin: str) -> int:
        """Keep what the user did. `origin` names the process that did it, which need not be told again."""
        with self._told():
            cursor = self._db.execute(
                "INSERT INTO inputs (action, key, time, until, value, origin) VALUES (?, ?, ?, ?, ?, ?)",
                (frame.action, frame.key, frame.time, frame.until, frame.value, origin),
            )
            return int(cursor.lastrowid or 0)

    def inputs(self, *, after: int = 0, not_from: str = "") -> list[tuple[int, InputFrame]]:
        """What the user did, numbered, in order: after number `after`, by another process than `not_from`."""
        with self._told():
            rows = self._db.execute(
                "SELECT n, action, key, time, until, value FROM inputs WHERE n > ? AND origin <> ? ORDER BY n",
                (after, not_from),
            ).fetchall()
        return [(n, InputFrame(action=a, key=k, time=t, until=u, value=v)) for n, a, k, t, u, v in rows]

    def last_input(self) -> int:
        """The number of the last input; 0 before the first."""
        with self._told():
            return int(self._db.execute("SELECT coalesce(max(n), 0) FROM inputs").fetchone()[0])

    # Inside.

    def _prepare(self) -> None:
        db = self._db
        version, owner = (
            db.execute("PRAGMA user_version").fetchone()[0],
            db.execute("PRAGMA application_id").fetchone()[0],
        )
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and owner != APPLICATION_ID:
            raise StoreError(f"{self.path}: is a database of another program")
        if version > VERSION:
            raise StoreError(
                f"{self.path}: was written by a newer defiwatch (format {version}, this one reads {VERSION})"
            )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if not tables:
            with self._transaction():
                if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    for statement in _SCHEMA.strip().split(";\n"):
                        db.execute(statement)
                    db.execute("INSERT INTO journal VALUES (1, 0, ?)", (ROOT,))
                    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    db.execute(f"PRAGMA user_version = {VERSION}")

    def _select(self, what: str, **asked: Any) -> sqlite3.Cursor:
        conditions, values = ["1"], []
        if asked.get("since") is not None:
            conditions.append("time >= ?")
            values.append(asked["since"])
        if asked.get("severity") is not None:
            wanted = SEVERITIES[SEVERITIES.index(asked["severity"]) :]
            conditions.append(f"severity IN ({', '.join('?' * len(wanted))})")
            values += wanted
        if asked.get("key") is not None:
            conditions.append("key = ?")
            values.append(asked["key"])
        return self._db.execute(f"SELECT {what} FROM alerts WHERE {' AND '.join(conditions)} ORDER BY n", values)  # noqa: S608 - the parts are literals above

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        except OSError as error:
            raise StoreError(f"{error.filename or self.path}: {error.strerror or error}") from error


def _link(head: str, line: str) -> str:
    return keccak(f"{head}\n{line}".encode()).hex()


def _columns(alert: Alert) -> tuple[str, str, str, str, str, float]:
    return (alert.id, alert.key, alert.state, alert.kind, alert.severity, from_iso(alert.time))


def _stated(line: str) -> list[Any]:
    """The columns that a line itself states; [] if it is no alert."""
    try:
        return list(_columns(msgspec.json.decode(line, type=Alert)))
    except (msgspec.MsgspecError, ValueError):
        return []


def _decode(path: Path, line: str) -> Alert:
    try:
        return msgspec.json.decode(line, type=Alert)
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"{path}: a line that is no alert ({error}); `defiwatch journal verify` says where it begins"
        ) from error
