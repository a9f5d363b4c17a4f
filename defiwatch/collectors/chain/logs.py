"""`eth_getLogs` with its answer checked: only wanted logs, and a question that is too large for one block is split."""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.collectors.chain.filters import Query, Wanted
from defiwatch.collectors.wire import LOGS, Rpc
from defiwatch.domain.frames import RawLog
from defiwatch.domain.ids import Hash
from defiwatch.errors import LimitError


async def of_block(rpc: Rpc, wanted: Wanted, block_hash: Hash) -> list[RawLog]:
    """The wanted logs of one block."""
    found: list[RawLog] = []
    for query in wanted.queries:
        found += await _split(rpc, query, {"blockHash": block_hash})
    return [log for log in found if wanted.admits(log)]


async def every(rpc: Rpc, block_hash: Hash) -> Sequence[RawLog]:
    """All logs of one block, wanted or not."""
    return await rpc.call("eth_getLogs", [{"blockHash": block_hash}], LOGS)


async def of_range(rpc: Rpc, wanted: Wanted, first: int, last: int) -> list[RawLog]:
    """The wanted logs of a range of heights, both ends included. LimitError with `too_large` if it must be halved."""
    found: list[RawLog] = []
    for query in wanted.queries:
        found += await plain(rpc, query, first, last)
    return [log for log in found if wanted.admits(log)]


async def plain(rpc: Rpc, query: Query, first: int, last: int) -> Sequence[RawLog]:
    """The logs of one question over a range, as they come."""
    return await rpc.call("eth_getLogs", [{**query.params(), "fromBlock": hex(first), "toBlock": hex(last)}], LOGS)


async def _split(rpc: Rpc, query: Query, where: dict[str, object]) -> Sequence[RawLog]:
    try:
        return await rpc.call("eth_getLogs", [{**query.params(), **where}], LOGS)
    except LimitError as error:
        halves = query.halves() if error.too_large else None
        if halves is None:
            raise
    return [*await _split(rpc, halves[0], where), *await _split(rpc, halves[1], where)]
