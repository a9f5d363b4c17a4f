"""How unusual a pool behaves against its own history, and what left it."""

from __future__ import annotations

import math

from defiwatch.config import Alerts
from defiwatch.domain.ids import alert_key
from defiwatch.domain.learning import FeatureSurprise, Observation, Surprise
from defiwatch.domain.risk import Assessment, Evidence, Reason, Severity
from defiwatch.scoring.points import allot, percent, settle
from defiwatch.scoring.words import LOGARITHMS, clause, sentence, shown

PER_DECADE = 26.0
"""Points per power of ten that a feature is rarer than one in ten: 1 in 5,000 gives the default threshold of 70."""

CRITICAL_MOVE = 0.03
"""An unusual price move of at least this, relative, is critical: who trades or borrows against it loses."""

CRITICAL_SCORE = 90.0

GROUPS: dict[str, dict[str, tuple[tuple[str, ...], float]]] = {
    "pool": {
        "price": (("move", "block_move", "deviation"), 1.0),
        "size": (("size",), 0.75),
        "flow": (("flow",), 0.75),
        "pace": (("pace", "gap"), 0.5),
    },
    "flow": {
        "price": (("close_move", "deviation"), 1.0),
        "size": (("volume", "reserve_change"), 0.7),
        "flow": (("flow",), 0.75),
        "pace": (("trades",), 0.5),
    },
}
"""What belongs together: of a group only the rarest feature counts, times the group's weight."""

JOINT_WEIGHT = 0.7


def assess(obs: Observation, surprise: Surprise, settings: Alerts) -> tuple[Assessment, ...]:
    """The judgements that one observation leads to, by its kind; none for a kind that is not judged."""
    if obs.kind in GROUPS:
        return (assess_pool(obs, surprise, settings),)
    if obs.kind == "drain":
        return (assess_drain(obs, surprise, settings),)
    return ()


def assess_pool(obs: Observation, surprise: Surprise, settings: Alerts) -> Assessment:
    """`pool.anomaly`: the rarest group of features sets the score, the points go to the groups by their rarity.

    The groups measure one event from several sides, so their rarities are not multiplied: that would count it twice.
    "Unusual against its own history" is no probability of harm.
    """
    rarest: dict[str, FeatureSurprise] = {}
    weights: dict[str, float] = {}
    by_name = {feature.name: feature for feature in surprise.features}
    for group, (names, weight) in GROUPS[obs.kind].items():
        present = [by_name[name] for name in names if name in by_name]
        if present:
            rarest[group] = min(present, key=lambda feature: feature.tail)
            weights[group] = weight * _decades(rarest[group].tail)
    weights["joint"] = JOINT_WEIGHT * _decades(surprise.tail)
    strongest = max(weights.values())
    points = allot(min(100.0, PER_DECADE * strongest), {name: weight**2 for name, weight in weights.items()})
    reasons = [
        Reason(
            feature.name,
            _signed(obs, feature),
            points.get(group, 0.0),
            sentence(feature, young=surprise.young),
            shown(feature.name, feature.usual),
        )
        for group, feature in rarest.items()
    ]
    reasons.append(
        Reason(
            "together",
            surprise.joint,
            points.get("joint", 0.0),
            f"its features in this combination are rare among pools (forest {surprise.joint:.2f} of 1)",
        )
    )
    score, told = settle(reasons)
    return Assessment(
        key=alert_key(obs.subject.chain_id, obs.subject.protocol, obs.subject.id, "anomaly"),
        kind="pool.anomaly",
        subject=obs.subject,
        severity=_severity(obs, score, settings),
        score=score,
        reasons=told,
        title=_title(obs, rarest, told),
        evidence=_evidence(obs),
        budgeted=True,
        incident=True,
        aspect="trade" if obs.kind == "pool" else "",
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
        evidence=_evidence(obs),
    )


def _decades(tail: float) -> float:
    """Powers of ten beyond one in ten; 0 for what is more usual than that."""
    return max(0.0, -math.log10(tail) - 1.0) if tail > 0.0 else 12.0


def _signed(obs: Observation, feature: FeatureSurprise) -> float:
    """A feature as its reason shows it; a price move with its sign where it is known."""
    if feature.name in LOGARITHMS:
        fact = "block_move" if feature.name == "close_move" else feature.name
        return obs.facts.get(fact, shown(feature.name, feature.value))
    return feature.value


def _severity(obs: Observation, score: float, settings: Alerts) -> Severity | None:
    if score < settings.anomaly_score:
        return None
    moves = [abs(math.expm1(obs.values[name])) for name in sorted(LOGARITHMS) if name in obs.values]
    return "critical" if score >= CRITICAL_SCORE or max(moves, default=0.0) >= CRITICAL_MOVE else "warning"


def _title(obs: Observation, rarest: dict[str, FeatureSurprise], told: tuple[Reason, ...]) -> str:
    by_name = {feature.name: feature for feature in rarest.values()}
    first = next((by_name[reason.name] for reason in told if reason.name in by_name), None)
    if first is None:
        return f"{obs.subject.label}: as usual" if not told else f"{obs.subject.label}: an unusual combination"
    return f"{obs.subject.label}: {clause(first.name, first.value)}"


def _evidence(obs: Observation) -> Evidence:
    return Evidence(
        block=obs.at.number,
        block_hash=obs.at.hash or None,
        tx=obs.tx or None,
        log_index=obs.log_index if obs.log_index >= 0 else None,
    )
