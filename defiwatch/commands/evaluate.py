"""`defiwatch evaluate`: recordings and labels in; precision, recall, lead time and false alarms a day out.

Pure but for reading the label file: the frames and the alerts that each led to are handed in, so that tests, the
command line and any other engine can be measured the same way.

How alerts and labels are matched:

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

import statistics
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from defiwatch.config import duration
from defiwatch.domain.frames import BlockFrame, Frame, HealthFrame, QuoteFrame, TickFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import from_iso
from defiwatch.errors import UsageError

EVALUATION_SCHEMA = "defiwatch.evaluation/1"
LEAD_S = duration("1h")
"""How long before a label an alert may come and still find it, unless told otherwise."""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. `start` and `end` in Unix seconds; `where` is file and line."""

    kind: str
    subject: str = ""
    start: float
    end: float
    where: str = ""
    unconfirmed: bool = False

    def covers(self, kind: str) -> bool:
        """Whether an alert of `kind` is of this label's kind."""
        return kind.startswith(self.kind[:-1]) if self.kind.endswith("*") else kind == self.kind


class Lead(msgspec.Struct, frozen=True):
    """Seconds from the first alert to the label's beginning; positive: the alert came before it."""

    median: float
    min: float


class Apart(msgspec.Struct, frozen=True):
    """How the labels fared that one source alone tells of, and how many alerts found nothing but these."""

    labels: int
    found: int
    missed: tuple[str, ...]
    alerts: int


class KindResult(msgspec.Struct, frozen=True):
    """How one kind fared. `missed` names the labels that nothing found."""

    labels: int
    found: int
    missed: tuple[str, ...]
    lead_s: Lead | None
    alerts: int
    false: int
    false_per_day: float | None
    precision: float | None
    recall: float | None = None
    unconfirmed: Apart | None = None


class Evaluation(msgspec.Struct, frozen=True):
    """The whole. `events` counts logs and quotes; `span_days` is the frames' own time."""

    schema: str
    events: int
    events_per_s: float | None
    span_days: float
    kinds: dict[str, KindResult]


class _LabelLine(msgspec.Struct, forbid_unknown_fields=False):
    kind: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    subject: str = ""
    status: Literal["", "confirmed", "unconfirmed"] = ""


class _Raised(msgspec.Struct):
    alert: Alert
    time: float
    until: float
    retracted: bool = False


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels of a file, one JSON object a line; empty lines are skipped. UsageError names file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    return parse_labels(text, str(path))


def parse_labels(text: str, source: str) -> tuple[Label, ...]:
    """The labels of a text; `source` names it in errors."""
    labels = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            labels.append(_label(line, f"{source}:{number}"))
    return tuple(labels)


def _label(line: str, where: str) -> Label:
    try:
        raw = msgspec.json.decode(line, type=_LabelLine)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{where}: expected one JSON object a line ({error})") from error
    if not raw.kind or "*" in raw.kind[:-1]:
        raise UsageError(f"{where}: kind: expected a kind of alert such as pool.anomaly or price.*, got {raw.kind!r}")
    bounds = []
    for key, value in (("from", raw.start), ("to", raw.end)):
        try:
            bounds.append(from_iso(value))
        except ValueError as error:
            raise UsageError(f"{where}: {key}: expected a time such as 2026-03-10T12:00:00Z, got {value!r}") from error
    if bounds[1] < bounds[0]:
        raise UsageError(f"{where}: to: expected a time not before `from`, got {raw.end!r}")
    return Label(
        kind=raw.kind,
        subject=raw.subject,
        start=bounds[0],
        end=bounds[1],
        where=where,
        unconfirmed=raw.status == "unconfirmed",
    )


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
    events = 0
    first: float | None = None
    last = 0.0
    raised: list[_Raised] = []
    latest: dict[str, _Raised] = {}
    for frame, alerts in stream:
        if isinstance(frame, BlockFrame):
            events += len(frame.logs)
        elif isinstance(frame, QuoteFrame):
            events += 1
        moment = _moment(frame)
        if moment is not None:
            first = moment if first is None else min(first, moment)
            last = max(last, moment)
        for alert in alerts:
            _follow(alert, raised, latest)
    elapsed = clock() - begun if clock is not None else 0.0
    span_days = (last - first) / 86_400.0 if first is not None else 0.0
    counted = [item for item in raised if not item.retracted]
    return Evaluation(
        schema=EVALUATION_SCHEMA,
        events=events,
        events_per_s=events / elapsed if elapsed > 0.0 else None,
        span_days=span_days,
        kinds=_kinds(counted, labels, lead, span_days),
    )


def _follow(alert: Alert, raised: list[_Raised], latest: dict[str, _Raised]) -> None:
    """Note what an alert says of the last one raised under its key."""
    moment = from_iso(alert.time)
    item = latest.get(alert.key)
    if alert.state == "raised":
        item = _Raised(alert, moment, float("inf"))
        raised.append(item)
        latest[alert.key] = item
    elif item is not None and alert.state == "cleared":
        item.until = moment
    elif item is not None and alert.state == "retracted":
        item.until, item.retracted = moment, True


