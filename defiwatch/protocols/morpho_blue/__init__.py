"""Morpho Blue: isolated markets under one address, exact from their events."""

from __future__ import annotations

from defiwatch.protocols.morpho_blue.blue import MORPHO_BLUE, MorphoBlue

__all__ = ["MORPHO_BLUE", "MorphoBlue"]
