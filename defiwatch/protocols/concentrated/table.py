"""The initialised ticks of pools in the book: read once around the price, kept by events, compared now and then.

A pool's bitmap is held as the contract holds it, in words of 256 ticks, so a word that was read or not says whether a
walk knows the way. A pool seen from its first block is known whole without any read.

Reading takes rounds: words around the price first, then the ticks whose bits are set. Between a word and its ticks
events go on: a tick not read yet takes none of them, because its read comes after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.protocols.spec import Book, Table
from defiwatch.protocols.ticks import TICKS, Tick

WINDOW_TICKS = 2_560
"""How far on either side of the price ticks are known at the least: a factor of 1.29."""
READS_PER_ROUND = 400
"""How many ticks and words of all pools are asked for at once."""
CHECK_BLOCKS = 7_200
"""Blocks between two comparisons of a pool with the contract (a day on Ethereum)."""

WORDS: Table[tuple[str, int], int] = Table("ticks.word")
"""(pool, word) → bits of its 256 ticks."""
OPEN: Table[tuple[str, int], bool] = Table("ticks.open")
"""Initialised ticks whose liquidity was not read yet."""
WHOLE: Table[str, int] = Table("ticks.whole")
"""Pools of which every tick is known → their tick spacing."""


class Check(msgspec.Struct, frozen=True):
    """A pool's comparison with the contract: when the next is due, what of it was answered, and how all went.

    `revision` counts changes of the tick table that come from reads.
    """

    due: int
    answered: tuple[str, ...] = ()
    made: int = 0
    mismatches: int = 0
    revision: int = 0


CHECKS: Table[str, Check] = Table("ticks.check")
"""pool → its record; there is one as soon as anything was read of its ticks."""


class BookTicks:
    """One pool's ticks in the book, as a walk wants them."""

    __slots__ = ("_book", "_missing", "_pool")

    def __init__(self, book: Book, pool: str) -> None:
        self._book = book
        self._pool = pool
        self._missing = 0 if book.get(WHOLE, pool) is not None else None

    def word(self, index: int) -> int | None:
        """Bits of a word; None where it was not read."""
        bits = self._book.get(WORDS, (self._pool, index))
        return self._missing if bits is None else bits

    def net(self, tick: int) -> int | None:
        """Net liquidity of a tick; None where it was not read."""
        entry = self._book.get(TICKS, (self._pool, tick))
        return None if entry is None else entry.net


def place(tick: int, spacing: int) -> tuple[int, int]:
    """The word of a tick and its bit in it (v3-core contracts/libraries/TickBitmap.sol:14-17)."""
    slot = tick // spacing
    return slot >> 8, slot & 255


def ticks_of(word: int, bits: int, spacing: int) -> Iterator[int]:
    """The ticks whose bits are set, from the lowest."""
    while bits:
        low = bits & -bits
        yield ((word << 8) + low.bit_length() - 1) * spacing
        bits ^= low


def begin_whole(book: Book, pool: str, spacing: int) -> None:
    """Every tick of the pool is in `TICKS`: it was seen from its start. Builds its words; nothing to read any more."""
    words: dict[int, int] = {}
    for (owner, tick), _ in book.items(TICKS):
        if owner == pool:
            word, bit = place(tick, spacing)
            words[word] = words.get(word, 0) | 1 << bit
    for word, bits in sorted(words.items()):
        book.put(WORDS, (pool, word), bits)
    book.put(WHOLE, pool, spacing)


def move(book: Book, pool: str, spacing: int, lower: int, upper: int, liquidity: int) -> bool:
    """Apply a position's change to its two ticks, where they are known: `liquidity` positive added, negative removed.

    False if the table cannot be right (a tick would hold less than nothing): its words are then read again.
    """
    sound = True
    whole = book.get(WHOLE, pool) is not None
    for tick, net in ((lower, liquidity), (upper, -liquidity)):
        word, bit = place(tick, spacing)
        bits = book.get(WORDS, (pool, word))
        if bits is None:
            if not whole:
                continue
            bits = 0
        entry = book.get(TICKS, (pool, tick))
        if entry is None and bits >> bit & 1:
            continue  # its read is still to come, and comes after this event
        gross = (entry.gross if entry else 0) + liquidity
        if gross < 0:
            sound = False
            book.drop(WHOLE, pool)
            _forget(book, pool, word, bits, spacing)
        elif gross == 0:
            book.drop(TICKS, (pool, tick))
            book.put(WORDS, (pool, word), bits & ~(1 << bit))
        else:
            book.put(TICKS, (pool, tick), Tick(gross, (entry.net if entry else 0) + net))
            if not bits >> bit & 1:
                book.put(WORDS, (pool, word), bits | 1 << bit)
    return sound


