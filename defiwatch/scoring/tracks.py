"""What positions did lately, kept in the book, so that a reorg undoes it."""

from __future__ import annotations

import math

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.protocols.spec import Table

FAR = 2.0
"""Above this factor a position's past is kept only roughly (to 1 %), so that calm positions cost no writes."""

HOUR_S = 3600.0

MOVED = 0.001
"""By how much an amount changes at least, relative, that somebody changed: interest is far less in a block."""


class PositionTrack(msgspec.Struct, frozen=True):
    """What a position did lately: its factor now and at the last block before, and how fast it falls (a factor an hour,
    exponentially forgotten over an hour; positive is a fall). Times in Unix seconds."""

    factor: float
    block: int
    time: int
    before: float
    before_time: int
    speed: float = 0.0
    amounts: tuple[tuple[Address, int, int], ...] = ()
    """(asset, collateral, debt) when it was looked at last; () of one that is far from any line."""


TRACKS: Table[tuple[str, Address, Address], PositionTrack] = Table("scoring.position")
"""(protocol, market, account) → what its factor did lately."""


def followed(known: PositionTrack | None, position: Position, factor: float) -> PositionTrack:
    """The track after one more look at the position."""
    amounts: tuple[tuple[Address, int, int], ...] = ()
    if factor < FAR or (known is not None and known.factor < FAR):
        amounts = tuple((leg.asset, leg.collateral, leg.debt) for leg in position.legs)
    if known is None:
        return PositionTrack(factor, position.block, position.time, factor, position.time, amounts=amounts)
    if factor >= FAR and known.factor >= FAR and abs(factor / known.factor - 1.0) < 0.01:
        return known
    if position.block == known.block:
        return PositionTrack(factor, known.block, known.time, known.before, known.before_time, known.speed, amounts)
    elapsed = max(position.time - known.time, 0)
    kept = math.exp(-elapsed / HOUR_S)
    fall = (known.factor - factor) * HOUR_S / elapsed if elapsed > 0 else 0.0
    speed = known.speed * kept + fall * (1.0 - kept)
    return PositionTrack(factor, position.block, position.time, known.factor, known.time, speed, amounts)


def mended(known: PositionTrack, track: PositionTrack) -> bool:
    """Whether debt was repaid (or liquidated) or collateral added since the last look, and the factor rose."""
    if track.factor <= known.factor or not known.amounts:
        return False
    before = {asset: (collateral, debt) for asset, collateral, debt in known.amounts}
    now = {asset: (collateral, debt) for asset, collateral, debt in track.amounts}
    for asset in before.keys() | now.keys():
        held, owed = before.get(asset, (0, 0))
        holds, owes = now.get(asset, (0, 0))
        if owes < owed * (1.0 - MOVED) or holds > held * (1.0 + MOVED):
            return True
    return False
