"""How close a lending position is to liquidation, and what a liquidation meant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef, Liquidated
from defiwatch.domain.ids import Address, alert_key, short, subject_id
from defiwatch.domain.risk import Alert, Assessment, Evidence, Leg, Position, Reason, Severity, Subject
from defiwatch.domain.units import UINT256_MAX, WAD, to_float
from defiwatch.protocols.spec import Book
from defiwatch.scoring.points import dollars, percent, settle
from defiwatch.scoring.tracks import TRACKS, PositionTrack, followed, mended

TIGHT = 0.3
"""A correlated position lives closer to 1 by design: its lines lie at this part of the distance of others'."""

HARDLY = 0.001
"""Below this chance within a week a factor under the warning line is only info."""

LARGE_USD = 100_000.0
"""A liquidation that repays this much is a warning to everybody, not only to its owner."""


def health_factor(position: Position) -> float:
    """The factor as a plain number; infinity without debt."""
    return (
        math.inf if position.debt_base == 0 or position.health_factor >= UINT256_MAX else position.health_factor / WAD
    )


def correlated(position: Position) -> bool:
    """Whether collateral and debt move together: an efficiency mode carries it, or both sides hold the same asset."""
    total = sum(leg.collateral_base for leg in position.legs)
    if total <= 0:
        return False
    debts = {leg.asset for leg in position.legs if leg.debt_base > 0}
    same = sum(leg.collateral_base for leg in position.legs if leg.asset in debts)
    boosted = sum(leg.collateral_base for leg in position.legs if leg.liquidation_threshold >= 9_000)
    return same * 10 >= total * 9 or (position.emode != 0 and boosted * 10 >= total * 9)


def nearest(position: Position) -> tuple[Leg, float] | None:
    """The asset whose own move liquidates soonest, and that move: -0.021 is a fall by 2.1 %. None where none does."""
    moves = []
    for leg in position.legs:
        price = position.liquidation_prices.get(leg.asset)
        if price is not None and leg.price > 0 and price > 0:
            moves.append((abs(price / leg.price - 1.0), leg.asset, leg, price / leg.price - 1.0))
    return min(moves, key=lambda item: item[:2])[2:] if moves else None


def assess_position(
    position: Position,
    settings: Alerts,
    *,
    track: PositionTrack | None = None,
    watched: bool = False,
    unit: float | None = 1.0,
    chances: Mapping[str, float] | None = None,
    relieved: bool = False,
) -> Assessment | None:
    """`liquidation.warning`, from the exact factor. None where the factor is unknown: nothing may be concluded then.

    Below the warning line a warning, below the critical line (and below 1) critical. Correlated positions are told as
    info until they reach the tighter lines that suit them. `chances` is P(liquidated, if nothing is done) by horizon,
    where it is known well enough to count: within a day likelier than `p_liquidation_warning` warns also above the
    warning line, likelier than `p_liquidation_critical` is critical, and where not even a week could do it, below the
    warning line is only info. `unit`: dollars for one unit of the position's base currency, None where not known.
    What was `relieved` by somebody is told at once: of a watched wallet always, of others once it is over.
    Debt under `min_debt_usd` is dust, which nobody liquidates, unless the wallet is watched; debt without collateral
    is bad debt already, not a position to be liquidated.
    The reason `jump` says that the price went past the warning line and 1 at once: no warning was possible.
    """
    if position.unknown:
        return None
    factor = health_factor(position)
    debt = None if unit is None else to_float(position.debt_base, position.base_decimals) * unit
    tight = TIGHT if correlated(position) else 1.0
    dust = debt is not None and debt < settings.min_debt_usd
    judged = position.collateral_base > 0 and factor < math.inf and (watched or not dust)
    severity = _severity(factor, tight, settings, chances or {}) if judged else None
    reasons = _reasons(position, factor, debt, tight, settings, track) if judged else []
    if judged and chances and factor >= 1.0:
        reasons += _chance_reasons(chances, settings)
    if watched and severity is not None:
        reasons.append(Reason("watched", 1.0, 0.0, "this wallet is on the watch list"))
    score, told = settle(reasons)
    return Assessment(
        key=alert_key(position.chain_id, position.protocol, _position_id(position), "liquidation"),
        kind="liquidation.warning",
        subject=_subject(position),
        severity=severity,
        score=score,
        reasons=told,
        title=_title(position, factor),
        evidence=Evidence(block=position.block, block_hash=position.block_hash or None),
        relieved=relieved and (watched or severity is None),
    )


