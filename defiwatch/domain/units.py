"""The one door from integers to floats, and the rounding of what leaves.

Amounts are `int` in the chain's own units everywhere else. A float is for showing, for features and for models.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import cast

WAD = 10**18
RAY = 10**27
BPS = 10_000
UINT256_MAX = 2**256 - 1
YEAR_S = 31_536_000
"""Seconds in a year, as the lending contracts count it."""


def to_float(amount: int, decimals: int) -> float:
    """`amount` (chain units) as a float of whole units; exact to a float's own precision at any size."""
    return amount / cast("int", 10**decimals)


def ratio(up: int, down: int) -> float:
    """`up` / `down` as a float, correctly rounded; infinity where it is too large for one. `down` is not 0."""
    try:
        return up / down
    except OverflowError:
        return math.inf


def sig6(value: float) -> float:
    """`value` rounded to 6 significant digits; infinities and NaN are refused because JSON has none."""
    if value == 0.0:
        return 0.0
    if not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    return float(f"{value:.6g}")


def from_hex(text: str) -> int:
    """A JSON-RPC quantity ("0x1b4") or 32-byte word as an int; "0x" counts as 0."""
    return int(text, 16) if len(text) > 2 else 0


def iso(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC: whole seconds without a fraction, else milliseconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    if moment.microsecond == 0:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def from_iso(text: str) -> float:
    """ISO 8601 (an offset or Z; none means UTC) as Unix seconds; ValueError if it is no time."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def span(seconds: float) -> str:
    """A length of time in words: "40 s", "12 min", "3.5 h", "9 d", "4.1 years"."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    if seconds < 5400.0:
        return f"{seconds / 60.0:.0f} min"
    if seconds < 2.0 * 86_400.0:
        return f"{seconds / 3600.0:.1f} h"
    return f"{seconds / 86_400.0:.0f} d" if seconds < 2.0 * YEAR_S else f"{seconds / YEAR_S:.1f} years"