def _moment(frame: Frame) -> float | None:
    if isinstance(frame, BlockFrame):
        return float(int(frame.header.timestamp, 16))
    if isinstance(frame, QuoteFrame | TickFrame | HealthFrame):
        return from_iso(frame.time)
    return None


def _about(alert: Alert, subject: str) -> bool:
    """Whether an alert is about what a label calls its subject."""
    if not subject:
        return True
    wanted = subject.lower()
    label, own = alert.subject.label.lower(), alert.subject.id.lower()
    return wanted in (label, own) or wanted in own.split(":") or wanted in label.split(" ")[0].split("/")


def _finds(item: _Raised, label: Label, lead: float) -> bool:
    if not label.covers(item.alert.kind) or not _about(item.alert, label.subject):
        return False
    stood = bool(label.subject) and item.time < label.start <= item.until
    return stood or label.start - lead <= item.time <= label.end


def _kinds(raised: Sequence[_Raised], labels: Sequence[Label], lead: float, span_days: float) -> dict[str, KindResult]:
    """A row for every kind that a label names, and for every kind of alert that no label covers."""
    covered = {item.alert.kind for item in raised if any(label.covers(item.alert.kind) for label in labels)}
    names = {label.kind for label in labels} | {item.alert.kind for item in raised if item.alert.kind not in covered}
    finders = [[item for item in raised if _finds(item, label, lead)] for label in labels]
    sure = {id(i) for label, items in zip(labels, finders, strict=True) if not label.unconfirmed for i in items}
    maybe = {id(i) for label, items in zip(labels, finders, strict=True) if label.unconfirmed for i in items} - sure
    result = {}
    for name in sorted(names):
        pattern = Label(kind=name, start=0.0, end=0.0)
        mine = [item for item in raised if pattern.covers(item.alert.kind)]
        wanted = [(label, items) for label, items in zip(labels, finders, strict=True) if label.kind == name]
        told = [(label, items) for label, items in wanted if not label.unconfirmed]
        leads = [label.start - min(item.time for item in items) for label, items in told if items]
        counted = [item for item in mine if id(item) not in maybe]
        false = sum(id(item) not in sure for item in counted)
        found = len(leads)
        result[name] = KindResult(
            labels=len(told),
            found=found,
            missed=tuple(_named(label) for label, items in told if not items),
            lead_s=Lead(statistics.median(leads), min(leads)) if leads else None,
            alerts=len(mine),
            false=false,
            false_per_day=false / span_days if span_days > 0.0 else None,
            precision=1.0 - false / len(counted) if counted else None,
            recall=found / len(told) if told else None,
            unconfirmed=_apart([item for item in wanted if item[0].unconfirmed], mine, maybe),
        )
    return result


def _apart(
    wanted: Sequence[tuple[Label, Sequence[_Raised]]], mine: Sequence[_Raised], maybe: Collection[int]
) -> Apart | None:
    if not wanted:
        return None
    return Apart(
        labels=len(wanted),
        found=sum(bool(items) for _, items in wanted),
        missed=tuple(_named(label) for label, items in wanted if not items),
        alerts=sum(id(item) in maybe for item in mine),
    )


def _named(label: Label) -> str:
    return f"{label.subject or label.kind} ({label.where})" if label.where else label.subject or label.kind


def table(evaluation: Evaluation) -> str:
    """The result for people: one line a kind, then what was missed."""
    speed = f", {evaluation.events_per_s:,.0f} events a second" if evaluation.events_per_s is not None else ""
    lines = [f"{evaluation.events:,} events over {evaluation.span_days:.2f} days{speed}", ""]
    head = ("kind", "labels", "found", "recall", "alerts", "false", "false/day", "precision", "lead (median, least)")
    rows = [head]
    for name, kind in evaluation.kinds.items():
        rows.append(
            (
                name,
                str(kind.labels),
                str(kind.found),
                _share(kind.recall),
                str(kind.alerts),
                str(kind.false),
                f"{kind.false_per_day:.2f}" if kind.false_per_day is not None else "-",
                _share(kind.precision),
                f"{kind.lead_s.median:.0f} s, {kind.lead_s.min:.0f} s" if kind.lead_s is not None else "-",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    for name, kind in evaluation.kinds.items():
        if kind.unconfirmed is not None:
            apart = kind.unconfirmed
            lines += ["", f"{name}, unconfirmed labels: {apart.found} of {apart.labels} found by {apart.alerts} alerts"]
            lines += [f"  missed: {text}" for text in apart.missed]
    missed = [f"  {name}: {text}" for name, kind in evaluation.kinds.items() for text in kind.missed]
    if missed:
        lines += ["", "missed:", *missed]
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100.0 * value:.0f} %"
