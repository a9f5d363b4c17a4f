"""Features: what happened, as numbers that models can compare. Pure; the running windows are in the journaled book."""

from __future__ import annotations

from defiwatch.features.catalogue import FEATURES
from defiwatch.features.extract import Features, PoolOf

__all__ = ["FEATURES", "Features", "PoolOf"]
