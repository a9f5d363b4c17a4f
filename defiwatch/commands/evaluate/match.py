"""Alerts held against labels.

Pure: the frames and the alerts that each led to are handed in, so that tests, the command line and any other engine can
be measured the same way.

* A label is of a kind (`price.depeg`; `price.*` stands for every kind that begins with `price.`), of a subject (its id,
  label, symbol or an address in its id, in any letter case; left out: any subject) and of a time, `from` to `to`.
* An alert *finds* a label of its kind and subject if it was raised between `lead` seconds before `from` and `to`. Where
  the label names its subject, one that was raised earlier and still stood at `from` finds it too.
* `lead_s` of a found label: seconds from the first alert that finds it to `from`; negative where it came after.
* An alert is *false* if it was raised and finds no label. One that a reorg retracted never counts.
* `precision` is the share of raised alerts that are not false; None where none was raised.
* A label may be `"status": "unconfirmed"`: one source says so and none other was there to agree. Those are scored apart
  (`unconfirmed`): an alert that finds only such labels is neither right nor false.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from defiwatch.commands.evaluate.labels import Label
from defiwatch.commands.evaluate.results import EVALUATION_SCHEMA, Apart, Evaluation, KindResult, Lead
from defiwatch.config import duration
from defiwatch.domain.frames import BlockFrame, Frame, HealthFrame, QuoteFrame, TickFrame
from defiwatch.domain.risk import Alert, Subject
from defiwatch.domain.units import from_iso

LEAD_S = duration("1h")
"""How long before a label an alert may come and still find it, unless told otherwise."""


class Raised(msgspec.Struct):
    """One alert from when it was raised to when it was cleared, in Unix seconds."""

    kind: str
    subject: Subject
    time: float
    until: float = math.inf
    retracted: bool = False


class Heard(msgspec.Struct):
    """What a stream of frames and alerts came to: events, the first and last moment, what was raised."""

    events: int = 0
    first: float | None = None
    last: float = 0.0
    raised: list[Raised] = []

    @property
    def span_days(self) -> float:
        """The frames' own time in days."""
        return (self.last - self.first) / 86_400.0 if self.first is not None else 0.0


def listen(stream: Iterable[tuple[Frame, Sequence[Alert]]]) -> Heard:
    """Run through `stream`: each frame with the alerts that it led to."""
    heard = Heard()
    latest: dict[str, Raised] = {}
    for frame, alerts in stream:
        if isinstance(frame, BlockFrame):
            heard.events += len(frame.logs)
        elif isinstance(frame, QuoteFrame):
            heard.events += 1
        moment = moment_of(frame)
        if moment is not None:
            heard.first = moment if heard.first is None else min(heard.first, moment)
            heard.last = max(heard.last, moment)
        for alert in alerts:
            _follow(alert, heard.raised, latest)
    heard.raised = [item for item in heard.raised if not item.retracted]
    return heard


def evaluate(
    stream: Iterable[tuple[Frame, Sequence[Alert]]],
    labels: Sequence[Label],
    *,
    lead: float = LEAD_S,
    clock: Callable[[], float] | None = time.perf_counter,
) -> Evaluation:
    """Run through `stream` (each frame with the alerts it led to) and hold its alerts against `labels`.

    `clock` measures events a second and nothing else; None leaves that out, and the result depends on the stream alone.
    """
    begun = clock() if clock is not None else 0.0
    heard = listen(stream)
    elapsed = clock() - begun if clock is not None else 0.0
    return Evaluation(
        schema=EVALUATION_SCHEMA,
        events=heard.events,
        events_per_s=heard.events / elapsed if elapsed > 0.0 else None,
        span_days=heard.span_days,
        kinds=by_kind(heard.raised, labels, heard.span_days, lead=lead),
    )


