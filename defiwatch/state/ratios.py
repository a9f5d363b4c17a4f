"""What one unit of a staked asset is worth in the asset behind it, for the want of a contract that tells it.

A contract's own rate (a vault's share price, a pool's rate provider) comes first and is taken as it is. Else the ratio
is learnt from the market: an exponential mean whose samples count at most `LIMIT` off it, so that a fall does not
become the ratio by itself. Before it has watched for `LEARNT_S` nothing is judged by it.
"""

from __future__ import annotations

import math

import msgspec

from defiwatch.protocols.spec import Table

MEMORY_S = 2 * 86_400.0
"""Seconds after which a sample counts 1/e: staking moves a ratio by 0.01 % a day, far less than is usual off it."""

LIMIT = 0.005
"""How far off the ratio (|ln|) a sample counts at most."""

LEARNT_S = 6 * 3600.0
"""How long a ratio is watched before anything is held against it."""

STEP_S = 4 * 3600.0
"""A gap between two samples counts at most this long."""


class Ratio(msgspec.Struct, frozen=True):
    """`value` units of the asset behind for one; learnt since `since`, last at `time` (Unix seconds)."""

    value: float
    since: float
    time: float

    @property
    def learnt(self) -> bool:
        """Whether it was watched long enough to hold a price against it."""
        return self.time - self.since >= LEARNT_S


RATIOS: Table[str, Ratio] = Table("state.ratio")
"""staked asset → its learnt ratio."""


def learn(ratio: Ratio | None, observed: float, time: float) -> Ratio:
    """The ratio after one more sample of the market's; one that is not later than the last changes nothing.

    While it is new, every sample counts as much as those before it.
    """
    if ratio is None:
        return Ratio(observed, time, time)
    if time <= ratio.time:
        return ratio
    passed = min(time - ratio.time, STEP_S)
    young = passed / (ratio.time - ratio.since + passed)
    part = max(1.0 - math.exp(-passed / MEMORY_S), young if not ratio.learnt else 0.0)
    apart = math.log(observed / ratio.value)
    limit = LIMIT if ratio.learnt else math.inf
    value = ratio.value * math.exp(part * min(max(apart, -limit), limit))
    return Ratio(value, ratio.since, time)
