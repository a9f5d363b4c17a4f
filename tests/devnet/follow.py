"""A protocol following a real chain as the program does: logs block by block, its reads made at that block."""

from __future__ import annotations

from typing import Any

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Fact
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.protocols.abi import Call
from tests.unit.protocols.play import Player

from .node import Anvil, RpcError

ROUNDS = 40


class Follower:
    """One instance on one node. `catch_up` applies what is new, a reorg included."""

    def __init__(self, node: Anvil, deployment: Deployment) -> None:
        self.node = node
        self.player = Player(deployment)
        self.rounds = 0
        self.calls = 0

    def start(self, number: int | None = None) -> BlockRef:
        """Begin at a block (the head if None) as a program does that is started there: with reads alone."""
        ref = self._ref(self.node.height() if number is None else number)
        self.player.block(ref)
        self.read()
        return ref

    def catch_up(self) -> list[Fact]:
        """Undo what is no longer on the chain, then apply every block up to the head with its reads."""
        book = self.player.book
        while book.head is not None and self.node.block(book.head.number)["hash"] != book.head.hash:
            book.undo()
        assert book.head is not None
        facts: list[Fact] = []
        for number in range(book.head.number + 1, self.node.height() + 1):
            facts += self.apply(number)
        return facts

    def apply(self, number: int) -> list[Fact]:
        """Apply one block and make the reads wanted at it."""
        logs = self.node.rpc("eth_getLogs", {"fromBlock": hex(number), "toBlock": hex(number)})
        facts = self.player.block(self._ref(number), *(msgspec.convert(log, RawLog) for log in logs))
        self.read()
        return facts

    def read(self) -> None:
        """Make the wanted reads, round by round, until nothing is wanted."""
        for _ in range(ROUNDS):
            wanted = [Call(to, data) for to, data in self.player.wants()]
            if not wanted:
                return
            self.rounds += 1
            self.calls += len(wanted)
            self.player.read(self._ask(wanted))
        raise AssertionError(f"still {len(wanted)} reads wanted after {ROUNDS} rounds: {wanted[:3]}")

    def _ask(self, calls: list[Call]) -> list[CallResult]:
        tag = hex(self.player.now.number)
        answers = self.node.batch([("eth_call", [{"to": call.to, "data": call.data}, tag]) for call in calls])
        return [
            CallResult(to=call.to, data=call.data, error=answer.data or "0x")
            if isinstance(answer, RpcError)
            else CallResult(to=call.to, data=call.data, result=answer)
            for call, answer in zip(calls, answers, strict=True)
        ]

    def _ref(self, number: int) -> BlockRef:
        block: dict[str, Any] = self.node.block(number)
        return BlockRef(31337, number, block["hash"], int(block["timestamp"], 16), block["parentHash"])
