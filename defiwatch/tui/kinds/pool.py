"""Exchange pools, the highest score first."""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.view import UNSEEN, PoolRow, StakeRow
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
from defiwatch.tui.theme import ramp

STALE_AFTER = 3600.0
"""A pool's numbers hold until its next event, so a quiet pool is not stale at once; an hour is too long to lean on."""


def _rows(picture: Picture) -> Sequence[PoolRow]:
    return sorted(picture.snapshot.pools, key=lambda row: -row.score)


def _score(row: PoolRow, _: Picture) -> Line:
    if row.unknown:
        return (("  ?", "warn"),)
    return ((f"{figures.score(row.score):>3}", ramp(row.score / 100)), (" ", "text"), *meter(row.score / 100, 8))


def _price(row: PoolRow, _: Picture) -> Line:
    return (("?", "warn"),) if row.unknown or not row.price else ((figures.price(row.price), "text"),)


def _change(row: PoolRow, _: Picture) -> Line:
    if row.change_1h is None:
        return (("–", "faint"),)
    size = abs(row.change_1h)
    return ((figures.change(row.change_1h), "bad" if size >= 0.05 else "warn" if size >= 0.01 else "dim"),)


def _spark(row: PoolRow, picture: Picture) -> Line:
    if row.unknown:
        return (("unknown: ", "warn"), (row.unknown, "warn"))
    return ((figures.spark(picture.trails.values(f"pool price {row.key}"), 12), "accent"),)


def _score_spark(row: PoolRow, picture: Picture) -> Line:
    return ((figures.spark(picture.trails.values(f"pool score {row.key}"), 12, (0.0, 100.0)), ramp(row.score / 100)),)


def _depth(row: PoolRow, _: Picture) -> Line:
    return (("–", "faint"),) if row.depth_usd is None else ((figures.money(min(row.depth_usd)), "text"),)


def _depths(row: PoolRow) -> Line:
    if row.depth_usd is None:
        return (("cannot be told", "dim"),)
    down, up = row.depth_usd
    return (figures.money(down), "text"), (" down, ", "dim"), (figures.money(up), "text"), (" up", "dim")


def _mean(row: PoolRow) -> Line:
    if row.twap is None or row.twap_gap is None:
        return (("too little is known yet", "dim"),)
    ink = "bad" if row.twap_gap >= 0.05 else "warn" if row.twap_gap >= 0.01 else "dim"
    return (figures.price(row.twap), "text"), (f"  {figures.percent(row.twap_gap, 2)} off", ink)


def _largest(row: PoolRow) -> Line:
    """Half is even for two tokens; DOMAIN: the share leads the price of a stable pool."""
    ink = "bad-strong" if row.share >= 0.9 else "warn-strong" if row.share >= 0.75 else "text"
    return ((figures.percent(row.share), ink),) if row.share else ()


def _summary(picture: Picture) -> str:
    unusual = sum(row.score >= 50 for row in picture.snapshot.pools)
    return f"{unusual} unusual" if unusual else ""


def _stake(stake: StakeRow, page: Page) -> None:
    """A watched wallet's part: how much of the pool, what would be paid for it, whether it is in range."""
    which = f" position {stake.position}" if stake.position else ""
    least = "at least " if stake.at_least and not stake.unknown else ""
    of = "of the pool" if stake.prices is None else "of the liquidity in range"
    share = "share unknown" if stake.share is None else f"{least}{figures.percent(stake.share, 2)} {of}"
    worth = () if stake.value_usd is None else (("   ", "text"), (f"{least}{figures.money(stake.value_usd)}", "strong"))
    if stake.in_range is False:
        page.line((stake.label, "strong"), (which, "text"), ("   out of range", "warn-strong"), *worth)
    else:
        page.line((stake.label, "strong"), (which, "text"), ("   ", "text"), (share, "text"), *worth)
    if stake.tokens:
        told = ", ".join(f"{figures.number(amount)} {symbol}" for symbol, amount, _ in stake.tokens)
        page.text(f"would be paid {told}" + ("" if stake.prices is None else ", fees to collect left out"), "text", 2)
    if stake.prices is not None:
        low, high = stake.prices
        span = f"between {figures.price(low)} and {figures.price(high)}"
        page.text(f"earns fees {'at every price' if stake.everywhere else span}", "dim", 2)
    if stake.caveat:
        page.text(stake.caveat, "warn" if stake.unknown else "dim", 2)


