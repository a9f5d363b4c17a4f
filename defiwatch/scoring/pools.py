"""How unusual a pool behaves against its own history, and what left it."""

from __future__ import annotations

import math

from defiwatch.config import Alerts
from defiwatch.domain.ids import alert_key
from defiwatch.domain.learning import Observation, Surprise
from defiwatch.domain.risk import Assessment, Reason, Severity
from defiwatch.scoring.points import allot, percent, settle
from defiwatch.scoring.unusual import assess_unusual, evidence, title, weigh
from defiwatch.scoring.words import LOGARITHMS

CRITICAL_MOVE = 0.03
"""An unusual price move of at least this, relative, is critical: who trades or borrows against it loses."""

CRITICAL_SCORE = 90.0


def assess(obs: Observation, surprise: Surprise, settings: Alerts) -> tuple[Assessment, ...]:
    """The judgements that one observation leads to, by its kind; none for a kind that is not judged."""
    if obs.kind in ("pool", "flow"):
        return (assess_pool(obs, surprise, settings),)
    if obs.kind in ("feed", "market", "transfer"):
        return (assess_unusual(obs, surprise, settings),)
    if obs.kind == "drain":
        return (assess_drain(obs, surprise, settings),)
    return ()


def assess_pool(obs: Observation, surprise: Surprise, settings: Alerts) -> Assessment:
    """`pool.anomaly`: the rarest group of features sets the score, the points go to the groups by their rarity."""
    score, rarest, told, strongest = weigh(obs, surprise)
    return Assessment(
        key=alert_key(obs.subject.chain_id, obs.subject.protocol, obs.subject.id, "anomaly"),
        kind="pool.anomaly",
        subject=obs.subject,
        severity=_severity(obs, score, settings),
        score=score,
        reasons=told,
        title=title(obs, rarest, told),
        evidence=evidence(obs),
        budgeted=True,
        incident=True,
        aspect="trade" if obs.kind == "pool" else "",
        rarity=strongest,
    )


def assess_drain(obs: Observation, surprise: Surprise, settings: Alerts) -> Assessment:
    """`pool.drain`: the part of a pool that left within the window; a warning at `drain_share`, critical at twice that.

    Half the points of the scale are reached at the threshold, three quarters at twice it.
    """
    removed, outflow = obs.values.get("removed", 0.0), obs.values.get("outflow", 0.0)
    left = removed + outflow - removed * outflow
    usual = {feature.name: feature.usual for feature in surprise.features}
    threshold = settings.drain_share
    total = 100.0 * (1.0 - 0.5 ** (left / threshold)) if threshold > 0.0 else 100.0
    points = allot(total, {"removed": removed, "outflow": outflow})
    window = settings.drain_window
    score, told = settle(
        (
            Reason(
                "removed",
                removed,
                points.get("removed", 0.0),
                f"liquidity providers took out {percent(removed)} of the pool within {window}",
                usual.get("removed"),
            ),
            Reason(
                "outflow",
                outflow,
                points.get("outflow", 0.0),
                f"trades bled one side: {percent(2.0 * outflow)} of its worth left within {window}",
                usual.get("outflow"),
            ),
        )
    )
    severity: Severity | None = None
    if left >= threshold:
        severity = "critical" if left >= min(2.0 * threshold, 0.9) else "warning"
    return Assessment(
        key=alert_key(obs.subject.chain_id, obs.subject.protocol, obs.subject.id, "drain"),
        kind="pool.drain",
        subject=obs.subject,
        severity=severity,
        score=score,
        reasons=told,
        title=f"{obs.subject.label}: {percent(left)} of the pool left within {window}",
        evidence=evidence(obs),
    )


def _severity(obs: Observation, score: float, settings: Alerts) -> Severity | None:
    if score < settings.anomaly_score:
        return None
    moves = [abs(math.expm1(obs.values[name])) for name in sorted(LOGARITHMS) if name in obs.values]
    return "critical" if score >= CRITICAL_SCORE or max(moves, default=0.0) >= CRITICAL_MOVE else "warning"
