"""Alerts: those that stand, and the stream of their changes."""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.risk import SEVERITIES, Alert
from defiwatch.domain.units import from_iso
from defiwatch.domain.view import AlertRow
from defiwatch.tui import figures
from defiwatch.tui.kinds.kind import Column, Kind
from defiwatch.tui.kinds.page import Page, evidence, trusted
from defiwatch.tui.lines import Line
from defiwatch.tui.marks import (
    FINALITY_WORDS,
    STATE_WORDS,
    severity_chip,
    severity_ink,
    state_mark,
)
from defiwatch.tui.picture import Picture


def time_of(alert: Alert) -> float:
    """Unix seconds of the change; 0.0 where its time cannot be read."""
    try:
        return from_iso(alert.time)
    except ValueError:
        return 0.0


def _age(time: float, picture: Picture) -> Line:
    return ((figures.age(picture.snapshot.time - time), "dim"),)


def _gone(alert: Alert) -> bool:
    return alert.state in ("cleared", "retracted")


def _title(alert: Alert) -> Line:
    return ((alert.title, "dim" if _gone(alert) else "text"),)


def _chip(alert: Alert) -> Line:
    return (severity_chip(alert.severity) if not _gone(alert) else (severity_chip(alert.severity)[0], "dim"),)


def _score(alert: Alert) -> Line:
    return ((figures.score(alert.score), "dim" if _gone(alert) else severity_ink(alert.severity)),)


def _handled(row: AlertRow, picture: Picture) -> Line:
    if row.snoozed_until is not None and row.snoozed_until > picture.snapshot.time:
        return ((f"till {figures.clock(row.snoozed_until)[:5]}", "accent"),)
    return (("acked", "accent"),) if row.acked else (("–", "faint"),)


def _words(alert: Alert) -> str:
    subject = alert.subject
    told = (
        alert.title,
        alert.kind,
        alert.severity,
        alert.state,
        subject.label,
        subject.id,
        subject.protocol,
        alert.key,
    )
    return " ".join(told)


def _facts(alert: Alert, page: Page, *more: tuple[str, Line]) -> None:
    page.line(
        state_mark(alert.state), (f" {alert.state}", "strong"), (f"  {STATE_WORDS.get(alert.state, '')}   ", "dim"),
        severity_chip(alert.severity), (f" {alert.severity}", severity_ink(alert.severity)),
    )  # fmt: skip
    page.blank()
    page.text(alert.title, "strong")
    page.blank()
    subject = alert.subject
    page.facts(
        (
            ("kind", ((alert.kind, "text"),)),
            ("time", ((figures.day_clock(time_of(alert)), "text"), (" UTC", "dim"))),
            ("subject", ((f"{subject.type} ", "dim"), (subject.label, "text"))),
            ("where", ((subject.protocol, "text"), (f" on chain {subject.chain_id}", "dim"))),
            *more,
        )
    )


def _tail(alert: Alert, page: Page) -> None:
    page.reasons(alert.score, alert.reasons, alert.severity)
    page.head("Evidence")
    page.facts(
        (
            *evidence(alert.evidence),
            ("finality", ((alert.finality, "text"), (f"   {FINALITY_WORDS.get(alert.finality, '')}", "dim"))),
            ("trust", trusted(alert.trust)),
            ("key", ((alert.key, "text"),)),
            ("id", ((alert.id, "text"),)),
        )
    )


def _log_page(alert: Alert, picture: Picture, page: Page) -> None:
    _facts(alert, page)
    _tail(alert, page)
    history = [other for other in picture.log if other.key == alert.key]
    if len(history) > 1:
        page.head("Life of this alert", "newest first")
        for other in history:
            page.line(
                (figures.day_clock(time_of(other)), "dim"),
                ("  ", "text"),
                state_mark(other.state),
                (f" {other.state:<9} ", "text"),
                (f"{other.score:5.1f}  ", severity_ink(other.severity)),
                (other.title, "text"),
            )


