"""The intake of one chain's line: blocks, reorgs, logs and reads into the book. No judging here.

A block that does not fit on top of the head is a reorg, told (`RemovedFrame`) or not (a node that goes back in
silence): blocks are undone until it fits. Logs go, by address, to the instances that asked for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from defiwatch.domain.events import BlockRef, Event, Fact
from defiwatch.domain.frames import BlockFrame, CallResult, RawLog, ReadsFrame, RemovedFrame
from defiwatch.domain.ids import Address, ChainId
from defiwatch.domain.units import from_hex
from defiwatch.errors import DecodeError, ReadError
from defiwatch.protocols import sources
from defiwatch.protocols.abi import Call, EventSpec
from defiwatch.protocols.spec import Instance, LogFilter
from defiwatch.state.journal import JournaledBook


class Applied(msgspec.Struct, frozen=True):
    """One log that was applied, by whom, and what it meant."""

    instance: Instance
    event: Event
    facts: tuple[Fact, ...]


class Taken(msgspec.Struct, frozen=True):
    """What a frame did: blocks it took back (newest first), the block it opened, and the events it applied."""

    undone: tuple[BlockRef, ...] = ()
    opened: BlockRef | None = None
    applied: tuple[Applied, ...] = ()


def _number(text: str) -> int:
    try:
        return from_hex(text)
    except ValueError as error:
        raise DecodeError(f"expected a block number in hex, got {text[:40]!r}") from error


def _hash(text: str | None) -> str:
    return (text or "").lower()


class Intake:
    """Blocks, logs and reads of one chain, in order, into one journaled book."""

    def __init__(self, chain_id: ChainId, instances: Sequence[Instance], *, journal: int) -> None:
        self.chain_id = chain_id
        self.instances = tuple(instances)
        self.book = JournaledBook(chain_id, depth=journal)
        self.depth = journal
        self.events = 0
        self.duplicates = 0
        self.undecoded = 0
        self.reorgs = 0
        self.resyncs = 0
        self._routes: dict[str, tuple[tuple[Instance, dict[str, tuple[EventSpec[Any], ...]]], ...]] = {}
        self._anywhere: tuple[tuple[Instance, dict[str, tuple[EventSpec[Any], ...]]], ...] = ()
        self._filters: list[LogFilter | None] = [None] * len(self.instances)
        self._specs = [_by_topic(instance) for instance in self.instances]
        self._held: list[ReadsFrame] = []
        self._undoing = False
        self._missing: dict[tuple[str, str], int] = {}
        self._answers: tuple[BlockRef | None, dict[Call, CallResult]] = (None, {})
        """What was answered at the head so far."""
        self._taken: set[tuple[int, Call]] = set()

    @property
    def head(self) -> BlockRef | None:
        """The newest block applied."""
        return self.book.head

    def filters(self) -> tuple[LogFilter, ...]:
        """What the instances ask for now."""
        return tuple(instance.filter(self.book) for instance in self.instances)

    def wants(self) -> tuple[Call, ...]:
        """The reads still open at the head, each once, in the order of the instances."""
        at = self.head
        if at is None:
            return ()
        calls: dict[Call, None] = {}
        for instance in self.instances:
            for call in instance.wants(self.book, at):
                calls[call] = None
        return tuple(calls)

    def on_block(self, frame: BlockFrame) -> Taken:
        """Apply a block; what it does not fit on is undone first. One that stands already is counted and skipped."""
        at = block_ref(frame)
        undone = tuple(self._make_room(at))
        head = self.head
        if head is not None and (head.number, head.hash) == (at.number, at.hash):
            self.duplicates += 1
            return Taken(undone=undone)
        if head is not None and at.number > head.number + 1 and at.parent and head.hash:
            self.book.notice(f"blocks {head.number + 1} to {at.number - 1} are not in the stream")
        self._early_reads(at)
        self._undoing = False
        self.book.open(at)
        applied = tuple(self._apply(at, frame.logs))
        extra: list[Applied] = []
        for instance in self.instances:
            facts = tuple(instance.on_block(self.book, at))
            if facts:
                extra.append(Applied(instance, Event(address="", tx="", log_index=-1), facts))
        self._held_reads(at)
        return Taken(undone=undone, opened=at, applied=applied + tuple(extra))

    def on_removed(self, frame: RemovedFrame) -> tuple[BlockRef, ...]:
        """Undo the block and all above it. A block that is not ours (any more) is ignored."""
        number, block_hash = _number(frame.number), _hash(frame.hash)
        known = any(b.number == number and (not block_hash or b.hash == block_hash) for b in self.book.blocks)
        if not known:
            return ()
        undone = []
        while (head := self.head) is not None and head.number >= number:
            undone.append(self.book.undo())
        self._count_reorg(bool(undone))
        return tuple(undone)

    def on_reads(self, frame: ReadsFrame) -> bool:
        """Hand the answers to the instances. False if they are of a block that is not (yet, or any more) ours."""
        number, block_hash = _number(frame.block), _hash(frame.block_hash)
        head = self.head
        if head is None or number > head.number:
            self._held.append(frame)
            return False
        if number == head.number:
            at = head
        else:
            older = [block for block in self.book.blocks if block.number == number]
            at = older[0] if older else BlockRef(self.chain_id, number, block_hash, head.time)
        if block_hash and at.hash and block_hash != at.hash:
            self.book.notice("reads of a block that a reorg removed were ignored")
            return False
        self._read(frame, at)
        return at is head

    def price_sources(self) -> list[Address]:
        """The contracts that its markets take their prices from, each once."""
        return sorted({source for instance in self.instances for source in instance.price_sources(self.book).values()})

    def _read(self, frame: ReadsFrame, at: BlockRef) -> None:
        told = [call for call in frame.calls if sources.concerns(call)]
        asked = set(self.price_sources()) if told else set()
        for call in told:
            if call.to.lower() in asked:
                sources.take(self.book, call)
        for call in frame.calls:
            self._missing.pop((call.to.lower(), call.data[:10].lower()), None)
            for instance in self.instances:
                self._hand(instance, call, at)
        if at == self.head:
            self._hand_again(frame.calls, at)

    def _hand_again(self, calls: Sequence[CallResult], at: BlockRef) -> None:
        """Who learns of a contract in a later round of a block is handed what others asked of it before: it is not
        asked twice at one block. Each gets an answer again once at most."""
        if self._answers[0] != at:
            self._answers, self._taken = (at, {}), set()
        answers = self._answers[1]
        answers.update((Call(call.to.lower(), call.data.lower()), call) for call in calls if call.result is not None)
        fresh = True
        while fresh:
            fresh = False
            for number, instance in enumerate(self.instances):
                for call in tuple(instance.wants(self.book, at)):
                    answer = answers.get(call)
                    if answer is not None and (number, call) not in self._taken:
                        self._taken.add((number, call))
                        self._hand(instance, answer, at)
                        fresh = True

    def _hand(self, instance: Instance, call: CallResult, at: BlockRef) -> None:
        try:
            instance.on_read(self.book, at, call)
        except ReadError as error:
            self.book.notice(f"{instance.protocol}: an answer of {call.to} was not understood: {error}")

    def note_missing(self, calls: Sequence[Call]) -> None:
        """Remember what stayed without an answer at a block that is over; an answer later on takes it back."""
        for call in calls:
            key = (call.to, call.data[:10])
            self._missing[key] = self._missing.get(key, 0) + 1

    def tell_missing(self) -> None:
        """Say once, per contract and function, that a read never got an answer."""
        for (to, function), blocks in self._missing.items():
            self.book.notice(
                f"no answer to the read {function} of {to} (wanted at {blocks} blocks): what rests on it is unknown"
            )
        self._missing = {}

    def _make_room(self, at: BlockRef) -> Iterator[BlockRef]:
        """Undo until `at` is the head itself or fits on top of it."""
        head = self.head
        if head is None or (head.number, head.hash) == (at.number, at.hash):
            return
        count = 0
        while (head := self.head) is not None and (
            head.number > at.number
            or (head.number == at.number and head.hash != at.hash)
            or (head.number == at.number - 1 and at.parent and head.hash and head.hash != at.parent)
        ):
            if head.number == at.number - 1 and head.hash != at.parent:
                self.book.notice(f"block {head.number} was replaced by one that is not in the stream")
            count += 1
            yield self.book.undo()
        self._count_reorg(bool(count))
        if count and self.head is None:
            self._resync(at)

    def _count_reorg(self, undone: bool) -> None:
        """Blocks taken back one after another, with none in between, are one reorg."""
        self.reorgs += undone and not self._undoing
        self._undoing = self._undoing or undone

    def _resync(self, at: BlockRef) -> None:
        self.resyncs += 1
        notices = self.book.notices
        self.book = JournaledBook(self.chain_id, depth=self.depth)
        self._filters = [None] * len(self.instances)
        text = f"a reorg at block {at.number} went beyond the {self.depth} blocks kept: the state is read anew"
        for old in notices:
            self.book.notice(old)
        self.book.take_notices()
        self.book.notice(text)

    def _early_reads(self, at: BlockRef) -> None:
        """Reads that came before any block, of an earlier block: the state that a recording starts from."""
        early = [frame for frame in self._held if from_hex(frame.block) < at.number]
        if not early:
            return
        self._held = [frame for frame in self._held if frame not in early]
        head = self.head
        for frame in early:
            number = from_hex(frame.block)
            if head is None or number > head.number:
                head = BlockRef(self.chain_id, number, _hash(frame.block_hash), at.time)
                self.book.open(head)
            self._read(frame, head)

    def _held_reads(self, at: BlockRef) -> None:
        due = [frame for frame in self._held if from_hex(frame.block) == at.number]
        self._held = [frame for frame in self._held if frame not in due]
        for frame in due:
            if not frame.block_hash or not at.hash or _hash(frame.block_hash) == at.hash:
                self._read(frame, at)

    def _refresh_routes(self) -> None:
        """Follow the instances' filters; cheap while they return the same objects."""
        changed = False
        for i, instance in enumerate(self.instances):
            asked = instance.filter(self.book)
            if asked is not self._filters[i]:
                self._filters[i] = asked
                changed = True
        if not changed:
            return
        routes: dict[str, list[tuple[Instance, dict[str, tuple[EventSpec[Any], ...]]]]] = {}
        anywhere = []
        for instance, specs, current in zip(self.instances, self._specs, self._filters, strict=True):
            if current is None:
                continue
            asked = current
            wanted = {topic0: group for topic0, group in specs.items() if topic0 in asked.topics}
            if asked.addresses is None:
                anywhere.append((instance, wanted))
                continue
            for address in asked.addresses:
                routes.setdefault(address, []).append((instance, wanted))
        self._routes = {address: tuple(items) for address, items in routes.items()}
        self._anywhere = tuple(anywhere)

    def _apply(self, at: BlockRef, logs: Sequence[RawLog]) -> Iterator[Applied]:
        self._refresh_routes()
        for log in logs:
            if log.removed or not log.topics:
                continue
            topic0 = log.topics[0]
            for instance, specs in self._routes.get(log.address.lower(), ()) + self._anywhere:
                group = specs.get(topic0)
                if group is None:
                    continue
                event = self._decode(instance, group, log)
                if event is None:
                    continue
                self.events += 1
                facts = tuple(instance.on_event(self.book, at, event))
                self._refresh_routes()
                yield Applied(instance, event, facts)

    def _decode(self, instance: Instance, group: tuple[EventSpec[Any], ...], log: RawLog) -> Event | None:
        for spec in group:
            if spec.fits(log):
                break
        else:
            if any(spec.topics == len(log.topics) for spec in group):
                self.undecoded += 1
                self.book.notice(
                    f"{instance.protocol}: a log of {log.address} has the topic of {group[0].name} "
                    f"and {(len(log.data) - 2) // 2} bytes of data; skipped"
                )
            return None
        try:
            return spec.decode(log)  # type: ignore[no-any-return]
        except DecodeError as error:
            self.undecoded += 1
            self.book.notice(f"{instance.protocol}: {error}; skipped")
            return None


def _by_topic(instance: Instance) -> dict[str, tuple[EventSpec[Any], ...]]:
    groups: dict[str, tuple[EventSpec[Any], ...]] = {}
    for spec in instance.events:
        groups[spec.topic0] = (*groups.get(spec.topic0, ()), spec)
    return groups


def block_ref(frame: BlockFrame) -> BlockRef:
    """Where the frame's block stands. DecodeError if its number or time is no hex quantity."""
    header = frame.header
    try:
        number, time = int(header.number, 16), int(header.timestamp, 16)
    except ValueError as error:
        raise DecodeError(f"block header: number {header.number!r}, timestamp {header.timestamp!r}") from error
    return BlockRef(frame.chain_id, number, _hash(header.hash), time, _hash(header.parent_hash))
