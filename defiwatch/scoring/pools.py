"""How unusual a pool behaves against its own history, and what left it."""

from __future__ import annotations

import math

from defiwatch.config import Alerts
from defiwatch.domain.ids import alert_key
from defiwatch.domain.learning import GROUPS, JOINT_WEIGHT, FeatureSurprise, Observation, Surprise, decades
from defiwatch.domain.risk import Assessment, Evidence, Reason, Severity
from defiwatch.scoring.points import allot, number, percent, settle
from defiwatch.scoring.words import LOGARITHMS, clause, sentence, shown

PER_DECADE = 26.0
"""Points per power of ten that a feature is rarer than one in ten: 1 in 5,000 gives the default threshold of 70."""

CRITICAL_MOVE = 0.03
"""An unusual price move of at least this, relative, is critical: who trades or borrows against it loses."""

CRITICAL_SCORE = 90.0

EPISODE_TAIL = 0.05
"""From which tail probability on a reason says how rare an episode like this is."""


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
            weights[group] = weight * decades(rarest[group].tail)
    weights["joint"] = JOINT_WEIGHT * decades(surprise.joint_tail)
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
    if surprise.rarity > 0.0 and surprise.tail < EPISODE_TAIL:
        reasons.append(Reason("episode", surprise.tail, 0.0, _episode(surprise)))
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
        evidence=_evidence(obs),
    )


def _episode(surprise: Surprise) -> str:
    """How often a ten-minute episode of a pool is as unusual as this, in words."""
    once = f"one ten-minute episode in {number(1.0 / surprise.tail)} of pools of this kind is as unusual"
    return f"{once} (extrapolated beyond the data)" if surprise.extrapolated else once


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
        unusual = any(reason.points > 0.0 for reason in told)
        return f"{obs.subject.label}: {'an unusual combination' if unusual else 'as usual'}"
    return f"{obs.subject.label}: {clause(first.name, first.value)}"


def _evidence(obs: Observation) -> Evidence:
    return Evidence(
        block=obs.at.number,
        block_hash=obs.at.hash or None,
        tx=obs.tx or None,
        log_index=obs.log_index if obs.log_index >= 0 else None,
    )
