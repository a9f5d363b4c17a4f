"""One asset, several prices: venue against oracle against exchange pools."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, TypeAlias

import msgspec

from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import ChainId, alert_key
from defiwatch.domain.risk import Assessment, Evidence, Reason, Severity, Subject
from defiwatch.domain.units import span
from defiwatch.scoring.points import allot, percent, price, settle

PriceSource: TypeAlias = Literal["venue", "oracle", "dex"]

MAX_AGE_S: dict[str, float] = {"venue": 120.0}
"""Older prices of these sources are left out. An oracle's answer and a pool's price count until they are replaced:
contracts act on them however old they are."""

CRITICAL = 2.5
"""Times the threshold from which a deviation is critical."""


class Quoted(msgspec.Struct, frozen=True):
    """One price of an asset, in the unit of those it is compared with. `time` is when it was made, Unix seconds."""

    name: str
    source: PriceSource
    price: float
    time: float


def assess_deviation(
    asset: str, quotes: Sequence[Quoted], now: float, settings: Alerts, *, chain_id: ChainId, at: BlockRef | None = None
) -> Assessment | None:
    """`price.deviation`: how far apart two prices of `asset` are, relative to the lower. None for fewer than two.

    Half the points of the scale at `deviation`, three quarters at twice it; they go to the pairs of sources by their
    difference.
    """
    fresh = sorted(
        (
            quote
            for quote in quotes
            if 0.0 < quote.price < float("inf") and now - quote.time <= MAX_AGE_S.get(quote.source, float("inf"))
        ),
        key=lambda quote: (quote.source, quote.name),
    )
    pairs = {(a, b): max(a.price, b.price) / min(a.price, b.price) - 1.0 for a, b in combinations(fresh, 2)}
    if not pairs:
        return None
    worst = max(pairs.values())
    limit = settings.deviation
    severity: Severity | None = None
    if worst >= limit:
        severity = "critical" if worst >= CRITICAL * limit else "warning"
    total = 100.0 * (1.0 - 0.5 ** (worst / limit)) if limit > 0.0 else 100.0
    telling = {pair: gap for pair, gap in pairs.items() if gap >= 0.5 * worst}
    points = allot(total, {f"{a.name}_{b.name}": gap for (a, b), gap in telling.items()})
    score, reasons = settle(
        Reason(
            f"{a.name}_{b.name}",
            gap,
            points.get(f"{a.name}_{b.name}", 0.0),
            f"{_priced(a, now)} against {_priced(b, now)}: {percent(gap)} apart; told from {percent(limit)}",
            limit,
        )
        for (a, b), gap in telling.items()
    )
    (first, second), gap = max(pairs.items(), key=lambda item: item[1])
    return Assessment(
        key=alert_key(chain_id, "price", asset, "deviation"),
        kind="price.deviation",
        subject=Subject("asset", chain_id, "price", asset, asset),
        severity=severity,
        score=score,
        reasons=reasons,
        title=f"{asset}: {first.name} {price(first.price)}, {second.name} {price(second.price)}, {percent(gap)} apart",
        evidence=Evidence(block=at.number, block_hash=at.hash or None) if at else Evidence(),
    )


def _priced(quote: Quoted, now: float) -> str:
    return f"{quote.name} {price(quote.price)} ({span(max(now - quote.time, 0.0))} old)"
