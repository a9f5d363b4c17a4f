"""The snapshot's positions placed into a recording, frozen, and followed: when each would have crossed.

The snapshot is dealt into as many groups as `LIFE_S` has days; every day one of them is drawn anew with the health
factors of the snapshot at that moment's protocol prices. So at any time a whole snapshot stands, some of it fresh, some
a week old; nobody tops up, closes or is liquidated twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from defiwatch.commands.backtest.market import Prices
from defiwatch.commands.backtest.snapshot import Rebased
from defiwatch.models.liquidations import Floats
from defiwatch.state.lending.barrier import HORIZONS

DAY_S = 86_400.0
GROUPS = 7
LIFE_S = GROUPS * DAY_S
"""How long a position is followed from when it was drawn."""
WARM_S = 2.0 * DAY_S
"""Before this much of a recording was seen nothing is drawn."""

Rows = npt.NDArray[np.int64]


class Cohort:
    """Positions drawn together at `born` (a grid index), in units of the assets: value is units times price.

    `rows` are those of the snapshot. `crossed` (Unix seconds, inf for never) is when each first fell below 1 at the
    protocol's prices, up to the longest horizon after the end of its life: what forecasts are held against, and of
    which a forecast may know only what is past.
    """

    def __init__(self, prices: Prices, rebased: Rebased, rows: Rows, born: int) -> None:
        self.rows = rows
        self.born = born
        self.end = born + round(LIFE_S / prices.step_s)
        own = [prices.assets.index(asset) for asset in rebased.assets]
        at = prices.protocol[born, own]
        self.weighted: Floats = rebased.weighted[rows] / at
        self.debt: Floats = rebased.debt[rows] / at
        last = self.end + math.ceil(max(HORIZONS.values()) / prices.step_s)
        moves = born + 1 + np.flatnonzero(prices.pushed[born + 1 : last + 1].any(axis=1))
        path = prices.protocol[moves][:, own]
        below = path @ self.weighted.T < path @ self.debt.T
        found = below.any(axis=0)
        self.crossed: Floats = np.where(found, prices.times[moves[below.argmax(axis=0)]], np.inf)

    def alive(self, time: float) -> Rows:
        """The positions, by place in the cohort, that have not crossed by `time`."""
        return np.flatnonzero(self.crossed > time)


def cohorts(prices: Prices, rebased: Rebased) -> Iterator[Cohort]:
    """All of a recording, in order of time."""
    first = round(WARM_S / prices.step_s)
    a_day = round(DAY_S / prices.step_s)
    rows = np.arange(len(rebased.accounts))
    for day, born in enumerate(range(first, len(prices.times) - 1, a_day)):
        group = rows[rows % GROUPS == day % GROUPS]
        if len(group):
            yield Cohort(prices, rebased, group, born)


def unseen(prices: Prices, horizon_s: float) -> npt.NDArray[np.bool_]:
    """Of each grid time, whether a label that far ahead cannot be told: the recording ends before, or it has a hole in
    between. Whether the position had crossed by then must not matter."""
    ahead = math.ceil(horizon_s / prices.step_s)
    holes = np.concatenate(([0], np.cumsum(prices.blind)))
    size = len(prices.times)
    starts = np.arange(size)
    ends = np.minimum(starts + ahead + 1, size)
    return (starts + ahead >= size) | (holes[ends] - holes[starts] > 0)
