"""What left a pool lately: liquidity that its providers took out, and one side bled by trades.

The window is kept in sixteenths; a burn that is minted again within a block (a provider that moves its range) is
nothing, because drains are looked at when a block closes.
"""

from __future__ import annotations

import math

import msgspec

from defiwatch.domain.risk import Pool
from defiwatch.protocols.spec import Table

PIECES = 16
"""Into how many pieces the window is cut."""

_NEARLY_ALL = 1.0 - 1e-6


class Piece(msgspec.Struct, frozen=True):
    """One piece of the window: its number (time // length), ln of the factor by which liquidity moves changed the pool
    in it, and the pool's worth in token 0 and in token 1 when it began (0.0: not known)."""

    number: int
    moved: float
    worth0: float
    worth1: float


class DrainTrace(msgspec.Struct, frozen=True):
    """The pieces of the window that something happened in, oldest first, and the pool's worth after them, told with
    the tokens' `decimals`."""

    pieces: tuple[Piece, ...] = ()
    worth0: float = 0.0
    worth1: float = 0.0
    decimals: tuple[int, ...] = ()


DRAINS: Table[tuple[str, str], DrainTrace] = Table("features.drain")
"""(protocol, pool) → what left it lately."""


def factor(share: float) -> float:
    """ln of what a liquidity move does: a removal's share is of what was there, an addition's of what is then."""
    share = max(-_NEARLY_ALL, min(_NEARLY_ALL, share))
    return math.log1p(share) if share < 0.0 else -math.log1p(-share)


def measured(pool: Pool | None) -> bool:
    """Whether a share of this pool's value means something.

    Without balances only the liquidity near the price is known, and a passing order may be nearly all of that.
    """
    return pool is not None and (any(pool.reserves) or not pool.unknown)


def worth(pool: Pool | None) -> tuple[float, float]:
    """The pool's worth in whole units of token 0 and of token 1, at its own price; zeros where it cannot be told."""
    if pool is None or len(pool.reserves) != 2 or not 0.0 < pool.price < math.inf or min(pool.reserves) < 0:
        return (0.0, 0.0)
    held0 = pool.reserves[0] / 10.0 ** pool.decimals[0]
    held1 = pool.reserves[1] / 10.0 ** pool.decimals[1]
    return (held0 + held1 / pool.price, held1 + held0 * pool.price)


def _current(trace: DrainTrace, number: int) -> DrainTrace:
    """The trace cut to the window that ends with the piece `number`, which is there."""
    kept = tuple(piece for piece in trace.pieces if piece.number > number - PIECES)
    if not kept or kept[-1].number < number:
        kept = (*kept, Piece(number, 0.0, trace.worth0, trace.worth1))
    return DrainTrace(kept, trace.worth0, trace.worth1, trace.decimals)


def moved(trace: DrainTrace, number: int, share: float) -> DrainTrace:
    """The trace after a liquidity move of `share` (signed) in the piece `number`."""
    trace = _current(trace, number)
    last = trace.pieces[-1]
    changed = Piece(last.number, last.moved + factor(share), last.worth0, last.worth1)
    return DrainTrace((*trace.pieces[:-1], changed), trace.worth0, trace.worth1, trace.decimals)


def settled(trace: DrainTrace, number: int, pool: Pool | None) -> DrainTrace:
    """The trace with the pool's worth as it is now, in the piece `number`.

    What was worth nothing known before (or was told with other decimals) begins with what it is worth now.
    """
    worth0, worth1 = worth(pool)
    decimals = pool.decimals if pool is not None else ()
    trace = _current(trace, number)
    pieces = trace.pieces
    if worth0 > 0.0 and (trace.worth0 == 0.0 or trace.decimals != decimals):
        kept = 1.0
        begun: list[Piece] = []
        for piece in reversed(pieces):
            kept *= math.exp(piece.moved)
            begun.append(Piece(piece.number, piece.moved, worth0 / kept, worth1 / kept))
        pieces = tuple(reversed(begun))
    return DrainTrace(pieces, worth0, worth1, decimals)


def drain_values(trace: DrainTrace, number: int) -> dict[str, float]:
    """The features of a drain in the window that ends with the piece `number`.

    `outflow`: a trade takes of one side and pays with the other. If what it paid with is worth nothing, the pool's
    worth in the token that left falls by what that side lost; half of it counts, because a side is half of a pool.
    """
    pieces = [piece for piece in trace.pieces if piece.number > number - PIECES]
    if not pieces:
        return {"removed": 0.0, "outflow": 0.0}
    change = math.fsum(piece.moved for piece in pieces)
    removed = -math.expm1(change) if change < 0.0 else 0.0
    outflow = 0.0
    start = pieces[0]
    if start.worth0 > 0.0 and trace.worth0 > 0.0:
        kept = math.exp(change)
        left0 = trace.worth0 / (start.worth0 * kept)
        left1 = trace.worth1 / (start.worth1 * kept)
        outflow = max(0.0, 0.5 * (1.0 - min(left0, left1)))
    return {"removed": removed, "outflow": outflow}