def _now(alert: Alert, picture: Picture) -> Line:
    """How the subject is now; the title tells how it was at the last change. () where it is not listed."""
    for position in picture.snapshot.positions:
        if alert.key.startswith(f"{position.key}:"):
            if position.unknown:
                return (("unknown: ", "warn"), (position.unknown, "warn"))
            if position.health_factor is None:
                return (("no debt", "good"),)
            ink = severity_ink(position.severity)
            away = f", {figures.percent(position.distance)} away" if position.distance is not None else ""
            return (("health factor ", "dim"), (figures.health(position.health_factor), ink), (away, "dim"))
    for pool in picture.snapshot.pools:
        if alert.key.startswith(f"{pool.key}:"):
            return (("score ", "dim"), (figures.score(pool.score), "text"), (" of 100", "dim"))
    for market in picture.snapshot.markets if alert.subject.type == "market" else ():
        if alert.key.startswith(f"{market.key}:"):
            return ((figures.percent(market.utilisation), "text"), (" used", "dim"))
    return ()


def _standing_page(row: AlertRow, picture: Picture, page: Page) -> None:
    stands = ((figures.age(picture.snapshot.time - row.since), "text"),)
    now = _now(row.alert, picture)
    _facts(row.alert, page, ("stands for", stands), ("handled", _handled(row, picture)), ("its subject now", now))
    _tail(row.alert, page)


def _is_handled(row: AlertRow, picture: Picture) -> bool:
    return row.acked or (row.snoozed_until is not None and row.snoozed_until > picture.snapshot.time)


def _standing_rows(picture: Picture) -> Sequence[AlertRow]:
    """As they come (most severe, then newest first), what somebody has in hand after the rest."""
    return sorted(picture.snapshot.alerts, key=lambda row: _is_handled(row, picture))


def _summary(picture: Picture) -> str:
    told = []
    for severity in reversed(SEVERITIES):
        number = sum(row.alert.severity == severity for row in picture.snapshot.alerts)
        if number:
            told.append(f"{number} {severity}")
    if handled := sum(_is_handled(row, picture) for row in picture.snapshot.alerts):
        told.append(f"{handled} in hand")
    return ", ".join(told)


STANDING: Kind[AlertRow] = Kind(
    name="alert",
    title="Standing alerts",
    columns=(
        Column("", 1, lambda row, _: (state_mark(row.alert.state),)),
        Column("", 1, lambda row, _: _chip(row.alert), order=lambda row: -SEVERITIES.index(row.alert.severity)),
        Column(
            "score",
            5,
            lambda row, _: _score(row.alert),
            order=lambda row: row.alert.score,
            right=True,
            falling=True,
            rank=1,
        ),
        Column("what", 50, lambda row, _: _title(row.alert), order=lambda row: row.alert.title, grow=1),
        Column("kind", 20, lambda row, _: ((row.alert.kind, "dim"),), order=lambda row: row.alert.kind, rank=4),
        Column(
            "finality", 9, lambda row, _: ((row.alert.finality, "dim"),), order=lambda row: row.alert.finality, rank=5
        ),
        Column("handled", 10, _handled, order=lambda row: (row.acked, row.snoozed_until or 0.0), rank=3),
        Column("since", 5, lambda row, picture: _age(row.since, picture), order=lambda row: -row.since, right=True),
    ),
    rows=_standing_rows,
    key=lambda row: row.alert.key,
    words=lambda row: _words(row.alert),
    awaited=lambda picture: (
        picture.awaited("alert", "all is calm") if not picture.started else "nothing stands: all is calm"
    ),
    page=_standing_page,
    ordered="most severe first",
    summary=_summary,
    alerts=lambda row, _: [row.alert.key],
)

LOG: Kind[Alert] = Kind(
    name="change",
    title="Changes",
    columns=(
        Column("", 1, lambda row, _: (state_mark(row.state),)),
        Column("", 1, lambda row, _: _chip(row), order=lambda row: -SEVERITIES.index(row.severity)),
        Column("score", 5, lambda row, _: _score(row), order=lambda row: row.score, right=True, falling=True, rank=1),
        Column("what", 50, lambda row, _: _title(row), order=lambda row: row.title, grow=1),
        Column("kind", 20, lambda row, _: ((row.kind, "dim"),), order=lambda row: row.kind, rank=4),
        Column("finality", 9, lambda row, _: ((row.finality, "dim"),), order=lambda row: row.finality, rank=5),
        Column("age", 4, lambda row, picture: _age(time_of(row), picture), order=lambda row: -time_of(row), right=True),
    ),
    rows=lambda picture: picture.log,
    key=lambda row: row.id,
    words=_words,
    awaited=lambda picture: picture.awaited("alert", "all is calm"),
    page=_log_page,
    ordered="newest first",
    alerts=lambda row, _: [row.key],
)
