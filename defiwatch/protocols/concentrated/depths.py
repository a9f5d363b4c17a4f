"""Depths worked out once per state: a picture of many pools asks for all of them, few have changed since."""

from __future__ import annotations

from defiwatch.protocols.concentrated.table import CHECKS, BookTicks
from defiwatch.protocols.concentrated.walk import Curve, Depth, depth
from defiwatch.protocols.spec import Book


class Depths:
    """The last depth of each pool, as long as the state it came from is the pool's. Holds nothing that counts."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, int, Depth | None]] = {}

    def of(
        self, book: Book, pool: str, state: object, curve: Curve | None, buy_fee_ppm: int | None = None
    ) -> Depth | None:
        """What moves the pool's price by 2 % either way; None while that cannot be told.

        `state` is the value in the book that `curve` comes from: every event of the pool replaces it.
        """
        check = book.get(CHECKS, pool)
        revision = check.revision if check is not None else 0
        kept = self._kept.get(pool)
        if kept is not None and kept[0] is state and kept[1] == revision:
            return kept[2]
        found = depth(curve, BookTicks(book, pool), buy_fee_ppm=buy_fee_ppm) if curve is not None else None
        self._kept[pool] = (state, revision, found)
        return found
