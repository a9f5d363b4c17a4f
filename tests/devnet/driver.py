"""The devnet as frames: a synchronous stand-in for the live collector, block by block, through the engine's own intake.

Logs are asked for by what the instances filter, reads are what they want, pinned to the block. Nothing else is looked
at, so what the instances then know, they know from what a collector would have brought them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, CallResult, Frame, Header, RawLog, ReadsFrame
from defiwatch.engine.intake import Intake
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import Instance, Scan

from .chain import Chain
from .node import CHAIN_ID, RpcError

ROUNDS = 12
"""Rounds of reads that a start may take; more means that something is wanted for ever."""


class Driver:
    """Feeds blocks of a chain to instances. `frames` keeps everything that was fed, for a recording."""

    def __init__(self, chain: Chain, instances: Sequence[Instance], *, journal: int = 256) -> None:
        self.chain = chain
        self.intake = Intake(CHAIN_ID, instances, journal=journal)
        self.frames: list[Frame] = []

    @property
    def at(self) -> BlockRef:
        """The block on top."""
        head = self.intake.head
        assert head is not None
        return head

    def follow(self, start: int | None = None) -> list[int]:
        """Bring the book to the chain's head, back to the fork first; returns the heights that were fed."""
        node = self.chain.node
        known = {block.number: block.hash for block in self.intake.book.blocks}
        top = node.height()
        first = max(known, default=(top if start is None else start) - 1) + 1
        while first - 1 in known and known[first - 1] != node.block(min(first - 1, top))["hash"]:
            first -= 1
        fed = list(range(first, top + 1))
        for number in fed:
            self.block(number)
        return fed

    def block(self, number: int) -> None:
        """Feed one block, then answer what is wanted at it until nothing is."""
        raw = self.chain.node.block(number)
        header = msgspec.convert(raw, Header)
        frame = BlockFrame(CHAIN_ID, header, tuple(self.logs({"blockHash": raw["hash"]})))
        self.frames.append(frame)
        self.intake.on_block(frame)
        self.answer()

    def answer(self) -> None:
        """Execute the wanted reads, round by round."""
        for _ in range(ROUNDS):
            calls = self.intake.wants()
            if not calls:
                return
            self.read(calls)
        raise AssertionError(
            f"after {ROUNDS} rounds still wanted: {[(c.to, c.data[:10]) for c in self.intake.wants()]}"
        )

    def read(self, calls: Iterable[Call]) -> None:
        """Feed the answers to some reads, pinned to the block on top."""
        at, asked = self.at, list(calls)
        answers = self.chain.node.batch(
            [("eth_call", [{"to": call.to, "data": call.data}, hex(at.number)]) for call in asked]
        )
        results = tuple(_result(call, answer) for call, answer in zip(asked, answers, strict=True))
        frame = ReadsFrame(CHAIN_ID, hex(at.number), results, at.hash)
        self.frames.append(frame)
        self.intake.on_reads(frame)

    def scan(self) -> list[Scan]:
        """Do every open scan up to the block on top, and the reads that it leads to; returns what is open after."""
        for instance in self.intake.instances:
            for wanted in instance.scans(self.intake.book):
                where = {"fromBlock": hex(wanted.from_block), "toBlock": hex(self.at.number)}
                logs = self._get_logs({**where, "address": list(wanted.addresses), "topics": _topics(wanted)})
                self.read(instance.on_scan(self.intake.book, wanted, logs))
                self.answer()
        return [scan for instance in self.intake.instances for scan in instance.scans(self.intake.book)]

    def logs(self, where: dict[str, Any]) -> list[RawLog]:
        """The logs at `where` that any instance's filter matches, in order."""
        found: dict[int, RawLog] = {}
        for wanted in self.intake.filters():
            body: dict[str, Any] = {**where, "topics": [sorted(wanted.topics)]}
            if wanted.addresses is not None:
                if not wanted.addresses:
                    continue
                body["address"] = sorted(wanted.addresses)
            for log in self._get_logs(body):
                found[int(log.log_index or "0x0", 16)] = log
        return [found[index] for index in sorted(found)]

    def _get_logs(self, body: dict[str, Any]) -> list[RawLog]:
        return [msgspec.convert(raw, RawLog) for raw in self.chain.node.rpc("eth_getLogs", body)]


def _topics(scan: Scan) -> list[object]:
    return [None if topics is None else list(topics) for topics in scan.topics]


def _result(call: Call, answer: object) -> CallResult:
    if isinstance(answer, RpcError):
        error = {"code": answer.code, "message": answer.message, "data": answer.data}
        return CallResult(to=call.to, data=call.data, error=error)
    return CallResult(to=call.to, data=call.data, result=cast("str", answer))
