"""A made-up lending market for tests of the engine: a read tells every health factor, events change them.

A factor is in hundredths: 150 is 1.5. Who has no position yet is met by an event, or by the read where it is watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact
from defiwatch.domain.frames import BlockFrame, CallResult, Header, RawLog, ReadsFrame, RemovedFrame
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import WAD
from defiwatch.protocols.abi import Call, EventSpec, event, function
from defiwatch.protocols.spec import Book, Instance, LogFilter, Table

HOME = "0x" + "11" * 20
FACTORS: Table[Address, int] = Table("lender.factor")
READ_AT: Table[Address, int] = Table("lender.read_at")
FACTOR = function("factor(address)", "uint256")


class Moved(Event, frozen=True, tag="lender.Moved"):
    account: Address
    factor: int


MOVED = event("Moved(address account, uint256 factor)", Moved)


class Lender(Instance):
    protocol = "lender"
    events: Sequence[EventSpec[Any]] = (MOVED,)

    def __init__(self) -> None:
        super().__init__(1, Deployment(chain="one", protocol="lender", address=HOME))
        self.watched: tuple[Address, ...] = ()
        self._filter = LogFilter(frozenset({HOME}), frozenset({MOVED.topic0}))

    def watch(self, accounts: Iterable[Address]) -> None:
        self.watched = tuple(sorted(accounts))

    def filter(self, book: Book) -> LogFilter:
        return self._filter

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        known = sorted({*self.watched, *(account for account, _ in book.items(FACTORS))})
        return [FACTOR.call(HOME, account) for account in known if book.get(READ_AT, account) != at.number]

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        assert isinstance(event, Moved)
        _set(book, event.account, event.factor)
        return ()

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        if call.to != HOME or not FACTOR.matches(call):
            return False
        (account,) = FACTOR.arguments(call)
        answer = FACTOR.result(call)
        assert answer is not None
        _set(book, account, answer[0])
        book.put(READ_AT, account, at.number)
        return True

    def positions(self, book: Book, at: BlockRef) -> Iterable[Position]:
        for account, factor in sorted(book.items(FACTORS)):
            yield Position(
                chain_id=1,
                protocol="lender",
                market=HOME,
                account=account,
                block=at.number,
                block_hash=at.hash,
                time=at.time,
                health_factor=factor * WAD // 100,
                collateral_base=2_000 * 10**8,
                debt_base=1_000 * 10**8,
                liquidation_threshold=8_000,
            )


def _set(book: Book, account: Address, factor: int) -> None:
    if factor:
        book.put(FACTORS, account, factor)
    else:
        book.drop(FACTORS, account)


def user(number: int) -> Address:
    return f"0x{number:040x}"


def block_hash(number: int, fork: int = 0) -> str:
    return f"0x{fork:02x}{number:062x}"


def block(number: int, moves: Mapping[Address, int] | None = None, *, fork: int = 0) -> BlockFrame:
    header = Header(
        number=hex(number),
        timestamp=hex(1_700_000_000 + 12 * number),
        hash=block_hash(number, fork),
        parent_hash=block_hash(number - 1),
    )
    logs = tuple(
        RawLog(address=HOME, topics=(MOVED.topic0,), data=f"0x{account[2:]:0>64}{factor:064x}", log_index=hex(i))
        for i, (account, factor) in enumerate((moves or {}).items())
    )
    return BlockFrame(1, header, logs)


def reads(number: int, factors: Mapping[Address, int], *, fork: int = 0) -> ReadsFrame:
    calls = [FACTOR.call(HOME, account) for account in sorted(factors)]
    results = [f"0x{factors[account]:064x}" for account in sorted(factors)]
    return ReadsFrame(
        1,
        hex(number),
        tuple(CallResult(call.to, call.data, result=result) for call, result in zip(calls, results, strict=True)),
        block_hash(number, fork),
    )


def removed(number: int, *, fork: int = 0) -> RemovedFrame:
    return RemovedFrame(1, hex(number), block_hash(number, fork))
