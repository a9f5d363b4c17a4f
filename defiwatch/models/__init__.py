"""Models that learn online, through river: a cheap bundle of running tails a subject, a forest a kind of subject."""

from __future__ import annotations

from defiwatch.models.budget import AlertBudget
from defiwatch.models.outlook import Outlook, by_asset, scene
from defiwatch.models.owners import Owners
from defiwatch.models.stage import Models

__all__ = ["AlertBudget", "Models", "Outlook", "Owners", "by_asset", "scene"]