def liquidation_executed(
    fact: Liquidated,
    at: BlockRef,
    settings: Alerts,
    *,
    before: Position | None = None,
    track: PositionTrack | None = None,
    watched: bool = False,
    unit: float | None = 1.0,
) -> Assessment:
    """`liquidation.executed`: once per liquidation. Critical for a watched wallet, a warning from $100k on, else info.

    `before` is the position as it was judged last, `track` what its factor did until then; both from an earlier block.
    The reason `jump` stands where it was above the warning line then.
    """
    legs = {leg.asset: leg for leg in before.legs} if before else {}
    base = before.base_decimals if before else 8
    repaid, repaid_text = _worth(fact.debt_repaid, fact.debt_asset, legs, base, unit)
    seized, seized_text = _worth(fact.collateral_seized, fact.collateral_asset, legs, base, unit)
    debt = to_float(before.debt_base, base) * (unit or 0.0) if before else 0.0
    share = min(1.0, repaid / debt) if repaid is not None and debt > 0.0 else None
    factor = health_factor(before) if before else math.inf
    if track is not None:
        factor = track.before if track.block == at.number else track.factor
    reasons = [
        Reason(
            "debt_repaid",
            repaid if repaid is not None else float(fact.debt_repaid),
            min(60.0, 10.0 * math.log10(1.0 + repaid)) if repaid is not None else 30.0,
            f"a liquidator repaid {repaid_text} and took {seized_text}",
        )
    ]
    if share is not None:
        reasons.append(Reason("share_of_debt", share, 20.0 * share, f"{percent(share)} of the position's debt"))
    if repaid and seized is not None and seized > repaid:
        bonus = seized / repaid - 1.0
        reasons.append(
            Reason("bonus", bonus, min(5.0, 50.0 * bonus), f"the owner paid {percent(bonus)} more than was repaid")
        )
    if math.isfinite(factor) and factor >= settings.health_factor_warning:
        reasons.append(_jump(factor, None))
    if watched:
        reasons.append(Reason("watched", 1.0, 15.0, "this wallet is on the watch list"))
    score, told = settle(reasons)
    label = _name(fact.account, before.label if before else "")
    severity: Severity = "critical" if watched else "warning" if (repaid or 0.0) >= LARGE_USD else "info"
    subject = subject_id(fact.market, fact.account)
    return Assessment(
        key=alert_key(at.chain_id, fact.protocol, subject, f"liquidated:{fact.tx or at.number}:{fact.log_index}"),
        kind="liquidation.executed",
        subject=Subject("position", at.chain_id, fact.protocol, subject, label),
        severity=severity,
        score=score,
        reasons=told,
        title=f"{label}: liquidated, {repaid_text} repaid, {seized_text} taken",
        evidence=Evidence(
            block=at.number,
            block_hash=at.hash or None,
            tx=fact.tx or None,
            log_index=fact.log_index if fact.log_index >= 0 else None,
        ),
        once=True,
    )


def position_gone(alert: Alert, at: BlockRef) -> Assessment:
    """The judgement on a position that a standing alert is about and that is no more: nothing left to warn of."""
    return Assessment(
        key=alert.key,
        kind=alert.kind,
        subject=alert.subject,
        severity=None,
        score=0.0,
        reasons=(),
        title=f"{alert.subject.label}: position closed",
        evidence=Evidence(block=at.number, block_hash=at.hash or None),
    )


class PositionJudge:
    """Positions judged with their past, which is kept in the book, so that a reorg undoes it."""

    def __init__(self, settings: Alerts) -> None:
        self.settings = settings

    def assess(
        self,
        book: Book,
        position: Position,
        *,
        watched: bool = False,
        unit: float | None = 1.0,
        chances: Mapping[str, float] | None = None,
    ) -> Assessment | None:
        """Judge a position and remember its factor. None where it is unknown, which changes nothing."""
        if position.unknown:
            return None
        key = (position.protocol, position.market, position.account)
        known = book.get(TRACKS, key)
        factor = health_factor(position)
        if factor == math.inf:
            if known is not None:
                book.drop(TRACKS, key)
            return assess_position(position, self.settings, watched=watched, unit=unit, relieved=True)
        track = followed(known, position, factor)
        if track != known:
            book.put(TRACKS, key, track)
        return assess_position(
            position,
            self.settings,
            track=track if known else None,
            watched=watched,
            unit=unit,
            chances=chances,
            relieved=known is not None and mended(known, track),
        )

    def executed(
        self,
        book: Book,
        at: BlockRef,
        fact: Liquidated,
        before: Position | None = None,
        *,
        watched: bool = False,
        unit: float | None = 1.0,
    ) -> Assessment:
        """Judge a liquidation by what was known of the position before the block `at`."""
        track = book.get(TRACKS, (fact.protocol, fact.market, fact.account))
        return liquidation_executed(fact, at, self.settings, before=before, track=track, watched=watched, unit=unit)


def _severity(factor: float, tight: float, settings: Alerts, chances: Mapping[str, float]) -> Severity | None:
    warning, critical = settings.health_factor_warning, settings.health_factor_critical
    if factor < 1.0 or factor < 1.0 + (critical - 1.0) * tight:
        return "critical"
    day, week = chances.get("24h", 0.0), chances.get("7d", 1.0)
    if factor < far_line(settings) and day >= settings.p_liquidation_critical:
        return "critical"
    if factor < far_line(settings) and day >= settings.p_liquidation_warning:
        return "warning"
    if factor < 1.0 + (warning - 1.0) * tight:
        return "warning" if week >= HARDLY else "info"
    return "info" if factor < warning else None


def far_line(settings: Alerts) -> float:
    """The factor from which on nothing is looked at: three times the warning line's distance from 1."""
    return 1.0 + 3.0 * max(settings.health_factor_warning - 1.0, 1e-6)


