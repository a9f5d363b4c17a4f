"""Models and their running record."""

from __future__ import annotations

from defiwatch.domain.view import ModelRow
from defiwatch.tui import figures
from defiwatch.tui.kinds.kind import Column, Kind
from defiwatch.tui.kinds.page import Page
from defiwatch.tui.lines import Line
from defiwatch.tui.picture import Picture


def _value(row: ModelRow, _: Picture) -> Line:
    return (("not yet", "dim"),) if row.value is None else ((figures.number(row.value), "strong"),)


def _cost(row: ModelRow, _: Picture) -> Line:
    return (("–", "faint"),) if row.cost_us is None else ((f"{row.cost_us:,.1f} µs", "dim"),)


def _page(row: ModelRow, picture: Picture, page: Page) -> None:
    page.line((row.name, "strong"), ("   ", "text"), (row.kind, "text"))
    page.blank()
    page.facts(
        (
            (row.metric or "metric", _value(row, picture)),
            ("events", ((figures.count(row.events), "text"),)),
            ("cost of an event", _cost(row, picture)),
        )
    )
    if row.note:
        page.blank()
        page.text(row.note)
    page.blank()
    page.text(
        "Each event is scored before it is learnt from (prequential), and learnt only once its block is confirmed.",
        "dim",
    )


MODEL: Kind[ModelRow] = Kind(
    name="model",
    title="Models",
    columns=(
        Column("model", 20, lambda row, _: ((row.name, "text"),), order=lambda row: row.name, grow=2),
        Column("of", 12, lambda row, _: ((row.kind, "dim"),), order=lambda row: row.kind, rank=2),
        Column(
            "events",
            10,
            lambda row, _: ((figures.count(row.events), "text"),),
            order=lambda row: row.events,
            right=True,
            falling=True,
        ),
        Column("value", 9, _value, order=lambda row: row.value, right=True, falling=True),
        Column("metric", 16, lambda row, _: ((row.metric, "dim"),), order=lambda row: row.metric, grow=1),
        Column("cost", 9, _cost, order=lambda row: row.cost_us, right=True, falling=True, rank=1),
        Column("note", 20, lambda row, _: ((row.note, "dim"),), grow=3, rank=3),
    ),
    rows=lambda picture: picture.snapshot.models,
    key=lambda row: f"{row.kind}/{row.name}/{row.metric}",
    words=lambda row: f"{row.name} {row.kind} {row.metric} {row.note}",
    awaited=lambda picture: picture.awaited("model", "none has seen an event"),
    page=_page,
    ordered="as they run",
)
