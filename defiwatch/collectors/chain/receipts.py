"""`eth_getBlockReceipts`: a block's receipts by its hash, or those of the block that a node has at a height."""

from __future__ import annotations

from defiwatch.collectors.verify import Receipt
from defiwatch.collectors.wire import Rpc, Shape
from defiwatch.domain.frames import Header
from defiwatch.errors import NodeError

RECEIPTS: Shape[tuple[Receipt, ...] | None] = Shape(tuple[Receipt, ...] | None)

_INVALID_PARAMS = -32602


async def block(header: Header, _: int, rpc: Rpc) -> tuple[Receipt, ...] | None:
    """All receipts of a block, by its hash; by its number where a node wants that: the root tells whether they fit."""
    try:
        return await rpc.call("eth_getBlockReceipts", [header.hash], RECEIPTS)
    except NodeError as error:
        if error.code != _INVALID_PARAMS:
            raise
    return await rpc.call("eth_getBlockReceipts", [header.number], RECEIPTS)


async def height(number: str, _: int, rpc: Rpc) -> tuple[Receipt, ...] | None:
    """All receipts of the block that a node has at a height: each names its block's hash."""
    return await rpc.call("eth_getBlockReceipts", [number], RECEIPTS)
