"""Assets that are meant to be worth something: how far off, for how long, and what the pools say before the price does.

The score is 1 - exp(-(a·z + b·(share - ½)⁺/½ + c·outflow + d·time)), z the distance beyond the usual band in standard
deviations, time that outside it over that which confirms it; each part is told on its own. Severity follows from
distance *and* time: one tick is no depeg.
"""

from __future__ import annotations

import math

from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import ChainId, alert_key, short
from defiwatch.domain.risk import Assessment, Evidence, Pool, Reason, Severity, Subject
from defiwatch.domain.units import span
from defiwatch.scoring.points import allot, percent, price, settle
from defiwatch.state.pegs import Peg, band

Z_WEIGHT = math.log(2.0) / 4.8
"""Half the points of the scale where a price is twice as far off as its band (4.8 standard deviations beyond)."""

TIME_WEIGHT = math.log(2.0)
"""Half the points of what the price leaves once a depeg is confirmed."""

SHARE_WEIGHT = 1.0
OUTFLOW_WEIGHT = 0.1

SAMPLES = 3
"""Samples outside the band before anything is told."""

EARLY_S = 120.0
WARNING_S = 1_800.0
CONFIRMED_S = 7_200.0
"""A run of this length is a depeg: the rule of docs/labels.md."""

COLLAPSE = 0.10
COLLAPSE_S = 300.0
"""From this far off, relative, these seconds are enough to be critical."""

LOPSIDED = 0.05
"""How much further a pool's share goes from a warning to critical."""


def assess_peg(
    asset: str,
    symbol: str,
    peg: Peg,
    settings: Alerts,
    *,
    chain_id: ChainId,
    target: str = "USD",
    sources: int = 1,
    at: BlockRef | None = None,
    ratio: float = 1.0,
    par: str = "its peg",
) -> Assessment:
    """`price.depeg`: outside its band for three samples and two minutes is told; half an hour, or twice the band, is a
    warning, and so is less where the asset floods its pool; two hours confirm it, and it is critical.

    `sources` is how many agree on the price; a single one is named as such. `ratio`: what one is meant to be worth in
    the target; `par`: what that is called.
    """
    limit = band(peg, settings.depeg)
    beyond = max(abs(peg.deviation) - limit, 0.0) / max(peg.sigma, 1e-6)
    lopsided = max(peg.share - 0.5, 0.0) / 0.5
    weights = {
        "price": Z_WEIGHT * beyond,
        "lasting": TIME_WEIGHT * min(peg.span / CONFIRMED_S, 1.0),
        "share": SHARE_WEIGHT * lopsided if peg.count else 0.0,
        "outflow": OUTFLOW_WEIGHT * peg.outflow if peg.count else 0.0,
    }
    points = allot(100.0 * (1.0 - math.exp(-math.fsum(weights.values()))), weights)
    alone = "; one source says so" if sources < 2 else ""
    side = "below" if peg.deviation < 0.0 else "above"
    reasons = [
        Reason(
            "price",
            peg.deviation,
            points.get("price", 0.0),
            f"{percent(abs(peg.deviation))} {side} {par}; up to {percent(limit)} is usual{alone}",
            limit,
        )
    ]
    if peg.count > 1:
        lasting = f"outside its band for {span(peg.span)}, {peg.count} samples; {span(CONFIRMED_S)} confirm a depeg"
        reasons.append(Reason("lasting", peg.span, points.get("lasting", 0.0), lasting, CONFIRMED_S))
    if peg.pool:
        reasons.append(
            Reason(
                "share",
                peg.share,
                points.get("share", 0.0),
                f"{percent(peg.share)} of {peg.pool} is {symbol}: what trades away first floods its pool",
                0.5,
            )
        )
        reasons.append(
            Reason(
                "outflow",
                peg.outflow,
                points.get("outflow", 0.0),
                f"its share of {peg.pool} went from {percent(peg.level)} within the hour",
            )
        )
    score, told = settle(reasons)
    severity = _severity(peg, limit, settings)
    worth = price(ratio * (1.0 + peg.deviation))
    title = f"{symbol}: {worth} {target}, {percent(abs(peg.deviation))} {side} {par}"
    if severity == "critical":
        title += f" for {span(peg.span)}"
    return Assessment(
        key=alert_key(chain_id, "price", asset, "depeg"),
        kind="price.depeg",
        subject=Subject("asset", chain_id, "price", asset, symbol),
        severity=severity,
        score=score,
        reasons=told,
        title=title if severity else f"{symbol}: near {par} again",
        evidence=Evidence(block=at.number, block_hash=at.hash or None) if at else Evidence(),
    )


def _severity(peg: Peg, limit: float, settings: Alerts) -> Severity | None:
    if peg.count < SAMPLES or peg.span < EARLY_S:
        return None
    worst = abs(peg.worst)
    if peg.span >= CONFIRMED_S or (worst >= max(COLLAPSE, 2.0 * limit) and peg.span >= COLLAPSE_S):
        return "critical"
    flooded = peg.share >= settings.imbalance_share
    return "warning" if peg.span >= WARNING_S or worst >= 2.0 * limit or flooded else "info"


def assess_imbalance(pool: Pool, settings: Alerts, *, at: BlockRef | None = None) -> Assessment | None:
    """`pool.imbalance`: one asset's share of a pool of assets with one peg. None for a pool not meant to be balanced.

    Share leads price: at A = 200 a two-asset pool holds 80 % of the falling one before it trades 1.4 % lower. Told from
    70 % (or five points below the setting), a warning at `imbalance_share`, critical five points above that and from
    80 % on.
    """
    if pool.share <= 0.0 or len(pool.reserves) < 2 or len(pool.reserves) != len(pool.decimals):
        return None
    limit = settings.imbalance_share
    even = 1.0 / len(pool.reserves)
    severity: Severity | None = None
    if pool.share >= limit + LOPSIDED:
        severity = "critical"
    elif pool.share >= limit - LOPSIDED:
        severity = "warning" if pool.share >= limit else "info"
    held = [units / 10**digits for units, digits in zip(pool.reserves, pool.decimals, strict=True)]
    heaviest = max(range(len(held)), key=lambda i: (held[i], -i))
    symbol = pool.symbols[heaviest] if heaviest < len(pool.symbols) else short(pool.tokens[heaviest])
    over = max(pool.share - even, 0.0) / max(limit - even, 1e-6)
    told = percent(limit - LOPSIDED)
    text = f"{percent(pool.share)} of the pool is {symbol}; told from {told}, even is {percent(even)}"
    score, reasons = settle((Reason("share", pool.share, 100.0 * (1.0 - 0.5**over), text, even),))
    return Assessment(
        key=alert_key(pool.chain_id, pool.protocol, pool.id, "imbalance"),
        kind="pool.imbalance",
        subject=Subject("pool", pool.chain_id, pool.protocol, pool.id, pool.label),
        severity=severity,
        score=score,
        reasons=reasons,
        title=f"{pool.label}: {percent(pool.share)} {symbol}",
        evidence=Evidence(block=at.number, block_hash=at.hash or None) if at else Evidence(),
    )
