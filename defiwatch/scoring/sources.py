"""Sources that are silent, proved wrong or left something out: what rests on them is unknown, so it is an alert."""

from __future__ import annotations

import math

from defiwatch.config import Alerts, duration
from defiwatch.domain.ids import ChainId, alert_key
from defiwatch.domain.risk import Assessment, Evidence, Reason, Severity, Subject
from defiwatch.domain.units import span
from defiwatch.scoring.points import settle

LATE = 5.0
"""Times `silent_after` from which silence is critical."""


def source_silent(name: str, chain_id: ChainId, silent_s: float, settings: Alerts, *, detail: str = "") -> Assessment:
    """`source.silent`: nothing came from `name` (a chain, a venue) for `silent_s` seconds; clears when it speaks again.

    50 points at `silent_after`, 10 more each time that doubles. `detail` is what is known of why, in words.
    """
    limit = max(duration(settings.silent_after), 1e-3)
    severity: Severity | None = None
    if silent_s >= limit:
        severity = "critical" if silent_s >= LATE * limit else "warning"
    points = min(100.0, 50.0 + 10.0 * math.log2(silent_s / limit)) if silent_s >= limit else 50.0 * silent_s / limit
    text = f"nothing came for {span(silent_s)}; told after {span(limit)}" + (f" ({detail})" if detail else "")
    reason = Reason("silence", max(silent_s, 0.0), max(points, 0.0), text, limit)
    title = f"{name}: silent for {span(silent_s)}" if severity else f"{name}: speaks again"
    return _source("silent", name, chain_id, severity, reason, title)


def source_untrusted(source: str, chain_id: ChainId, detail: str, *, wrong: bool) -> Assessment:
    """`source.untrusted`: what `source` (an endpoint, or the chain as a whole) said was proved wrong, or it serves
    another chain; clears once it is taken up again and says nothing wrong (`wrong` False).

    80 points: what it said before may be wrong as well.
    """
    if not wrong:
        return _source("untrusted", source, chain_id, None, None, f"{source}: taken up again")
    reason = Reason("untrusted", 1.0, 80.0, detail or "what it said was proved wrong")
    return _source("untrusted", source, chain_id, "critical", reason, f"{source}: {detail or 'proved wrong'}")


def source_gap(name: str, chain_id: ChainId, detail: str, *, open_: bool) -> Assessment:
    """`source.gap`: blocks of the chain `name` are missing (after downtime, or because the endpoints fail) and are
    being fetched; clears when all of them came. 60 points: what happened in them is not known yet.
    """
    if not open_:
        return _source("gap", name, chain_id, None, None, f"{name}: no block is missing any more")
    missing = detail or "blocks are missing"
    return _source("gap", name, chain_id, "warning", Reason("gap", 1.0, 60.0, missing), f"{name}: {missing}")


def _source(
    what: str, name: str, chain_id: ChainId, severity: Severity | None, reason: Reason | None, title: str
) -> Assessment:
    score, reasons = settle(() if reason is None else (reason,))
    return Assessment(
        key=alert_key(chain_id, "source", name, what),
        kind=f"source.{what}",
        subject=Subject("source", chain_id, "source", name, name),
        severity=severity,
        score=score,
        reasons=reasons,
        title=title,
        evidence=Evidence(),
    )
