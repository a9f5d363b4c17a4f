"""Accounts of a live chain, once: what they need is read at one block, or earlier and followed from there by events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.collectors.chain.glance import Glance
from defiwatch.config import Chain, Config
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, Header, RawLog, ReadsFrame, RemovedFrame
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import from_hex
from defiwatch.engine.intake import Intake
from defiwatch.errors import SourceError, UnknownBlockError, UsageError
from defiwatch.protocols.aave_v3 import AAVE_V3, views
from defiwatch.protocols.abi import Call
from defiwatch.protocols.compound_v3 import COMPOUND_V3, answers
from defiwatch.protocols.erc20 import BALANCE_OF
from defiwatch.protocols.morpho_blue import MORPHO_BLUE
from defiwatch.protocols.morpho_blue.blue import BORROW_RATE, POSITION, PRICE, MorphoBlue
from defiwatch.protocols.registry import create
from defiwatch.protocols.spec import Instance

LENDERS = frozenset({AAVE_V3.name, MORPHO_BLUE.name, COMPOUND_V3.name})
ROUNDS = 24
"""Rounds of reads that a start may take."""
_KEPT = 8
_PERSONAL = frozenset(
    asked.selector
    for asked in (
        views.USER_CONFIGURATION,
        views.USER_EMODE,
        views.SCALED_BALANCE,
        views.STABLE_BALANCE,
        views.STABLE_RATE,
        views.STABLE_UPDATED,
        POSITION,
        answers.USER_BASIC,
        answers.USER_COLLATERAL,
    )
)

_OF_A_BLOCK = frozenset(
    asked.selector
    for asked in (
        views.ASSET_PRICE,
        views.LIQUIDATION_ALLOWED,
        PRICE,
        BORROW_RATE,
        answers.TOTALS_BASIC,
        answers.GET_PRICE,
        BALANCE_OF,
    )
)


class Glimpse:
    """Some accounts on one chain, in a book of their own. `chain` must have an endpoint; see `lenders`."""

    def __init__(self, chain: Chain, instances: Sequence[Instance], accounts: Iterable[Address]) -> None:
        self.chain = chain
        self.accounts = tuple(sorted(set(accounts)))
        self.intake = Intake(chain.chain_id, instances, journal=_KEPT)
        self.since: int | None = None
        """The block at which the state was read; what came after it is from events."""
        for instance in instances:
            instance.watch(self.accounts)

    @property
    def at(self) -> BlockRef:
        """The block that everything is of."""
        head = self.intake.head
        if head is None:
            raise SourceError(f"chain {self.chain.name}: no block was read")
        return head

    async def read(self, glance: Glance, number: int | None = None, *, patient: bool = True) -> Header:
        """Read everything at the newest block, or at a height. SourceError if no endpoint has its state.

        `patient`: a block that is so new that a node may not have it yet.
        """
        header = await glance.header(number)
        self.intake.on_block(BlockFrame(self.chain.chain_id, alone(header)))
        for instance in self.intake.instances:
            if isinstance(instance, MorphoBlue):
                await self._markets(glance, header, instance)
        await self._answer(glance, header, patient=patient)
        self.since = from_hex(header.number)
        return header

    async def follow(self, glance: Glance, number: int | None = None, *, back: int) -> Header:
        """Read everything `back` blocks earlier (or later, if no endpoint has the state), then follow the events up to
        the newest block, or to a height; what holds for one block only is read there again."""
        last = await glance.header(number)
        top = from_hex(last.number)
        for distance in sorted({min(back, top), min(back, 96, top), 0}, reverse=True):
            self.intake = Intake(self.chain.chain_id, self.intake.instances, journal=_KEPT)
            try:
                start = await self.read(glance, top - distance, patient=distance == 0)
            except UnknownBlockError:
                if distance == 0:
                    raise
                continue
            await self._events(glance, from_hex(start.number) + 1, last)
            await self._answer(glance, last)
            return last
        raise SourceError(f"chain {self.chain.name}: no endpoint has the state of block {top}")

    def positions(self) -> list[Position]:
        """The accounts' positions, by account, protocol and market."""
        book, at = self.intake.book, self.at
        return [
            position
            for account in self.accounts
            for instance in self.intake.instances
            for position in sorted(instance.positions_of(book, at, account), key=lambda p: p.market)
        ]

    async def _markets(self, glance: Glance, header: Header, morpho: MorphoBlue) -> None:
        """Learn which markets the accounts ever entered, where the configuration does not name them."""
        found: list[RawLog] = []
        for scan in morpho.entered():
            logs = await glance.search(scan, from_hex(header.number))
            if logs is None:
                self.intake.book.notice(
                    "morpho_blue: name its markets (pools) or its first block (from_block): a search through all blocks"
                    " would take too many questions"
                )
                return
            found += logs
        calls = morpho.market_calls(found)
        told = await glance.reads(calls, header)
        self.intake.on_reads(ReadsFrame(self.chain.chain_id, header.number, tuple(told), header.hash))

    async def _events(self, glance: Glance, first: int, last: Header) -> None:
        """Apply the logs up to `last`. Where a block widens the filters, they are asked for anew from there on."""
        top = from_hex(last.number)
        filters = tuple(self.intake.filters())
        widened = True
        while widened and first <= top:
            widened = False
            for frame in await glance.blocks(filters, first, top):
                self.intake.on_block(msgspec.structs.replace(frame, header=alone(frame.header)))
                # What lasts (a contract, its revision) decides how later events are read.
                await self._answer(glance, frame.header, lasting=True, patient=False)
                now = tuple(self.intake.filters())
                if now != filters:
                    number = from_hex(frame.header.number)
                    again = await glance.blocks(now, number, number)
                    whole = not again or len(again[0].logs) == len(frame.logs)
                    if not whole:
                        self.intake.on_removed(
                            RemovedFrame(self.chain.chain_id, frame.header.number, frame.header.hash)
                        )
                    filters, first, widened = now, number + whole, True
                    break
        head = self.intake.head
        if head is None or head.number < top:
            self.intake.on_block(BlockFrame(self.chain.chain_id, alone(last)))

    async def _answer(self, glance: Glance, header: Header, *, lasting: bool = False, patient: bool = True) -> None:
        """Make the reads that are open, round by round, but those of other people's accounts. `lasting`: only of what
        holds beyond the block."""
        asked: set[Call] = set()
        for _ in range(ROUNDS):
            calls = [call for call in self.intake.wants() if call not in asked and self._ours(call)]
            if lasting:
                calls = [call for call in calls if call.data[:10] not in _OF_A_BLOCK]
            if not calls:
                return
            asked.update(calls)
            told = await glance.reads(calls, header, patient=patient)
            self.intake.on_reads(ReadsFrame(self.chain.chain_id, header.number, tuple(told), header.hash))

    def _ours(self, call: Call) -> bool:
        return call.data[:10] not in _PERSONAL or any(account[2:] in call.data for account in self.accounts)


def lenders(config: Config, chain: str | None = None) -> list[tuple[Chain, list[Instance]]]:
    """The chains that can be asked, each with its lending deployments; only the one that is named, if one is.

    UsageError if there is none.
    """
    chains = config.chains if chain is None else (config.chain(chain),)
    found: list[tuple[Chain, list[Instance]]] = []
    for one in chains:
        mine = [d for d in config.deployments if d.chain == one.name and d.protocol in LENDERS]
        if one.rpc and mine:
            found.append((one, [create(one.chain_id, deployment) for deployment in mine]))
    if not found:
        where = "no chain" if chain is None else f"chain {chain!r} not"
        raise UsageError(f"{where} configured with both an endpoint (rpc) and a lending market ([[deployments]])")
    return found


def alone(header: Header) -> Header:
    """A header without its parent: blocks without logs are left out, so that two may not follow on each other."""
    return msgspec.structs.replace(header, parent_hash="")
