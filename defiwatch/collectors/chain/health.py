"""Which endpoint serves, and how each of them fares. A pure state machine: it is told what happened, and when.

The first endpoint that works serves until it fails; those that announce their heads come before those that have to be
asked. One that is behind, silent, limited, down or on another chain is left for the best of the others and tried again
later. Times are seconds of any steady clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from defiwatch.collectors.chain.rhythm import Rhythm

Condition: TypeAlias = Literal["unknown", "live", "behind", "silent", "limited", "untrusted", "down"]

_RANK: dict[Condition, int] = {
    "live": 0,
    "unknown": 1,
    "behind": 2,
    "silent": 3,
    "limited": 4,
    "down": 5,
    "untrusted": 6,
}
_FAULTS_ALLOWED = 3
_FIRST_LIMIT_PAUSE = 1.0
_LONGEST_LIMIT_PAUSE = 60.0


class Change(msgspec.Struct, frozen=True):
    """What became of an endpoint. `latency` in seconds."""

    index: int
    condition: Condition
    detail: str
    height: int | None
    latency: float | None


class _Record:
    __slots__ = (
        "broken",
        "connected",
        "detail",
        "faults",
        "head_at",
        "height",
        "latency",
        "limited_until",
        "limits",
        "passed_at",
        "pushes",
        "reported_at",
        "told",
        "wrong",
    )

    def __init__(self) -> None:
        self.connected: bool | None = None
        self.pushes = False
        self.wrong = False
        self.height: int | None = None
        self.head_at = 0.0
        self.passed_at: float | None = None
        self.reported_at = 0.0
        self.latency: float | None = None
        self.faults = 0
        self.broken = False
        self.limits = 0
        self.limited_until = float("-inf")
        self.detail = ""
        self.told: Condition = "unknown"


class Health:
    """The endpoints of one chain by their index. `block_time` in seconds."""

    def __init__(self, count: int, block_time: float) -> None:
        self._records = [_Record() for _ in range(count)]
        self._behind_after = 2 * block_time
        self._silent_after = max(3 * block_time, 3.0)
        self.rhythms = [Rhythm() for _ in range(count)]
        """How long each lets one wait between two heads; one that stands by is asked too seldom to tell."""
        self._active: int | None = None
        self._changes: list[Change] = []
        self._tops: deque[tuple[int, float]] = deque(maxlen=1024)
        """The highest heads of all, rising, each with when it was first shown."""

    def __len__(self) -> int:
        return len(self._records)

    @property
    def active(self) -> int | None:
        """The endpoint that serves, None while none is connected."""
        return self._active

    def connected(self, index: int, now: float) -> None:
        """It was reached, and serves the right chain."""
        record = self._records[index]
        record.connected, record.pushes, record.wrong = True, False, False
        record.faults, record.broken, record.detail = 0, False, ""
        record.head_at = now
        record.height = record.passed_at = None
        self.judge(now)

    def pushing(self, index: int, now: float) -> None:
        """It announces its heads by itself: better than one that has to be asked for them."""
        self._records[index].pushes = True
        self.judge(now)

    def lost(self, index: int, detail: str, now: float) -> None:
        """It cannot be reached, or its connection is gone."""
        record = self._records[index]
        record.connected, record.detail = False, detail
        self.judge(now)

    def wrong(self, index: int, detail: str, now: float) -> None:
        """It serves another chain, or what it said was proved wrong."""
        record = self._records[index]
        record.connected, record.wrong, record.detail = False, True, detail
        self.judge(now)

    def head(self, index: int, height: int, now: float) -> None:
        """It showed a head of that height."""
        record = self._records[index]
        if record.height is None or height != record.height:
            self._learn(index, height, now)
            record.head_at = now
        if index == self._active and record.height is not None and height < record.height:
            while self._tops and self._tops[-1][0] > height:
                self._tops.pop()
        record.height = height
        record.reported_at = now
        record.faults, record.broken = 0, False
        if not self._tops or height > self._tops[-1][0]:
            self._tops.append((height, now))
        for other in self._records:
            other.passed_at = None if other.height is None else self._passed(other.height)
        self.judge(now)

    def _learn(self, index: int, height: int, now: float) -> None:
        """A head that follows on the one before tells how long it was waited for; what others showed first does not."""
        record = self._records[index]
        watched = record.pushes or index == self._active
        if watched and record.height is not None and height > record.height and record.passed_at is None:
            self.rhythms[index].note(now - record.head_at)

    def _silence(self, index: int) -> float:
        """Seconds without a head after which it counts as silent."""
        return max(self._silent_after, self.rhythms[index].longest)

    def shown(self, index: int) -> tuple[int | None, float]:
        """The newest head that it showed, None before any, and when it last showed one."""
        record = self._records[index]
        return record.height, record.reported_at

    def _passed(self, height: int) -> float | None:
        """When any endpoint first showed a higher head, None if none did."""
        return next((seen for top, seen in self._tops if top > height), None)

    def served(self, index: int, latency: float | None, now: float) -> None:
        """It answered well."""
        record = self._records[index]
        record.faults, record.broken = 0, False
        record.limits = 0
        record.latency = latency
        self.judge(now)

    def failed(self, index: int, detail: str, now: float) -> None:
        """It failed to answer one question; after three in a row it counts as down until it answers again."""
        record = self._records[index]
        record.faults += 1
        if record.faults >= _FAULTS_ALLOWED:
            record.detail = detail
            record.broken = True
        self.judge(now)

    def limited(self, index: int, detail: str, retry_after: float | None, now: float) -> None:
        """It refused for rate: nothing is sent to it for `retry_after` seconds (where unsaid: 1, 2, 4 … 60).

        Refusals of what was on its way already count once; the longest pause that any of them names holds.
        """
        record = self._records[index]
        record.detail = detail
        resting = record.limited_until > now
        if not resting or retry_after is not None:
            pause = min(_FIRST_LIMIT_PAUSE * 2.0 ** min(record.limits, 10), _LONGEST_LIMIT_PAUSE)
            until = now + (pause if retry_after is None else retry_after)
            record.limited_until = max(record.limited_until, until)
        record.limits += not resting
        self.judge(now)

    def condition(self, index: int, now: float) -> Condition:
        """How it fares."""
        record = self._records[index]
        if record.wrong:
            return "untrusted"
        if record.connected is None:
            return "unknown"
        if not record.connected or record.broken:
            return "down"
        if record.limited_until > now:
            return "limited"
        # One that stands by is asked now and then: it is judged as of when it was.
        seen = now if index == self._active else record.reported_at
        if record.passed_at is not None and seen - record.passed_at > self._behind_after:
            return "behind"
        if seen - record.head_at > self._silence(index):
            return "silent"
        return "live"

    def order(self, now: float) -> list[int]:
        """The endpoints that may be asked, best first: the active one, then the others by condition and place."""
        usable = [i for i, record in enumerate(self._records) if record.connected and record.limited_until <= now]
        return sorted(usable, key=lambda i: (_RANK[self.condition(i, now)], i != self._active, i))

    def rest(self, index: int, now: float) -> float:
        """Seconds until it may be asked again after a refusal for rate; 0.0 if now."""
        return max(0.0, self._records[index].limited_until - now)

    def wait(self, now: float) -> float:
        """Seconds until any connected endpoint may be asked again; 0.0 if one may be now, 1.0 if none is connected."""
        times = [record.limited_until - now for record in self._records if record.connected]
        return max(0.0, min(times)) if times else 1.0

    def judge(self, now: float) -> None:
        """Choose who serves, and note what changed. Call it also as time passes."""
        conditions = [self.condition(i, now) for i in range(len(self._records))]
        ranks = [(_RANK[one], not record.pushes) for one, record in zip(conditions, self._records, strict=True)]
        connected = [i for i, record in enumerate(self._records) if record.connected]
        best = min(connected, key=lambda i: (ranks[i], i), default=None)
        current = self._active
        if best is None or current is None or not self._records[current].connected or ranks[best] < ranks[current]:
            self._active = best
        for i, record in enumerate(self._records):
            if conditions[i] != record.told:
                record.told = conditions[i]
                self._changes.append(
                    Change(i, conditions[i], self._detail(i, conditions[i]), record.height, record.latency)
                )

    def wake(self, now: float) -> float | None:
        """When a condition changes by the passing of time alone; None if it does not."""
        times: list[float] = []
        for i, record in enumerate(self._records):
            if record.connected:
                times += [record.limited_until, record.head_at + self._silence(i) + 0.001]
                if record.passed_at is not None:
                    times.append(record.passed_at + self._behind_after + 0.001)
        later = [time for time in times if time > now]
        return min(later, default=None)

    def changes(self) -> Sequence[Change]:
        """What changed since this was last asked, in order."""
        taken, self._changes = self._changes, []
        return taken

    def _detail(self, index: int, condition: Condition) -> str:
        record = self._records[index]
        if condition in ("down", "untrusted", "limited"):
            return record.detail
        if condition == "behind":
            return f"at block {record.height}, another endpoint is at {self._tops[-1][0]}"
        if condition == "silent":
            return f"no new block for {self._silence(index):.3g} s"
        return ""
