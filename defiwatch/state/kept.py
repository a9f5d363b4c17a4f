"""The book on disk: which types a table holds, and its rows and journal as JSON and back.

A table's types are those of its declaration (`RESERVES: Table[Address, Reserve] = Table("aave_v3.reserve")`), so
what is read can be nothing else: a row that does not fit is refused.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, get_args

import msgspec

import defiwatch
from defiwatch.domain.events import BlockRef
from defiwatch.errors import StoreError
from defiwatch.protocols.spec import Table
from defiwatch.state.journal import ABSENT, Entry, JournaledBook

ROOMS = ("protocols", "features", "scoring", "state")


class Row(msgspec.Struct, frozen=True):
    """One row that changed. `value` is JSON, None where the row is gone."""

    table: str
    key: bytes
    value: bytes | None


class Page(msgspec.Struct, frozen=True):
    """One block of the journal: what its writes replaced, as JSON."""

    number: int
    body: bytes


class Changes(msgspec.Struct, frozen=True):
    """What is to be written so that the disk holds the book as it stands. `oldest` and `newest` bound the journal."""

    rows: tuple[Row, ...]
    pages: tuple[Page, ...]
    oldest: int
    newest: int


class _Write(msgspec.Struct, frozen=True, array_like=True):
    table: str
    key: msgspec.Raw
    before: msgspec.Raw
    absent: bool


class _Body(msgspec.Struct, frozen=True):
    at: BlockRef
    writes: tuple[_Write, ...]


@lru_cache(maxsize=1)
def types() -> dict[str, tuple[Any, Any]]:
    """Table name → (key type, value type), of every table that is declared anywhere in the rooms that keep state."""
    for room in ROOMS:
        package = importlib.import_module(f"{defiwatch.__name__}.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)
    declared: dict[str, tuple[Any, Any]] = {}
    for name, module in sorted(sys.modules.items()):
        if not name.startswith(f"{defiwatch.__name__}."):
            continue
        for variable, annotation in vars(module).get("__annotations__", {}).items():
            table = vars(module).get(variable)
            if isinstance(table, Table) and isinstance(annotation, str):
                key, value = get_args(eval(annotation, vars(module)))  # noqa: S307 - our own source's annotation
                if table.name in declared and declared[table.name] != (key, value):
                    raise TypeError(f"two tables are called {table.name!r}")
                declared[table.name] = (key, value)
    return declared


_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=512)
def _decoder(table: str, part: int) -> msgspec.json.Decoder[Any]:
    try:
        return msgspec.json.Decoder(types()[table][part])
    except KeyError:
        raise StoreError(f"the state on disk has a table {table!r}, which this version does not know") from None


def changes(book: JournaledBook) -> Changes:
    """What changed since the last call, as it stands now; the book counts it as kept."""
    tables = book.tables()
    rows = []
    for name, key in book.take_dirty():
        held = tables.get(name, {})
        rows.append(Row(name, _encode(key), _encode(held[key]) if key in held else None))
    pages = tuple(Page(entry.at.number, _body(entry)) for entry in book.take_unsaved())
    blocks = book.blocks
    oldest, newest = (blocks[0].number, blocks[-1].number) if blocks else (0, -1)
    return Changes(tuple(rows), pages, oldest, newest)


def _body(entry: Entry) -> bytes:
    writes = tuple(
        _Write(
            name,
            msgspec.Raw(_encode(key)),
            msgspec.Raw(b"null" if before is ABSENT else _encode(before)),
            before is ABSENT,
        )
        for name, key, before in entry.writes
    )
    return _encode(_Body(entry.at, writes))


def restore(book: JournaledBook, rows: Sequence[Row], pages: Sequence[Page]) -> None:
    """Fill an empty book with what `changes` gave over time. StoreError if a row fits no table's types."""
    tables: dict[str, dict[Any, Any]] = {}
    journal: list[Entry] = []
    try:
        for row in rows:
            if row.value is not None:
                key = _decoder(row.table, 0).decode(row.key)
                tables.setdefault(row.table, {})[key] = _decoder(row.table, 1).decode(row.value)
        for page in sorted(pages, key=lambda page: page.number):
            body = msgspec.json.decode(page.body, type=_Body)
            entry = Entry(body.at)
            entry.writes = [
                (
                    write.table,
                    _decoder(write.table, 0).decode(write.key),
                    ABSENT if write.absent else _decoder(write.table, 1).decode(write.before),
                )
                for write in body.writes
            ]
            journal.append(entry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"the state on disk cannot be read: {error}") from error
    book.refill(tables, journal)
