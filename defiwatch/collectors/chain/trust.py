"""How far a block can be trusted: asked of endpoints, judged by `collectors.verify`, told as findings.

single      one endpoint said so; nothing is asked
quorum      `quorum` endpoints show the same hash at that height
consistent  the receipts have the root that the header names, and the header has the block's hash: nothing was left out
            or altered against that header
proof       the same, and a second endpoint shows the same hash

Whoever said what is proved wrong is distrusted. A chain that a lone endpoint invents whole cannot be told from a real
one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from defiwatch.collectors.chain import logs
from defiwatch.collectors.chain.endpoints import Endpoints
from defiwatch.collectors.chain.filters import Wanted
from defiwatch.collectors.verify import (
    Receipt,
    Verdict,
    bloom_of,
    logs_of,
    same_logs,
    strangers,
    unknown_fields,
    verify_block,
    verify_header,
)
from defiwatch.collectors.wire import ANY, HEADER, Rpc, Shape
from defiwatch.config import Chain
from defiwatch.domain.frames import BlockFrame, Header, RawLog
from defiwatch.domain.ids import Hash
from defiwatch.domain.units import from_hex
from defiwatch.errors import EndpointError, NodeError, UnknownBlockError

T = TypeVar("T")

RECEIPTS: Shape[tuple[Receipt, ...] | None] = Shape(tuple[Receipt, ...] | None)

_INVALID_PARAMS = -32602
_TRIES = 4
_PARALLEL = 4
_ROOM = 64
_KEPT = 4096


class Finding(msgspec.Struct, frozen=True):
    """What became of a block's check.

    `trust` is a grade, "untrusted" or "unsupported". Where the block was not what its hash stands for, `correct` is
    what it should have been.
    """

    frame: BlockFrame
    trust: str
    detail: str = ""
    correct: BlockFrame | None = None


class _Witness(msgspec.Struct, frozen=True):
    """What one endpoint said."""

    index: int
    said: Any
    detail: str


class Verifier:
    """Checks blocks beside the collector; `findings` are taken out by it. Without anything to do at `single`."""

    def __init__(self, chain: Chain, endpoints: Endpoints, stir: Callable[[], None]) -> None:
        self.active = chain.trust != "single"
        self.findings: deque[Finding] = deque()
        self._chain = chain
        self._endpoints = endpoints
        self._stir = stir
        self._tasks: dict[asyncio.Task[None], Hash] = {}
        self._turn = asyncio.Semaphore(_PARALLEL)
        self._headers_from: OrderedDict[Hash, int] = OrderedDict()
        self._logs_from: OrderedDict[Hash, int] = OrderedDict()
        self._ranges_from: deque[tuple[int, int, int]] = deque(maxlen=_KEPT)

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
        task = asyncio.create_task(self._find(frame, wanted), name=f"verify {frame.header.number}")
        self._tasks[task] = frame.header.hash
        task.add_done_callback(lambda _: self._stir())
        if patience > 0:
            await asyncio.wait((task,), timeout=patience)
        self.settle()
        for finding in self.findings:
            if finding.frame is frame:
                self.findings.remove(finding)
                return finding
        return None

    def settle(self) -> None:
        """Clear away what is done; a fault of ours in a check comes out here."""
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            task.result()

    async def close(self) -> None:
        """Stop checking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _find(self, frame: BlockFrame, wanted: Wanted) -> None:
        async with self._turn:
            for attempt in range(_TRIES):
                try:
                    self.findings.append(await self._judged(frame, wanted))
                except EndpointError as error:
                    if attempt + 1 == _TRIES:
                        self.findings.append(Finding(frame, "single", f"could not be checked: {error}"))
                    else:
                        await asyncio.sleep(0.3 * 2**attempt)
                    continue
                return

    async def _judged(self, frame: BlockFrame, wanted: Wanted) -> Finding:
        if self._chain.trust == "quorum":
            agreed, detail = await self._agreement(frame, self._chain.quorum)
            return Finding(frame, "quorum" if agreed else "single", detail)
        found = await self._consistent(frame, wanted)
        if self._chain.trust == "proof" and found.trust == "consistent":
            agreed, detail = await self._agreement(frame, 2)
            return msgspec.structs.replace(found, trust="proof" if agreed else "consistent", detail=detail)
        return found

    # -- quorum ----------------------------------------------------------------------------------------------------

    async def _agreement(self, frame: BlockFrame, needed: int) -> tuple[bool, str]:
        """Whether `needed` endpoints show this block at its height. Those outvoted by as many are distrusted."""
        header = frame.header
        question = partial(_call, "eth_getBlockByNumber", [header.number, False], HEADER)
        source = self._headers_from.get(header.hash)
        votes: dict[Hash, list[int]] = {} if source is None else {header.hash: [source]}
        for index in self._endpoints.usable():
            if index == source:
                continue
            try:
                shown = await self._endpoints.put(index, question)
            except EndpointError:
                continue
            if shown is not None and shown.hash:
                votes.setdefault(shown.hash, []).append(index)
            if len(votes.get(header.hash, [])) >= needed:
                return True, ""
        ours = votes.get(header.hash, [])
        for other, voters in sorted(votes.items()):
            if other != header.hash and len(voters) >= needed:
                for index in ours:
                    self._endpoints.distrust(
                        index, f"block {from_hex(header.number):,}: {len(voters)} endpoints show another block"
                    )
                return False, f"{len(voters)} endpoints show another block"
        if len(votes) < 2 and sum(map(len, votes.values())) < needed:
            raise EndpointError(f"only {sum(map(len, votes.values()))} of {needed} endpoints showed the block")
        return False, f"{len(ours)} of {needed} endpoints show this block"

    # -- consistent ------------------------------------------------------------------------------------------------

    async def _consistent(self, frame: BlockFrame, wanted: Wanted) -> Finding:
        header = frame.header
        verdict = verify_header(header)
        if verdict.outcome != "consistent":
            header, verdict = await self._true_header(header, verdict)
        if verdict.outcome != "consistent":
            return Finding(frame, verdict.outcome, verdict.detail)
        liars: list[_Witness] = []
        refused = 0
        usable = self._endpoints.usable()
        for index in usable:
            try:
                receipts = await self._endpoints.put(index, partial(_receipts, header))
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
            liars.append(_Witness(index, _contents(receipts), verdict.detail))
        if liars:
            return self._disbelieved(frame, liars)
        if refused and refused == len(usable):
            return await self._without_receipts(frame, wanted)
        raise EndpointError(f"no endpoint gave the receipts of block {from_hex(header.number):,}")

    async def _true_header(self, header: Header, verdict: Verdict) -> tuple[Header, Verdict]:
        """A header that does not have its block's hash: is it altered, or does the chain hash otherwise?"""
        witnesses: list[_Witness] = []
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
                    self._blame(header, [_Witness(liar, None, verdict.detail)])
                self._blame(header, witnesses)
                return told, found
            if found.outcome == "unsupported":
                return header, found
            witnesses.append(_Witness(index, told, found.detail))
        if len(witnesses) > 1 and all(witness.said == witnesses[0].said for witness in witnesses):
            return header, Verdict("unsupported", "the headers do not have the hashes that endpoints agree on")
        liar = self._headers_from.get(header.hash)
        self._blame(header, witnesses or ([] if liar is None else [_Witness(liar, None, verdict.detail)]))
        return header, verdict

    def _compared(self, frame: BlockFrame, header: Header, wanted: Wanted, receipts: Sequence[Receipt]) -> Finding:
        """The logs that were handed out against those that the receipts prove."""
        proved = tuple(log for log in logs_of(receipts) if wanted.admits(log))
        if same_logs(proved, frame.logs):
            if header is frame.header:
                return Finding(frame, "consistent")
            return Finding(frame, "consistent", correct=BlockFrame(frame.chain_id, header, frame.logs))
        detail = f"of {len(proved)} logs that its header proves, {_shared(proved, frame.logs)} were given as they are"
        liar = self._source(frame)
        if liar is not None:
            self._blame(header, [_Witness(liar, None, detail)])
        return Finding(frame, "consistent", detail, BlockFrame(frame.chain_id, header, proved))

    def _disbelieved(self, frame: BlockFrame, liars: Sequence[_Witness]) -> Finding:
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
        fitting: list[_Witness] = []
        misfits: list[_Witness] = []
        for index in self._endpoints.usable():
            try:
                every = await self._endpoints.put(index, partial(_every_log, header.hash))
            except EndpointError:
                continue
            if bloom_of(every) == bloom and _unbroken(every):
                fitting.append(_Witness(index, tuple(log for log in every if wanted.admits(log)), ""))
            else:
                misfits.append(_Witness(index, None, "its logs are not all, or not those of the header's bloom"))
        self._blame(header, misfits)
        source = self._source(frame)
        if strangers(bloom, frame.logs) and source is not None:
            misfits.append(_Witness(source, None, "it gave logs that the header's bloom does not hold"))
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

    def _blame(self, header: Header, liars: Sequence[_Witness]) -> None:
        for liar in liars:
            self._endpoints.distrust(liar.index, f"block {from_hex(header.number):,}: {liar.detail}")


