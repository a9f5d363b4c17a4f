"""What watched accounts have of the pools: the liquidity of their positions, and what the manager would pay for it now.

A position belongs to who changed it at the PoolManager, as a rule the contract that gives each position as a token: its
number is the position's salt (v4-periphery 1.0.3 src/PositionManager.sol). Nothing is asked of a chain for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.risk import Stake
from defiwatch.protocols.concentrated.ranges import Range, changed, stake_of
from defiwatch.protocols.erc20 import token_of
from defiwatch.protocols.foreign import NftTransfer
from defiwatch.protocols.spec import Book, Instance, Table
from defiwatch.protocols.uniswap_v4.events import V4ModifyLiquidity
from defiwatch.protocols.uniswap_v4.state import KEYS, POOLS, V4State

RANGES: Table[str, Range] = Table("uniswap_v4.range")
"""tokens' contract:number, or pool:sender:lower:upper:salt for who changes positions at the manager itself."""


class Positions:
    """The positions in one manager's pools. `tokens`: the contract that gives positions as tokens, "" for none."""

    def __init__(self, tokens: Address) -> None:
        self._tokens = tokens
        self._mine: frozenset[Address] = frozenset()

    def mine(self, accounts: Iterable[Address]) -> None:
        """The accounts whose positions are told."""
        self._mine = frozenset(accounts)

    def transferred(self, book: Book, at: BlockRef, event: NftTransfer) -> None:
        """A position went to somebody else; from the zero address it is new."""
        if event.address != self._tokens:
            return
        key = f"{self._tokens}:{event.token_id}"
        before = book.get(RANGES, key)
        if event.recipient in self._mine:
            held = before or Range(event.recipient, at.number, exact=event.sender == ZERO_ADDRESS)
            book.put(RANGES, key, msgspec.structs.replace(held, owner=event.recipient))
        elif before is not None:
            book.drop(RANGES, key)

    def modified(self, book: Book, at: BlockRef, event: V4ModifyLiquidity) -> None:
        """Liquidity of a position went in or out; the first time the event also tells where it is."""
        if event.sender == self._tokens:
            key = f"{self._tokens}:{int(event.salt, 16)}"
            before = book.get(RANGES, key)
        else:
            key = f"{event.id}:{event.sender}:{event.tick_lower}:{event.tick_upper}:{event.salt}"
            before = book.get(RANGES, key)
            if event.sender in self._mine:
                before = before or Range(event.sender, at.number)
            elif before is not None:  # of an account that was watched once
                book.drop(RANGES, key)
                return
        if before is None or not event.liquidity_delta:
            return
        place = msgspec.structs.replace(before, pool=event.id, lower=event.tick_lower, upper=event.tick_upper)
        book.put(RANGES, key, changed(place, event.liquidity_delta))

    def unseen(self) -> bool:
        """Whether one of them may have positions that no event has told."""
        return bool(self._mine)

    def stakes(self, book: Book, instance: Instance, pools: frozenset[str]) -> Iterator[Stake]:
        """Every position with liquidity in one of `pools`."""
        for key, held in sorted(book.items(RANGES)):
            if held.pool not in pools or held.owner not in self._mine or not held.liquidity:
                continue
            state, pool = book.get(POOLS, held.pool) or V4State(), book.get(KEYS, held.pool)
            tokens = (pool.currency0, pool.currency1) if pool is not None else ("", "")
            yield stake_of(
                instance,
                held,
                key.partition(":")[2] if key.startswith(f"{self._tokens}:") else "",
                sqrt_price_x96=state.sqrt_price_x96,
                tick=state.tick,
                liquidity=state.liquidity,
                units=(token_of(book, tokens[0]).units, token_of(book, tokens[1]).units),
            )
