"""A stable pool's rates: each is kept for a while, and its provider is asked anew before a swap after that.

balancer-v2-monorepo@066a078 pkg/pool-stable/contracts/ComposableStablePoolRates.sol:119-216, called before amounts are
scaled in every version: `onSwap` (20220817, 20220906), `_beforeSwapJoinExit` (from 20221122 on); the same in meta pools
(20210727, meta/MetaStablePool.sol `onSwap`), under other names. A cache holds up to and including the second it expires
at; `getScalingFactors` goes on telling it. The pool's own token has no provider. Phantom pools (20211208) scale before
they ask, so that a swap takes the old rate: theirs, known by an answer of three words, are taken as the pool has them.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS, Address, Hash
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, decode, words
from defiwatch.protocols.balancer_v2.fixed import mul_down
from defiwatch.protocols.balancer_v2.state import (
    PRICE_CACHE,
    PROVIDERS,
    RATE,
    RATE_CACHE,
    BalancerState,
    RateCache,
    address_of,
)
from defiwatch.protocols.erc20 import token_of
from defiwatch.protocols.spec import Book

RATE_SECONDS = 12
"""Least time between two reads of a provider while a cache has expired: no event tells that its rate moved."""


def open_questions(book: Book, at: BlockRef, pool: Hash, state: BalancerState, *, anew: bool) -> Iterable[Call]:
    """A stable pool's providers and caches, once; the caches again where `anew`; then providers of expired caches."""
    if state.weights or state.amp < 0 or not state.tokens:
        return
    if not state.caches:
        yield PROVIDERS.call(address_of(pool))
    for token, cache in zip(state.tokens, state.caches, strict=False):
        if cache.provider and (cache.expires < 0 or anew):
            call = RATE_CACHE.call(address_of(pool), token)
            yield PRICE_CACHE.call(address_of(pool), token) if reads.refused(book, call) else call
        elif _expired(cache, at) and at.time - cache.time >= RATE_SECONDS and _factor(book, token, 0) is not None:
            yield RATE.call(cache.provider)


def answered(at: BlockRef, state: BalancerState, call: CallResult) -> BalancerState:
    """The state with its providers or one of its caches in it; what the pool did not answer, it does not have."""
    replace = msgspec.structs.replace
    told = words(call.result) if call.error is None else ()
    if PROVIDERS.matches(call):
        (providers,) = decode(PROVIDERS.outputs, call.result or "") if told else ((),)
        if len(providers) != len(state.tokens):
            providers = (ZERO_ADDRESS,) * len(state.tokens)
        return replace(state, caches=tuple(RateCache("" if who == ZERO_ADDRESS else who) for who in providers))
    spec = RATE_CACHE if RATE_CACHE.matches(call) else PRICE_CACHE
    (token,) = spec.arguments(call)
    if token not in state.tokens or not state.caches or (not told and spec is RATE_CACHE):
        return state
    i = state.tokens.index(token)
    if len(told) != len(spec.outputs):
        return _with(state, i, RateCache())
    cache = replace(state.caches[i], duration=told[-2], expires=told[-1])
    return _with(state, i, cache if _expired(cache, at) else replace(cache, factor=0, time=0))


def rated(book: Book, at: BlockRef, state: BalancerState, call: CallResult) -> BalancerState:
    """The state with what a provider says in place of every cache of it that has expired."""
    (rate,) = decode(RATE.outputs, call.result or "")
    for i, cache in enumerate(state.caches):
        factor = _factor(book, state.tokens[i], rate)
        if cache.provider == call.to.lower() and _expired(cache, at) and factor is not None:
            state = _with(state, i, msgspec.structs.replace(cache, factor=factor, time=at.time))
    return state


def asks(state: BalancerState, provider: Address) -> bool:
    """Whether one of the pool's tokens has its rate of this provider."""
    return any(cache.provider == provider for cache in state.caches)


def updated(book: Book, at: BlockRef, state: BalancerState, i: int, rate: int) -> BalancerState:
    """The state after the pool took a rate for token i: its own scaling holds again, for as long as a cache does."""
    if i < len(state.caches) and (cache := state.caches[i]).duration >= 0:
        state = _with(state, i, RateCache(cache.provider, cache.duration, at.time + cache.duration))
    if i >= len(state.scaling):
        return state
    factor = _factor(book, state.tokens[i], rate)
    if factor is None:
        return msgspec.structs.replace(state, stale=True)
    return msgspec.structs.replace(state, scaling=(*state.scaling[:i], factor, *state.scaling[i + 1 :]))


def provider_set(at: BlockRef, state: BalancerState, i: int, provider: Address, duration: int) -> BalancerState:
    """The state after the cache of token i was given another duration, which began in this block."""
    if i >= len(state.caches):
        return state
    return _with(state, i, RateCache(provider, duration, at.time + duration))


def _expired(cache: RateCache, at: BlockRef) -> bool:
    return bool(cache.provider) and 0 <= cache.expires < at.time


def _factor(book: Book, token: Address, rate: int) -> int | None:
    """What takes units of the token to 18 decimals times `rate`; None where its decimals are not known."""
    decimals = token_of(book, token)
    return mul_down(10 ** (36 - decimals.units), rate) if decimals.known and decimals.units <= 18 else None


def _with(state: BalancerState, i: int, cache: RateCache) -> BalancerState:
    return msgspec.structs.replace(state, caches=(*state.caches[:i], cache, *state.caches[i + 1 :]))
