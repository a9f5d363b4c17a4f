"""How unusual something is against its own history, as points: what pools, feeds, markets and transfers share.

The groups of a kind (`domain.learning.GROUPS`) measure one event from several sides, so their rarities are not
multiplied: that would count it twice. The rarest sets the score, the points go to the groups by their rarity.
"Unusual against its own history" is no probability of harm: what is told here alone is a warning at most, and the
budget may hold it back.
"""

from __future__ import annotations

from defiwatch.config import Alerts
from defiwatch.domain.ids import alert_key
from defiwatch.domain.learning import GROUPS, JOINT_WEIGHT, FeatureSurprise, Observation, Surprise, decades
from defiwatch.domain.risk import Assessment, Evidence, Reason, Severity
from defiwatch.scoring.points import allot, dollars, number, settle
from defiwatch.scoring.words import clause, sentence, shown

PER_DECADE = 26.0
"""Points per power of ten that a feature is rarer than one in ten: 1 in 5,000 gives the default threshold of 70."""

EPISODE_TAIL = 0.05
"""From which tail probability on a reason says how rare an episode like this is."""

WHALE_USD = 100_000.0
"""A transfer of less than this is nobody's concern, however unusual for its token."""

MARKET_USD = 1_000.0
"""Nor is what happens to a market of less than this."""

_KINDS = {"feed": "feed.anomaly", "market": "market.anomaly", "transfer": "flow.whale"}
_AMONG = {"pool": "pools", "flow": "pools", "feed": "feeds", "market": "markets", "transfer": "transfers"}


def weigh(obs: Observation, surprise: Surprise) -> tuple[float, dict[str, FeatureSurprise], tuple[Reason, ...], float]:
    """(score, the rarest feature by group, the reasons whose points add up to the score, the rarity behind it)."""
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
            signed(obs, feature),
            points.get(group, 0.0),
            sentence(feature, young=surprise.young),
            shown(feature.name, feature.usual),
        )
        for group, feature in rarest.items()
    ]
    among = _AMONG[obs.kind]
    reasons.append(
        Reason(
            "together",
            surprise.joint,
            points.get("joint", 0.0),
            f"its features in this combination are rare among {among} (forest {surprise.joint:.2f} of 1)",
        )
    )
    if surprise.rarity > 0.0 and surprise.tail < EPISODE_TAIL:
        reasons.append(Reason("episode", surprise.tail, 0.0, _episode(surprise, among)))
    score, told = settle(reasons)
    return score, rarest, told, strongest


def assess_unusual(obs: Observation, surprise: Surprise, settings: Alerts) -> Assessment:
    """`feed.anomaly`, `market.anomaly` or `flow.whale`: a warning at most, and within the alert budget."""
    score, rarest, told, strongest = weigh(obs, surprise)
    small = _small(obs)
    severity: Severity | None = "warning" if score >= settings.anomaly_score and not small else None
    return Assessment(
        key=alert_key(
            obs.subject.chain_id,
            obs.subject.protocol,
            obs.subject.id,
            "whale" if obs.kind == "transfer" else "anomaly",
        ),
        kind=_KINDS[obs.kind],
        subject=obs.subject,
        severity=severity,
        score=score,
        reasons=told,
        title=title(obs, rarest, told),
        evidence=evidence(obs),
        budgeted=True,
        incident=True,
        rarity=0.0 if small else strongest,
    )


def signed(obs: Observation, feature: FeatureSurprise) -> float:
    """A feature as its reason shows it, with its sign where it is known."""
    fact = "block_move" if feature.name == "close_move" else feature.name
    return obs.facts.get(fact, shown(feature.name, feature.value))


def title(obs: Observation, rarest: dict[str, FeatureSurprise], told: tuple[Reason, ...]) -> str:
    """The subject and the first reason, in short."""
    by_name = {feature.name: feature for feature in rarest.values()}
    first = next((by_name[reason.name] for reason in told if reason.name in by_name), None)
    if first is None:
        unusual = any(reason.points > 0.0 for reason in told)
        return f"{obs.subject.label}: {'an unusual combination' if unusual else 'as usual'}"
    said = clause(first.name, first.value)
    if first.name == "amount" and "units" in obs.facts:
        said = f"one transfer of {_amount(obs)}, {number(first.value)} times the usual"
    return f"{obs.subject.label}: {said}"


def evidence(obs: Observation) -> Evidence:
    """Where it was seen."""
    return Evidence(
        block=obs.at.number,
        block_hash=obs.at.hash or None,
        tx=obs.tx or None,
        log_index=obs.log_index if obs.log_index >= 0 else None,
    )


def _amount(obs: Observation) -> str:
    """The transfer itself, in dollars too where the token has a price."""
    units, usd = obs.facts["units"], obs.facts.get("usd")
    worth = "" if usd is None else f" ({dollars(units * usd)})"
    return f"{number(units)} {obs.subject.label}{worth}"


def _small(obs: Observation) -> bool:
    """Whether it is known to be worth too little to be told."""
    usd, units = obs.facts.get("usd"), obs.facts.get("units")
    if usd is None or units is None:
        return False
    return units * usd < (WHALE_USD if obs.kind == "transfer" else MARKET_USD)


def _episode(surprise: Surprise, among: str) -> str:
    """How often a ten-minute episode of such a subject is as unusual as this, in words."""
    once = f"one ten-minute episode in {number(1.0 / surprise.tail)} of {among} of this kind is as unusual"
    return f"{once} (extrapolated beyond the data)" if surprise.extrapolated else once
