"""Sources of frames, and how they fare; the worst first."""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.view import SourceRow
from defiwatch.tui import figures
from defiwatch.tui.kinds.kind import Column, Kind, age_column
from defiwatch.tui.kinds.page import Page
from defiwatch.tui.lines import Line
from defiwatch.tui.marks import source_mark
from defiwatch.tui.picture import Picture

STALE_AFTER = 60.0
"""A minute without a frame; whether that is silence is for the source's own state to say."""

_ORDER = {"down": 0, "untrusted": 1, "silent": 2, "behind": 3, "limited": 4, "live": 5}


def _rows(picture: Picture) -> Sequence[SourceRow]:
    return sorted(picture.snapshot.sources, key=lambda row: (_ORDER.get(row.state, 4), row.chain, row.name))


def _state(row: SourceRow, _: Picture) -> Line:
    sign, ink = source_mark(row.state)
    return (sign, ink), (f" {row.state}", "text" if row.state == "live" else ink)


def _latency(row: SourceRow, _: Picture) -> Line:
    if row.latency_ms is None:
        return (("–", "faint"),)
    return ((f"{row.latency_ms:,.0f} ms", "warn" if row.latency_ms >= 1000 else "text"),)


def _height(row: SourceRow, _: Picture) -> Line:
    return (("–", "faint"),) if row.height is None else ((figures.count(row.height), "text"),)


def _summary(picture: Picture) -> str:
    bad = sum(row.state != "live" for row in picture.snapshot.sources)
    return f"{bad} not live" if bad else ""


def _awaited(picture: Picture) -> str:
    if picture.snapshot.mode in ("replay", "demo"):
        return "no source: a recording plays"
    return picture.awaited("source", "none is configured")


def _page(row: SourceRow, picture: Picture, page: Page) -> None:
    page.line(*_state(row, picture), ("   ", "text"), (row.name, "strong"))
    page.blank()
    if row.detail:
        page.text(row.detail, "text" if row.state == "live" else "warn")
        page.blank()
    now = picture.snapshot.time
    page.facts(
        (
            ("chain", ((row.chain or "none: a venue", "text"),)),
            ("height", _height(row, picture)),
            ("latency", _latency(row, picture)),
            ("frames", ((figures.count(row.frames), "text"),)),
            ("last frame", ((f"{figures.age(now - row.time)} ago", "text"),)),
        )
    )


SOURCE: Kind[SourceRow] = Kind(
    name="source",
    title="Sources",
    columns=(
        Column("state", 11, _state, order=lambda row: _ORDER.get(row.state, 4)),
        Column("source", 18, lambda row, _: ((row.name, "text"),), order=lambda row: row.name.lower(), grow=2),
        Column("chain", 9, lambda row, _: ((row.chain or "–", "dim"),), order=lambda row: row.chain, rank=3),
        Column("height", 11, _height, order=lambda row: row.height, right=True, falling=True, rank=1),
        Column("latency", 8, _latency, order=lambda row: row.latency_ms, right=True, falling=True),
        Column(
            "frames",
            9,
            lambda row, _: ((figures.count(row.frames), "dim"),),
            order=lambda row: row.frames,
            right=True,
            falling=True,
            rank=4,
        ),
        Column("detail", 16, lambda row, _: ((row.detail, "dim"),), grow=3, rank=5),
        age_column(lambda row: row.time, STALE_AFTER),
    ),
    rows=_rows,
    key=lambda row: f"{row.chain}/{row.name}",
    words=lambda row: f"{row.name} {row.chain} {row.state} {row.detail}",
    awaited=_awaited,
    page=_page,
    ordered="worst first",
    time=lambda row: row.time,
    summary=_summary,
)
