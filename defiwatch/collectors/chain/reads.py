"""Contract reads, all pinned to one block: through Multicall3 where it is deployed, else in JSON-RPC batches.

An answer is what the contract said, a revert included. What only the node said (a limit, a missing state, a fault of
its own) is no answer: such a call is tried elsewhere or later, and left out in the end.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial

import msgspec

from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.multicall import MULTICALL3, decode, encode
from defiwatch.collectors.wire import HEADER, TEXT, Rpc
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Hash
from defiwatch.errors import EndpointError, LimitError, NodeError, ReadError, UnknownBlockError
from defiwatch.protocols.abi import Call

_TRIES = 4
_LONGEST_WAIT = 5.0
_FEW = 4
_MAX_KNOWN = 10_000

_INVALID_PARAMS = -32602
_INTERNAL_ERROR = -32603
_NO_BLOCK_OBJECT = re.compile(r"invalid (?:argument|params|block)|unmarshal|hex string|not a string", re.IGNORECASE)
_OF_THE_CONTRACT = re.compile(r"revert|gas|opcode|stack|jump|invalid instruction|execution error", re.IGNORECASE)


class _Pin(msgspec.Struct, frozen=True):
    """The block that reads are of."""

    number: int
    hash: Hash


class Reads:
    """Makes reads on one chain. What it learns (chunk sizes, how a node wants a block named) holds while it lives."""

    def __init__(self, endpoints: Endpoints, *, chunk: int = 250, batch: int = 50, parallel: int = 4) -> None:
        self.chunk = chunk
        """Calls in one Multicall3 call; halved when a node finds it too much."""
        self.batch = batch
        """Calls in one JSON-RPC batch; halved likewise."""
        self.endpoints = endpoints
        self._deployed: bool | None = None
        self._by_number: set[int] = set()
        self._fails: set[Call] = set()
        self._turn = asyncio.Semaphore(parallel)

    async def make(self, calls: Sequence[Call], number: int, block_hash: Hash, *, patient: bool) -> list[CallResult]:
        """The answers, in the order of `calls`; calls that no node answered are left out.

        UnknownBlockError if no node has the block's state. `patient`: the block is new, so a node that does not know
        it yet is asked again.
        """
        pin = _Pin(number, block_hash)
        through = await self._has_multicall()
        size = self.chunk if through else self.batch
        chunks = [calls[i : i + size] for i in range(0, len(calls), size)]
        done = await asyncio.gather(
            *(self._chunk(chunk, pin, through=through, patient=patient) for chunk in chunks), return_exceptions=True
        )
        found: dict[Call, CallResult] = {}
        unknown: UnknownBlockError | None = None
        for outcome in done:
            if isinstance(outcome, UnknownBlockError):
                unknown = outcome
            elif isinstance(outcome, BaseException) and not isinstance(outcome, EndpointError):
                raise outcome
            elif not isinstance(outcome, BaseException):
                found.update(outcome)
        if unknown is not None and not found:
            raise unknown
        return [found[call] for call in calls if call in found]

    async def _chunk(self, calls: Sequence[Call], pin: _Pin, *, through: bool, patient: bool) -> dict[Call, CallResult]:
        """The answers to some calls, however many requests it takes."""
        for attempt in range(_TRIES):
            try:
                async with self._turn:
                    if through and len(calls) > 1:
                        return await self._multicall(calls, pin, attempt, patient=patient)
                    return await self._direct(calls, pin, attempt)
            except UnknownBlockError:
                if attempt + 1 == _TRIES or (not patient and attempt + 1 >= len(self.endpoints.rpcs)):
                    raise
                await asyncio.sleep(0.2 * 2**attempt if patient else 0.0)
            except (LimitError, NodeError, ReadError) as error:
                if len(calls) > 1 and (not isinstance(error, LimitError) or error.too_large):
                    return await self._halves(calls, pin, through=through, patient=patient)
                if attempt + 1 == _TRIES:
                    raise
                wait = error.retry_after if isinstance(error, LimitError) else None
                await asyncio.sleep(min(wait or 0.2 * 2**attempt, _LONGEST_WAIT))
            except EndpointError:
                if attempt + 1 == _TRIES:
                    raise
        raise EndpointError(f"no endpoint answered {len(calls)} reads at block {pin.number}")

    async def _halves(
        self, calls: Sequence[Call], pin: _Pin, *, through: bool, patient: bool
    ) -> dict[Call, CallResult]:
        half = (len(calls) + 1) // 2
        if through:
            self.chunk = max(1, min(self.chunk, half))
        else:
            self.batch = max(1, min(self.batch, half))
        found: dict[Call, CallResult] = {}
        for part in (calls[:half], calls[half:]):
            found.update(await self._chunk(part, pin, through=through, patient=patient))
        return found

    async def _multicall(
        self, calls: Sequence[Call], pin: _Pin, attempt: int, *, patient: bool
    ) -> dict[Call, CallResult]:
        data = encode(calls)
        answer = await self.endpoints.ask(attempt, partial(self._one, MULTICALL3, data, pin))
        if len(answer) <= 2:
            # Not deployed yet at that block.
            return await self._direct(calls, pin, attempt)
        found: dict[Call, CallResult] = {}
        doubtful: list[Call] = []
        for call, (success, returned) in zip(calls, decode(answer, len(calls)), strict=True):
            if success:
                found[call] = CallResult(call.to, call.data, result=returned)
            elif returned != "0x" or call in self._fails:
                found[call] = CallResult(call.to, call.data, error=returned)
            else:
                doubtful.append(call)
        if doubtful:
            # A failure without a word may only mean that the gas of the whole ran out before its turn.
            found.update(await self._again(doubtful, pin, attempt, patient=patient))
        return found

    async def _again(self, calls: Sequence[Call], pin: _Pin, attempt: int, *, patient: bool) -> dict[Call, CallResult]:
        if len(calls) <= _FEW:
            found = await self._direct(calls, pin, attempt)
            if len(self._fails) > _MAX_KNOWN:
                self._fails.clear()
            self._fails.update(call for call, answer in found.items() if answer.error is not None)
            return found
        half = (len(calls) + 1) // 2
        found = {}
        for part in (calls[:half], calls[half:]):
            found.update(await self._multicall(part, pin, attempt, patient=patient))
        return found

    async def _direct(self, calls: Sequence[Call], pin: _Pin, attempt: int) -> dict[Call, CallResult]:
        """Each call by itself, in JSON-RPC batches."""
        found: dict[Call, CallResult] = {}
        left = list(calls)
        while left:
            part = left[: self.batch]
            try:
                answers = await self.endpoints.ask(attempt, partial(self._each, part, pin))
            except (LimitError, NodeError) as error:
                small = len(part) == 1 or (isinstance(error, LimitError) and not error.too_large)
                if small or isinstance(error, UnknownBlockError):
                    raise
                self.batch = max(1, min(self.batch, (len(part) + 1) // 2))
                continue
            del left[: len(part)]
            for call, answer in zip(part, answers, strict=True):
                if isinstance(answer, UnknownBlockError):
                    raise answer
                if isinstance(answer, NodeError):
                    if answer.code == _INTERNAL_ERROR and not _OF_THE_CONTRACT.search(answer.message):
                        raise EndpointError(str(answer))
                    found[call] = CallResult(call.to, call.data, error=answer.answer)
                else:
                    found[call] = CallResult(call.to, call.data, result=answer)
        return found

    async def _each(self, calls: Sequence[Call], pin: _Pin, index: int, rpc: Rpc) -> list[str | NodeError]:
        if len(calls) == 1:
            try:
                return [await self._one(calls[0].to, calls[0].data, pin, index, rpc)]
            except NodeError as error:
                return [error]
        while True:
            block = self._block(index, pin)
            answers = await rpc.batch([("eth_call", [{"to": c.to, "data": c.data}, block]) for c in calls], TEXT)
            refused = [answer for answer in answers if isinstance(answer, NodeError) and _wants_number(answer)]
            if len(refused) < len(answers) or index in self._by_number:
                break
            self._by_number.add(index)
        await self._check_fork(index, rpc, pin)
        return answers

    async def _one(self, to: str, data: str, pin: _Pin, index: int, rpc: Rpc) -> str:
        call = {"to": to, "data": data}
        try:
            answer = await rpc.call("eth_call", [call, self._block(index, pin)], TEXT)
        except NodeError as error:
            if index in self._by_number or not _wants_number(error):
                raise
            self._by_number.add(index)
            answer = await rpc.call("eth_call", [call, self._block(index, pin)], TEXT)
        await self._check_fork(index, rpc, pin)
        return answer

    def _block(self, index: int, pin: _Pin) -> object:
        """The block as a node takes it: by hash (EIP-1898), else by number."""
        return hex(pin.number) if index in self._by_number else {"blockHash": pin.hash}

    async def _check_fork(self, index: int, rpc: Rpc, pin: _Pin) -> None:
        """A read by number is of the block that we mean only if the node has that block at that height."""
        if index not in self._by_number:
            return
        header = await rpc.call("eth_getBlockByNumber", [hex(pin.number), False], HEADER)
        if header is None or header.hash != pin.hash:
            raise UnknownBlockError(f"{rpc.name}: block {pin.number} is another one there", message="another fork")

    async def _has_multicall(self) -> bool:
        """Whether Multicall3 is deployed; asked once."""
        if self._deployed is None:
            code = await self.endpoints.ask(0, lambda _, rpc: rpc.call("eth_getCode", [MULTICALL3, "latest"], TEXT))
            self._deployed = len(code) > 2
        return self._deployed


def _wants_number(error: NodeError) -> bool:
    """Whether a node refused a block named by hash."""
    return error.code == _INVALID_PARAMS or bool(_NO_BLOCK_OBJECT.search(error.message))
