"""One lendable asset of a market: what its users put in and took out, what was liquidated, where its utilisation goes.

What users do is counted fact by fact; shares are told once the block's reads are in and the market's size is known.
"""

from __future__ import annotations

import math

import msgspec

from defiwatch.domain.events import BlockRef, LendingAction, LendingMoved, Liquidated
from defiwatch.domain.risk import Market
from defiwatch.features.series import SeriesTrace, begun, followed
from defiwatch.protocols.spec import Table
from defiwatch.state.markets import utilisation

MEMORY_S = 3600.0
"""Seconds after which what was counts 1/e: of the net amount that left, and of what was liquidated."""

ACTIONS: dict[LendingAction, str] = {
    "supply": "supplied",
    "withdraw": "withdrawn",
    "borrow": "borrowed",
    "repay": "repaid",
}
"""What users do → the feature that holds how much of it the block saw."""

_OUT = frozenset({"withdraw", "borrow"})
_NOTHING = 1e-9


class MarketTrace(msgspec.Struct, frozen=True):
    """What happened lately to one asset of a market, in the asset's smallest units.

    `moved` are the block's sums in the order of `ACTIONS`; `left` is the net amount that went out and `seized` the debt
    that liquidators repaid, both decayed up to `time`. `largest` is the block's largest single amount, at
    (`tx`, `log_index`). `looked` is the last block that an observation was made of; `used` the utilisation's past.
    """

    block: int
    time: int
    moved: tuple[float, ...] = (0.0,) * len(ACTIONS)
    left: float = 0.0
    seized: float = 0.0
    largest: int = -1
    tx: str = ""
    log_index: int = -1
    looked: int = -1
    used: SeriesTrace | None = None


MARKET_TRACES: Table[tuple[str, str, str], MarketTrace] = Table("features.market")
"""(protocol, market, asset) → what happened to it lately."""


SEIZED: Table[tuple[str, str, str], int] = Table("features.seized")
"""(protocol, market, account) → the block in which the position was liquidated last; the last such blocks' only."""


def market_key(market: Market) -> tuple[str, str, str]:
    """Where a market's trace is kept: facts name the market and the asset."""
    return (market.protocol, market.id.split(":")[0], market.asset)


def fact_key(fact: LendingMoved | Liquidated) -> tuple[str, str, str]:
    """The same of a fact."""
    return (fact.protocol, fact.market, fact.asset if isinstance(fact, LendingMoved) else fact.debt_asset)


def happened(trace: MarketTrace | None, at: BlockRef, fact: LendingMoved | Liquidated) -> MarketTrace:
    """The trace after one more thing that happened to the market."""
    trace = trace or MarketTrace(at.number, at.time)
    kept = math.exp(-max(at.time - trace.time, 0) / MEMORY_S)
    moved, largest = trace.moved, trace.largest
    if trace.block != at.number:
        moved, largest = (0.0,) * len(ACTIONS), -1
    left, seized = trace.left * kept, trace.seized * kept
    tx, log_index = trace.tx, trace.log_index
    amount = fact.amount if isinstance(fact, LendingMoved) else fact.debt_repaid
    if isinstance(fact, LendingMoved):
        place = tuple(ACTIONS).index(fact.action)
        moved = (*moved[:place], moved[place] + float(amount), *moved[place + 1 :])
        left += float(amount if fact.action in _OUT else -amount)
    else:
        left -= float(amount)
        seized += float(amount)
    if amount > largest:
        largest, tx, log_index = amount, fact.tx, fact.log_index
    return MarketTrace(
        block=at.number,
        time=at.time,
        moved=moved,
        left=left,
        seized=seized,
        largest=largest,
        tx=tx,
        log_index=log_index,
        looked=trace.looked,
        used=trace.used,
    )


def seen(trace: MarketTrace, at: BlockRef, market: Market) -> MarketTrace:
    """The trace after the block was looked at."""
    used = utilisation(market)
    past = begun(used) if trace.used is None else followed(trace.used, at.time, used)
    return msgspec.structs.replace(trace, looked=at.number, used=past)


def market_values(trace: MarketTrace, at: BlockRef, market: Market, *, quiet: bool = False) -> dict[str, float]:
    """The features of the market as it stands at `at`, before `seen`; {} for an empty one.

    `quiet`: nothing happened in the block, only what lasts is told.
    """
    if market.supplied <= 0:
        return {}
    kept = math.exp(-max(at.time - trace.time, 0) / MEMORY_S)
    whole = float(market.supplied)
    values: dict[str, float] = {}
    if not quiet:
        for name, amount in zip(ACTIONS.values(), trace.moved, strict=True):
            if amount > 0.0:
                values[name] = min(amount / whole, 1e6)
    values["drained"] = min(abs(trace.left) * kept / whole, 1e6)
    seized = trace.seized * kept
    if seized > _NOTHING * whole:
        values["liquidated"] = seized / (seized + float(market.borrowed))
    if trace.used is not None:
        used = utilisation(market)
        if not quiet:
            values["step"] = abs(used - trace.used.last)
        values["strayed"] = abs(used - trace.used.mean)
    return values


def market_facts(trace: MarketTrace, market: Market) -> dict[str, float]:
    """What reasons quote: the net part that left with its sign (positive: out), the utilisation now and before."""
    used = utilisation(market)
    return {
        "drained": trace.left / float(market.supplied) if market.supplied > 0 else 0.0,
        "utilisation": used,
        "step": used - trace.used.last if trace.used else 0.0,
        "strayed": used - trace.used.mean if trace.used else 0.0,
    }
