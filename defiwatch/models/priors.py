"""What a kind of subject is taken to be like before anything was seen: (median, 90 % quantile, smallest told from 0).

Round numbers, set between what a busy pool shows (a tenth of these) and a thin one (ten times them); the first hundred
observations replace them. The excess of every tail starts at 0.67, a Pareto exponent of 1.5.
"""

from __future__ import annotations

from typing import TypeAlias

Prior: TypeAlias = tuple[float, float, float]

UNKNOWN: Prior = (1e-3, 1e-2, 1e-9)
"""For a feature that is not listed."""

PRIORS: dict[str, dict[str, Prior]] = {
    "pool": {
        "move": (1e-4, 2e-3, 1e-7),
        "block_move": (1e-4, 2e-3, 1e-7),
        "deviation": (1e-3, 6e-3, 1e-6),
        "size": (1e-4, 3e-3, 1e-8),
        "flow": (1e-3, 1e-2, 1e-7),
        "pace": (1.0, 3.0, 0.5),
        "gap": (30.0, 300.0, 0.1),
    },
    "flow": {
        "close_move": (1e-4, 2e-3, 1e-7),
        "deviation": (1e-3, 6e-3, 1e-6),
        "volume": (1e-4, 5e-3, 1e-8),
        "flow": (1e-3, 1e-2, 1e-7),
        "reserve_change": (1e-4, 3e-3, 1e-8),
        "trades": (1.0, 3.0, 0.5),
    },
    "drain": {
        "removed": (1e-3, 3e-2, 1e-5),
        "outflow": (1e-3, 1e-2, 1e-5),
    },
    "feed": {
        "push": (1e-3, 6e-3, 1e-7),
        "interval": (1800.0, 20_000.0, 1.0),
        "pushes": (1.5, 4.0, 0.5),
        "away": (1e-3, 5e-3, 1e-6),
    },
    "market": {
        "supplied": (1e-4, 5e-3, 1e-9),
        "withdrawn": (1e-4, 5e-3, 1e-9),
        "borrowed": (1e-4, 5e-3, 1e-9),
        "repaid": (1e-4, 5e-3, 1e-9),
        "liquidated": (1e-3, 2e-2, 1e-9),
        "drained": (1e-3, 2e-2, 1e-8),
        "step": (1e-4, 5e-3, 1e-8),
        "strayed": (3e-3, 3e-2, 1e-7),
    },
    "transfer": {
        "amount": (1.0, 100.0, 1e-9),
        "moved": (20.0, 1_000.0, 1e-9),
    },
    "series": {
        "jump": (0.5, 2.0, 1e-4),
        "level": (0.5, 2.0, 1e-4),
        "range": (1e-3, 1e-2, 1e-4),
        "hour": (0.5, 2.0, 1e-4),
    },
}
