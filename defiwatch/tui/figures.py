"""Numbers as people read them in a narrow column. Pure text; None and what is not finite become "?"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal

UNKNOWN = "?"
_MILLI = Decimal("0.001")
_LEFT = (0, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0, 0x80, 0xA0, 0xB0, 0xB8)
"""Braille dots of a cell's two columns, filled from below to a height of 0 … 4."""
_SCALES = ((1e15, "Q"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def known(value: float | None) -> bool:
    """Whether there is a number to show."""
    return value is not None and math.isfinite(value)


def compact(value: float | None) -> str:
    """At most four characters of digits and a scale: 382.2k, 1.24M, 12.4, 0.034."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size, sign = abs(value), "-" if value < 0 else ""
    for scale, letter in _SCALES:
        if size >= scale * 0.9995:
            part = size / scale
            return f"{sign}{part:.{2 if part < 9.995 else 1 if part < 999.95 else 0}f}{letter}"
    if size >= 99.95:
        return f"{sign}{size:.0f}"
    if size >= 9.995:
        return f"{sign}{size:.1f}"
    if size >= 0.01 or size == 0:
        return f"{sign}{size:.2f}"
    return f"{sign}{size:.1e}"


def money(value: float | None) -> str:
    """US dollars: $382k, -$1.24M."""
    text = compact(value)
    if text == UNKNOWN:
        return text
    return f"-${text[1:]}" if text.startswith("-") else f"${text}"


def price(value: float | None) -> str:
    """Six significant digits (small ones four), thousands grouped: 2,412.11, 1.00032, 0.0003404, 4.805e-09."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e9 or size < 1e-5:
        return f"{value:.4g}"
    places = max(0, (5 if size >= 0.01 else 3) - math.floor(math.log10(size)))
    text = f"{value:,.{places}f}"
    if size < 1:
        return text.rstrip("0").rstrip(".")
    return text


def number(value: float | None) -> str:
    """Up to six significant digits, thousands grouped, without the zeros at the end: 1,204.5, 0.031, 200."""
    text = price(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def percent(part: float | None, places: int = 1) -> str:
    """A share: 0.0211 is "2.1 %". Never "-0.0 %"."""
    if part is None or not math.isfinite(part):
        return UNKNOWN
    value = round(part * 100, places) + 0.0
    if abs(value) >= 10_000:
        return "<-9999 %" if value < 0 else ">9999 %"
    return f"{value:.{0 if abs(value) >= 1000 else places}f} %"


def change(part: float | None, places: int = 1) -> str:
    """A relative change with its sign: +1.2 %, -0.4 %, 0.0 %."""
    text = percent(part, places)
    rises = part is not None and math.isfinite(part) and round(part * 100, places) > 0
    return f"+{text}" if rises and text[0].isdigit() else text


def probability(p: float | None) -> str:
    """A probability; never 0 or 1: "<0.1 %", "31 %", ">99 %"."""
    if p is None or not math.isfinite(p):
        return UNKNOWN
    if p < 0.001:
        return "<0.1 %"
    if p > 0.99:
        return ">99 %"
    return f"{p * 100:.1f} %" if p < 0.0995 else f"{p * 100:.0f} %"


def health(factor: float | None) -> str:
    """A health factor in three places, cut and not rounded, so that 0.9999 is never shown as 1.000."""
    if factor is None or not math.isfinite(factor):
        return UNKNOWN
    if factor >= 100:
        return ">99"
    return str(Decimal(repr(factor)).quantize(_MILLI, ROUND_FLOOR))


def rate(value: float) -> str:
    """Events a second, without a fraction that nobody needs: 0, 0.3, 812, 2.93k."""
    if 0 < value < 9.95:
        return f"{value:.1f}"
    return f"{value:.0f}" if value < 1000 else compact(value)


def score(points: float) -> str:
    """A score without a fraction, 0 … 100."""
    return f"{points:.0f}" if math.isfinite(points) else UNKNOWN


def count(value: int | None) -> str:
    """A whole number, grouped."""
    return UNKNOWN if value is None else f"{value:,}"


def age(seconds: float) -> str:
    """How long ago, in one unit: 4s, 12m, 3h, 5d. What is ahead of the clock counts as now."""
    whole = int(max(0.0, seconds)) if math.isfinite(seconds) else -1
    if whole < 0:
        return UNKNOWN
    if whole < 100:
        return f"{whole}s"
    if whole < 6000:
        return f"{whole // 60}m"
    if whole < 172_800:
        return f"{whole // 3600}h"
    return f"{whole // 86_400}d"


def day_clock(seconds: float) -> str:
    """2026-03-10 12:00:11, UTC; what no calendar holds is unknown."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return UNKNOWN


def clock(seconds: float) -> str:
    """12:00:11, UTC."""
    return day_clock(seconds)[-8:]


def spark(values: Sequence[float], width: int, scale: tuple[float, float] | None = None) -> str:
    """The last values as a hill of dots, two a cell, right-aligned; on `scale`, else from lowest to highest."""
    shown = [value for value in values[-2 * width :] if math.isfinite(value)]
    if not shown:
        return " " * width
    low, high = scale or (min(shown), max(shown))
    span = high - low
    flat = span <= abs(high) * 1e-9
    heights = [1 if flat else 1 + min(3, max(0, int((value - low) / span * 4))) for value in shown]
    if len(heights) % 2:
        heights.insert(0, 0)
    cells = (chr(0x2800 + _LEFT[heights[at]] + _RIGHT[heights[at + 1]]) for at in range(0, len(heights), 2))
    return "".join(cells).rjust(width)
