"""Compound v3: one Comet a base asset, followed by reads where its events are silent."""

from __future__ import annotations

from defiwatch.protocols.compound_v3.comet import COMPOUND_V3, CompoundV3

__all__ = ["COMPOUND_V3", "CompoundV3"]