async def _call(method: str, params: Sequence[object], shape: Shape[T], _: int, rpc: Rpc) -> T:
    return await rpc.call(method, params, shape)


async def _receipts(header: Header, _: int, rpc: Rpc) -> tuple[Receipt, ...] | None:
    """All receipts of a block, by its hash; by its number where a node wants that: the root tells whether they fit."""
    try:
        return await rpc.call("eth_getBlockReceipts", [header.hash], RECEIPTS)
    except NodeError as error:
        if error.code != _INVALID_PARAMS:
            raise
    return await rpc.call("eth_getBlockReceipts", [header.number], RECEIPTS)


async def _every_log(block_hash: Hash, _: int, rpc: Rpc) -> Sequence[RawLog]:
    return await logs.every(rpc, block_hash)


def _contents(receipts: Sequence[Receipt]) -> Any:
    """What two endpoints would both say if they told the same."""
    return tuple((r.type, r.status, r.root, r.cumulative_gas_used, r.logs) for r in receipts)


def _unbroken(every: Sequence[RawLog]) -> bool:
    """Whether the logs of a block are numbered without a gap."""
    return all(log.log_index is None or from_hex(log.log_index) == place for place, log in enumerate(every))


def _shared(proved: Sequence[RawLog], given: Sequence[RawLog]) -> int:
    return sum(1 for log in proved if any(same_logs((log,), (other,)) for other in given))


def _keep(known: OrderedDict[Hash, int], block_hash: Hash, index: int) -> None:
    known[block_hash] = index
    known.move_to_end(block_hash)
    while len(known) > _KEPT:
        known.popitem(last=False)
