"""What a protocol is: one value in one file. The seam between protocols, state, engine and collectors.

A protocol's code is pure: everything that it learns it writes to the `Book` that it is handed (journaled, so that a
reorg undoes it), and what it needs from a contract it names as data (`Call`), which a collector executes and the engine
hands back through `Instance.on_read`. Nothing here knows whether the frames are live or replayed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, ItemsView, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar
from typing import Protocol as TypingProtocol

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.ids import Address, ChainId
from defiwatch.domain.risk import Feed, Market, Pool, Position, Stake, Vault
from defiwatch.protocols.abi import Call, EventSpec

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Table(Generic[K, V]):
    """A named, typed table of the book: `RESERVES: Table[Address, Reserve] = Table("aave_v3.reserve")`.

    Keys are str, int or tuples of them; values are frozen structs, int, str or tuples: replaced whole, never changed in
    place (the journal keeps the old one), and all of them can be written to disk. Names are "protocol.thing".
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Book(TypingProtocol):
    """One chain's state, as protocols see it. Every write is journaled under the block being applied."""

    @property
    def chain_id(self) -> ChainId:
        """The chain this book is of."""

    def get(self, table: Table[K, V], key: K) -> V | None:
        """The value under `key`, None where there is none."""

    def put(self, table: Table[K, V], key: K, value: V) -> None:
        """Set the value under `key`."""

    def drop(self, table: Table[K, V], key: K) -> None:
        """Remove `key`; nothing happens where it is not."""

    def items(self, table: Table[K, V]) -> ItemsView[K, V]:
        """All entries, in order of insertion. Do not write to the same table while iterating."""

    def notice(self, text: str) -> None:
        """Tell the user once that something was counted and skipped, or cannot be known."""


class LogFilter(msgspec.Struct, frozen=True):
    """Which logs an instance asks for: these first topics, from these addresses (None: from any address)."""

    addresses: frozenset[Address] | None
    topics: frozenset[str]


class Scan(msgspec.Struct, frozen=True):
    """A search through past logs, for what only history tells (who has a position). `topics` as in eth_getLogs.

    Its logs never become frames: `Instance.on_scan` turns them into calls, whose results are.
    """

    key: str
    addresses: tuple[Address, ...]
    topics: tuple[tuple[str, ...] | None, ...]
    from_block: int = 0
    until: int | None = None
    """The newest block that is still to be searched: from there on downwards. None: the head."""


class Instance(ABC):
    """One deployment of a protocol on one chain. Holds only its configuration; what it learns is in the book."""

    protocol: str
    events: Sequence[EventSpec[Any]]

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        self.chain_id = chain_id
        self.deployment = deployment

    @abstractmethod
    def filter(self, book: Book) -> LogFilter:
        """The logs it needs, given what it knows so far. Returns the same object while nothing changed."""

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:  # noqa: ARG002 - most protocols want nothing
        """The reads it still needs at the block `at`, pinned to it. () once all are answered.

        Asked again after each batch of answers, so a start may take rounds. A call that was answered with an error must
        not be wanted again at the same block.
        """
        return ()

    def watch(self, accounts: Iterable[Address]) -> None:  # noqa: ARG002 - most protocols know no accounts
        """Want everything of these accounts, whether an event named them or not. Replaces an earlier list."""
        return

    def mine(self, accounts: Iterable[Address]) -> None:  # noqa: ARG002 - only pools have shares
        """Tell these accounts' parts of its pools, by what events say. Unlike `watch`, it changes nothing that is
        asked for. Replaces an earlier list."""
        return

    def checks(self, book: Book, at: BlockRef) -> Sequence[Call]:  # noqa: ARG002 - most protocols have nothing to check
        """Reads that only confirm what events told; asked now and then, and they need not be answered."""
        return ()

    def extras(self, book: Book, at: BlockRef) -> Sequence[Call]:  # noqa: ARG002 - most protocols want nothing beside
        """Reads that tell more of what is known already, asked with `wants` until answered; no judgement waits for
        them, and what rests on one that a recording lacks is said to be unknown."""
        return ()

    def scans(self, book: Book) -> Sequence[Scan]:  # noqa: ARG002 - most protocols need no history
        """The history that it still needs. () once done."""
        return ()

    def on_scan(self, book: Book, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:  # noqa: ARG002
        """The calls that the logs of a scan lead to. Writes nothing to the book."""
        return ()

    @abstractmethod
    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Apply one decoded event; returns what happened in everybody's words."""

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:  # noqa: ARG002
        """Take one answer. True if it was for this instance (several may share an answer). ReadError if malformed.

        Recordings may hold answers that were never wanted: take what is understood, ignore the rest.
        """
        return False

    def on_block(self, book: Book, at: BlockRef) -> Iterable[Fact]:  # noqa: ARG002
        """Called once after all logs of a block were applied."""
        return ()

    def pools(self, book: Book) -> Iterable[Pool]:  # noqa: ARG002
        """Its exchange pools as they stand."""
        return ()

    def pool(self, book: Book, pool_id: str) -> Pool | None:  # noqa: ARG002
        """One of its pools by id."""
        return None

    def stakes(self, book: Book) -> Iterable[Stake]:  # noqa: ARG002
        """What the accounts that `mine` named have of its pools, by pool and account."""
        return ()

    def unseen(self, book: Book, pool_id: str) -> bool:  # noqa: ARG002
        """Whether an account that `mine` named may have a part of the pool that no event has told."""
        return False

    def positions(self, book: Book, at: BlockRef) -> Iterable[Position]:  # noqa: ARG002
        """Its lending positions with debt or collateral, exact at the block `at` and the prices last read."""
        return ()

    def position(self, book: Book, at: BlockRef, account: Address) -> Position | None:  # noqa: ARG002
        """One account's position; of several (one a market) the one that is closest to its liquidation."""
        return None

    def positions_of(self, book: Book, at: BlockRef, account: Address) -> Sequence[Position]:
        """All positions of one account here."""
        found = self.position(book, at, account)
        return () if found is None else (found,)

    def markets(self, book: Book, at: BlockRef) -> Iterable[Market]:  # noqa: ARG002
        """Its lendable assets as they stand at the block `at`."""
        return ()

    def price_sources(self, book: Book) -> Mapping[tuple[str, Address], Address]:  # noqa: ARG002
        """Where its markets take their prices from: (market, asset) → the contract that is asked."""
        return {}

    def vaults(self, book: Book) -> Iterable[Vault]:  # noqa: ARG002
        """Its vaults as they were read last."""
        return ()

    def feeds(self, book: Book) -> Iterable[Feed]:  # noqa: ARG002
        """Its oracle feeds as they stand."""
        return ()


class ProtocolSpec(msgspec.Struct, frozen=True):
    """A protocol as the registry holds it. `keys` are the deployment keys it takes beside chain and protocol."""

    name: str
    title: str
    events: tuple[EventSpec[Any], ...]
    create: Callable[[ChainId, Deployment], Instance]
    keys: frozenset[str]
