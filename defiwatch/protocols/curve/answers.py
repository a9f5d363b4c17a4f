"""What a Curve pool is asked, and what its answers, refusals among them, change."""

from __future__ import annotations

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import Call, decode
from defiwatch.protocols.curve.state import (
    A_PRECISE,
    ADMIN_FEE,
    BALANCES,
    COINS,
    FEE,
    FUTURE_A,
    FUTURE_A_TIME,
    GET_BALANCES,
    INITIAL_A,
    INITIAL_A_TIME,
    MAX_COINS,
    OFFPEG,
    STORED_RATES,
    A,
    CurveState,
)
from defiwatch.protocols.erc20 import TOKENS, Token, token_of, watch
from defiwatch.protocols.spec import Book

CHECK_BLOCKS = 7_200
"""Blocks between two comparisons of a pool's balances with its own."""
NATIVE = "0x" + "e" * 40
"""What Curve's pools name the native coin."""

_AMPS = (INITIAL_A, FUTURE_A, INITIAL_A_TIME, FUTURE_A_TIME)
QUESTIONS = frozenset(
    spec.selector
    for spec in (COINS, BALANCES, GET_BALANCES, STORED_RATES, A, A_PRECISE, FEE, ADMIN_FEE, OFFPEG, *_AMPS)
)


def open_questions(at: BlockRef, pool: Address, state: CurveState) -> list[Call]:
    """What is to be asked of a pool at the block `at`."""
    calls: list[Call] = []
    if not state.coins_done:
        calls.append(COINS.call(pool, len(state.coins)))
        if len(state.coins) == 0:
            calls.append(COINS.call(pool, 1))
    if state.a_precision == 0:
        calls.append(A_PRECISE.call(pool))
    calls.extend(spec.call(pool) for spec, known in zip(_AMPS, state.amps, strict=True) if known < 0)
    if state.fee < 0:
        calls.append(FEE.call(pool))
    if state.admin_fee < 0:
        calls.append(ADMIN_FEE.call(pool))
    if state.offpeg < 0:
        calls.append(OFFPEG.call(pool))
    due = state.read_block >= 0 and at.number - state.read_block >= CHECK_BLOCKS
    anew = (state.stale or due) and state.read_block != at.number
    if state.ng is None or (anew and state.ng):
        calls.append(STORED_RATES.call(pool))
    if state.coins_done and state.ng is not None:
        if state.ng and (not state.balances or anew):
            calls.append(GET_BALANCES.call(pool))
        elif not state.ng:
            unknown = [i for i in range(len(state.coins)) if anew or i >= len(state.balances) or state.balances[i] < 0]
            calls.extend(BALANCES.call(pool, i) for i in unknown)
    return calls


def refused(state: CurveState, call: CallResult) -> CurveState:
    """The state after a pool did not know a question: it is older than the question."""
    replace = msgspec.structs.replace
    if COINS.matches(call):
        (index,) = COINS.arguments(call)
        return replace(state, coins_done=True) if index == len(state.coins) and index >= 2 else state
    if A_PRECISE.matches(call):
        return replace(state, a_precision=1)
    if STORED_RATES.matches(call):
        return replace(state, ng=False) if state.ng is None else state
    if OFFPEG.matches(call):
        return replace(state, offpeg=0)
    for place, spec in enumerate(_AMPS):
        if spec.matches(call) and state.amps[place] < 0:
            amps = tuple(0 if k == place else value for k, value in enumerate(state.amps))
            return replace(state, amps=amps)
    return state


def answered(book: Book, at: BlockRef, pool: Address, state: CurveState, call: CallResult) -> CurveState:
    """The state with one answer in it; balances that differ from what events say are counted, told and taken."""
    replace = msgspec.structs.replace
    result = call.result or ""
    if COINS.matches(call):
        return _coin(book, state, call)
    if GET_BALANCES.matches(call):
        (balances,) = decode(GET_BALANCES.outputs, result)
        return _read(book, at, pool, state, tuple(balances))
    if BALANCES.matches(call):
        (index,) = BALANCES.arguments(call)
        if index >= len(state.coins):
            return state
        balances = list(state.balances or (-1,) * len(state.coins))
        balances[index] = decode(BALANCES.outputs, result)[0]
        done = _read(book, at, pool, state, tuple(balances))
        # The last of the coins ends a reading of an old pool.
        return done if index == len(state.coins) - 1 else replace(done, read_block=state.read_block, stale=state.stale)
    if STORED_RATES.matches(call):
        (rates,) = decode(STORED_RATES.outputs, result)
        return replace(state, ng=True, rates=tuple(rates), dynamic_rates=_moving(book, state, tuple(rates)))
    if A_PRECISE.matches(call):
        return replace(state, a_precision=100)
    (value,) = decode(FEE.outputs, result)
    for place, spec in enumerate(_AMPS):
        if spec.matches(call):
            return replace(state, amps=tuple(value if k == place else known for k, known in enumerate(state.amps)))
    if FEE.matches(call):
        return replace(state, fee=value)
    if ADMIN_FEE.matches(call):
        return replace(state, admin_fee=value)
    if OFFPEG.matches(call):
        return replace(state, offpeg=value)
    return state


def _coin(book: Book, state: CurveState, call: CallResult) -> CurveState:
    (index,) = COINS.arguments(call)
    (coin,) = decode(COINS.outputs, call.result or "")
    if index != len(state.coins):
        return state
    if coin == NATIVE:
        book.put(TOKENS, coin, Token("ETH", "Ether", 18))
    else:
        watch(book, coin)
    coins = (*state.coins, coin)
    return msgspec.structs.replace(state, coins=coins, coins_done=len(coins) == MAX_COINS)


def _read(book: Book, at: BlockRef, pool: Address, state: CurveState, balances: tuple[int, ...]) -> CurveState:
    """Take balances; those of an old pool bring its rates with them, which are its coins' decimals."""
    known = [(a, b) for a, b in zip(state.balances, balances, strict=False) if a >= 0]
    same = state.stale or all(a == b for a, b in known)
    if not same:
        book.notice(f"curve {pool}: balances read are not what events say; the read is taken")
    since = {} if state.block else {"block": at.number, "time": at.time}
    return msgspec.structs.replace(
        state,
        balances=balances,
        rates=state.rates if state.ng else by_decimals(book, state.coins) or state.rates,
        read_block=at.number,
        stale=False,
        checks=state.checks + bool(known),
        mismatches=state.mismatches + (not same),
        **since,
    )


def by_decimals(book: Book, coins: tuple[Address, ...]) -> tuple[int, ...]:
    """The rates of plain coins: 18 decimals for all; () where one's decimals are not known."""
    tokens = [token_of(book, coin) for coin in coins]
    if not all(token.known and token.units <= 36 for token in tokens):
        return ()
    return tuple(10 ** (36 - token.units) for token in tokens)


def complete(book: Book, state: CurveState) -> CurveState:
    """The state with the rates of plain coins, once all decimals are known."""
    if state.ng or state.rates or not state.coins_done:
        return state
    return msgspec.structs.replace(state, rates=by_decimals(book, state.coins))


def _moving(book: Book, state: CurveState, rates: tuple[int, ...]) -> bool:
    plain = by_decimals(book, state.coins)
    return bool(plain) and plain != rates
