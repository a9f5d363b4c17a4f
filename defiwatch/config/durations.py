"""Durations and rates as the configuration and the command line write them."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d|w)")


def duration(text: str) -> float:
    """ "90s", "10m", "2h30m", "24h", "7d" in seconds; a bare number counts seconds. ValueError if it is none."""
    text = text.strip()
    try:
        value = float(text)
    except ValueError:
        parts = _DURATION.findall(text)
        if not parts or _DURATION.sub("", text).strip():
            raise ValueError(f"expected a duration such as 90s, 10m, 2h or 7d, got {text!r}") from None
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    if value < 0 or value != value:
        raise ValueError(f"expected a duration of 0 or more, got {text!r}")
    return value


def rate(text: str) -> float:
    """ "300/min", "3/week", "5/s" as events a second; ValueError if it is none."""
    units = {
        "s": 1,
        "sec": 1,
        "second": 1,
        "min": 60,
        "m": 60,
        "minute": 60,
        "h": 3600,
        "hour": 3600,
        "d": 86400,
        "day": 86400,
        "w": 604800,
        "week": 604800,
    }
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*([a-z]+)\s*", text)
    if match is None or match[2] not in units:
        raise ValueError(f"expected a rate such as 300/min or 3/week, got {text!r}")
    return float(match[1]) / units[match[2]]
