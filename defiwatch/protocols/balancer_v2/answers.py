"""What is read of a Balancer v2 pool, and what each answer changes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address, Hash
from defiwatch.protocols.abi import Call, decode
from defiwatch.protocols.balancer_v2 import rates
from defiwatch.protocols.balancer_v2.state import (
    AMP,
    POOL_TOKENS,
    PRICE_CACHE,
    PROVIDERS,
    RATE_CACHE,
    SCALING,
    SWAP_FEE,
    WEIGHTS,
    BalancerState,
    address_of,
)
from defiwatch.protocols.erc20 import token_of, watch
from defiwatch.protocols.spec import Book

CHECK_BLOCKS = 7_200
"""Blocks between two comparisons of a pool's balances with the vault's."""

_OF_RATES = (PROVIDERS, RATE_CACHE, PRICE_CACHE)
QUESTIONS = frozenset(spec.selector for spec in (SWAP_FEE, WEIGHTS, AMP, SCALING, *_OF_RATES))
"""What is asked of the pool itself; its tokens and balances are asked of the vault."""


def open_questions(book: Book, at: BlockRef, vault: Address, pool: Hash, state: BalancerState) -> Iterable[Call]:
    """What is still to be read of a pool; then what moves without an event, and now and then the balances again."""
    address = address_of(pool)
    due = state.read_block >= 0 and at.number - state.read_block >= CHECK_BLOCKS
    anew = (state.stale or due) and state.read_block != at.number
    if not state.tokens or anew:
        yield POOL_TOKENS.call(vault, pool)
    if state.fee < 0:
        yield SWAP_FEE.call(address)
    if not state.weights and state.amp < 0:
        yield WEIGHTS.call(address)
    if (not state.weights and state.amp < 0) or (state.amp_moves and state.read_block != at.number):
        yield AMP.call(address)
    if not state.scaling or (anew and not state.weights):
        yield SCALING.call(address)
    yield from rates.open_questions(book, at, pool, state, anew=anew)


def answered(book: Book, at: BlockRef, pool: Hash, state: BalancerState, call: CallResult) -> BalancerState:
    """The state with one answer in it; balances that are not what events said are counted and told."""
    replace = msgspec.structs.replace
    result = call.result or ""
    if POOL_TOKENS.matches(call):
        tokens, balances, _ = decode(POOL_TOKENS.outputs, result)
        for token in tokens:
            watch(book, token)
        same = not state.balances or state.balances == balances
        if not same:
            book.notice(f"balancer_v2 {pool}: balances read are not what events say; the read is taken")
        since = {} if state.block else {"block": at.number, "time": at.time}
        return replace(
            state,
            tokens=tokens,
            balances=balances,
            read_block=at.number,
            stale=False,
            checks=state.checks + bool(state.balances),
            mismatches=state.mismatches + (not same),
            caches=state.caches if tokens == state.tokens else (),
            **since,
        )
    if SWAP_FEE.matches(call):
        return replace(state, fee=decode(SWAP_FEE.outputs, result)[0])
    if WEIGHTS.matches(call):
        return replace(state, weights=decode(WEIGHTS.outputs, result)[0])
    if AMP.matches(call):
        value, moves, precision = decode(AMP.outputs, result)
        amp = value * 1000 // precision if precision else -1
        return replace(state, amp=amp, amp_moves=moves, read_block=at.number)
    if any(spec.matches(call) for spec in _OF_RATES):
        return rates.answered(at, state, call)
    return replace(state, scaling=decode(SCALING.outputs, result)[0])


def refused(book: Book, at: BlockRef, state: BalancerState, call: CallResult) -> BalancerState:
    """The state after a pool did not know a question: it is older than the question."""
    if SCALING.matches(call):
        return by_decimals(book, state)
    if any(spec.matches(call) for spec in _OF_RATES):
        return rates.answered(at, state, call)
    return state


def by_decimals(book: Book, state: BalancerState) -> BalancerState:
    """Scaling by decimals alone, where an older pool does not tell it and its tokens tell their decimals."""
    tokens = [token_of(book, token) for token in state.tokens]
    if not tokens or not all(token.known and token.units <= 18 for token in tokens):
        return state
    return msgspec.structs.replace(state, scaling=tuple(10 ** (36 - token.units) for token in tokens))
