"""The engine: a line of stages per chain, their order, and their merge into one stream of alerts and one snapshot."""

from __future__ import annotations

from defiwatch.engine.core import Engine
from defiwatch.engine.keeping import Keeper
from defiwatch.engine.live import run_live
from defiwatch.engine.playback import replay

__all__ = ["Engine", "Keeper", "replay", "run_live"]
