"""A session: one engine with its sinks, run live or through recordings. Both faces stand on it.

It owns what has to do with the wall clock and is no business of the engine: pacing a replay, taking what the user says,
asking for a snapshot now and then, stopping when told to.
"""

from __future__ import annotations

from defiwatch.session.pace import Pace
from defiwatch.session.parts import EngineLike, KeeperLike, Listener, Parts
from defiwatch.session.run import Session
from defiwatch.session.stop import Stop

__all__ = ["EngineLike", "KeeperLike", "Listener", "Pace", "Parts", "Session", "Stop"]
