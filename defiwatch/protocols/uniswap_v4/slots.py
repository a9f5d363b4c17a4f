"""The PoolManager's slots as questions: which are open, and what an answer changes.

The manager has one view for everything (`extsload`), so a question is known by the slot that it asks for.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Hash
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.concentrated.walk import Quote, quote
from defiwatch.protocols.spec import Book
from defiwatch.protocols.uniswap_v4.state import (
    KEYS,
    POOLS,
    V4Key,
    V4State,
    curve_of,
    liquidity_slot,
    slot0,
    slot0_slot,
    tick_liquidity,
    tick_slot,
    word_slot,
)

FEE_BLOCKS = 25
"""After how many quiet blocks the fee of a pool whose hook sets it is read again."""


class Question(msgspec.Struct, frozen=True):
    """What a slot holds: of which pool, what (price, liquidity, word, tick), and which word or tick."""

    pool: Hash
    what: str
    at: int = 0


def questions(book: Book, at: BlockRef, pools: tuple[Hash, ...], pool_set: frozenset[Hash]) -> dict[Hash, Question]:
    """Every slot that is wanted at the block `at`, in the order in which it is asked; a bounded number a round."""
    found: dict[Hash, Question] = {}
    for pool, tick in table.open_ticks(book, pool_set):
        found[tick_slot(pool, tick)] = Question(pool, "tick", tick)
    for pool in pools:
        state = book.get(POOLS, pool) or V4State()
        key = book.get(KEYS, pool)
        if state.sqrt_price_x96 == 0 or min(state.lp_fee, state.protocol_fee) < 0 or _fee_is_old(key, state, at):
            found[slot0_slot(pool)] = Question(pool, "price")
        if state.liquidity < 0:
            found[liquidity_slot(pool)] = Question(pool, "liquidity")
        if key is None or curve_of(key, state, zero_for_one=True) is None:
            continue
        if len(found) >= table.READS_PER_ROUND:
            break
        for word in table.open_words(book, pool, state.tick, key.tick_spacing):
            found[word_slot(pool, word)] = Question(pool, "word", word)
        check = book.get(table.CHECKS, pool)
        if check is not None and at.number >= check.due:
            for question in _parts(book, pool, key, state):
                if question.what not in check.answered:
                    found[_slot(question)] = question
    return found


def _fee_is_old(key: V4Key | None, state: V4State, at: BlockRef) -> bool:
    if key is None or not key.dynamic:
        return False
    return state.fee_block < state.block or at.number - state.fee_block >= FEE_BLOCKS


def _slot(question: Question) -> Hash:
    if question.what == "price":
        return slot0_slot(question.pool)
    if question.what == "liquidity":
        return liquidity_slot(question.pool)
    return (word_slot if question.what == "word" else tick_slot)(question.pool, question.at)


def _parts(book: Book, pool: Hash, key: V4Key, state: V4State) -> list[Question]:
    """What a comparison asks: price and fees, liquidity, the word at the price and the tick of it that is nearest."""
    word = table.place(state.tick, key.tick_spacing)[0]
    parts = [Question(pool, "liquidity"), Question(pool, "price"), Question(pool, "word", word)]
    ticks = table.ticks_of(word, book.get(table.WORDS, (pool, word)) or 0, key.tick_spacing)
    near = min(ticks, key=lambda tick: (abs(tick - state.tick), tick), default=None)
    return parts if near is None else [*parts, Question(pool, "tick", near)]


def answer(book: Book, at: BlockRef, question: Question, value: int) -> None:
    """Take a slot's word; what differs from what events say is counted, told and taken as read."""
    pool = question.pool
    before = book.get(POOLS, pool) or V4State()
    if at.number < before.block:
        return
    key = book.get(KEYS, pool)
    if question.what == "price":
        price, tick, protocol_fee, lp_fee = slot0(value)
        since = {} if before.block else {"block": at.number, "time": at.time}
        after = msgspec.structs.replace(
            before,
            sqrt_price_x96=price,
            tick=tick,
            protocol_fee=protocol_fee,
            lp_fee=lp_fee,
            fee_block=at.number,
            **since,
        )
        book.put(POOLS, pool, after)
        fees = (before.lp_fee, before.protocol_fee) in ((lp_fee, protocol_fee), (-1, -1))
        moved = key is not None and key.dynamic
        same = before.sqrt_price_x96 == 0 or ((before.sqrt_price_x96, before.tick) == (price, tick) and (fees or moved))
    elif question.what == "liquidity":
        book.put(POOLS, pool, msgspec.structs.replace(before, liquidity=value))
        same = before.liquidity in (-1, value)
    elif key is None:
        return
    elif question.what == "word":
        same = table.take_word(book, at, pool, question.at, value, key.tick_spacing)
    else:
        same = table.take_tick(book, at, pool, question.at, key.tick_spacing, tick_liquidity(value))
    _compared(book, at, key, question, same=same)


def _compared(book: Book, at: BlockRef, key: V4Key | None, question: Question, *, same: bool) -> None:
    pool = question.pool
    check = book.get(table.CHECKS, pool)
    if not same:
        book.notice(f"uniswap_v4 {pool}: {question.what} read is not what events say; the read is taken")
    if key is None or (same and (check is None or at.number < check.due)):
        return
    parts = frozenset(part.what for part in _parts(book, pool, key, book.get(POOLS, pool) or V4State()))
    table.note_check(book, at, pool, question.what, parts, same=same)


def quote_pool(
    book: Book, pool: Hash, *, zero_for_one: bool, amount_in: int | None = None, amount_out: int | None = None
) -> Quote | None:
    """A swap against the pool as it stands, in units, without what a hook does; None while its state is not known."""
    curve = curve_of(book.get(KEYS, pool), book.get(POOLS, pool) or V4State(), zero_for_one=zero_for_one)
    if curve is None:
        return None
    ticks = table.BookTicks(book, pool)
    return quote(curve, ticks, zero_for_one=zero_for_one, amount_in=amount_in, amount_out=amount_out)
