"""Scoring: named parts that add up to one 0..100 per subject. Pure; the parts are what the user reads as reasons."""

from __future__ import annotations

from defiwatch.scoring.pools import assess, assess_drain, assess_pool
from defiwatch.scoring.positions import (
    PositionJudge,
    assess_position,
    correlated,
    liquidation_executed,
    nearest,
    position_gone,
)
from defiwatch.scoring.prices import Quoted, assess_deviation
from defiwatch.scoring.sources import source_gap, source_silent, source_untrusted
from defiwatch.scoring.unusual import PER_DECADE, assess_unusual

__all__ = [
    "PER_DECADE",
    "PositionJudge",
    "Quoted",
    "assess",
    "assess_deviation",
    "assess_drain",
    "assess_pool",
    "assess_position",
    "assess_unusual",
    "correlated",
    "liquidation_executed",
    "nearest",
    "position_gone",
    "source_gap",
    "source_silent",
    "source_untrusted",
]
