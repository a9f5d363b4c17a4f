"""What the screens are handed: the newest snapshot and the little that the face itself remembers."""

from __future__ import annotations

from dataclasses import dataclass, field

from defiwatch.domain.risk import Alert
from defiwatch.domain.view import SNAPSHOT_SCHEMA, AlertRow, Snapshot
from defiwatch.tui.trails import Trails

EMPTY = Snapshot(
    schema=SNAPSHOT_SCHEMA,
    sequence=-1,
    time=0.0,
    mode="",
    progress=None,
    chains=(),
    pools=(),
    positions=(),
    markets=(),
    prices=(),
    alerts=(),
    feed=(),
    sources=(),
    models=(),
)
"""Before the engine said anything."""

LOG_LENGTH = 1000
"""Changes of alerts that the screen keeps; older ones are in the history."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One thing to draw. `log`: changes of alerts, newest first; `missed`: changes that came while paused."""

    snapshot: Snapshot = EMPTY
    log: tuple[Alert, ...] = ()
    trails: Trails = field(default_factory=Trails)
    paused: bool = False
    missed: int = 0
    ended: bool = False
    error: str = ""

    @property
    def started(self) -> bool:
        """Whether the engine has sent a picture yet."""
        return self.snapshot.sequence >= 0

    def trust_of(self, chain: str) -> str:
        """How far the chain's blocks were checked; "" where it is none of the chains."""
        return next((row.trust for row in self.snapshot.chains if row.name == chain), "")

    def standing_on(self, key: str) -> list[AlertRow]:
        """The standing alerts on the row with this key (an alert's key is its subject's, a colon, an aspect)."""
        prefix = f"{key}:"
        return [row for row in self.snapshot.alerts if row.alert.key.startswith(prefix) or row.alert.key == key]

    def awaited(self, noun: str, hint: str) -> str:
        """Why there is no `noun` to show, in words."""
        snapshot = self.snapshot
        if self.error:
            return f"no {noun}: the engine stopped ({self.error})"
        if not self.started:
            return f"no {noun} yet: the engine is starting"
        warming = [chain for chain in snapshot.chains if chain.warming is not None]
        dead = [source for source in snapshot.sources if source.state in ("down", "silent")]
        if self.ended:
            return f"no {noun}: the recording holds none"
        if warming:
            told = ", ".join(f"{chain.name} {(chain.warming or 0) * 100:.0f} %" for chain in warming)
            return f"no {noun} yet: warming up on past blocks ({told})"
        if snapshot.sources and len(dead) == len(snapshot.sources):
            return f"no {noun} yet: none of {len(dead)} sources answers (see 7 sources)"
        if not snapshot.chains:
            return f"no {noun} yet: waiting for the first block"
        return f"no {noun} yet: {hint}"
