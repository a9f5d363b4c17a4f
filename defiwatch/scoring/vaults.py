"""Vaults: a share that lost value, one that gained it without a yield, and how much could be taken out now."""

from __future__ import annotations

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import alert_key
from defiwatch.domain.risk import Assessment, Evidence, Reason, Severity, Subject, Vault
from defiwatch.domain.units import span, to_float
from defiwatch.scoring.points import dollars, number, percent, settle
from defiwatch.state.vaults import Growth

FALL = 1e-5
"""A fall of less is rounding."""

LOSS = 0.005
GRAVE_LOSS = 0.05

JUMP = 0.005
"""A gain within one reading that no yield explains..."""

TIMES_USUAL = 20.0
"""...unless it is less than this many times what the usual pace gives in that time."""

GRAVE_JUMP = 0.10


def assess_vault(vault: Vault, growth: Growth, *, usd: float | None, at: BlockRef) -> Assessment | None:
    """`vault.share_price`: a share fell below its highest, or jumped by what no yield explains. None while unknown.

    What is told stands while the price is below its highest; a jump until the next reading.
    """
    if vault.unknown or vault.share_price <= 0 or vault.shares <= 0:
        return None
    fall, jump = -growth.low, growth.change
    odd = jump >= JUMP and jump > TIMES_USUAL * growth.due
    severity: Severity | None = None
    if fall > FALL:
        severity = "critical" if fall >= GRAVE_LOSS else "warning" if fall >= LOSS else "info"
    if odd:
        severity = "critical" if jump >= GRAVE_JUMP or severity == "critical" else "warning"
    left = min(vault.idle / vault.assets, 1.0) if vault.assets > 0 else 0.0
    idle = to_float(vault.idle, vault.decimals)
    worth = f" ({dollars(idle * usd)})" if usd is not None else ""
    loss = 100.0 * (1.0 - 0.5 ** (fall / LOSS)) if fall > FALL else 0.0
    gain = 100.0 * (1.0 - 0.5 ** (jump / JUMP)) if odd else 0.0
    reasons = [
        Reason("fall", growth.low, loss, f"a share is worth {percent(fall)} less than at its highest", 0.0),
        Reason(
            "jump",
            jump,
            gain,
            f"the share price rose by {percent(jump)} within {span(growth.elapsed)};"
            f" its usual pace gives {percent(growth.due)}",
            growth.due,
        ),
    ]
    kept = [reason for reason in reasons if reason.points > 0.0]
    if severity is not None:
        text = f"{number(idle)} {vault.symbol}{worth} lie in the vault, {percent(left)} of all: withdrawable now"
        kept.append(Reason("withdrawable", left, 0.1, text))
    score, told = settle(kept)
    what = f"a share lost {percent(fall)}" if fall > FALL else f"a share gained {percent(jump)} at once"
    return Assessment(
        key=alert_key(vault.chain_id, vault.protocol, vault.id, "share_price"),
        kind="vault.share_price",
        subject=Subject("vault", vault.chain_id, vault.protocol, vault.id, vault.label),
        severity=severity,
        score=score,
        reasons=told,
        title=f"{vault.label}: {what}" if severity else f"{vault.label}: as it should be",
        evidence=Evidence(block=at.number, block_hash=at.hash or None),
    )
