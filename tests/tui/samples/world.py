"""The clock, the coin and the places of the sample market."""

from __future__ import annotations

import math

from defiwatch.domain.risk import Reason
from defiwatch.domain.units import sig6

START = 1_773_144_000.0
"""2026-03-10 12:00:00 UTC."""

STEPS = 90
BLOCK_S = 12.0
HEAD = 23_000_001
AAVE = "0x87870bca3f3fd6335c3f4ce8392d69350b4fa4e2"
MORPHO = "0xbbbbbbbbbb9cc5e90e3b3af64bdaf62c37eeffcb"


def eth_price(step: int) -> float:
    """USD for one ETH: calm, then a fall by a tenth in twelve blocks, then a slow recovery."""
    calm = 2412.0 + 6.0 * math.sin(step / 3.0) + 2.5 * math.sin(step * 1.7)
    if step < 50:
        return calm
    fall = min(1.0, (step - 50) / 12.0)
    rise = max(0.0, min(1.0, (step - 66) / 30.0))
    return calm * (1 - 0.105 * fall + 0.04 * rise)


def reasons(*parts: tuple[str, float, float | None, float, str]) -> tuple[Reason, ...]:
    return tuple(
        Reason(name=name, value=sig6(value), points=points, text=text, usual=usual)
        for name, value, usual, points, text in parts
    )
