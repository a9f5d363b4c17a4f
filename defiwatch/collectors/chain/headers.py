"""Headers by height."""

from __future__ import annotations

from defiwatch.collectors.wire import HEADER, Rpc
from defiwatch.domain.frames import Header
from defiwatch.errors import NodeError


async def of_range(rpc: Rpc, first: int, last: int) -> list[Header | None]:
    """The headers of these heights, both ends included, in order; None where the node has no such block."""
    if first == last:
        return [await rpc.call("eth_getBlockByNumber", [hex(first), False], HEADER)]
    found: list[Header | None] = []
    questions = [("eth_getBlockByNumber", [hex(number), False]) for number in range(first, last + 1)]
    for answer in await rpc.batch(questions, HEADER):
        if isinstance(answer, NodeError):
            raise answer
        found.append(answer)
    return found
