"""Lending markets, the most debt at risk first."""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.view import MarketRow
from defiwatch.tui import figures
from defiwatch.tui.kinds.kind import (
    Column,
    Kind,
    age_column,
    count_column,
    money_column,
    number,
    standing,
    venue_column,
)
from defiwatch.tui.kinds.page import Page
from defiwatch.tui.lines import Line, meter
from defiwatch.tui.picture import Picture

STALE_AFTER = 300.0
"""Markets follow every block; five minutes without one is stale."""


def _rows(picture: Picture) -> Sequence[MarketRow]:
    return sorted(picture.snapshot.markets, key=lambda row: (-row.at_risk_usd, -row.borrowed_usd))


def _utilisation(row: MarketRow, _: Picture) -> Line:
    ink = "bad-strong" if row.utilisation >= 0.98 else "warn-strong" if row.utilisation >= 0.92 else "text"
    return ((figures.percent(row.utilisation), ink),)


def _used(row: MarketRow, _: Picture) -> Line:
    return meter(row.utilisation, 10)


def _at_risk(row: MarketRow, _: Picture) -> Line:
    return number(figures.money(row.at_risk_usd), "warn" if row.at_risk_usd > 0 else "dim")


def _bad_debt(row: MarketRow, _: Picture) -> Line:
    return number(figures.money(row.bad_debt_usd), "bad-strong" if row.bad_debt_usd > 0 else "dim")


def _complete(row: MarketRow, _: Picture) -> Line:
    if row.completeness is None:
        return (("–", "faint"),)
    return ((figures.percent(row.completeness), "good" if row.completeness >= 0.9995 else "warn"),)


def _page(row: MarketRow, picture: Picture, page: Page) -> None:
    now = picture.snapshot.time
    page.line((row.label, "strong"), ("   ", "text"), (row.protocol, "text"), (" on ", "dim"), (row.chain, "text"))
    page.blank()
    page.facts(
        (
            ("supplied", number(figures.money(row.supplied_usd))),
            ("at risk", _at_risk(row, picture)),
            ("borrowed", number(figures.money(row.borrowed_usd))),
            ("bad debt", _bad_debt(row, picture)),
            ("utilisation", _utilisation(row, picture)),
            ("positions", ((figures.count(row.positions), "text"),)),
        )
    )
    page.line(("used         ", "dim"), *meter(row.utilisation, min(40, page.width - 30)))
    page.blank()
    if row.completeness is None:
        page.text("How much of the market's debt is known was not measured.", "dim")
    else:
        page.text(f"{figures.percent(row.completeness)} of the contract's total debt is known by position.", "text")
    if row.facts:
        page.head("Facts")
        page.facts((name, ((value, "text"),)) for name, value in row.facts)
    page.alerts(picture.standing_on(row.key), now)
    page.source(row.source, row.block, row.time, now, MARKET.is_stale(row, now), picture.trust_of(row.chain))


MARKET: Kind[MarketRow] = Kind(
    name="market",
    title="Markets",
    columns=(
        Column("market", 14, lambda row, _: ((row.label, "text"),), order=lambda row: row.label.lower(), grow=2),
        venue_column(lambda row: row.protocol, lambda row: row.chain),
        Column(
            "used",
            7,
            _utilisation,
            order=lambda row: row.utilisation,
            right=True,
            falling=True,
            hint="borrowed divided by supplied",
        ),
        Column("", 10, _used, rank=6),
        money_column("supplied", lambda row: row.supplied_usd, rank=3),
        money_column("borrowed", lambda row: row.borrowed_usd),
        Column("at risk", 8, _at_risk, order=lambda row: row.at_risk_usd, right=True, falling=True),
        Column("bad debt", 8, _bad_debt, order=lambda row: row.bad_debt_usd, right=True, falling=True, rank=1),
        count_column("positions", lambda row: row.positions, rank=4),
        Column(
            "known",
            7,
            _complete,
            order=lambda row: row.completeness,
            right=True,
            rank=2,
            hint="how much of the contract's total debt is known by position",
        ),
        age_column(lambda row: row.time, STALE_AFTER),
    ),
    rows=_rows,
    key=lambda row: row.key,
    words=lambda row: f"{row.label} {row.key} {row.protocol} {row.chain}",
    awaited=lambda picture: picture.awaited("market", "no lending market of the configuration was read"),
    page=_page,
    ordered="most at risk first",
    time=lambda row: row.time,
    stale_after=STALE_AFTER,
    alerts=lambda row, picture: standing(row.key, picture),
)
