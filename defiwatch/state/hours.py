"""The last hour of every pool, in minutes: what it traded, and where its price stood. Journaled like all state."""

from __future__ import annotations

import math

import msgspec

from defiwatch.protocols.spec import Book, Table

MINUTES = 60

TWAP_S = 1_800.0
"""The window of a mean price, seconds: what lending markets that trust a pool usually take."""


class Minute(msgspec.Struct, frozen=True):
    """A minute that saw a trade: `price` after its last one (token 1 for one token 0), `volume` in units of token 0.

    `time` is that trade's, and `sum` what ln(price) added up to by then, second by second since the first trade.
    """

    minute: int
    price: float
    volume: float
    time: int = 0
    sum: float = 0.0
    raw: bool = False
    """Whether price and volume are in smallest units, since a token's decimals were not known."""


HOURS: Table[tuple[str, str], tuple[Minute, ...]] = Table("state.hour")
"""(protocol, pool id) → its minutes with trades, oldest first; the first may be older than an hour."""


def traded(book: Book, key: tuple[str, str], time: int, price: float, volume: float, *, raw: bool = False) -> None:
    """Note a trade at `time` (Unix seconds) of `volume` units of token 0, after which the price is `price`.

    Once decimals are known (`raw` ends) what was noted without them is forgotten: it cannot be compared.
    """
    minute = time // 60
    rows = book.get(HOURS, key) or ()
    if rows and rows[-1].raw != raw:
        rows = ()
    summed = _sum_at(rows[-1], time) if rows else 0.0
    if rows and rows[-1].minute == minute:
        book.put(HOURS, key, (*rows[:-1], Minute(minute, price, rows[-1].volume + volume, time, summed, raw)))
        return
    old = [row for row in rows if row.minute <= minute - MINUTES]
    kept = (*old[-1:], *(row for row in rows if row.minute > minute - MINUTES))
    book.put(HOURS, key, (*kept, Minute(minute, price, volume, time, summed, raw)))


def _sum_at(row: Minute, time: float) -> float:
    """What ln(price) added up to by `time`, not before the row's own: since its trade the price stood still."""
    return row.sum + (math.log(row.price) * (time - row.time) if 0.0 < row.price < math.inf else 0.0)


def twap(book: Book, key: tuple[str, str], time: float, window: float = TWAP_S) -> float | None:
    """The geometric time-weighted mean price over the `window` seconds before `time`, as a v3 pool's own oracle has it.

    Over what is known where that is less; None for less than a sixth of the window, and for a pool that has no price.
    Exact but for the minute in which the window begins, whose trades count as its last one.
    Uniswap/v3-core d8b1c63 contracts/libraries/Oracle.sol:30-45 (the price counts from the block after the trade).
    """
    rows = book.get(HOURS, key) or ()
    if not rows or not all(0.0 < row.price < math.inf for row in rows):
        return None
    begin = max(time - window, float(rows[0].time))
    if time - begin < window / 6.0:
        return None
    first = max((row for row in rows if row.time <= begin), key=lambda row: row.time)
    return math.exp((_sum_at(rows[-1], time) - _sum_at(first, begin)) / (time - begin))


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