def _page(row: PoolRow, picture: Picture, page: Page) -> None:
    now = picture.snapshot.time
    page.line((row.label, "strong"), ("   ", "text"), (row.protocol, "text"), (" on ", "dim"), (row.chain, "text"))
    if row.unknown:
        page.blank()
        page.text(f"Unknown: {row.unknown}", "warn")
    page.blank()
    page.facts(
        (
            ("price", _price(row, picture)),
            ("value", number(figures.money(row.value_usd))),
            ("change in 1 h", _change(row, picture)),
            ("volume in 1 h", number(figures.money(row.volume_usd_1h))),
            ("mean of 30 min", _mean(row)),
            ("moves it by 2 %", _depths(row)),
            ("largest token", _largest(row)),
            ("events seen", ((figures.count(row.events), "text"),)),
        )
    )
    prices = picture.trails.values(f"pool price {row.key}")
    scores = picture.trails.values(f"pool score {row.key}")
    if len(prices) > 1:
        page.blank()
        length = min(24, len(prices) // 2 + 1)
        page.line(
            ("price  ", "dim"),
            (figures.spark(prices, length), "accent"),
            (f"  {figures.price(min(prices))} … {figures.price(max(prices))}", "dim"),
        )
        page.line(
            ("score  ", "dim"),
            (figures.spark(scores, length, (0.0, 100.0)), ramp(row.score / 100)),
            (f"  {min(scores):.0f} … {max(scores):.0f}", "dim"),
        )
    if row.stakes or row.stakes_unseen:
        page.head("Watched wallets here")
        for stake in row.stakes:
            _stake(stake, page)
        if row.stakes_unseen:
            page.text(UNSEEN, "faint")
    page.reasons(row.score, row.reasons, None if row.score < 50 else "warning" if row.score < 80 else "critical")
    page.line(("unusual against the pool's own history; no probability", "faint"))
    page.alerts(picture.standing_on(row.key), now)
    page.source(row.source, row.block, row.time, now, POOL.is_stale(row, now), picture.trust_of(row.chain))


POOL: Kind[PoolRow] = Kind(
    name="pool",
    title="Pools",
    columns=(
        Column("score", 12, _score, order=lambda row: None if row.unknown else row.score, falling=True),
        Column("pool", 16, lambda row, _: ((row.label, "text"),), order=lambda row: row.label.lower(), grow=2),
        venue_column(lambda row: row.protocol, lambda row: row.chain, "market"),
        Column("price", 10, _price, order=lambda row: None if row.unknown or not row.price else row.price, right=True),
        Column(
            "1h",
            7,
            _change,
            order=lambda row: row.change_1h,
            right=True,
            falling=True,
            hint="change of the price in one hour",
        ),
        Column("price trail", 12, _spark, rank=2),
        Column("score trail", 12, _score_spark, rank=6),
        money_column("value", lambda row: row.value_usd, rank=1, width=7),
        Column(
            "2% depth",
            8,
            _depth,
            order=lambda row: min(row.depth_usd) if row.depth_usd is not None else None,
            right=True,
            rank=3,
            hint="what moves the price by 2 %, the smaller way",
        ),
        money_column("vol. 1h", lambda row: row.volume_usd_1h, rank=4, width=7),
        count_column("events", lambda row: row.events, rank=7),
        age_column(lambda row: row.time, STALE_AFTER),
    ),
    rows=_rows,
    key=lambda row: row.key,
    words=lambda row: f"{row.label} {row.key} {row.protocol} {row.chain}",
    awaited=lambda picture: picture.awaited("pool", "no pool of the configuration has had an event in sight"),
    page=_page,
    ordered="highest score first",
    time=lambda row: row.time,
    stale_after=STALE_AFTER,
    summary=_summary,
    alerts=lambda row, picture: standing(row.key, picture),
)
