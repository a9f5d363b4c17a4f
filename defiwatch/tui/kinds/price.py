"""Prices and oracles, by symbol, so that the sources of one price stand together."""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.view import PriceRow
from defiwatch.tui import figures
from defiwatch.tui.kinds.kind import Column, Kind, age_column
from defiwatch.tui.kinds.page import Page
from defiwatch.tui.lines import Line
from defiwatch.tui.picture import Picture
from defiwatch.tui.trails import price_trail

STALE_AFTER = 7200.0
"""The usual heartbeat of a volatile feed is an hour; `oracle.stale` judges each feed by its own."""


def _rows(picture: Picture) -> Sequence[PriceRow]:
    return sorted(
        picture.snapshot.prices, key=lambda row: (row.symbol.lower(), row.symbol, -row.sources, row.chain, row.source)
    )


def _deviation(row: PriceRow, _: Picture) -> Line:
    if row.deviation is None:
        return (("–", "faint"),)
    size = abs(row.deviation)
    return ((figures.change(row.deviation, 2), "bad" if size >= 0.02 else "warn" if size >= 0.005 else "dim"),)


def _spark(row: PriceRow, picture: Picture) -> Line:
    return ((figures.spark(picture.trails.values(price_trail(row.chain, row.symbol, row.source)), 16), "accent"),)


def _page(row: PriceRow, picture: Picture, page: Page) -> None:
    now = picture.snapshot.time
    page.line(
        (row.symbol, "strong"),
        ("   ", "text"),
        (figures.price(row.price), "strong"),
        ("   from ", "dim"),
        (row.source, "text"),
    )
    page.blank()
    trail = picture.trails.values(price_trail(row.chain, row.symbol, row.source))
    if len(trail) > 1:
        page.line(
            (figures.spark(trail, min(24, len(trail) // 2 + 1)), "accent"),
            (f"  {figures.price(min(trail))} … {figures.price(max(trail))}", "dim"),
        )
    page.facts((("deviation", _deviation(row, picture)), ("chain", ((row.chain or "none: a venue", "text"),))))
    others = [other for other in _rows(picture) if other.symbol == row.symbol]
    page.head("Every source of this price")
    page.table(
        ("source", "chain", "price", "against this", "age"),
        [
            (
                ((other.source, "strong" if other == row else "text"),),
                ((other.chain or "–", "dim"),),
                ((figures.price(other.price), "text"),),
                ((figures.change(other.price / row.price - 1, 2) if row.price else "?", "text"),),
                ((figures.age(now - other.time), "warn" if PRICE.is_stale(other, now) else "dim"),),
            )
            for other in others
        ],
        left=2,
    )
    page.source(row.source, 0, row.time, now, PRICE.is_stale(row, now), picture.trust_of(row.chain))


PRICE: Kind[PriceRow] = Kind(
    name="price",
    title="Prices and oracles",
    columns=(
        Column(
            "asset",
            10,
            lambda row, _: ((row.symbol, "strong" if row.sources else "text"),),
            order=lambda row: row.symbol.lower(),
            grow=1,
        ),
        Column(
            "price",
            12,
            lambda row, _: ((figures.price(row.price), "text"),),
            order=lambda row: row.price,
            right=True,
            falling=True,
        ),
        Column(
            "deviation",
            9,
            _deviation,
            order=lambda row: None if row.deviation is None else abs(row.deviation),
            right=True,
            falling=True,
            hint="against the consensus of all sources",
        ),
        Column("trail", 16, _spark, rank=2),
        Column("source", 16, lambda row, _: ((row.source, "dim"),), order=lambda row: row.source.lower(), grow=2),
        Column("chain", 9, lambda row, _: ((row.chain or "–", "faint"),), order=lambda row: row.chain, rank=1),
        age_column(lambda row: row.time, STALE_AFTER),
    ),
    rows=_rows,
    key=lambda row: f"{row.chain}/{row.symbol}/{row.source}",
    words=lambda row: f"{row.symbol} {row.source} {row.chain}",
    awaited=lambda picture: picture.awaited("price", "no oracle was read and no venue has quoted"),
    page=_page,
    ordered="by asset",
    time=lambda row: row.time,
    stale_after=STALE_AFTER,
)
