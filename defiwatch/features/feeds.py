"""One oracle feed's pushes against its own habit: how far each moved, how soon it came, how far off the market."""

from __future__ import annotations

import math

import msgspec

from defiwatch.domain.events import BlockRef, PricePushed
from defiwatch.protocols.spec import Table

MEMORY_S = 3600.0
"""Seconds after which a push counts 1/e in the feed's pace."""


class FeedTrace(msgspec.Struct, frozen=True):
    """What one feed published lately. `block` is that of its last push; `push`, `interval`, `before` and the place
    (`tx`, `log_index`) are of the push of that block which moved farthest. `pace` counts pushes, decayed up to `time`.

    `looked` is the last block that an observation was made of; `fresh` says that a first push has nothing before it.
    """

    answer: int
    updated_at: int
    block: int
    time: int
    pace: float = 1.0
    push: float = 0.0
    interval: int = 0
    before: int = 0
    tx: str = ""
    log_index: int = -1
    looked: int = -1
    fresh: bool = True


FEED_TRACES: Table[tuple[str, str], FeedTrace] = Table("features.feed")
"""(protocol, feed) → what it published lately."""


def pushed(trace: FeedTrace | None, at: BlockRef, fact: PricePushed) -> FeedTrace:
    """The trace after one more push. An answer that is no price moves nothing."""
    if trace is None:
        return FeedTrace(
            fact.answer, fact.updated_at, at.number, at.time, tx=fact.tx, log_index=fact.log_index, before=fact.answer
        )
    pace = trace.pace * math.exp(-max(at.time - trace.time, 0) / MEMORY_S) + 1.0
    priced = fact.answer > 0 and trace.answer > 0
    push = abs(math.log(fact.answer / trace.answer)) if priced else 0.0
    interval = max(fact.updated_at - trace.updated_at, 0)
    again = trace.block == at.number and not trace.fresh
    if again and trace.push >= push:
        changed = msgspec.structs.replace(trace, answer=fact.answer, updated_at=fact.updated_at, pace=pace)
        return msgspec.structs.replace(changed, time=at.time, interval=max(interval, trace.interval))
    return FeedTrace(
        answer=fact.answer,
        updated_at=fact.updated_at,
        block=at.number,
        time=at.time,
        pace=pace,
        push=push,
        interval=max(interval, trace.interval) if again else interval,
        before=trace.answer,
        tx=fact.tx,
        log_index=fact.log_index,
        looked=trace.looked,
        fresh=False,
    )


def push_values(trace: FeedTrace, away: float | None) -> dict[str, float]:
    """The features of the block's push. `away`: how far it is from what others say, None where nobody else says."""
    values = {"push": trace.push, "interval": float(trace.interval), "pushes": trace.pace}
    return values if away is None else values | {"away": away}


def push_facts(trace: FeedTrace) -> dict[str, float]:
    """What reasons quote of a push: the move with its sign (1.0 is +100 %)."""
    return {"push": trace.answer / trace.before - 1.0 if trace.before > 0 else 0.0}
