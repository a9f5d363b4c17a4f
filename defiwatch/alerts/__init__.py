"""The life of alerts: raised, worsened, eased, cleared, retracted. Hysteresis and cool-down live here, nowhere else."""

from __future__ import annotations

from defiwatch.alerts.book import AlertBook

__all__ = ["AlertBook"]
