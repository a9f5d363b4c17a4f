"""What each pegged asset's price usually is off its peg, and for how long it has been further off than that.

The usual deviation is an exponential mean whose samples count at most a band, so that a depeg does not become usual by
itself. The band is a multiple of it, with a floor (the configuration's) and a ceiling: five per cent off a peg is never
usual. A *run* is a stretch of samples outside the band; it ends when the price is well inside again.

The constants were chosen on hourly prices of ten pegged assets from January to June 2021 (docs/labels.md).
"""

from __future__ import annotations

import math

import msgspec

from defiwatch.protocols.spec import Table

MEMORY_S = 14 * 86_400.0
"""Seconds after which a sample of the usual deviation counts 1/e."""

MULTIPLE = 6.0
"""The band, in usual deviations."""

PRIOR_BAND = 0.02
"""The band of an asset of which nothing is known yet."""

CEILING = 0.05

CALM = 0.5
"""The part of the band below which a run is over at once."""

LAPSE_S = 6 * 3600.0
"""A run is over when its last sample outside the band is older than this."""

STEP_S = 4 * 3600.0
"""A gap between two samples counts at most this long."""

DRIFT_S = 3600.0
"""Memory of the pool share that a change is measured against."""


class Peg(msgspec.Struct, frozen=True):
    """One asset against its peg. Deviations are relative and signed (-0.02: two per cent below).

    `usual` is the mean of |deviation|; `since`, `last`, `count` and `worst` describe the run: the time of its first and
    newest sample outside the band, how many there were, and the one furthest off. `count` is 0 where there is none.
    """

    deviation: float
    usual: float
    time: float
    samples: int
    since: float = 0.0
    last: float = 0.0
    count: int = 0
    worst: float = 0.0
    share: float = 0.0
    """The asset's part of the deepest pool of assets with its peg, 0..1; 0.0 where there is none."""
    level: float = 0.0
    """What that part was lately, and..."""
    swing: float = 0.0
    """...the mean square of its distance to that."""
    pool: str = ""

    @property
    def sigma(self) -> float:
        """The standard deviation that goes with the mean absolute one, were it normal."""
        return self.usual * math.sqrt(math.pi / 2.0)

    @property
    def span(self) -> float:
        """Seconds that the run lasts so far."""
        return self.last - self.since if self.count else 0.0

    @property
    def outflow(self) -> float:
        """How fast the other assets leave the pool, in its usual swings: 0..10."""
        swing = math.sqrt(self.swing)
        return min(max((self.share - self.level) / swing, 0.0), 10.0) if swing > 1e-4 and self.share else 0.0


PEGS: Table[str, Peg] = Table("state.peg")
"""asset → how it stands to its peg."""


def band(peg: Peg, floor: float) -> float:
    """How far off the peg is still usual, relative."""
    return min(max(MULTIPLE * peg.usual, floor), max(CEILING, floor))


def observe(peg: Peg | None, deviation: float, time: float, floor: float) -> Peg:
    """The peg after one more sample. One that is not later than the last changes nothing."""
    if peg is None:
        peg = Peg(deviation, PRIOR_BAND / MULTIPLE, time, 0)
    elif time <= peg.time:
        return peg
    limit = band(peg, floor)
    size = abs(deviation)
    since, last, count, worst = peg.since, peg.last, peg.count, peg.worst
    if count and (time - last > LAPSE_S or (size <= limit and size < CALM * limit)):
        since, last, count, worst = 0.0, 0.0, 0, 0.0
    if size > limit:
        since = since if count else time
        worst = deviation if size > abs(worst) else worst
        last, count = time, count + 1
    part = 1.0 - math.exp(-min(time - peg.time, STEP_S) / MEMORY_S) if peg.samples else 0.0
    usual = peg.usual + part * (min(size, limit) - peg.usual)
    return msgspec.structs.replace(
        peg,
        deviation=deviation,
        usual=usual,
        time=time,
        samples=peg.samples + 1,
        since=since,
        last=last,
        count=count,
        worst=worst,
    )


def balance(peg: Peg, share: float, pool: str, time: float) -> Peg:
    """The peg with the asset's share of its deepest pool as of `time`; call it before `observe` takes that time."""
    if pool != peg.pool or not peg.level:
        return msgspec.structs.replace(peg, share=share, level=share, swing=0.0, pool=pool)
    passed = min(max(time - peg.time, 0.0), STEP_S)
    kept, slow = math.exp(-passed / DRIFT_S), math.exp(-passed / MEMORY_S)
    apart = share - peg.level
    return msgspec.structs.replace(
        peg,
        share=share,
        level=peg.level * kept + share * (1.0 - kept),
        swing=peg.swing * slow + min(apart * apart, max(9.0 * peg.swing, 1e-4)) * (1.0 - slow),
        pool=pool,
    )