def _follow(alert: Alert, raised: list[Raised], latest: dict[str, Raised]) -> None:
    """Note what an alert says of the last one raised under its key."""
    moment = from_iso(alert.time)
    item = latest.get(alert.key)
    if alert.state == "raised":
        item = Raised(alert.kind, alert.subject, moment)
        raised.append(item)
        latest[alert.key] = item
    elif item is not None and alert.state == "cleared":
        item.until = moment
    elif item is not None and alert.state == "retracted":
        item.until, item.retracted = moment, True


def moment_of(frame: Frame) -> float | None:
    """A frame's own time, Unix seconds; None where it has none."""
    if isinstance(frame, BlockFrame):
        return float(int(frame.header.timestamp, 16))
    if isinstance(frame, QuoteFrame | TickFrame | HealthFrame):
        return from_iso(frame.time)
    return None


def about(subject: Subject, wanted: str) -> bool:
    """Whether a subject is what a label calls `wanted`."""
    if not wanted:
        return True
    wanted = wanted.lower()
    label, own = subject.label.lower(), subject.id.lower()
    return wanted in (label, own) or wanted in own.split(":") or wanted in label.split(" ")[0].split("/")


def finds(item: Raised, label: Label, lead: float) -> bool:
    """Whether an alert finds a label."""
    if not label.covers(item.kind) or not about(item.subject, label.subject):
        return False
    stood = bool(label.subject) and item.time < label.start <= item.until
    return stood or label.start - lead <= item.time <= label.end


def by_kind(
    raised: Sequence[Raised], labels: Sequence[Label], span_days: float, *, lead: float = LEAD_S
) -> dict[str, KindResult]:
    """A row for every kind that a label names, and for every kind of alert that no label covers."""
    covered = {item.kind for item in raised if any(label.covers(item.kind) for label in labels)}
    names = {label.kind for label in labels} | {item.kind for item in raised if item.kind not in covered}
    finders = [[item for item in raised if finds(item, label, lead)] for label in labels]
    sure = {id(i) for label, items in zip(labels, finders, strict=True) if not label.unconfirmed for i in items}
    maybe = {id(i) for label, items in zip(labels, finders, strict=True) if label.unconfirmed for i in items} - sure
    result = {}
    for name in sorted(names):
        pattern = Label(kind=name, start=0.0, end=0.0)
        mine = [item for item in raised if pattern.covers(item.kind)]
        wanted = [(label, items) for label, items in zip(labels, finders, strict=True) if label.kind == name]
        told = [(label, items) for label, items in wanted if not label.unconfirmed]
        leads = [label.start - min(item.time for item in items) for label, items in told if items]
        counted = [item for item in mine if id(item) not in maybe]
        false = sum(id(item) not in sure for item in counted)
        result[name] = KindResult(
            labels=len(told),
            found=len(leads),
            missed=tuple(_named(label) for label, items in told if not items),
            lead_s=Lead(statistics.median(leads), min(leads)) if leads else None,
            alerts=len(mine),
            false=false,
            false_per_day=false / span_days if span_days > 0.0 else None,
            precision=1.0 - false / len(counted) if counted else None,
            recall=len(leads) / len(told) if told else None,
            unconfirmed=_apart([item for item in wanted if item[0].unconfirmed], mine, maybe),
            groups=_groups(told),
        )
    return result


def _apart(
    wanted: Sequence[tuple[Label, Sequence[Raised]]], mine: Sequence[Raised], maybe: Collection[int]
) -> Apart | None:
    if not wanted:
        return None
    return Apart(
        labels=len(wanted),
        found=sum(bool(items) for _, items in wanted),
        missed=tuple(_named(label) for label, items in wanted if not items),
        alerts=sum(id(item) in maybe for item in mine),
    )


def _groups(told: Sequence[tuple[Label, Sequence[Raised]]]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for label, items in sorted(told, key=lambda item: item[0].order):
        if label.group:
            hits, all_ = found.get(label.group, (0, 0))
            found[label.group] = (hits + bool(items), all_ + 1)
    return found


def _named(label: Label) -> str:
    return f"{label.subject or label.kind} ({label.where})" if label.where else label.subject or label.kind
