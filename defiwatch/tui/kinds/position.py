"""Lending positions, the most urgent first."""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.ids import short
from defiwatch.domain.view import AssetRow, PositionRow
from defiwatch.tui import figures
from defiwatch.tui.kinds.kind import Column, Kind, age_column, number, standing
from defiwatch.tui.kinds.page import Page, identity
from defiwatch.tui.lines import Line, meter
from defiwatch.tui.marks import severity_chip, severity_ink
from defiwatch.tui.picture import Picture

STALE_AFTER = 120.0
"""Positions are evaluated at every block; two minutes without one is stale on every chain we know."""

_FAR = 0.5
"""A fall that leaves the closeness meter empty."""


def _rows(picture: Picture) -> Sequence[PositionRow]:
    return sorted(picture.snapshot.positions, key=_urgency)


_RANKS = {"critical": 0, "warning": 1, "info": 2}


def _urgency(row: PositionRow) -> tuple[int, bool, bool, float, float]:
    """By severity, in each the watched ones first (calm ones before the calm of others), then the closest.

    Not by closeness alone: dust below the line, which nobody liquidates, would stand before all that matters.
    """
    rank = _RANKS.get(row.severity or "", 2 if row.watched else 3)
    return (rank, not row.watched, row.distance is None, row.distance or 0.0, -row.debt_usd)


def _marks(row: PositionRow, _: Picture) -> Line:
    return severity_chip(row.severity), ("★" if row.watched else " ", "accent")


def _account(row: PositionRow, picture: Picture) -> Line:
    """Its name, else its address; where the label is its market's, of which there are several, both."""
    ink = "strong" if row.watched else "text"
    if any(market.label == row.label for market in picture.snapshot.markets):
        return (short(row.account), ink), (f" {row.label}", "dim")
    return ((row.label or short(row.account), ink),)


def _market(row: PositionRow, _: Picture) -> Line:
    return (row.protocol, "dim"), (" ", "dim"), (row.chain, "faint")


def _health(row: PositionRow, _: Picture) -> Line:
    if row.health_factor is None and not row.unknown:
        return (("–", "dim"),)
    return number(figures.health(row.health_factor), severity_ink(row.severity))


def _distance(row: PositionRow, _: Picture) -> Line:
    if row.distance is None:
        return (("?", "warn"),) if row.unknown else (("–", "dim"),)
    return ((figures.percent(row.distance), severity_ink(row.severity)),)


def _closeness_meter(row: PositionRow, _: Picture) -> Line:
    return () if row.distance is None else meter(1 - max(0.0, row.distance) / _FAR, 10)


def _nearest(row: PositionRow, _: Picture) -> Line:
    if row.unknown:
        return (("unknown: ", "warn"), (row.unknown, "warn"))
    return ((row.nearest, "text"),) if row.nearest else (("no debt", "dim"),) if row.debt_usd == 0 else (("–", "dim"),)


def _money(row: PositionRow, value: float) -> Line:
    return number(figures.UNKNOWN if row.unknown else figures.money(value))


def _probability(row: PositionRow, _: Picture) -> Line:
    p = row.p_liquidation.get("24h")
    if p is None:
        return (("–", "faint"),)
    return ((figures.probability(p), "bad" if p >= 0.25 else "warn" if p >= 0.05 else "dim"),)


def _summary(picture: Picture) -> str:
    rows = picture.snapshot.positions
    critical = sum(row.severity == "critical" for row in rows)
    warning = sum(row.severity == "warning" for row in rows)
    told = [f"{critical} critical"] * bool(critical) + [f"{warning} warned"] * bool(warning)
    return ", ".join(told)


def _words(row: PositionRow) -> str:
    told = (row.label, row.account, row.protocol, row.chain, row.market, row.nearest, row.severity or "")
    return " ".join((*told, *(asset.symbol for asset in row.assets)))


def _asset(asset: AssetRow) -> tuple[Line, ...]:
    move = asset.distance
    near = move is not None and abs(move) < 0.05
    return (
        ((asset.symbol, "strong"),),
        ((figures.number(asset.collateral), "text"),) if asset.collateral else (("–", "faint"),),
        ((figures.number(asset.debt), "text"),) if asset.debt else (("–", "faint"),),
        ((figures.price(asset.price), "text"),),
        ((figures.percent(asset.liquidation_threshold, 0), "dim"),) if asset.collateral else (("–", "faint"),),
        ((figures.price(asset.liquidation_price), "strong"),)
        if asset.liquidation_price is not None
        else (("none", "dim"),),
        ((figures.change(move), "bad-strong" if near else "text"),) if move is not None else (("–", "faint"),),
    )


