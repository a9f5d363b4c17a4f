"""The last hour of every pool, in minutes: what it traded, and where its price stood. Journaled like all state."""

from __future__ import annotations

import math

import msgspec

from defiwatch.protocols.spec import Book, Table

MINUTES = 60


class Minute(msgspec.Struct, frozen=True):
    """A minute that saw a trade: `price` after its last one (token 1 for one token 0), `volume` in units of token 0."""

    minute: int
    price: float
    volume: float


HOURS: Table[tuple[str, str], tuple[Minute, ...]] = Table("state.hour")
"""(protocol, pool id) → its minutes with trades, oldest first; the first may be older than an hour."""


def traded(book: Book, key: tuple[str, str], time: int, price: float, volume: float) -> None:
    """Note a trade at `time` (Unix seconds) of `volume` units of token 0, after which the price is `price`."""
    minute = time // 60
    rows = book.get(HOURS, key) or ()
    if rows and rows[-1].minute == minute:
        book.put(HOURS, key, (*rows[:-1], Minute(minute, price, rows[-1].volume + volume)))
        return
    old = [row for row in rows if row.minute <= minute - MINUTES]
    kept = (*old[-1:], *(row for row in rows if row.minute > minute - MINUTES))
    book.put(HOURS, key, (*kept, Minute(minute, price, volume)))


def hour_volume(book: Book, key: tuple[str, str], time: float) -> float:
    """Units of token 0 traded in the hour before `time`."""
    since = int(time) // 60 - MINUTES
    return math.fsum(row.volume for row in book.get(HOURS, key) or () if row.minute > since)


def hour_change(book: Book, key: tuple[str, str], time: float) -> float | None:
    """The relative change of the price over the hour before `time`; None where it has no price from before."""
    rows = book.get(HOURS, key) or ()
    since = int(time) // 60 - MINUTES
    before = [row for row in rows if row.minute <= since] or list(rows[:1])
    if len(rows) < 2 or not before or before[-1].price <= 0.0:
        return None
    return rows[-1].price / before[-1].price - 1.0
