"""One protocol instance on one book: logs in, facts out, as the engine does it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Fact
from defiwatch.domain.frames import BlockFrame, CallResult, RawLog, ReadsFrame
from defiwatch.domain.units import from_hex
from defiwatch.protocols import abi, registry
from defiwatch.protocols.spec import Instance
from defiwatch.state.journal import JournaledBook


def at(number: int, time: int | None = None) -> BlockRef:
    return BlockRef(1, number, f"0x{number:064x}", number * 12 if time is None else time)


def near(value: float, rel: float = 1e-9) -> Any:
    """A float to compare with, inside a value of any type."""
    return pytest.approx(value, rel=rel)


def raw(
    topic0: str, address: str, topics: list[tuple[str, Any]], data: list[tuple[str, Any]], index: int = 0
) -> RawLog:
    """A log with its topics and data as (type, value), for events that mix the two."""
    return RawLog(
        address=address,
        topics=(topic0, *("0x" + abi.encode([kind], [value]) for kind, value in topics)),
        data="0x" + abi.encode([kind for kind, _ in data], [value for _, value in data]),
        transaction_hash="0x" + "11" * 32,
        log_index=hex(index),
    )


class Player:
    """Feeds blocks and answers to one instance."""

    def __init__(self, deployment: Deployment, book: JournaledBook | None = None) -> None:
        self.book = book or JournaledBook(1)
        self.instance: Instance = registry.create(1, deployment)
        self.now = at(0)

    def block(self, ref: BlockRef, *logs: RawLog) -> list[Fact]:
        """Apply a block's logs that its filter asks for, as the engine would."""
        self.book.open(ref)
        self.now = ref
        facts: list[Fact] = []
        specs = {(spec.topic0, spec.topics): spec for spec in self.instance.events}
        for item in logs:
            wanted = self.instance.filter(self.book)
            if wanted.addresses is not None and item.address.lower() not in wanted.addresses:
                continue
            spec = specs.get((item.topics[0], len(item.topics)))
            if spec is not None and item.topics[0] in wanted.topics and spec.fits(item):
                facts.extend(self.instance.on_event(self.book, ref, spec.decode(item)))
        return facts

    def frame(self, frame: BlockFrame | ReadsFrame) -> list[Fact]:
        if isinstance(frame, ReadsFrame):
            for call in frame.calls:
                self.instance.on_read(self.book, self.now, call)
            return []
        header = frame.header
        ref = BlockRef(frame.chain_id, from_hex(header.number), header.hash, from_hex(header.timestamp))
        return self.block(ref, *frame.logs)

    def read(self, calls: Iterable[CallResult], ref: BlockRef | None = None) -> list[bool]:
        return [self.instance.on_read(self.book, ref or self.now, call) for call in calls]

    def wants(self, ref: BlockRef | None = None) -> list[tuple[str, str]]:
        """The wanted reads as (to, selector or whole calldata)."""
        return [(call.to, call.data) for call in self.instance.wants(self.book, ref or self.now)]
