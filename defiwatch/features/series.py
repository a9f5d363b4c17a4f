"""One plain series, a price of a feed or a utilisation, against its own past: level, new range, hour of the day."""

from __future__ import annotations

import math

import msgspec

from defiwatch.protocols.spec import Table

HOURS = 48
"""Into how many parts the day is cut."""

_RATE = 0.002
_HOUR_RATE = 0.05
_LEAST_DAYS = 2.0


class SeriesTrace(msgspec.Struct, frozen=True):
    """What one series did so far. `mean` and `spread` (mean absolute deviation) are slowly forgotten; `hours` holds
    (mean, count) of each part of the day."""

    last: float
    mean: float
    spread: float
    low: float
    high: float
    n: int
    hours: tuple[tuple[float, float], ...] = ((0.0, 0.0),) * HOURS


SERIES_TRACES: Table[tuple[str, str], SeriesTrace] = Table("features.series")
"""(protocol, id of feed or market) → what it did so far."""


def begun(value: float) -> SeriesTrace:
    """The trace after a series' first value."""
    return SeriesTrace(value, value, 0.0, value, value, 1)


def series_values(trace: SeriesTrace, time: float, value: float) -> dict[str, float]:
    """The features of a new value, in units of the series' spread; before it is put into the trace."""
    scale = max(trace.spread, 1e-6 * abs(trace.mean), 1e-12)
    width = max(trace.high - trace.low, scale)
    mean, count = trace.hours[_part(time)]
    away = abs(value - trace.mean) / scale
    return {
        "jump": abs(value - trace.last) / scale,
        "level": away,
        "range": max(0.0, value - trace.high, trace.low - value) / width,
        "hour": abs(value - mean) / scale if count >= _LEAST_DAYS else 0.5 * away,
    }


def followed(trace: SeriesTrace, time: float, value: float) -> SeriesTrace:
    """The trace after one more value. What is no number is left aside."""
    if not math.isfinite(value):
        return trace
    rate = max(_RATE, 1.0 / (trace.n + 1.0))
    mean = trace.mean + rate * (value - trace.mean)
    part = _part(time)
    usual, count = trace.hours[part]
    seen = (usual + max(_HOUR_RATE, 1.0 / (count + 1.0)) * (value - usual), count + 1.0)
    return SeriesTrace(
        last=value,
        mean=mean,
        spread=trace.spread + rate * (abs(value - mean) - trace.spread),
        low=min(trace.low, value),
        high=max(trace.high, value),
        n=trace.n + 1,
        hours=(*trace.hours[:part], seen, *trace.hours[part + 1 :]),
    )


def _part(time: float) -> int:
    return int(time % 86_400.0 * HOURS / 86_400.0)