def _page(row: PositionRow, picture: Picture, page: Page) -> None:
    now = picture.snapshot.time
    ink = severity_ink(row.severity)
    calm = (" unknown", "warn") if row.unknown else (" calm", "good")
    word = (f" {row.severity}", ink) if row.severity else calm
    page.line(
        severity_chip(row.severity), word, ("   ", "text"), *_account(row, picture),
        ("   ★ watched" if row.watched else "", "accent"),
    )  # fmt: skip
    page.line((row.protocol, "text"), (" on ", "dim"), (row.chain, "text"))
    page.line(("account ", "dim"), (identity(row.account, page.width - 8), "text"))
    page.line(("market  ", "dim"), (identity(row.market, page.width - 8), "text"))
    if row.unknown:
        page.blank()
        page.text(f"Unknown: {row.unknown}", "warn")
    page.blank()
    horizons = row.p_liquidation
    beyond = row.distance is not None and row.distance < 0
    distance = ((figures.percent(-row.distance), ink),) if beyond and row.distance else _distance(row, picture)
    page.facts(
        (
            ("health factor", _health(row, picture)),
            ("collateral", _money(row, row.collateral_usd)),
            ("below the line by" if beyond else "falls together by", distance),
            ("debt", _money(row, row.debt_usd)),
            ("brought back by" if beyond else "nearest alone", ((row.nearest, ink),) if row.nearest else ()),
            ("loan to value", number(figures.percent(row.debt_usd / row.collateral_usd)) if row.collateral_usd else ()),
            ("at market prices", number(figures.health(row.market_factor)) if row.market_factor is not None else ()),
        )
    )
    if row.sentence:
        page.text(row.sentence[:1].upper() + row.sentence[1:] + ".", "text")
    if horizons:
        told = [
            piece
            for name, p in horizons.items()
            for piece in ((f"{name} ", "dim"), (figures.probability(p), "strong"), ("   ", "text"))
        ]
        page.line(("P(liquidated)  ", "dim"), *told, ("if nothing is done", "dim"))
    for remark in row.remarks:
        page.text(remark[:1].upper() + remark[1:] + ".", "dim")
    if row.safe:
        page.head("What would make it safe", "any one of these")
        for step in row.safe:
            page.text(step)
    if row.assets:
        note = "where each one alone would bring it back" if beyond else "where each one alone would liquidate"
        page.head("Assets", note)
        page.table(
            ("asset", "collateral", "debt", "price", "LT", "liq. price", "move"),
            [_asset(asset) for asset in row.assets],
        )
    if row.oracles:
        page.head("How the prices come")
        for path in row.oracles:
            page.text(path, "dim")
    page.reasons(row.score, row.reasons, row.severity)
    page.alerts(picture.standing_on(row.key), now)
    page.source(row.source, row.block, row.time, now, POSITION.is_stale(row, now), row.trust)


POSITION: Kind[PositionRow] = Kind(
    name="position",
    title="Positions",
    columns=(
        Column("", 2, _marks, rank=0),
        Column("account", 13, _account, order=lambda row: row.label.lower(), grow=2),
        Column("market", 20, _market, order=lambda row: (row.protocol, row.chain), rank=5),
        Column("health", 6, _health, order=lambda row: row.health_factor, right=True),
        Column(
            "falls by",
            8,
            _distance,
            order=lambda row: row.distance,
            right=True,
            hint="the common fall of all collateral that liquidates",
        ),
        Column("closeness", 10, _closeness_meter, rank=6),
        Column("nearest alone", 14, _nearest, order=lambda row: row.nearest, grow=1, rank=2),
        Column(
            "debt",
            7,
            lambda row, _: _money(row, row.debt_usd),
            order=lambda row: None if row.unknown else row.debt_usd,
            right=True,
            falling=True,
        ),
        Column(
            "collat.",
            7,
            lambda row, _: _money(row, row.collateral_usd),
            order=lambda row: None if row.unknown else row.collateral_usd,
            right=True,
            falling=True,
            rank=4,
        ),
        Column(
            "P 24h", 6, _probability, order=lambda row: row.p_liquidation.get("24h"), right=True, falling=True, rank=3
        ),
        age_column(lambda row: row.time, STALE_AFTER),
    ),
    rows=_rows,
    key=lambda row: row.key,
    words=_words,
    awaited=lambda picture: picture.awaited("position", "none of the watched markets has a borrower in sight"),
    page=_page,
    ordered="most urgent first",
    time=lambda row: row.time,
    stale_after=STALE_AFTER,
    summary=_summary,
    alerts=lambda row, picture: standing(row.key, picture),
)
