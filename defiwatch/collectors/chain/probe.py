"""Finding out what an endpoint is good for, by asking it. No question names a wallet."""

from __future__ import annotations

import math

from defiwatch.collectors.chain.multicall import MULTICALL3
from defiwatch.collectors.wire import ANY, LOGS, TEXT, Rpc, WebSocketRpc
from defiwatch.domain.frames import Header
from defiwatch.domain.units import from_hex
from defiwatch.errors import AnswerError, EndpointError, LimitError, NodeError

RANGES = (100_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 10, 1)
"""Spans of blocks that are tried in one `eth_getLogs`, widest first."""
BATCHES = (100, 50, 20, 10, 3)
"""Sizes of a batch that are tried, largest first."""

_NO_TOPIC = "0x" + "00" * 31 + "01"


class Probe:
    """Each finding is None where the endpoint failed or refused for rate, so that nothing is known.

    `trouble` then says why, in the words of the first failure. `most` questions at once is what a budget allows.
    """

    def __init__(self, rpc: Rpc, head: Header, most: float = math.inf) -> None:
        self._rpc = rpc
        self._head = head
        self._most = most
        self.trouble = ""

    def _failed(self, error: EndpointError) -> None:
        self.trouble = self.trouble or str(error)

    async def log_range(self) -> int | None:
        """The widest span that one `eth_getLogs` may have, of `RANGES` and the whole chain where it is shorter than
        the widest; 0 if none.
        """
        last = from_hex(self._head.number)
        whole = last + 1
        for span in [min(RANGES[0], whole), *(span for span in RANGES[1:] if span < whole)]:
            first = last - span + 1
            wanted = {"address": [MULTICALL3], "topics": [[_NO_TOPIC]], "fromBlock": hex(first), "toBlock": hex(last)}
            try:
                await self._rpc.call("eth_getLogs", [wanted], LOGS)
            except LimitError as error:
                if not error.too_large:
                    self._failed(error)
                    return None
            except NodeError:
                # Some refuse a range in words of their own; a narrower one tells whether that was it.
                continue
            except EndpointError as error:
                self._failed(error)
                return None
            else:
                return span
        return 0

    async def batch(self) -> int | None:
        """The largest batch of `BATCHES` that it takes, none beyond the budget; 1 if none."""
        for size in BATCHES:
            if size > self._most:
                continue
            try:
                answers = await self._rpc.batch([("eth_chainId", [])] * size, TEXT)
            except LimitError as error:
                if not error.too_large:
                    self._failed(error)
                    return None
            except (AnswerError, NodeError):
                continue
            except EndpointError as error:
                self._failed(error)
                return None
            else:
                if not any(isinstance(answer, NodeError) for answer in answers):
                    return size
        return 1

    async def subscription(self) -> bool | None:
        """Whether it announces heads; None over HTTP, which cannot."""
        if not isinstance(self._rpc, WebSocketRpc):
            return None
        try:
            heads = await self._rpc.subscribe(["newHeads"], ANY)
            await self._rpc.unsubscribe(heads)
        except NodeError:
            return False
        except EndpointError as error:
            self._failed(error)
            return None
        return True

    async def multicall(self) -> bool | None:
        """Whether Multicall3 is deployed."""
        try:
            code = await self._rpc.call("eth_getCode", [MULTICALL3, "latest"], TEXT)
        except EndpointError as error:
            self._failed(error)
            return None
        return len(code) > 2

    async def pinned(self) -> bool | None:
        """Whether `eth_call` takes a block by its hash (EIP-1898)."""
        call = {"to": MULTICALL3, "data": "0x"}
        try:
            await self._rpc.call("eth_call", [call, {"blockHash": self._head.hash}], TEXT)
        except NodeError as error:
            return error.code == 3 or "revert" in error.message.lower()
        except EndpointError as error:
            self._failed(error)
            return None
        return True

    async def proof(self) -> bool | None:
        """Whether it gives a block's receipts, from which its logs can be proved."""
        try:
            receipts = await self._rpc.call("eth_getBlockReceipts", [self._head.hash], ANY)
        except NodeError:
            return False
        except EndpointError as error:
            self._failed(error)
            return None
        return isinstance(receipts, list)
