"""What can be wrong with an endpoint, and weathers: faults by chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

TOO_MANY = {"code": -32005, "message": "query returned more than 10000 results"}
BATCH_TOO_LARGE = {"code": -32600, "message": "batch too large"}
NO_METHOD = {"code": -32601, "message": "the method does not exist/is not available"}


@dataclass
class Faults:
    """What is wrong with the endpoint. Chances are 0..1 for each message, times in seconds.

    latency       waits up to so long before it answers
    refuse        429, with Retry-After (over a websocket: the error -32005)
    fail          502 (over a websocket: no answer)
    lose          takes a question and never answers it
    double        sends an answer or a notice twice
    drop_note     leaves a head unannounced
    late_note     announces a head up to so much later, so perhaps after the next
    hung          takes everything, answers and announces nothing
    max_range     blocks that one eth_getLogs may span
    max_batch     questions that one batch may hold
    stuck_at      shows no block above that height
    forked_from   shows other hashes from that height on, linked among themselves
    truncate_logs leaves a log out of an eth_getLogs answer
    empty_logs    answers eth_getLogs with nothing
    alter_logs    changes a log in an eth_getLogs answer
    removed_logs  marks the logs of an answer as removed
    alter_receipts  changes a log in a block's receipts
    without       methods that do not exist
    chain_id      the chain that it says it serves
    """

    latency: float = 0.0
    refuse: float = 0.0
    retry_after: float = 0.1
    fail: float = 0.0
    lose: float = 0.0
    double: float = 0.0
    drop_note: float = 0.0
    late_note: float = 0.0
    hung: bool = False
    max_range: int | None = None
    max_batch: int | None = None
    stuck_at: int | None = None
    forked_from: int | None = None
    truncate_logs: float = 0.0
    empty_logs: float = 0.0
    alter_logs: float = 0.0
    removed_logs: float = 0.0
    alter_receipts: float = 0.0
    without: frozenset[str] = frozenset()
    chain_id: int | None = None


Weather = Callable[[random.Random, int], Faults]
"""Faults by chance, given the chain's height."""

FOUL: dict[str, Weather] = {
    "slow": lambda rng, _: Faults(latency=rng.uniform(0.01, 0.15)),
    "limited": lambda rng, _: Faults(refuse=rng.uniform(0.2, 0.9), retry_after=0.2),
    "failing": lambda rng, _: Faults(fail=rng.uniform(0.2, 0.9)),
    "losing": lambda rng, _: Faults(lose=rng.uniform(0.05, 0.3)),
    "hung": lambda _rng, _: Faults(hung=True),
    "deaf": lambda rng, _: Faults(drop_note=rng.uniform(0.3, 1.0)),
    "jumbled": lambda rng, _: Faults(double=rng.uniform(0.2, 1.0), late_note=rng.uniform(0.05, 0.5)),
    "narrow": lambda rng, _: Faults(max_range=rng.choice((1, 3, 20)), max_batch=rng.choice((1, 5, 20)), latency=0.02),
    "removed": lambda rng, _: Faults(removed_logs=rng.uniform(0.2, 0.9)),
    "stuck": lambda rng, height: Faults(stuck_at=height - rng.randrange(4)),
}
"""Weather that a collector lives through without any check of what it is told."""

LIES: dict[str, Weather] = {
    "altering": lambda rng, _: Faults(alter_logs=rng.uniform(0.3, 1.0)),
    "truncating": lambda rng, _: Faults(truncate_logs=rng.uniform(0.3, 1.0)),
    "empty": lambda rng, _: Faults(empty_logs=rng.uniform(0.3, 1.0)),
    "false receipts": lambda rng, _: Faults(alter_receipts=rng.uniform(0.3, 1.0)),
}
"""Weather that only a check against the header finds out."""

FORK: dict[str, Weather] = {"forked": lambda rng, height: Faults(forked_from=height - rng.randrange(4))}
"""Weather that only other endpoints, or the recomputed hash, find out."""


def names() -> set[str]:
    """Every fault that there is."""
    return {one.name for one in fields(Faults)}


def kinds(weathers: Iterable[Weather]) -> set[str]:
    """The faults that some weathers bring."""
    rng, fair = random.Random(0), Faults()
    foul = [weather(rng, 100) for weather in weathers]
    return {name for name in names() for one in foul if getattr(one, name) != getattr(fair, name)}
