"""A digest: what a burst of alerts, or a channel that was down, comes to in one object."""

from __future__ import annotations

from collections import Counter

import msgspec

from defiwatch.domain.risk import SEVERITIES, Alert, Severity, State

DIGEST_SCHEMA = "defiwatch.digest/1"
LISTED = 20


class DigestLine(msgspec.Struct, frozen=True):
    """One alert of a digest, in short."""

    id: str
    key: str
    state: State
    severity: Severity
    time: str
    title: str


class DigestMessage(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """What is pushed instead of `count` alerts that came faster than the channel took them.

    `since` and `until` (in JSON "from" and "to") are the times of the first and the last; `alerts` lists the most
    severe, then the latest; all of them are in the history.
    """

    schema: str
    title: str
    count: int
    severities: dict[str, int]
    kinds: dict[str, int]
    since: str
    until: str
    alerts: tuple[DigestLine, ...]


class Digest:
    """Collects alerts; bounded in size however many come."""

    def __init__(self) -> None:
        self.count = 0
        self._severities: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._since = ""
        self._until = ""
        self._listed: list[DigestLine] = []

    def add(self, alert: Alert) -> None:
        """Take one alert in."""
        self.count += 1
        self._severities[alert.severity] += 1
        self._kinds[alert.kind] += 1
        self._since = min(self._since or alert.time, alert.time)
        self._until = max(self._until, alert.time)
        line = DigestLine(alert.id, alert.key, alert.state, alert.severity, alert.time, alert.title)
        self._listed = _worst([*self._listed, line])

    def joined(self, later: Digest) -> Digest:
        """Both in one."""
        whole = Digest()
        whole.count = self.count + later.count
        whole._severities = self._severities + later._severities
        whole._kinds = self._kinds + later._kinds
        whole._since = min(filter(None, (self._since, later._since)), default="")
        whole._until = max(self._until, later._until)
        whole._listed = _worst([*self._listed, *later._listed])
        return whole

    def message(self) -> bytes:
        """The object to push, as one JSON line without its newline."""
        counts = ", ".join(f"{self._severities[s]} {s}" for s in reversed(SEVERITIES) if s in self._severities)
        return msgspec.json.encode(
            DigestMessage(
                schema=DIGEST_SCHEMA,
                title=f"{self.count} alerts that could not be sent one by one: {counts}",
                count=self.count,
                severities=dict(sorted(self._severities.items())),
                kinds=dict(sorted(self._kinds.items())),
                since=self._since,
                until=self._until,
                alerts=tuple(self._listed),
            )
        )


def _worst(lines: list[DigestLine]) -> list[DigestLine]:
    """The most severe lines, the latest first."""
    return sorted(lines, key=lambda line: (SEVERITIES.index(line.severity), line.time), reverse=True)[:LISTED]
