"""What the alert book keeps under a key, and how an alert is made from it."""

from __future__ import annotations

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.keccak import keccak
from defiwatch.domain.risk import SEVERITIES, Alert, Assessment, Finality, Reason, Severity, State, Trust
from defiwatch.domain.units import iso, sig6

VERSION = 1
"""Of the book as it is written to disk."""


class Stamp(msgspec.Struct, frozen=True):
    """When and on what ground something is told: `now` in Unix seconds by the frames' clock; `block` -1 without one."""

    now: float
    block: int
    finality: Finality
    trust: Trust


class Standing(msgspec.Struct, frozen=True):
    """An alert that stands. `alert` is what was told last, `since` when it was raised, `told` when it was told last.

    `peak` is the worst it was, `lowest` the lowest score at which it was worth standing, `hot_block` the last block in
    which it was. `quiet_since` is the time since which it is not, `calm` whether clearly so. `silent`: snoozed before
    it was ever told. `once`: something that happened, which stands as history. `lower_since`: the time since which it
    is less severe than what was told. `hot`: the aspects that did not calm since they were worth standing.
    """

    alert: Alert
    since: float
    told: float
    peak: Severity
    lowest: float
    hot_block: int
    quiet_since: float | None = None
    calm: bool = False
    silent: bool = False
    once: bool = False
    lower_since: float | None = None
    hot: tuple[str, ...] = ()


class Past(msgspec.Struct, frozen=True):
    """The alert that stood under a key before: when it cleared, the worst it was, when alerts were raised lately."""

    cleared: float
    severity: Severity
    raises: tuple[float, ...] = ()


class Slot(msgspec.Struct, frozen=True):
    """Everything under one key."""

    standing: Standing | None = None
    past: Past | None = None


class Change(msgspec.Struct, frozen=True):
    """What was under a key before a block, and what the block said last and first raised under it."""

    before: Slot
    last: Alert | None = None
    raised: Alert | None = None


class Chapter(msgspec.Struct, frozen=True):
    """One block of the journal: the changes by key. The dictionary alone grows, until the next block is opened."""

    at: BlockRef
    changes: dict[str, Change]


class Judgement(msgspec.Struct, frozen=True):
    """What the user said of an alert, noise or real: kept for the models."""

    key: str
    action: str
    time: float
    alert_id: str


class Kept(msgspec.Struct, frozen=True):
    """The whole book, as it is written to disk."""

    slots: dict[str, Slot]
    journal: list[Chapter]
    feed: list[Alert]
    acked: dict[str, float]
    snoozed: dict[str, tuple[float, int]]
    judgements: list[Judgement]
    version: int = VERSION


def rank(severity: Severity) -> int:
    """0 info, 1 warning, 2 critical."""
    return SEVERITIES.index(severity)


def made(assessment: Assessment, state: State, severity: Severity, stamp: Stamp) -> Alert:
    """An alert from a judgement, floats rounded, with its id."""
    reasons = tuple(
        Reason(
            name=reason.name,
            value=sig6(reason.value),
            points=sig6(reason.points),
            text=reason.text,
            usual=None if reason.usual is None else sig6(reason.usual),
        )
        for reason in assessment.reasons
    )
    return identified(
        Alert(
            id="",
            key=assessment.key,
            state=state,
            kind=assessment.kind,
            severity=severity,
            score=sig6(min(100.0, max(0.0, assessment.score))),
            time=iso(stamp.now),
            title=assessment.title,
            subject=assessment.subject,
            reasons=reasons,
            evidence=assessment.evidence,
            finality=stamp.finality,
            trust=stamp.trust,
        )
    )


def retold(alert: Alert, state: State, now: float, note: str) -> Alert:
    """An alert told once more in another state: what it said, and why it is said again."""
    title = f"{alert.title} ({note})"
    return identified(msgspec.structs.replace(alert, state=state, time=iso(now), title=title))


_canonical = msgspec.json.Encoder(order="deterministic").encode


def identified(alert: Alert) -> Alert:
    """The alert with the id that follows from its content. Finality and trust do not count: they grow later."""
    plain = msgspec.structs.replace(alert, id="", finality="head", trust="single")
    return msgspec.structs.replace(alert, id=keccak(_canonical(plain)).hex()[:32])


def undone(was: Slot, now: Slot, change: Change, at: BlockRef, clock: float) -> list[Alert]:
    """What is told when a reorg takes back a block that changed a key from `was` to `now`. [] if it told nothing."""
    if change.last is None:
        return []
    note = f"block {at.number} was removed by a reorg"
    before, after = was.standing, now.standing
    told: list[Alert] = []
    if change.raised is not None:
        gone = after.alert if after is not None and (before is None or after.since != before.since) else change.raised
        told.append(retold(gone, "retracted", clock, note))
    if before is None or before.silent:
        return told
    if after is None or change.raised is not None:
        told.append(retold(before.alert, "raised", clock, f"stands again: {note}"))
    elif after.alert != before.alert:
        worse = (rank(before.alert.severity), before.alert.score) > (rank(after.alert.severity), after.alert.score)
        told.append(retold(before.alert, "worsened" if worse else "eased", clock, f"as before: {note}"))
    return told
