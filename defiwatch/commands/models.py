"""`models`: each model's running record, as the last snapshot has it."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from defiwatch.domain.units import iso
from defiwatch.domain.view import ModelRow
from defiwatch.sinks.picture import read_picture

MODELS_SCHEMA = "defiwatch.models/1"


class ModelsReport(msgspec.Struct, frozen=True):
    """What `models --json` prints; `time` is the snapshot's own (ISO 8601), "" where there is none yet."""

    schema: str
    time: str
    models: tuple[ModelRow, ...]


def show(data_dir: Path, *, as_json: bool) -> bool:
    """Print the record; False if nothing was learnt yet with this data directory."""
    snapshot = read_picture(data_dir)
    if as_json:
        report = ModelsReport(
            schema=MODELS_SCHEMA,
            time="" if snapshot is None else iso(snapshot.time),
            models=() if snapshot is None else snapshot.models,
        )
        click.echo(msgspec.json.encode(report))
    elif snapshot is not None and snapshot.models:
        for line in table(snapshot.models):
            click.echo(line)
    return snapshot is not None and bool(snapshot.models)


def table(rows: tuple[ModelRow, ...]) -> list[str]:
    """The rows for people, columns aligned."""
    head = ("model", "kind", "events", "metric", "value", "µs/event", "")
    body = [
        (
            row.name,
            row.kind,
            f"{row.events:,}",
            row.metric,
            "-" if row.value is None else f"{row.value:.4g}",
            "-" if row.cost_us is None else f"{row.cost_us:.1f}",
            row.note,
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    right = {2, 4, 5}
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (head, *body)
    ]
