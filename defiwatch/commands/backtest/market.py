"""A recording's prices on an even grid of time: the market's, and the protocol's as a feed would have pushed them.

A feed pushes at a grid time when the market's price is away from its last answer by its band or more, or when its
heartbeat is over: 0.5 % and an hour, for assets pegged to the dollar 0.25 % and a day. What the market did between two
grid times nobody sees, neither the feed nor a label.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from defiwatch.domain.frames import Frame, QuoteFrame
from defiwatch.domain.ids import MARKET
from defiwatch.domain.units import from_iso
from defiwatch.errors import UsageError
from defiwatch.models.liquidations import Floats
from defiwatch.state.lending.pushes import USUAL_S
from defiwatch.state.oracles import DAY_S, STABLE_BAND, VOLATILE_BAND
from defiwatch.state.prices import PriceBook
from defiwatch.state.prices.assets import USD, base_of, rank

LATE_S = 86_400.0
"""An asset whose first quote comes later than this after the recording's first is not priced in it."""
STALE_S = 6.0 * 3600.0
"""Without a quote for longer than this the market counts as not seen."""
LEAST_STEP_S = 60.0

Flags = npt.NDArray[np.bool_]


class Prices:
    """One recording. `times` is the grid, Unix seconds `step_s` apart; `market` and `protocol` are prices in dollars,
    grid times by `assets` (USD last, always 1); `pushed`: whether the feed pushed there; `blind` grid times at which
    some asset had had no quote for `STALE_S`."""

    def __init__(self, name: str, quotes: Mapping[str, list[tuple[float, float]]]) -> None:
        self.name = name
        self.events = sum(len(rows) for rows in quotes.values())
        if not any(rank(asset) > 0 and len(rows) > 1 for asset, rows in quotes.items()):
            raise UsageError(f"{name}: has no quotes of an asset that moves against the dollar")
        begun = min(rows[0][0] for rows in quotes.values())
        kept = {
            asset: np.array(rows)
            for asset, rows in sorted(quotes.items())
            if asset != USD and len(rows) > 1 and rows[0][0] <= begun + LATE_S
        }
        pauses = [statistics.median(np.diff(rows[:, 0])) for asset, rows in kept.items() if rank(asset) > 0]
        self.step_s = max(LEAST_STEP_S, LEAST_STEP_S * round(float(min(pauses)) / LEAST_STEP_S))
        self.assets = (*kept, USD)
        first = max(float(rows[0, 0]) for rows in kept.values())
        last = max(float(rows[-1, 0]) for rows in kept.values())
        grid = np.arange(np.ceil(first / self.step_s), np.floor(last / self.step_s) + 1.0)
        self.times: Floats = grid * self.step_s
        self.market: Floats = np.ones((len(grid), len(self.assets)))
        self.protocol: Floats = np.ones_like(self.market)
        self.pushed: Flags = np.zeros(self.market.shape, dtype=bool)
        self.blind: Flags = np.zeros(len(grid), dtype=bool)
        for i, (asset, rows) in enumerate(kept.items()):
            at = np.searchsorted(rows[:, 0], self.times, side="right") - 1
            self.market[:, i] = rows[at, 1]
            if rank(asset) > 0:
                self.blind |= self.times - rows[at, 0] > max(STALE_S, 4.0 * self.step_s)
            band, heartbeat = feed_of(asset)
            self.protocol[:, i], self.pushed[:, i] = pushes(self.times, self.market[:, i], band, heartbeat)

    @property
    def days(self) -> float:
        """How long it is."""
        return float(self.times[-1] - self.times[0]) / DAY_S if len(self.times) else 0.0


def feed_of(asset: str) -> tuple[float, float]:
    """The band (relative) and heartbeat (s) that an asset's feed is taken to have."""
    return (STABLE_BAND, DAY_S) if rank(asset) == 0 else (VOLATILE_BAND, USUAL_S)


def pushes(times: Floats, prices: Floats, band: float, heartbeat: float) -> tuple[Floats, Flags]:
    """A feed's answer at each time, and whether it was pushed just then, from the market's price at those times."""
    answers, when = np.empty_like(prices), np.zeros(len(prices), dtype=bool)
    answer, since = 0.0, 0.0
    for i, (time, price) in enumerate(zip(times.tolist(), prices.tolist(), strict=True)):
        if i == 0 or abs(price / answer - 1.0) >= band or time - since >= heartbeat:
            answer, since, when[i] = price, time, True
        answers[i] = answer
    return answers, when


def read_prices(name: str, frames: Iterable[Frame]) -> Prices:
    """The quotes of a recording's frames, as the price book believes them (bad ticks are held back as in a live run);
    everything else in it is passed over."""
    book = PriceBook(MARKET)
    found: dict[str, list[tuple[float, float]]] = {}
    now = 0.0
    for frame in frames:
        if not isinstance(frame, QuoteFrame):
            continue
        try:
            now = max(now, from_iso(frame.time))
        except ValueError:
            continue
        if not book.on_quote(frame, now):
            continue
        asset = base_of(frame.base)
        price = book.usd(asset)
        if price is None:
            continue
        rows = found.setdefault(asset, [])
        if rows and rows[-1][0] == now:
            rows[-1] = (now, price)
        else:
            rows.append((now, price))
    if not found:
        raise UsageError(f"{name}: holds no prices (quotes of venues) to test on")
    return Prices(name, found)
