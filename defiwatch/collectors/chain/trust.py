"""How far a block can be trusted: asked of endpoints, judged by `collectors.verify`, told as findings.

single      one endpoint said so; nothing is asked
quorum      `quorum` endpoints show the same hash at that height
consistent  the receipts have the root that the header names, and the header has the block's hash: nothing was left out
            or altered against that header
proof       the same, and a second endpoint shows the same hash: asked for the receipts at that height, it answers for
            that very block, so one question serves both

Whoever said what is proved wrong is distrusted. A chain that a lone endpoint invents whole cannot be told from a real
one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from defiwatch.collectors.chain import logs
from defiwatch.collectors.chain import receipts as receipts_of
from defiwatch.collectors.chain.agreement import Agreement
from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.filters import Wanted
from defiwatch.collectors.chain.findings import Finding, Witness, contents, shared, unbroken
from defiwatch.collectors.verify import (
    Receipt,
    Verdict,
    bloom_of,
    logs_of,
    receipts_root,
    same_logs,
    strangers,
    unknown_fields,
    verify_block,
    verify_header,
)
from defiwatch.collectors.wire import ANY, Rpc, Shape
from defiwatch.config import Chain
from defiwatch.domain.frames import BlockFrame, Header, RawLog
from defiwatch.domain.ids import Hash
from defiwatch.domain.units import from_hex
from defiwatch.errors import EndpointError, NodeError, UnknownBlockError

T = TypeVar("T")

__all__ = ["Finding", "Verifier"]

_TRIES = 4
_PARALLEL = 4
_ROOM = 64
_KEPT = 4096
_NONE = "0x" + receipts_root(()).hex()
"""The root of a block without transactions."""
_A_LITTLE_LATER = 0.3
"""Seconds until a witness that did not have a new block yet is asked again, once."""


class Verifier:
    """Checks blocks beside the collector; `findings` are taken out by it. Without anything to do at `single`."""

    def __init__(self, chain: Chain, endpoints: Endpoints, stir: Callable[[], None]) -> None:
        self.active = chain.trust != "single"
        self.findings: deque[Finding] = deque()
        self._chain = chain
        self._endpoints = endpoints
        self._agreement = Agreement(chain, endpoints)
        self._stir = stir
        self._tasks: dict[asyncio.Task[None], Hash] = {}
        self._turn = asyncio.Semaphore(_PARALLEL)
        self._headers_from: OrderedDict[Hash, int] = OrderedDict()
        self._logs_from: OrderedDict[Hash, int] = OrderedDict()
        self._ranges_from: deque[tuple[int, int, int]] = deque(maxlen=_KEPT)
        self._unchecked: deque[tuple[BlockFrame, Wanted]] = deque(maxlen=_ROOM)
        """Blocks that could not be checked when they came; tried again once checks succeed again, or could."""
        self._again_at = 0.0
        self._needed = {"quorum": chain.quorum, "proof": 2}.get(chain.trust, 1)
        """Endpoints that it takes."""

    # -- what the collector tells ----------------------------------------------------------------------------------

    def header_from(self, index: int, header: Header | None) -> None:
        """That endpoint gave this header."""
        if self.active and header is not None:
            _keep(self._headers_from, header.hash, index)

    def logs_from(self, index: int, block_hash: Hash) -> None:
        """That endpoint gave the logs of this block."""
        if self.active:
            _keep(self._logs_from, block_hash, index)

    def range_from(self, index: int, first: int, last: int) -> None:
        """That endpoint gave the logs of these heights."""
        if self.active:
            self._ranges_from.append((first, last, index))

    # -- what it does ----------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nothing is being checked and no finding waits."""
        return not self._tasks and not self.findings

    @property
    def has_room(self) -> bool:
        """Whether another block may be handed in: while not, the collector waits."""
        return len(self._tasks) < _ROOM

    async def check(self, frame: BlockFrame, wanted: Wanted, patience: float) -> Finding | None:
        """Check a block; the finding if it is there within `patience` seconds, else it comes to `findings` later."""
        if not self.active or not frame.header.hash:
            return None
        task = self._start(frame, wanted, near=patience > 0)
        if patience > 0:
            await asyncio.wait((task,), timeout=patience)
        self.settle()
        for finding in self.findings:
            if finding.frame is frame:
                self.findings.remove(finding)
                return finding
        return None

    def settle(self) -> None:
        """Clear away what is done, and try again what could not be checked; a fault of ours comes out here."""
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            task.result()
        now = asyncio.get_running_loop().time()
        if self._unchecked and not self._tasks and now >= self._again_at and self._agreement.within_reach(self._needed):
            self._again_at = now + self._chain.block_time
            self._again()

    async def close(self) -> None:
        """Stop checking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _find(self, frame: BlockFrame, wanted: Wanted, *, near: bool) -> None:
        async with self._turn:
            for attempt in range(_TRIES):
                try:
                    finding = await self._judged(frame, wanted, near=near)
                except EndpointError as error:
                    if attempt + 1 == _TRIES or not self._worth_another(attempt):
                        self.findings.append(Finding(frame, "single", f"could not be checked: {error}"))
                        self._postpone(frame, wanted)
                        return
                    await asyncio.sleep(0.3 * 2**attempt)
                    continue
                self.findings.append(finding)
                if finding.again:
                    self._postpone(frame, wanted)
                else:
                    self._again()
                return

    def _worth_another(self, attempt: int) -> bool:
        """Whether a check that failed may succeed in a moment. Who is known not to be well is waited for elsewhere."""
        return self._agreement.within_reach(self._needed) or (attempt == 0 and self._chain.trust != "quorum")

    def _postpone(self, frame: BlockFrame, wanted: Wanted) -> None:
        self._unchecked.append((frame, wanted))
        self._again_at = asyncio.get_running_loop().time() + self._chain.block_time

    def _again(self) -> None:
        """A check succeeded: so may that of a block that could not be checked before."""
        if self._unchecked and len(self._tasks) <= _PARALLEL:
            frame, wanted = self._unchecked.popleft()
            self._start(frame, wanted, near=False)

    def _start(self, frame: BlockFrame, wanted: Wanted, *, near: bool) -> asyncio.Task[None]:
        task = asyncio.create_task(self._find(frame, wanted, near=near), name=f"verify {frame.header.number}")
        self._tasks[task] = frame.header.hash
        task.add_done_callback(lambda _: self._stir())
        return task

    async def _judged(self, frame: BlockFrame, wanted: Wanted, *, near: bool) -> Finding:
        if self._chain.trust == "quorum":
            agreed, detail = await self._agreed(frame, self._chain.quorum, near=near)
            return Finding(frame, "quorum" if agreed else "single", detail)
        found = await self._consistent(frame, wanted, near=near)
        if self._chain.trust == "proof" and found.trust == "consistent":
            return await self._proved(frame, found, near=near)
        return found

    async def _agreed(self, frame: BlockFrame, needed: int, *, near: bool) -> tuple[bool, str]:
        source = self._headers_from.get(frame.header.hash)
        return await self._agreement.reached(frame.header, source, needed, near=near)

    async def _proved(self, frame: BlockFrame, found: Finding, *, near: bool) -> Finding:
        """The finding with what a second endpoint says; as it is where none can be asked. Corrections wait for none."""
        detail = ""
        tries = _TRIES if found.correct is None and self._agreement.within_reach(2) else 1
        for attempt in range(tries):
            try:
                agreed, detail = await self._agreed(frame, 2, near=near)
            except EndpointError as error:
                detail = str(error)
                if attempt + 1 < tries:
                    await asyncio.sleep(0.3 * 2**attempt)
                continue
            return msgspec.structs.replace(found, trust="proof" if agreed else "consistent", detail=detail)
        return msgspec.structs.replace(found, detail=detail, again=found.correct is None)

    # -- consistent ------------------------------------------------------------------------------------------------

    async def _consistent(self, frame: BlockFrame, wanted: Wanted, *, near: bool) -> Finding:
        header = frame.header
        verdict = verify_header(header)
        if verdict.outcome != "consistent":
            header, verdict = await self._true_header(header, verdict)
        if verdict.outcome != "consistent":
            return Finding(frame, verdict.outcome, verdict.detail)
        if header.receipts_root == _NONE:
            return self._compared(frame, header, wanted, ())
        liars: list[Witness] = []
        refused = 0
        attested = await self._attested(header, near=near) if self._chain.trust == "proof" else {}
        usable = self._endpoints.usable()
        for index in [*attested, *(index for index in usable if index not in attested)]:
            receipts: tuple[Receipt, ...] | None
            try:
                receipts = attested.get(index) or await self._endpoints.put(index, partial(receipts_of.block, header))
            except UnknownBlockError:
                continue
            except NodeError:
                refused += 1
                continue
            except EndpointError:
                continue
            if receipts is None:
                continue
            verdict = await asyncio.to_thread(verify_block, header, receipts)
            if verdict.outcome == "unsupported":
                return Finding(frame, "unsupported", verdict.detail)
            if verdict.outcome == "consistent":
                self._blame(header, liars)
                return self._compared(frame, header, wanted, receipts)
            liars.append(Witness(index, contents(receipts), verdict.detail))
        if liars:
            return self._disbelieved(frame, liars)
        if refused and refused == len(usable):
            return await self._without_receipts(frame, wanted)
        raise EndpointError(f"no endpoint gave the receipts of block {from_hex(header.number):,}")

    async def _attested(self, header: Header, *, near: bool) -> dict[int, tuple[Receipt, ...]]:
        """The receipts at the block's height from one who did not show the block yet, if they are of this very block.

        Empty where nobody is left to ask, or it has no block or another one there.
        """
        index = await self._agreement.witness(header, self._headers_from.get(header.hash), near=near)
        if index is None:
            return {}
        for again in (True, False) if near else (False,):
            receipts: tuple[Receipt, ...] | None = None
            try:
                receipts = await self._endpoints.put(index, partial(receipts_of.height, header.number))
            except UnknownBlockError:
                pass
            except NodeError:
                self._agreement.unwilling(index)
                return {}
            except EndpointError:
                return {}
            if receipts:
                if any((receipt.block_hash or "").lower() != header.hash for receipt in receipts):
                    return {}
                self._agreement.shows(index, header)
                return {index: receipts}
            await self._agreement.lacks(index, header, near=near)
            if again:
                await asyncio.sleep(_A_LITTLE_LATER)
        return {}

    async def _true_header(self, header: Header, verdict: Verdict) -> tuple[Header, Verdict]:
        """A header that does not have its block's hash: is it altered, or does the chain hash otherwise?"""
        witnesses: list[Witness] = []
        for index in self._endpoints.usable():
            try:
                raw = await self._endpoints.put(index, partial(_call, "eth_getBlockByHash", [header.hash, False], ANY))
                told = msgspec.convert(raw, Header | None) if isinstance(raw, dict) else None
            except (EndpointError, msgspec.ValidationError):
                continue
            if told is None or told.hash != header.hash:
                continue
            found = verify_header(told, unknown_fields(raw))
            if found.outcome == "consistent":
                liar = self._headers_from.get(header.hash)
                if liar is not None and liar != index:
                    self._blame(header, [Witness(liar, None, verdict.detail)])
                self._blame(header, witnesses)
                return told, found
            if found.outcome == "unsupported":
                return header, found
            witnesses.append(Witness(index, told, found.detail))
        if len(witnesses) > 1 and all(witness.said == witnesses[0].said for witness in witnesses):
            return header, Verdict("unsupported", "the headers do not have the hashes that endpoints agree on")
        liar = self._headers_from.get(header.hash)
        self._blame(header, witnesses or ([] if liar is None else [Witness(liar, None, verdict.detail)]))
        return header, verdict

    def _compared(self, frame: BlockFrame, header: Header, wanted: Wanted, receipts: Sequence[Receipt]) -> Finding:
        """The logs that were handed out against those that the receipts prove."""
        proved = tuple(log for log in logs_of(receipts) if wanted.admits(log))
        if same_logs(proved, frame.logs):
            if header is frame.header:
                return Finding(frame, "consistent")
            return Finding(frame, "consistent", correct=BlockFrame(frame.chain_id, header, frame.logs))
        detail = f"of {len(proved)} logs that its header proves, {shared(proved, frame.logs)} were given as they are"
        liar = self._source(frame)
        if liar is not None:
            self._blame(header, [Witness(liar, None, detail)])
        return Finding(frame, "consistent", detail, BlockFrame(frame.chain_id, header, proved))

    def _disbelieved(self, frame: BlockFrame, liars: Sequence[Witness]) -> Finding:
        """No endpoint gave receipts that fit the header."""
        if len(liars) > 1 and all(liar.said == liars[0].said for liar in liars):
            detail = "endpoints agree on receipts that do not have the root which the header names"
            return Finding(frame, "unsupported", detail)
        self._blame(frame.header, liars)
        return Finding(frame, "untrusted", liars[0].detail)

    async def _without_receipts(self, frame: BlockFrame, wanted: Wanted) -> Finding:
        """Where no endpoint gives receipts: all logs against the header's bloom, and what a second endpoint gives.

        Proves nothing of the logs' data, so the grade stays `single`; what contradicts the bloom is wrong all the same.
        """
        header = frame.header
        bloom = from_hex(header.logs_bloom or "0x")
        fitting: list[Witness] = []
        misfits: list[Witness] = []
        for index in self._endpoints.usable():
            try:
                every = await self._endpoints.put(index, partial(_every_log, header.hash))
            except EndpointError:
                continue
            if bloom_of(every) == bloom and unbroken(every):
                fitting.append(Witness(index, tuple(log for log in every if wanted.admits(log)), ""))
            else:
                misfits.append(Witness(index, None, "its logs are not all, or not those of the header's bloom"))
        self._blame(header, misfits)
        source = self._source(frame)
        if strangers(bloom, frame.logs) and source is not None:
            misfits.append(Witness(source, None, "it gave logs that the header's bloom does not hold"))
            self._blame(header, misfits[-1:])
        doubted = {witness.index for witness in misfits}
        told = [witness.said for witness in fitting if witness.index not in doubted]
        if not told:
            return Finding(frame, "untrusted" if misfits else "single", "no receipts, and no logs that fit the bloom")
        if any(not same_logs(told[0], other) for other in told[1:]):
            return Finding(frame, "untrusted", "no receipts, and endpoints give other logs for the block")
        if same_logs(told[0], frame.logs):
            agreed = any(witness.index != source for witness in fitting)
            words = ", and a second endpoint gives the same" if agreed else ""
            return Finding(frame, "single", f"no receipts; the logs fit the bloom{words}")
        return Finding(frame, "single", "no receipts", BlockFrame(frame.chain_id, header, told[0]))

    def _source(self, frame: BlockFrame) -> int | None:
        """Who gave the logs of a block, as far as is known."""
        found = self._logs_from.get(frame.header.hash)
        if found is not None:
            return found
        number = from_hex(frame.header.number)
        return next((index for first, last, index in reversed(self._ranges_from) if first <= number <= last), None)

    def _blame(self, header: Header, liars: Sequence[Witness]) -> None:
        for liar in liars:
            self._endpoints.distrust(liar.index, f"block {from_hex(header.number):,}: {liar.detail}")


async def _call(method: str, params: Sequence[object], shape: Shape[T], _: int, rpc: Rpc) -> T:
    return await rpc.call(method, params, shape)


async def _every_log(block_hash: Hash, _: int, rpc: Rpc) -> Sequence[RawLog]:
    return await logs.every(rpc, block_hash)


def _keep(known: OrderedDict[Hash, int], block_hash: Hash, index: int) -> None:
    known[block_hash] = index
    known.move_to_end(block_hash)
    while len(known) > _KEPT:
        known.popitem(last=False)
