"""A watched token's transfers: each against the token's own usual one, and what moved within ten minutes."""

from __future__ import annotations

import math

import msgspec

from defiwatch.domain.events import BlockRef, Transferred
from defiwatch.protocols.spec import Table

MEMORY_S = 600.0
"""Seconds after which what moved counts 1/e."""

_RATE = 0.01


class TokenTrace(msgspec.Struct, frozen=True):
    """What one token did lately, in its smallest units: `usual` is the running geometric mean of its transfers' amounts
    (its logarithm), `moved` the decayed sum of what was transferred up to `time`."""

    usual: float
    moved: float
    time: int
    n: int = 1


TOKEN_TRACES: Table[str, TokenTrace] = Table("features.token")
"""Token → what it did lately."""


def transferred(trace: TokenTrace | None, at: BlockRef, fact: Transferred) -> TokenTrace:
    """The trace after one more transfer of more than nothing."""
    y = math.log(fact.amount)
    if trace is None:
        return TokenTrace(y, float(fact.amount), at.time)
    rate = max(_RATE, 1.0 / (trace.n + 1.0))
    return TokenTrace(
        trace.usual + rate * (y - trace.usual), moved_at(trace, at.time) + fact.amount, at.time, trace.n + 1
    )


def moved_at(trace: TokenTrace, time: int) -> float:
    """What moved lately, as of `time`."""
    return trace.moved * math.exp(-max(time - trace.time, 0) / MEMORY_S)


def transfer_values(before: TokenTrace, now: TokenTrace, amount: int) -> dict[str, float]:
    """The features of one transfer, in usual transfers of the token as it stood before."""
    return {"amount": _times(float(amount), before.usual), "moved": _times(now.moved, before.usual)}


def quiet_values(trace: TokenTrace, time: int) -> dict[str, float]:
    """The same while nothing is transferred."""
    return {"moved": _times(moved_at(trace, time), trace.usual)}


def _times(amount: float, usual: float) -> float:
    return math.exp(min(math.log(amount) - usual, 500.0)) if amount > 0.0 else 0.0
