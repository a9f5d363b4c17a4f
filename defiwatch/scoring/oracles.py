"""Oracle feeds: too old by their own heartbeat, too far from the market by their own band, at a bound, or not to be
trusted because the chain's sequencer was away. A feed whose habits are not learnt yet is judged by wide presets, and
says so: false alarms about oracles have paused markets.
"""

from __future__ import annotations

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import alert_key, short
from defiwatch.domain.risk import Assessment, Evidence, Feed, Reason, Severity, Subject
from defiwatch.domain.units import span
from defiwatch.scoring.points import percent, price, settle
from defiwatch.state.oracles import DAY_S, SEQUENCER_GRACE_S, Habit, stable

LATE_S = 300.0
LATE_SHARE = 0.05
"""A push may be this late, or this part of its heartbeat if that is more: blocks are full just when it matters."""

STABLE_BUFFER = 0.0025
VOLATILE_BUFFER = 0.005
"""What a feed may be off beyond its band."""

NOT_LEARNT = 3.0
"""Times that a feed's limits are wider while its habits are not learnt."""

LASTING_S = 60.0
"""A feed may be this long beyond its limits while a push is under way."""

ENDURING_S = 600.0

AT_BOUND = 0.001
"""A feed this near to the least or greatest answer that it can give says nothing of the price."""


def assess_stale(feed: Feed, habit: Habit, now: float, *, moved: float | None, at: BlockRef | None) -> Assessment:
    """`oracle.stale`: the last answer is older than heartbeat and buffer, is none, was carried over from an earlier
    round, or stands at its bound. `moved` is how far the market went since, relative; None where nobody else says.
    """
    age = max(now - feed.updated_at, 0.0)
    late = max(LATE_S, LATE_SHARE * habit.heartbeat)
    limit = habit.heartbeat + late
    whose = "its heartbeat" if habit.heartbeat_learnt else "the longest usual heartbeat, its own is not learnt yet,"
    severity: Severity | None = None
    points = min(45.0, 45.0 * age / limit)
    if age > limit and habit.heartbeat_learnt:
        harmful = moved is not None and moved > habit.band
        severity = "critical" if harmful or age > 2.0 * limit else "warning"
        points = 90.0 if severity == "critical" else 60.0
    elif age > NOT_LEARNT * DAY_S:
        severity, points = "warning", 55.0
    elif age > limit:
        severity, points = "info", 50.0
    reasons = [
        Reason(
            "age",
            age,
            points,
            f"the last answer is {span(age)} old; {whose} is {span(habit.heartbeat)}, told {span(late)} later",
            habit.heartbeat,
        )
    ]
    title = f"{_name(feed)}: the last answer is {span(age)} old"
    fault = _fault(feed)
    if fault is not None:
        name, text = fault
        severity, title = "critical", f"{_name(feed)}: {text}"
        reasons.append(Reason(name, float(feed.answer) / 10**feed.decimals, 90.0, text))
    score, told = settle(reasons)
    return _assessment(feed, "stale", severity, score, told, title, at)


def _fault(feed: Feed) -> tuple[str, str] | None:
    """What makes an answer no price, however young it is."""
    if feed.round_id and feed.answer <= 0:
        return "answer", f"the answer is {feed.answer}, which is no price"
    if 0 < feed.answered_in_round < feed.round_id:
        return "round", f"round {feed.round_id} repeats the answer of round {feed.answered_in_round}"
    if feed.min_answer > 1 and feed.answer <= feed.min_answer * (1.0 + AT_BOUND):
        return "bound", f"the answer stands at the least that the feed can give ({_told(feed, feed.min_answer)})"
    if feed.max_answer > 0 and feed.answer >= feed.max_answer * (1.0 - AT_BOUND):
        return "bound", f"the answer stands at the greatest that the feed can give ({_told(feed, feed.max_answer)})"
    return None


def assess_feed_deviation(
    feed: Feed, habit: Habit, others: float, gap: float, lasting: float, *, firm: bool, at: BlockRef | None
) -> Assessment:
    """`oracle.deviation`: the feed is further from what all others say than its band and a buffer.

    `others` is their price in dollars, `gap` the relative difference, `lasting` the seconds since it is beyond the
    limit. `firm`: a venue or another oracle is among them; pools alone count half.
    """
    limit = deviation_limit(feed, habit, firm=firm)
    severity: Severity | None = None
    if gap > limit and lasting >= LASTING_S:
        severity = "critical" if gap > 2.0 * limit or lasting >= ENDURING_S else "warning"
        if not habit.band_learnt and severity == "critical" and gap <= 4.0 * limit:
            severity = "warning"
    whose = "its band" if habit.band_learnt else "a preset band, its own is not learnt yet,"
    held = f" for {span(lasting)}" if lasting >= LASTING_S else ""
    score, reasons = settle(
        (
            Reason(
                "deviation",
                gap,
                100.0 * (1.0 - 0.5 ** (gap / limit)),
                f"{percent(gap)} from what all others say ({price(others)} USD){held};"
                f" {whose} is {percent(habit.band)}, told from {percent(limit)}",
                habit.band,
            ),
        )
    )
    title = f"{_name(feed)}: {percent(gap)} away from the market"
    return _assessment(feed, "deviation", severity, score, reasons, title, at)


def deviation_limit(feed: Feed, habit: Habit, *, firm: bool) -> float:
    """From which difference on a feed is beyond what it may be."""
    limit = habit.band + (STABLE_BUFFER if stable(feed) else VOLATILE_BUFFER)
    return limit * (1.0 if habit.band_learnt else NOT_LEARNT) * (1.0 if firm else 2.0)


def assess_sequencer(feed: Feed, now: float, *, at: BlockRef | None) -> Assessment:
    """`oracle.stale` of a chain whose sequencer is down, or is back for less than an hour."""
    since = max(now - (feed.started_at or feed.updated_at), 0.0)
    severity: Severity | None = None
    points, text = 0.0, "the sequencer is up"
    if feed.answer != 0:
        severity, points = "critical", 90.0
        text = f"the sequencer is down for {span(since)}: no feed of this chain moves"
    elif since < SEQUENCER_GRACE_S:
        severity, points = "warning", 60.0
        text = f"the sequencer is back for {span(since)}: feeds may be old for {span(SEQUENCER_GRACE_S)}"
    score, reasons = settle((Reason("sequencer", float(feed.answer), points, text),))
    return _assessment(feed, "stale", severity, score, reasons, text, at)


def _assessment(
    feed: Feed,
    aspect: str,
    severity: Severity | None,
    score: float,
    reasons: tuple[Reason, ...],
    title: str,
    at: BlockRef | None,
) -> Assessment:
    return Assessment(
        key=alert_key(feed.chain_id, feed.protocol, feed.address, aspect),
        kind=f"oracle.{aspect}",
        subject=Subject("feed", feed.chain_id, feed.protocol, feed.address, _name(feed)),
        severity=severity,
        score=score,
        reasons=reasons,
        title=title if severity else f"{_name(feed)}: as it should be",
        evidence=Evidence(block=at.number, block_hash=at.hash or None) if at else Evidence(),
    )


def _name(feed: Feed) -> str:
    return f"{feed.base}/{feed.quote}" if feed.quote else feed.base or short(feed.address)


def _told(feed: Feed, answer: int) -> str:
    return price(answer / 10**feed.decimals)
