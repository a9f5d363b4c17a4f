"""Lending markets: who lent may soon not get out, and losses that nobody will repay."""

from __future__ import annotations

from defiwatch.config import Alerts
from defiwatch.domain.events import BadDebt, BlockRef
from defiwatch.domain.ids import alert_key
from defiwatch.domain.risk import Assessment, Evidence, Market, Reason, Severity, Subject
from defiwatch.domain.units import to_float
from defiwatch.scoring.points import dollars, number, percent, settle
from defiwatch.state.markets import AHEAD, Course, RatePath, rate_path

FULL = 0.995
"""From this utilisation on there is as good as nothing to withdraw."""

SOON_DAYS = 1.0
HIGH = 0.8
"""From this utilisation on it matters how fast it rises."""

DUST_USD = 1_000.0
"""A market of less than this is nobody's concern."""

WORTH_TELLING = 1e-4
SERIOUS = 1e-3
GRAVE = 1e-2
"""Bad debt as a part of what was supplied: told, a warning, critical."""


def assess_utilisation(
    market: Market, course: Course, settings: Alerts, *, usd: float | None, at: BlockRef
) -> Assessment | None:
    """`market.utilisation`: little is left to withdraw, or it is going there within a day. None for an empty market.

    `usd` is the price of one whole unit of the asset, None where there is none. A frozen or paused market is told as
    info at most: its users know.
    """
    if market.borrowed <= 0 or market.unknown:
        return None
    used = course.utilisation
    cash = to_float(market.cash, market.decimals)
    days = course.days_to_full
    soon = days is not None and days <= SOON_DAYS and used >= HIGH
    severity: Severity | None = None
    if used >= max(FULL, settings.utilisation):
        severity = "critical"
    elif used >= settings.utilisation:
        severity = "warning"
    elif soon:
        severity = "info"
    if severity is not None and (market.frozen or market.paused):
        severity = "info"
    if usd is not None and to_float(market.supplied, market.decimals) * usd < DUST_USD:
        severity = None
    worth = f" ({dollars(cash * usd)})" if usd is not None else ""
    reasons = [
        Reason(
            "utilisation",
            used,
            70.0 * min(used / settings.utilisation, 1.0) ** 8 + (20.0 if used >= FULL else 0.0),
            f"{percent(used)} is lent out; {number(cash)} {market.symbol}{worth} can be withdrawn now;"
            f" told from {percent(settings.utilisation)}",
            course.mean,
        )
    ]
    if course.known:
        path = f"{course.trend * 100.0:+.1f} points a day"
        if days is not None:
            path += f": all of it in {number(days)} days"
        reasons.append(Reason("trend", course.trend, 10.0 if soon else 0.0, f"it goes {path}"))
        reasons.append(
            Reason(
                "rate",
                course.rate,
                0.1 if market.borrow_rate else 0.0,
                f"borrowing costs {percent(course.rate)} a year, {course.rate_trend * 100.0:+.2f} points a day",
                course.mean_rate,
            )
        )
    reasons.append(_rate_path(market, course))
    score, told = settle(reasons)
    return Assessment(
        key=alert_key(market.chain_id, market.protocol, market.id, "utilisation"),
        kind="market.utilisation",
        subject=Subject("market", market.chain_id, market.protocol, market.id, market.label),
        severity=severity,
        score=score,
        reasons=told,
        title=f"{market.label}: {percent(used)} lent out, {number(cash)} {market.symbol}{worth} left",
        evidence=Evidence(block=at.number, block_hash=at.hash or None),
    )


def _rate_path(market: Market, course: Course) -> Reason:
    """What borrowers pay once everything is lent out: a fact beside the score, said to be unknown where it is."""
    path = rate_path(market, course)
    if path is None:
        text = f"what borrowers pay at 100 % utilisation is unknown: {market.curve_unknown}"
        return Reason("rate_path", market.borrow_rate, 0.0, text)
    text = f"at 100 % utilisation borrowers pay {percent(path.full)} a year{rising(path)}; now {percent(path.now)}"
    if path.steps:
        text += f"; if it goes on like this {steps_in_words(path)}"
    return Reason("rate_path", path.full, 0.0, text, path.now)


def rising(path: RatePath) -> str:
    """That the rate at 100 % does not stay where it is; "" where it does."""
    return f", {percent(path.daily)} more after each day there" if path.daily else ""


def steps_in_words(path: RatePath) -> str:
    """Where the rate goes: "12.0 % in 1 day (95.0 % lent out), …"; once all is lent out the rest is the same."""
    told = []
    for name, days in AHEAD.items():
        step = path.steps[name]
        time = f"{days:.0f} day{'s' if days > 1.0 else ''}"
        told.append(f"{percent(step.rate)} in {time} ({percent(step.utilisation)} lent out)")
    return ", ".join(told)


def assess_bad_debt(market: Market, *, usd: float | None, at: BlockRef) -> Assessment | None:
    """`market.bad_debt`: debt in the market with no collateral behind it. None where there is none at all."""
    if market.bad_debt <= 0:
        return None
    lost = to_float(market.bad_debt, market.decimals)
    share = market.bad_debt / market.supplied if market.supplied > 0 else 1.0
    severity: Severity | None = None
    if share >= WORTH_TELLING:
        severity = "critical" if share >= GRAVE else "warning" if share >= SERIOUS else "info"
    worth = f" ({dollars(lost * usd)})" if usd is not None else ""
    text = f"{number(lost)} {market.symbol}{worth} are owed without collateral: {percent(share)} of what was supplied"
    score, reasons = settle((Reason("bad_debt", share, 100.0 * (1.0 - 0.5 ** (share / SERIOUS)), text),))
    return Assessment(
        key=alert_key(market.chain_id, market.protocol, market.id, "bad_debt"),
        kind="market.bad_debt",
        subject=Subject("market", market.chain_id, market.protocol, market.id, market.label),
        severity=severity,
        score=score,
        reasons=reasons,
        title=f"{market.label}: {number(lost)} {market.symbol}{worth} of bad debt",
        evidence=Evidence(block=at.number, block_hash=at.hash or None),
    )


def bad_debt_written_off(fact: BadDebt, market: Market | None, *, usd: float | None, at: BlockRef) -> Assessment:
    """`market.bad_debt`, once: debt was written off at the suppliers' cost. `market` is the one it was owed to."""
    decimals = market.decimals if market else 0
    symbol = market.symbol if market else "units"
    lost = to_float(fact.amount, decimals)
    share = fact.amount / market.supplied if market and market.supplied > 0 else 0.0
    worth = f" ({dollars(lost * usd)})" if usd is not None and market else ""
    severity: Severity = "critical" if share >= GRAVE else "warning" if share >= SERIOUS else "info"
    text = f"{number(lost)} {symbol}{worth} were written off: {percent(share)} of what was supplied"
    score, reasons = settle((Reason("written_off", share, 30.0 + 70.0 * (1.0 - 0.5 ** (share / SERIOUS)), text),))
    subject = Subject("market", at.chain_id, fact.protocol, fact.market, market.label if market else fact.market)
    return Assessment(
        key=alert_key(
            at.chain_id, fact.protocol, f"{fact.market}:{fact.account}:{fact.tx}:{fact.log_index}", "bad_debt"
        ),
        kind="market.bad_debt",
        subject=subject,
        severity=severity,
        score=score,
        reasons=reasons,
        title=f"{subject.label}: {text}",
        evidence=Evidence(
            block=at.number,
            block_hash=at.hash or None,
            tx=fact.tx or None,
            log_index=fact.log_index if fact.log_index >= 0 else None,
        ),
        once=True,
    )