def _chance_reasons(chances: Mapping[str, float], settings: Alerts) -> list[Reason]:
    day = chances.get("24h")
    if day is None:
        return []
    points = 12.0 * min(1.0, day / max(settings.p_liquidation_critical, 1e-9))
    text = f"{percent(day)} likely to be liquidated within 24 h, if nothing is done"
    return [Reason("p_liquidation", day, points, text, settings.p_liquidation_warning)]


def _factor_points(factor: float, tight: float, settings: Alerts) -> float:
    """0 at three times the warning line's distance from 1, 42 at the line, 60 at the critical, 70 at 1, 75 at 0.9.

    Correlated positions have 14 at the line of others, and the rest at their own.
    """
    warning = 1.0 + (settings.health_factor_warning - 1.0) * tight
    critical = 1.0 + (settings.health_factor_critical - 1.0) * tight
    far = far_line(settings)
    info = ((settings.health_factor_warning, 14.0),) if tight < 1.0 else ()
    steps: tuple[tuple[float, float], ...] = (
        (far, 0.0),
        *info,
        (warning, 42.0),
        (critical, 60.0),
        (1.0, 70.0),
        (0.9, 75.0),
    )
    if factor >= far:
        return 0.0
    for (high, low_points), (low, high_points) in pairwise(steps):
        if factor >= low:
            return high_points - (high_points - low_points) * (factor - low) / max(high - low, 1e-12)
    return 75.0


def _reasons(
    position: Position, factor: float, debt: float | None, tight: float, settings: Alerts, track: PositionTrack | None
) -> list[Reason]:
    line = 1.0 + (settings.health_factor_warning - 1.0) * tight
    note = "; its two sides move together" if tight < 1.0 else ""
    below = "can be liquidated now" if factor < 1.0 else f"warned below {line:.2f}, liquidated below 1"
    reasons = [
        Reason("health_factor", factor, _factor_points(factor, tight, settings), f"{factor:.3f}: {below}{note}", line)
    ]
    soonest = nearest(position)
    if soonest is not None:
        leg, move = soonest
        points = 12.0 * tight * max(0.0, 1.0 - abs(move) / 0.3) ** 2
        reasons.append(Reason("distance", move, points, _distance_text(leg, move, below=factor < 1.0)))
    if debt is not None and debt > 0.0:
        points = 5.0 * min(1.0, math.log10(1.0 + debt) / 6.0)
        reasons.append(Reason("debt", debt, points, f"{dollars(debt)} of debt"))
    if track is None:
        return reasons
    if factor < 1.0 <= settings.health_factor_warning <= track.before:
        reasons.append(_jump(track.before, factor))
    elif track.speed > 0.0 and factor > 1.0:
        hours = (factor - 1.0) / track.speed
        reasons.append(
            Reason("fall", track.speed, 8.0 / (1.0 + hours), f"the factor falls by {track.speed:.3f} an hour", 0.0)
        )
    return reasons


def _jump(before: float, factor: float | None) -> Reason:
    now = f"to {factor:.3f}" if factor is not None else "below 1"
    return Reason(
        "jump", before, 8.0, f"one price update took the factor from {before:.3f} {now}: no warning was possible"
    )


def _distance_text(leg: Leg, move: float, *, below: bool = False) -> str:
    comes = "back at 1" if below else "liquidated"
    if move < 0.0:
        return f"{comes} if {_symbol(leg)} falls {percent(move)[1:]}"
    return f"{comes} if {_symbol(leg)} rises {percent(move)}"


def _title(position: Position, factor: float) -> str:
    label = _name(position.account, position.label)
    if factor == math.inf:
        return f"{label}: no debt"
    if factor < 1.0:
        return f"{label}: health factor {factor:.3f}, can be liquidated"
    soonest = nearest(position)
    distance = f", {_distance_text(*soonest)}" if soonest is not None else ""
    return f"{label}: health factor {factor:.3f}{distance}"


def _position_id(position: Position) -> str:
    return subject_id(position.market, position.account)


def _subject(position: Position) -> Subject:
    label = _name(position.account, position.label)
    return Subject("position", position.chain_id, position.protocol, _position_id(position), label)


def _name(account: Address, market: str) -> str:
    """The account, and its market where a protocol has many."""
    return f"{short(account)} {market}".strip()


def _symbol(leg: Leg) -> str:
    return leg.symbol or short(leg.asset)


def _worth(
    amount: int, asset: Address, legs: dict[Address, Leg], base_decimals: int, unit: float | None
) -> tuple[float | None, str]:
    """(in dollars or None, in words): by the prices of the position's last judgement."""
    leg = legs.get(asset)
    if leg is None:
        return None, f"{amount} units of {short(asset)}"
    units = to_float(amount, leg.decimals)
    words = f"{units:,.4g} {_symbol(leg)}" if units < 1000.0 else f"{units:,.0f} {_symbol(leg)}"
    known = leg.price > 0 and unit is not None
    return (units * to_float(leg.price, base_decimals) * (unit or 0.0) if known else None), words
