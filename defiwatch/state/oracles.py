"""What each oracle feed does by habit: how often it publishes at the latest, and how far the price must move first.

A feed publishes when the price moved by its *band*, and at the latest after its *heartbeat*. Neither is on chain, so
both are learnt from the pushes themselves: intervals that come back to the same length, with the price hardly moved,
are the heartbeat, and what a push within it moved is just beyond the band. A feed that has shown too little keeps a
preset, and says so.
"""

from __future__ import annotations

import math
import statistics

import msgspec

from defiwatch.domain.risk import Feed
from defiwatch.protocols.spec import Table
from defiwatch.state.prices.assets import PEGGED, base_of

KEPT = 32
"""Pushes remembered."""

ENOUGH = 6
"""Intervals, or moves, from which a habit is learnt."""

SAME = 3
"""Longest intervals of one length that make a heartbeat."""

EARLY = 0.97
"""Part of the heartbeat before which a push was made by the price."""

DAY_S = 86_400.0
"""The longest usual heartbeat."""

STABLE_BAND = 0.0025
VOLATILE_BAND = 0.005
BANDS = {"USDS": 0.003, "USDE": 0.005, "WBTC": 0.005, "LBTC": 0.005, "CBBTC": 0.02}
"""Bands of feeds that are wider than the usual ones of their kind."""

SEQUENCER_GRACE_S = 3_600.0
"""How long after a sequencer's return its chain's feeds may still be what they were before."""


class Pushes(msgspec.Struct, frozen=True):
    """A feed's last rounds: seconds between each two, and how far the answer moved, relative.

    `off_since` is when the feed began to differ from the market by more than it may; 0.0 while it does not.
    """

    round_id: int
    answer: int
    updated_at: int
    intervals: tuple[int, ...] = ()
    moves: tuple[float, ...] = ()
    off_since: float = 0.0
    count: int = 1
    """Rounds seen one after the other, the forgotten ones too."""


PUSHES: Table[tuple[str, str], Pushes] = Table("state.pushes")
"""(protocol, feed) → its last rounds."""


class Habit(msgspec.Struct, frozen=True):
    """What a feed may be held to. `band` relative, `heartbeat` in seconds; whether each was learnt or is a preset."""

    band: float
    heartbeat: float
    band_learnt: bool
    heartbeat_learnt: bool


def pushed(before: Pushes | None, feed: Feed) -> Pushes:
    """The last rounds with the one that the feed shows now. Rounds that were skipped teach nothing."""
    if before is None:
        return Pushes(feed.round_id, feed.answer, feed.updated_at)
    if (before.round_id, before.updated_at) == (feed.round_id, feed.updated_at):
        return before
    intervals, moves, count = before.intervals, before.moves, before.count
    passed = feed.updated_at - before.updated_at
    if feed.round_id == before.round_id + 1 and passed > 0 and before.answer > 0 and feed.answer > 0:
        move = abs(feed.answer - before.answer) / before.answer
        intervals, moves = (*intervals, passed)[-KEPT:], (*moves, move)[-KEPT:]
        count += 1
    return Pushes(feed.round_id, feed.answer, feed.updated_at, intervals, moves, before.off_since, count)


def habit(feed: Feed, pushes: Pushes) -> Habit:
    """What the feed may be held to, by its own pushes where they suffice."""
    heartbeat = _heartbeat(pushes, preset_band(feed))
    if heartbeat is not None:
        early = [m for m, s in zip(pushes.moves, pushes.intervals, strict=True) if s < EARLY * heartbeat]
        band = statistics.quantiles(early, n=4)[0] if len(early) >= ENOUGH else None
    else:
        band = statistics.median(pushes.moves) if len(pushes.moves) >= 2 * ENOUGH else None
    return Habit(
        band=band if band is not None and band > 0.0 else preset_band(feed),
        heartbeat=heartbeat if heartbeat is not None else DAY_S,
        band_learnt=band is not None and band > 0.0,
        heartbeat_learnt=heartbeat is not None,
    )


def _heartbeat(pushes: Pushes, band: float) -> float | None:
    """The longest pauses, where they are of one length and the price had hardly moved: else the price ended them."""
    if len(pushes.intervals) < ENOUGH:
        return None
    longest = sorted(zip(pushes.intervals, pushes.moves, strict=True))[-SAME:]
    (least, _), (most, _) = longest[0], longest[-1]
    same = most - least <= max(60.0, 0.01 * most)
    calm = statistics.median(move for _, move in longest) < band
    return float(most) if same and calm else None


def stable(feed: Feed) -> bool:
    """Whether a feed prices an asset in what it is pegged to."""
    return PEGGED.get(base_of(feed.base)) == base_of(feed.quote)


def preset_band(feed: Feed) -> float:
    """The usual band of a feed of this kind."""
    return BANDS.get(base_of(feed.base), STABLE_BAND if stable(feed) else VOLATILE_BAND)


def apart(feed_price: float, others: float) -> float:
    """How far a feed is from what all others say, relative and without sign."""
    return abs(math.expm1(math.log(feed_price / others)))
