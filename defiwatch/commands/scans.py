"""How many requests it takes to find everyone who has a position, by searching the past, and how long."""

from __future__ import annotations

from math import ceil, inf

import msgspec

from defiwatch.config import Chain, Deployment
from defiwatch.domain.units import span

SEARCHES = {"aave_v3": 2, "compound_v3": 1, "morpho_blue": 2}
"""How often a protocol's past is gone through: for debt and for supply, for one of them, for markets and accounts."""

LEAST_SHARE = 0.1
"""The part of a budget that a search has at least, where following the head would take all of it."""


class ScanNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What the searches of one chain take, about, where its deployments have `scan`.

    `requests` for logs, each of `span` blocks (`learnt`: by an earlier run, else as found out now); the accounts that
    they find are read on top, some hundreds in a request. `hours` at the budget that the head leaves, or at the
    endpoint's latency; None where neither is known. A restart goes on where a search was left.
    """

    deployments: int
    blocks: int
    span: int
    learnt: bool
    requests: int
    hours: float | None


def scan_needs(
    chain: Chain,
    deployments: tuple[Deployment, ...],
    *,
    head: int,
    span: int,
    learnt: bool,
    budget: float | None,
    asked: float,
    latency_s: float | None,
) -> ScanNeeds | None:
    """None where nothing is searched. `budget` and `asked` (what following the head takes) in requests a minute."""
    mine = [one for one in deployments if one.chain == chain.name and one.scan and one.protocol in SEARCHES]
    if not mine or span < 1:
        return None
    blocks = sum(max(0, head - one.from_block + 1) * _searches(one) for one in mine)
    requests = sum(ceil(max(0, head - one.from_block + 1) / span) * _searches(one) for one in mine)
    free = inf if budget is None else max(budget - asked, LEAST_SHARE * budget)
    slowest = max(0.0 if free == inf else 60.0 / free, latency_s or 0.0)
    hours = requests * slowest / 3600.0 if slowest > 0.0 else None
    return ScanNeeds(
        deployments=len(mine),
        blocks=blocks,
        span=span,
        learnt=learnt,
        requests=requests,
        hours=None if hours is None else round(hours, 3),
    )


def _searches(deployment: Deployment) -> int:
    return 1 if deployment.protocol == "morpho_blue" and deployment.pools else SEARCHES[deployment.protocol]


def told(needs: ScanNeeds) -> str:
    """The same in words."""
    by = "learnt by an earlier run" if needs.learnt else "as found out now"
    takes = "" if needs.hours is None else f", about {span(needs.hours * 3600.0)}"
    return (
        f"about {needs.requests:,} requests for logs ({needs.span:,} blocks each, {by}){takes}; reads of the accounts"
        " found come on top; a restart goes on where it was left"
    )
