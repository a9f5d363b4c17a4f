"""The ledger on disk: state, journal, cursor, alerts and models of every chain, written together or not at all.

SQLite with a write-ahead log: a kill at any moment leaves the last transaction that was finished. Rows that did not
change are not written again. One process at a time holds the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec

from defiwatch.errors import StoreError
from defiwatch.state.kept import Changes, Page, Row

FILE_NAME = "ledger.sqlite"
VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    chain INTEGER NOT NULL, tbl TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (chain, tbl, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS journal (
    chain INTEGER NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (chain, number)
) WITHOUT ROWID;
"""


class KeptChain(msgspec.Struct, frozen=True):
    """One chain's state as it was kept."""

    rows: tuple[Row, ...]
    pages: tuple[Page, ...]


class Kept(msgspec.Struct, frozen=True):
    """Everything that was kept. `meta` holds what is neither row nor journal, by name."""

    chains: dict[int, KeptChain]
    meta: dict[str, bytes]


class LedgerStore:
    """One file. StoreError wherever it cannot be opened, read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise StoreError(f"{path}: written by another version of defiwatch (its format is {version})")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.OperationalError as error:
            busy = "locked" in str(error)
            raise StoreError(
                f"{path}: {'another defiwatch holds it' if busy else f'cannot be opened: {error}'}"
            ) from error
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path}: cannot be opened: {error}") from error

    def load(self) -> Kept | None:
        """What was kept, None if nothing was yet."""
        try:
            meta = {name: bytes(value) for name, value in self._db.execute("SELECT name, value FROM meta")}
            if not meta:
                return None
            rows: dict[int, list[Row]] = {}
            for chain, table, key, value in self._db.execute("SELECT chain, tbl, key, value FROM rows"):
                rows.setdefault(chain, []).append(Row(table, bytes(key), bytes(value)))
            pages: dict[int, list[Page]] = {}
            for chain, number, body in self._db.execute("SELECT chain, number, body FROM journal ORDER BY number"):
                pages.setdefault(chain, []).append(Page(number, bytes(body)))
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from error
        chains = {
            chain: KeptChain(tuple(rows.get(chain, ())), tuple(pages.get(chain, ())))
            for chain in sorted({*rows, *pages})
        }
        return Kept(chains, meta)

    def save(self, changes: Mapping[int, Changes], meta: Mapping[str, bytes]) -> None:
        """Write all of it in one transaction."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                for chain, change in changes.items():
                    self._save_chain(chain, change)
                db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(meta.items()))
                db.execute("COMMIT")
            except BaseException:
                db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be written: {error}") from error

    def _save_chain(self, chain: int, change: Changes) -> None:
        db = self._db
        db.executemany(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)",
            [(chain, row.table, row.key, row.value) for row in change.rows if row.value is not None],
        )
        db.executemany(
            "DELETE FROM rows WHERE chain = ? AND tbl = ? AND key = ?",
            [(chain, row.table, row.key) for row in change.rows if row.value is None],
        )
        db.execute(
            "DELETE FROM journal WHERE chain = ? AND (number < ? OR number > ?)", (chain, change.oldest, change.newest)
        )
        db.executemany(
            "INSERT OR REPLACE INTO journal VALUES (?, ?, ?)",
            [(chain, page.number, page.body) for page in change.pages],
        )

    def clear(self) -> None:
        """Forget everything: a cold start."""
        try:
            with self._db:
                for table in ("meta", "rows", "journal"):
                    self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own three names
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be written: {error}") from error

    def close(self) -> None:
        """Close the file."""
        try:
            self._db.close()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be closed: {error}") from error
