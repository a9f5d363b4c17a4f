"""Compound v3 as a protocol: one deployment is one Comet, by its proxy's address.

Deployment keys: `address`, `from_block` (where its history starts), `label`. No event carries an index or principal, so
`totalsBasic` is read at every block, and `userBasic` of everybody whom a base event names. A transfer of base between
borrowers has no event and leaves the totals alone: where interest was accrued in silence, borrowers are read again.
Collateral follows from e. comet@d5a30b0 contracts/Comet.sol.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact, LendingAction, LendingMoved, Liquidated
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.ids import ZERO_ADDRESS, Address, ChainId
from defiwatch.domain.risk import Market, Position
from defiwatch.errors import ConfigError
from defiwatch.protocols.abi import Call
from defiwatch.protocols.compound_v3 import answers, positions
from defiwatch.protocols.compound_v3 import events as e
from defiwatch.protocols.compound_v3.positions import PROTOCOL, Standing
from defiwatch.protocols.compound_v3.state import (
    ABSORBING,
    BALANCES,
    BASICS,
    MOVED,
    NAMES,
    OPEN_BALANCES,
    STORED,
    SUMS,
    WHOLE,
    Absorbed,
    Balance,
    Basic,
    Scene,
    assets,
    put_balance,
    put_basic,
    scene,
)
from defiwatch.protocols.spec import Book, Instance, LogFilter, ProtocolSpec, Scan

_PAUSED = {0: "supply", 1: "transfer", 2: "withdraw", 3: "absorb", 4: "buy"}

# Which topics of an event name the accounts whose base balance it moved.
_SCANNED = {
    e.WITHDRAW.topic0: (1,),
    e.SUPPLY_COLLATERAL.topic0: (2,),
    e.TRANSFER_COLLATERAL.topic0: (2,),
}


class CompoundV3(Instance):
    """One Comet."""

    protocol = PROTOCOL
    events = e.EVENTS

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not deployment.address:
            raise ConfigError("compound_v3: expected address = the Comet's proxy")
        self.address = deployment.address
        self._watched: tuple[Address, ...] = ()
        self._filter = LogFilter(frozenset({self.address}), frozenset(spec.topic0 for spec in self.events))

    def watch(self, accounts: Iterable[Address]) -> None:
        """Read these accounts whether an event named them or not."""
        self._watched = tuple(sorted(set(accounts)))

    def filter(self, book: Book) -> LogFilter:  # noqa: ARG002 - always the same
        """All events of the Comet."""
        return self._filter

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """The configuration once; totals, prices and cash at every block; accounts that moved."""
        return answers.wants(book, at, self.address, self._watched)

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take one answer."""
        return answers.take(book, at, self.address, call)

    def scans(self, book: Book) -> Sequence[Scan]:
        """Who ever borrowed or has collateral, until all debt is on the book."""
        stored = book.get(STORED, self.address)
        _, borrowed = book.get(SUMS, self.address) or (0, 0)
        if book.get(WHOLE, self.address) or (stored is not None and stored.totals.borrow_base == borrowed):
            return ()
        topics = (tuple(sorted(_SCANNED)),)
        return (Scan(f"compound_v3:{self.address}", (self.address,), topics, self.deployment.from_block),)

    def on_scan(self, book: Book, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:  # noqa: ARG002
        """The accounts that the logs name, as reads."""
        accounts: dict[Address, None] = {}
        for log in logs:
            if log.address.lower() != self.address:
                continue
            for place in _SCANNED.get(log.topics[0], ()):
                if len(log.topics) > place:
                    accounts["0x" + log.topics[place][-40:].lower()] = None
        return [
            answers.USER_BASIC.call(self.address, account)
            for account in accounts
            if not (book.get(BASICS, (self.address, account)) or Basic()).known
        ]

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Collateral by events; whoever's base balance moved is read anew."""
        if event.address != self.address:
            return ()
        if isinstance(event, e.Supply):
            self._moved(book, at, event.dst)
            return self._told(book, event, event.dst, "supply", None)
        if isinstance(event, e.Withdraw):
            self._moved(book, at, event.src)
            return self._told(book, event, event.src, "withdraw", None)
        if isinstance(event, e.Transfer):
            self._moved(book, at, event.sender, event.to)
        elif isinstance(event, e.SupplyCollateral):
            self._collateral(book, at, event.dst, event.asset, event.amount)
            return self._told(book, event, event.dst, "supply", event.asset)
        elif isinstance(event, e.WithdrawCollateral):
            self._collateral(book, at, event.src, event.asset, -event.amount)
            return self._told(book, event, event.src, "withdraw", event.asset)
        elif isinstance(event, e.TransferCollateral):
            self._collateral(book, at, event.sender, event.asset, -event.amount)
            self._collateral(book, at, event.to, event.asset, event.amount)
        elif isinstance(event, e.AbsorbCollateral):
            self._absorb(book, at, event)
        elif isinstance(event, e.AbsorbDebt):
            self._moved(book, at, event.borrower)
            return self._absorbed(book, event)
        elif isinstance(event, e.Upgraded):
            answers.forget(book, self.address)
        return ()

    def _told(
        self,
        book: Book,
        event: e.Supply | e.Withdraw | e.SupplyCollateral | e.WithdrawCollateral,
        account: Address,
        action: LendingAction,
        collateral: Address | None,
    ) -> list[Fact]:
        """Base is supplied or withdrawn, whatever of it repays or borrows: the events do not tell them apart."""
        return [
            LendingMoved(
                protocol=self.protocol,
                market=self.address,
                account=account,
                asset=collateral or book.get(NAMES, (self.address, "baseToken")) or "",
                action=action,
                amount=event.amount,
                tx=event.tx,
                log_index=event.log_index,
            )
        ]

    def _moved(self, book: Book, at: BlockRef, *accounts: Address) -> None:
        book.put(MOVED, self.address, at.number)
        for account in accounts:
            if account != ZERO_ADDRESS:
                before = book.get(BASICS, (self.address, account)) or Basic()
                changed = msgspec.structs.replace(before, known=False, block=at.number)
                put_basic(book, self.address, account, changed)

    def _collateral(self, book: Book, at: BlockRef, account: Address, asset: Address, change: int) -> None:
        key = (self.address, account, asset)
        balance = book.get(BALANCES, key)
        if balance is None:
            if book.get(BASICS, (self.address, account)) is None:
                put_basic(book, self.address, account, Basic(block=at.number))
            basic = book.get(BASICS, (self.address, account)) or Basic()
            # Absent with an account that was read once means nothing; else its start is not known.
            balance = Balance(0) if basic.known or book.get(WHOLE, self.address) else Balance(known=False)
        if balance.known:
            put_balance(book, key, Balance(balance.amount + change, True, at.number))
        else:
            put_balance(book, key, Balance(0, False, at.number))
            book.put(OPEN_BALANCES, key, True)

    def _absorb(self, book: Book, at: BlockRef, event: e.AbsorbCollateral) -> None:
        self._collateral(book, at, event.borrower, event.asset, -event.collateral_absorbed)
        key = (self.address, event.borrower)
        before = book.get(ABSORBING, key)
        if before is None or before.tx != event.tx or before.usd_value < event.usd_value:
            book.put(ABSORBING, key, Absorbed(event.tx, event.asset, event.collateral_absorbed, event.usd_value))

    def _absorbed(self, book: Book, event: e.AbsorbDebt) -> list[Fact]:
        """One fact an absorption; of several collaterals it names the most valuable."""
        taken = book.get(ABSORBING, (self.address, event.borrower))
        book.drop(ABSORBING, (self.address, event.borrower))
        mine = taken if taken is not None and taken.tx == event.tx else None
        return [
            Liquidated(
                protocol=self.protocol,
                market=self.address,
                account=event.borrower,
                liquidator=event.absorber,
                collateral_asset=mine.asset if mine else "",
                debt_asset=book.get(NAMES, (self.address, "baseToken")) or "",
                collateral_seized=mine.amount if mine else 0,
                debt_repaid=event.base_paid_out,
                tx=event.tx,
                log_index=event.log_index,
            )
        ]

    # What is known

    def scene(self, book: Book, at: BlockRef) -> Scene:
        """The Comet at the block's time."""
        return scene(book, self.address, at.time)

    def standing(self, book: Book, at: BlockRef, account: Address, *, stored: bool = False) -> Standing | None:
        """An account's debt and health with interest up to the block's time, or as stored; None: not known."""
        return positions.standing(book, at, self.address, account, stored=stored)

    def liquidatable(self, book: Book, at: BlockRef, account: Address, *, stored: bool = False) -> bool | None:
        """Whether `absorb` would take it now, or (`stored`) `isLiquidatable` says so; None: not known."""
        return positions.liquidatable(book, at, self.address, account, stored=stored)

    def positions(self, book: Book, at: BlockRef) -> Iterable[Position]:
        """Every account with debt or collateral, its health with interest up to the block's time."""
        return positions.positions(book, at, self.address, self.deployment.label)

    def position(self, book: Book, at: BlockRef, account: Address) -> Position | None:
        """One account's position."""
        return positions.position(book, at, self.address, account, self.deployment.label)

    def markets(self, book: Book, at: BlockRef) -> Iterable[Market]:
        """The base asset; `bad_debt` is what its reserves are short of."""
        return (positions.market(book, at, self.address, self.deployment.label),)

    def price_sources(self, book: Book) -> dict[tuple[str, Address], Address]:
        """The feeds that it asks."""
        comet = self.address
        base, feed = book.get(NAMES, (comet, "baseToken")), book.get(NAMES, (comet, "baseTokenPriceFeed"))
        found = {(comet, asset.asset): asset.feed for asset in assets(book, comet)}
        return {**found, (comet, base): feed} if base and feed else found

    def paused(self, book: Book) -> tuple[str, ...]:
        """Which actions are paused: supply, transfer, withdraw, absorb, buy."""
        stored = book.get(STORED, self.address)
        flags = 0 if stored is None else stored.totals.pause_flags
        return tuple(name for bit, name in _PAUSED.items() if flags >> bit & 1)


COMPOUND_V3 = ProtocolSpec(
    name=PROTOCOL,
    title="Compound v3",
    events=e.EVENTS,
    create=CompoundV3,
    keys=frozenset({"address", "label", "from_block"}),
)
