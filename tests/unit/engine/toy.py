"""A made-up protocol for tests of the engine: a counter that events add to and a read sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact
from defiwatch.domain.frames import BlockFrame, CallResult, Header, RawLog, ReadsFrame
from defiwatch.protocols.abi import Call, EventSpec, event, function
from defiwatch.protocols.spec import Book, Instance, LogFilter, Table

HOME = "0x" + "11" * 20
SUM: Table[str, int] = Table("toy.sum")
READ_AT: Table[str, int] = Table("toy.read_at")
GET = function("get()", "uint256")


class Added(Event, frozen=True, tag="toy.Added"):
    amount: int


ADDED = event("Added(uint256 amount)", Added)


class Toy(Instance):
    protocol = "toy"
    events: Sequence[EventSpec[Any]] = (ADDED,)

    def __init__(self, *, reads: bool = True) -> None:
        super().__init__(1, Deployment(chain="toy", protocol="toy", address=HOME))
        self.reads = reads
        self._filter = LogFilter(frozenset({HOME}), frozenset({ADDED.topic0}))

    def filter(self, book: Book) -> LogFilter:
        return self._filter

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        if not self.reads or book.get(READ_AT, HOME) == at.number:
            return ()
        return (GET.call(HOME),)

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        assert isinstance(event, Added)
        book.put(SUM, HOME, (book.get(SUM, HOME) or 0) + event.amount)
        return ()

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        if call.to != HOME or not GET.matches(call):
            return False
        book.put(READ_AT, HOME, at.number)
        return True


def block_hash(number: int, fork: str = "a") -> str:
    return "0x" + (fork * 2 + f"{number:x}").rjust(64, "0")


def log(amount: int, data: str | None = None) -> RawLog:
    return RawLog(address=HOME, topics=(ADDED.topic0,), data=f"0x{amount:064x}" if data is None else data)


def block(
    number: int, *amounts: int, fork: str = "a", parent_fork: str | None = None, linked: bool = True
) -> BlockFrame:
    header = Header(
        number=hex(number),
        timestamp=hex(1_700_000_000 + 12 * number),
        hash=block_hash(number, fork) if linked else "",
        parent_hash=block_hash(number - 1, parent_fork or fork) if linked else "",
    )
    return BlockFrame(1, header, tuple(log(amount) for amount in amounts))


def reads(number: int, fork: str = "a") -> ReadsFrame:
    return ReadsFrame(
        1, hex(number), (CallResult(to=HOME, data=GET.selector, result="0x" + "0" * 64),), block_hash(number, fork)
    )
