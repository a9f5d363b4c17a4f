"""Curve: pools of the stableswap invariant, old and new, to the unit; two-crypto pools by their events."""

from __future__ import annotations

from defiwatch.protocols.curve.pool import CURVE, Curve
from defiwatch.protocols.curve.state import POOLS, CurveState

__all__ = ["CURVE", "POOLS", "Curve", "CurveState"]
