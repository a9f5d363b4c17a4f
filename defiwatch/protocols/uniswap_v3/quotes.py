"""What a v3 pool would do: its ticks read and compared, its quotes and its depth.

Uniswap/v3-core@d8b1c63 contracts/UniswapV3Pool.sol; the exact walk is `protocols.concentrated`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, decode, function
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.concentrated.walk import Curve, Depth, Quote, depth, quote
from defiwatch.protocols.erc20 import BALANCE_OF
from defiwatch.protocols.spec import Book
from defiwatch.protocols.ticks import TICKS, Tick, move_position
from defiwatch.protocols.uniswap_v3.state import LIQUIDITY, POOLS, SLOT0, V3State

TICK_BITMAP = function("tickBitmap(int16)", "uint256")
TICK = function("ticks(int24)", "uint128,int128")
"""liquidityGross and liquidityNet; what follows (fee growth, seconds) is not needed and differs between forks."""


def curve_of(state: V3State) -> Curve | None:
    """What a walk starts from; None while the pool's price, liquidity, fee or spacing is not known."""
    if state.sqrt_price_x96 <= 0 or state.liquidity < 0 or state.fee < 0 or state.tick_spacing <= 0:
        return None
    return Curve(state.sqrt_price_x96, state.tick, state.liquidity, state.fee, state.tick_spacing)


def quote_pool(
    book: Book, pool: Address, *, zero_for_one: bool, amount_in: int | None = None, amount_out: int | None = None
) -> Quote | None:
    """A swap against the pool as it stands, in units; None while its state is not known."""
    curve = curve_of(book.get(POOLS, pool) or V3State())
    if curve is None:
        return None
    ticks = table.BookTicks(book, pool)
    return quote(curve, ticks, zero_for_one=zero_for_one, amount_in=amount_in, amount_out=amount_out)


def depth_of(book: Book, pool: Address, state: V3State) -> Depth | None:
    """What moves the pool's price by 2 % either way; None while the ticks on the way are not known."""
    curve = curve_of(state)
    return depth(curve, table.BookTicks(book, pool)) if curve is not None else None


def started(book: Book, pool: Address, state: V3State) -> None:
    """If the pool was seen from its start, its ticks are known whole from now on. Nothing where that is not so."""
    if state.ticks_from >= 0 and state.tick_spacing > 0 and book.get(table.WHOLE, pool) is None:
        table.begin_whole(book, pool, state.tick_spacing)


def position_moved(book: Book, pool: Address, state: V3State, lower: int, upper: int, liquidity: int) -> None:
    """Apply a position's change to its ticks: `liquidity` positive added, negative removed."""
    if state.tick_spacing <= 0:
        if state.ticks_from >= 0:
            move_position(book, pool, lower, upper, liquidity)
        return
    if not table.move(book, pool, state.tick_spacing, lower, upper, liquidity):
        book.notice(f"uniswap_v3 {pool}: more liquidity left a tick than entered it; its ticks are read again")


def tick_wants(book: Book, at: BlockRef, pools: Sequence[Address], pool_set: frozenset[Address]) -> list[Call]:
    """The tick reads still open at the block `at`, and the comparisons that are due; a bounded number a round."""
    calls = [TICK.call(pool, tick) for pool, tick in table.open_ticks(book, pool_set)]
    for pool in pools:
        if len(calls) >= table.READS_PER_ROUND:
            break
        state = book.get(POOLS, pool)
        if state is None or curve_of(state) is None or min(state.balance0, state.balance1) < 0:
            continue
        words = table.open_words(book, pool, state.tick, state.tick_spacing)
        calls.extend(TICK_BITMAP.call(pool, word) for word in words)
        check = book.get(table.CHECKS, pool)
        if check is not None and at.number >= check.due:
            parts = _parts(book, pool, state)
            calls.extend(call for part, call in sorted(parts.items()) if part not in check.answered)
    return reads.open_calls(book, at, calls)


def _parts(book: Book, pool: Address, state: V3State) -> dict[str, Call]:
    """What a comparison asks: price, liquidity, balances, the word at the price and a tick of it."""
    word = table.place(state.tick, state.tick_spacing)[0]
    parts = {
        "price": SLOT0.call(pool),
        "liquidity": LIQUIDITY.call(pool),
        "balance0": BALANCE_OF.call(state.token0, pool),
        "balance1": BALANCE_OF.call(state.token1, pool),
        "word": TICK_BITMAP.call(pool, word),
    }
    near = _nearest(table.ticks_of(word, book.get(table.WORDS, (pool, word)) or 0, state.tick_spacing), state.tick)
    if near is not None:
        parts["tick"] = TICK.call(pool, near)
    return parts


def _nearest(ticks: Iterable[int], tick: int) -> int | None:
    return min(ticks, key=lambda found: (abs(found - tick), found), default=None)


def tick_read(book: Book, at: BlockRef, pool: Address, call: CallResult) -> None:
    """Take a word or a tick of a pool; what differs from what events say is counted, told and taken as read."""
    if reads.empty(call):
        reads.refuse(book, at, call)
        return
    reads.accept(book, call)
    state = book.get(POOLS, pool)
    if state is None or state.tick_spacing <= 0 or at.number < state.block:
        return
    if TICK.matches(call):
        (tick,) = TICK.arguments(call)
        gross, net = decode(TICK.outputs, call.result or "")
        same = table.take_tick(book, at, pool, tick, state.tick_spacing, Tick(gross, net))
        compared(book, at, pool, state, "tick", same=same)
    else:
        (word,) = TICK_BITMAP.arguments(call)
        (bits,) = decode(TICK_BITMAP.outputs, call.result or "")
        same = table.take_word(book, at, pool, word, bits, state.tick_spacing)
        compared(book, at, pool, state, "word", same=same)


def compared(book: Book, at: BlockRef, pool: Address, state: V3State, what: str, *, same: bool) -> None:
    """Note an answer that could be compared with what events say; `same` is whether they agree."""
    check = book.get(table.CHECKS, pool)
    if same and (check is None or at.number < check.due or curve_of(state) is None):
        return
    if not same:
        book.notice(f"uniswap_v3 {pool}: {what} read is not what events say; the read is taken")
    if curve_of(state) is not None:
        table.note_check(book, at, pool, what, frozenset(_parts(book, pool, state)), same=same)


def known_ticks(book: Book, pool: Address) -> dict[int, Tick]:
    """Every tick of a pool that is known, from the lowest: for tests and for showing liquidity by price."""
    return dict(sorted((tick, entry) for (owner, tick), entry in book.items(TICKS) if owner == pool))