def _forget(book: Book, pool: str, word: int, bits: int, spacing: int) -> None:
    for tick in ticks_of(word, bits, spacing):
        book.drop(TICKS, (pool, tick))
        book.drop(OPEN, (pool, tick))
    book.drop(WORDS, (pool, word))


def open_words(book: Book, pool: str, tick: int, spacing: int) -> list[int]:
    """The words around a price that were not read yet, the nearest first."""
    if book.get(WHOLE, pool) is not None:
        return []
    middle = place(tick, spacing)[0]
    radius = -(-WINDOW_TICKS // (256 * spacing))
    lowest, highest = place(-887_272, spacing)[0], place(887_272, spacing)[0]
    window = range(max(middle - radius, lowest), min(middle + radius, highest) + 1)
    missing = [word for word in window if book.get(WORDS, (pool, word)) is None]
    return sorted(missing, key=lambda word: (abs(word - middle), word))


def open_ticks(book: Book, pools: Iterable[str] | None = None) -> list[tuple[str, int]]:
    """Initialised ticks still to be read, of these pools (None: of all), sorted, as many as go into one round."""
    wanted = None if pools is None else frozenset(pools)
    found = [key for key, _ in book.items(OPEN) if wanted is None or key[0] in wanted]
    return sorted(found)[:READS_PER_ROUND]


def take_word(book: Book, at: BlockRef, pool: str, word: int, bits: int, spacing: int) -> bool:
    """Take a word as read at a block with all events applied. False if it was known and differs: the read counts."""
    before = book.get(WORDS, (pool, word))
    if before is None and book.get(WHOLE, pool) is not None:
        before = 0
    if before == bits:
        return True
    for tick in ticks_of(word, (before or 0) & ~bits, spacing):
        book.drop(TICKS, (pool, tick))
        book.drop(OPEN, (pool, tick))
    for tick in ticks_of(word, bits & ~(before or 0), spacing):
        book.drop(TICKS, (pool, tick))
        book.put(OPEN, (pool, tick), True)
    book.put(WORDS, (pool, word), bits)
    _revise(book, at, pool)
    return before is None


def take_tick(book: Book, at: BlockRef, pool: str, tick: int, spacing: int, read: Tick) -> bool:
    """Take a tick as read at a block with all events applied. False if it was known and differs: the read counts."""
    word, bit = place(tick, spacing)
    bits = book.get(WORDS, (pool, word))
    if bits is None and book.get(WHOLE, pool) is None:
        return True
    key = (pool, tick)
    before = book.get(TICKS, key)
    waited = book.get(OPEN, key) is not None
    after = read if read.gross else None
    if waited:
        book.drop(OPEN, key)
    elif before == after:
        return True
    if after is None:
        book.drop(TICKS, key)
        book.put(WORDS, (pool, word), (bits or 0) & ~(1 << bit))
    else:
        book.put(TICKS, key, after)
        book.put(WORDS, (pool, word), (bits or 0) | 1 << bit)
    _revise(book, at, pool)
    return waited


def check_of(book: Book, pool: str, at: BlockRef) -> Check:
    """A pool's record of comparisons; the first is due once it was known for a while."""
    return book.get(CHECKS, pool) or Check(at.number + _first_due(pool))


def _first_due(pool: str) -> int:
    """Spreads the comparisons of many pools over the blocks: by the pool's own id, so the same each time."""
    return CHECK_BLOCKS // 2 + int(pool[-6:], 16) % (CHECK_BLOCKS // 2)


def note_check(book: Book, at: BlockRef, pool: str, what: str, parts: frozenset[str], *, same: bool) -> None:
    """Note one answer of a comparison: the part it was of, and whether events had it right. All parts end it."""
    check = check_of(book, pool, at)
    mismatches = check.mismatches + (not same)
    answered = {*check.answered, what}
    if at.number < check.due or not parts <= answered:
        kept = tuple(sorted(answered)) if at.number >= check.due else check.answered
        check = Check(check.due, kept, check.made, mismatches, check.revision)
    else:
        check = Check(at.number + CHECK_BLOCKS, (), check.made + 1, mismatches, check.revision)
    book.put(CHECKS, pool, check)


def _revise(book: Book, at: BlockRef, pool: str) -> None:
    check = check_of(book, pool, at)
    book.put(CHECKS, pool, msgspec.structs.replace(check, revision=check.revision + 1))
