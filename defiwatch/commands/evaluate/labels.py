"""Labels: what really happened, one JSON object a line."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from defiwatch.config.files import read_text
from defiwatch.domain.units import from_iso
from defiwatch.errors import UsageError


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. `start` and `end` in Unix seconds; `where` is file and line."""

    kind: str
    subject: str = ""
    start: float
    end: float
    where: str = ""
    unconfirmed: bool = False
    group: str = ""
    """What it is counted with beside its kind: the plan of an insertion."""
    order: float = 0.0
    """Where its group stands among the others."""

    def covers(self, kind: str) -> bool:
        """Whether an alert of `kind` is of this label's kind."""
        return kind.startswith(self.kind[:-1]) if self.kind.endswith("*") else kind == self.kind


class _LabelLine(msgspec.Struct, forbid_unknown_fields=False):
    kind: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    subject: str = ""
    status: Literal["", "confirmed", "unconfirmed"] = ""


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels of a file, one JSON object a line; empty lines are skipped. UsageError names file and line."""
    return parse_labels(read_text(path), str(path))


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
