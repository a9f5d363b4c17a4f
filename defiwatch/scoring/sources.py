"""Silence is an alert: a source that says nothing leaves everything above it unknown."""

from __future__ import annotations

import math

from defiwatch.config import Alerts, duration
from defiwatch.domain.ids import ChainId, alert_key
from defiwatch.domain.risk import Assessment, Evidence, Reason, Severity, Subject
from defiwatch.scoring.points import settle, span

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
    score, reasons = settle((Reason("silence", max(silent_s, 0.0), max(points, 0.0), text, limit),))
    return Assessment(
        key=alert_key(chain_id, "source", name, "silent"),
        kind="source.silent",
        subject=Subject("source", chain_id, "source", name, name),
        severity=severity,
        score=score,
        reasons=reasons,
        title=f"{name}: silent for {span(silent_s)}" if severity else f"{name}: speaks again",
        evidence=Evidence(),
    )
