"""Sample alerts: what the changes of the sample positions and pools would raise."""

from __future__ import annotations

import math
from functools import cache

from defiwatch.domain.risk import Alert, Evidence, Finality, Reason, Severity, State, Subject, Trust
from defiwatch.domain.units import iso
from defiwatch.domain.view import AlertRow
from tests.tui.samples.pools import pool
from tests.tui.samples.positions import OWNERS, position
from tests.tui.samples.world import BLOCK_S, HEAD, START, reasons


def _alert(
    number: int,
    step: int,
    state: State,
    kind: str,
    severity: Severity,
    title: str,
    subject: Subject,
    key: str,
    reasons: tuple[Reason, ...],
    finality: Finality = "head",
    trust: Trust = "proof",
) -> Alert:
    return Alert(
        id=f"{number:08x}-{step:04d}",
        key=key,
        state=state,
        kind=kind,
        severity=severity,
        score=min(100.0, round(math.fsum(reason.points for reason in reasons), 1)),
        time=iso(START + step * BLOCK_S - 1.0),
        title=title,
        subject=subject,
        reasons=reasons,
        evidence=Evidence(block=HEAD + step, block_hash="0x" + "5e" * 32, tx="0x" + "9a" * 32, log_index=17),
        finality=finality,
        trust=trust,
    )


@cache
def changes(until: int) -> tuple[Alert, ...]:
    """Every change of an alert up to a step, oldest first."""
    found: list[Alert] = []
    standing: dict[str, Severity] = {}
    number = 0
    for step in range(until + 1):
        for at in range(len(OWNERS)):
            row = position(at, step)
            key = f"{row.key}:liquidation"
            subject = Subject("position", 1, row.protocol, f"{row.market}:{row.account}", row.label)
            before, now = standing.get(key), row.severity
            if before == now:
                continue
            state: State = (
                "raised"
                if before is None
                else "cleared"
                if now is None
                else "worsened"
                if now == "critical"
                else "eased"
            )
            factor = row.health_factor or 0.0
            told = f"{row.label}: health factor {factor:.3f}"
            coin, fall = row.nearest.split()[0], (row.distance or 0.0) * 100
            if now is None:
                title = f"{told} again"
            elif factor >= 1:
                title = f"{told}, liquidated if {coin} falls {fall:.1f} %"
            else:
                title = f"{told}, can be liquidated now"
            number += 1
            found.append(
                _alert(
                    number,
                    step,
                    state,
                    "liquidation.warning",
                    now or before or "info",
                    title,
                    subject,
                    key,
                    row.reasons,
                )
            )
            if now is None:
                del standing[key]
            else:
                standing[key] = now
        if step == 58:
            drained = pool(1, step)
            subject = Subject("pool", 1, drained.protocol, drained.key, drained.label)
            number += 1
            found.append(
                _alert(
                    number,
                    step,
                    "raised",
                    "pool.drain",
                    "critical",
                    "crvUSD/USDC: 31 % of the value left in three blocks",
                    subject,
                    f"{drained.key}:drain",
                    drained.reasons,
                )
            )
        if step in (20, 24):
            subject = Subject("feed", 1, "chainlink", "0x" + "fe" * 20, "LUSD/USD")
            parts = reasons(("age", 5100.0, 3600.0, 34.0, "85 minutes since the last answer, the heartbeat is 60"))
            number += 1
            found.append(
                _alert(
                    number,
                    step,
                    "raised" if step == 20 else "cleared",
                    "oracle.stale",
                    "warning",
                    "LUSD/USD: last answer 85 minutes ago, heartbeat 60",
                    subject,
                    "1:chainlink:0xfe:stale",
                    parts,
                    "confirmed",
                    "quorum",
                )
            )
        if step in (61, 62):
            drained = pool(0, 60)
            subject = Subject("pool", 1, drained.protocol, drained.key, drained.label)
            number += 1
            found.append(
                _alert(
                    number,
                    step,
                    "raised" if step == 61 else "retracted",
                    "flow.whale",
                    "info",
                    "WETH/USDC 0.05 %: one sale of 4,100 WETH",
                    subject,
                    f"{drained.key}:whale",
                    reasons(("size", 4100.0, 12.0, 31.0, "340 times the usual size")),
                    "head",
                    "single",
                )
            )
    return tuple(found)


def standing_rows(feed: tuple[Alert, ...]) -> tuple[AlertRow, ...]:
    """What stands after these changes; one is acknowledged, one snoozed."""
    newest: dict[str, tuple[Alert, float]] = {}
    for alert in feed:
        since = newest[alert.key][1] if alert.key in newest else START + int(alert.id[-4:]) * BLOCK_S
        newest[alert.key] = (alert, since)
    rows = [AlertRow(alert, since) for alert, since in newest.values() if alert.state not in ("cleared", "retracted")]
    order = {"critical": 0, "warning": 1, "info": 2}
    rows.sort(key=lambda row: (order[row.alert.severity], -row.since))
    return tuple(
        AlertRow(row.alert, row.since, acked=at == 1, snoozed_until=START + 7200 if at == 3 else None)
        for at, row in enumerate(rows)
    )
