"""What watched accounts have of the pools: the liquidity of their positions, and what the pool would pay for it now.

A position belongs to who minted it in the pool: as a rule the manager that gives each position as a token
(Uniswap/v3-periphery@0682387 contracts/NonfungiblePositionManager.sol). The manager's events name the token and the
amounts, the pool's own event just before in the same transaction names the pool and the ticks. As with the shares of
other pools nothing is asked of a chain for a watched account, except of private endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from defiwatch.domain.events import BlockRef, Event
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.risk import Stake
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, decode, function
from defiwatch.protocols.concentrated.ranges import Range, changed, stake_of
from defiwatch.protocols.erc20 import BALANCE_OF, token_of
from defiwatch.protocols.foreign import NftTransfer
from defiwatch.protocols.heard.exchanges import PositionDecreased, PositionIncreased
from defiwatch.protocols.spec import Book, Instance, Table
from defiwatch.protocols.uniswap_v3.events import V3Burn, V3Mint
from defiwatch.protocols.uniswap_v3.state import POOLS, V3State

MOST = 200
"""Positions that are read of an account at most."""

TOKEN_BY_INDEX = function("tokenOfOwnerByIndex(address,uint256)", "uint256")
POSITIONS = function(
    "positions(uint256)",
    "uint96,address,address,address,uint24,int24,int24,uint128,uint256,uint256,uint128,uint128",
)


class Moved(msgspec.Struct, frozen=True):
    """The manager's last change of liquidity in a pool: what the event of the position's token after it belongs to."""

    tx: str
    pool: Address
    lower: int
    upper: int
    amounts: tuple[int, int, int]


class Owned(msgspec.Struct, frozen=True):
    """How many position tokens an account has, and those of them that were read."""

    count: int
    ids: tuple[int, ...] = ()


RANGES: Table[str, Range] = Table("uniswap_v3.range")
"""manager:token, or pool:owner:lower:upper for who minted in the pool itself → position."""
MOVED: Table[Address, Moved] = Table("uniswap_v3.moved")
OWNED: Table[tuple[Address, Address], Owned] = Table("uniswap_v3.owned")
"""(manager, account) → its tokens, of accounts that may be asked for."""


class Positions:
    """The positions of one deployment's pools. `manager`: "" where none is named."""

    def __init__(self, manager: Address) -> None:
        self._manager = manager
        self._mine: frozenset[Address] = frozenset()
        self._named: tuple[Address, ...] = ()

    def mine(self, accounts: Iterable[Address]) -> None:
        """The accounts whose positions are told; nothing is asked for them."""
        self._mine = frozenset(accounts)

    def ask_for(self, accounts: Iterable[Address]) -> None:
        """The accounts whose positions may be asked for."""
        self._named = tuple(sorted(set(accounts)))

    def pool_moved(self, book: Book, at: BlockRef, event: V3Mint | V3Burn, liquidity: int) -> None:
        """A position of a pool changed by `liquidity` (negative: taken out)."""
        if event.owner == self._manager:
            amounts = (event.amount, event.amount0, event.amount1)
            moved = Moved(event.tx, event.address, event.tick_lower, event.tick_upper, amounts)
            book.put(MOVED, self._manager, moved)
        elif event.owner in self._mine and liquidity:
            key = f"{event.address}:{event.owner}:{event.tick_lower}:{event.tick_upper}"
            fresh = Range(event.owner, at.number, event.address, event.tick_lower, event.tick_upper)
            book.put(RANGES, key, changed(book.get(RANGES, key) or fresh, liquidity))
        elif liquidity:  # of a wallet that was watched once
            book.drop(RANGES, f"{event.address}:{event.owner}:{event.tick_lower}:{event.tick_upper}")

    def on_event(self, book: Book, at: BlockRef, event: Event) -> None:
        """An event of the manager: a token went to somebody else, or the liquidity under it changed."""
        if event.address != self._manager:
            return
        if isinstance(event, NftTransfer):
            key = f"{self._manager}:{event.token_id}"
            before = book.get(RANGES, key)
            if event.recipient in self._mine:
                if before is None:
                    before = Range(event.recipient, at.number, exact=event.sender == ZERO_ADDRESS)
                book.put(RANGES, key, msgspec.structs.replace(before, owner=event.recipient))
            elif before is not None:
                book.drop(RANGES, key)
        elif isinstance(event, PositionIncreased):
            key = f"{self._manager}:{event.token_id}"
            before = book.get(RANGES, key)
            if before is None:
                return
            moved = book.get(MOVED, self._manager)
            told = (event.liquidity, event.amount0, event.amount1)
            if moved is not None and (moved.tx, moved.amounts) == (event.tx, told):
                before = msgspec.structs.replace(before, pool=moved.pool, lower=moved.lower, upper=moved.upper)
            taken = isinstance(event, PositionDecreased)
            book.put(RANGES, key, changed(before, -event.liquidity if taken else event.liquidity))

    def extras(self, book: Book, at: BlockRef, pools: Iterable[Address]) -> list[Call]:
        """The positions of the accounts that may be asked for, once the pools are known by their tokens."""
        if not self._named or not self._manager:
            return []
        states = [book.get(POOLS, pool) or V3State() for pool in pools]
        if not all(state.token0 and state.token1 and state.fee >= 0 for state in states):
            return []
        calls: list[Call] = []
        for account in self._named:
            owned = book.get(OWNED, (self._manager, account))
            if owned is None:
                calls.append(BALANCE_OF.call(self._manager, account))
                continue
            unread = range(len(owned.ids), min(owned.count, MOST))
            calls += [TOKEN_BY_INDEX.call(self._manager, account, i) for i in unread]
            for token in owned.ids:
                known = book.get(RANGES, f"{self._manager}:{token}")
                if known is not None and not known.exact:
                    calls.append(POSITIONS.call(self._manager, token))
        return reads.open_calls(book, at, calls)

    def on_read(self, book: Book, at: BlockRef, call: CallResult, pools: Iterable[Address]) -> bool:
        """Take what the manager says of an account's tokens; False if it was not asked."""
        if call.to.lower() != self._manager:
            return False
        asked = next((one for one in (BALANCE_OF, TOKEN_BY_INDEX, POSITIONS) if one.matches(call)), None)
        if asked is None:
            return False
        if reads.empty(call):
            reads.refuse(book, at, call)
            return True
        reads.accept(book, call)
        answer = decode(asked.outputs, call.result or "")
        if asked is POSITIONS:
            (token,) = POSITIONS.arguments(call)
            self._position_read(book, f"{self._manager}:{token}", answer, pools)
            return True
        account = asked.arguments(call)[0]
        if account not in self._mine:
            return True
        key = (self._manager, account)
        if asked is BALANCE_OF:
            book.put(OWNED, key, Owned(answer[0]))
            return True
        owned = book.get(OWNED, key)
        if owned is not None and asked.arguments(call)[1] == len(owned.ids):
            book.put(OWNED, key, Owned(owned.count, (*owned.ids, answer[0])))
            token_key = f"{self._manager}:{answer[0]}"
            if book.get(RANGES, token_key) is None:
                book.put(RANGES, token_key, Range(account, at.number))
        return True

    def _position_read(self, book: Book, key: str, answer: tuple[object, ...], pools: Iterable[Address]) -> None:
        before = book.get(RANGES, key)
        if before is None:
            return
        _, _, token0, token1, fee, lower, upper, liquidity, *_ = answer
        found = ""
        for pool in pools:
            state = book.get(POOLS, pool) or V3State()
            if (state.token0, state.token1, state.fee) == (token0, token1, fee):
                found = pool
        known = {"pool": found, "lower": lower, "upper": upper, "liquidity": liquidity, "exact": True}
        book.put(RANGES, key, msgspec.structs.replace(before, **known))

    def unseen(self, book: Book) -> bool:
        """Whether one of them may have positions that no event has told."""
        read = [book.get(OWNED, (self._manager, account)) for account in sorted(self._mine)]
        return any(owned is None or len(owned.ids) < owned.count for owned in read)

    def stakes(self, book: Book, instance: Instance, pools: frozenset[Address]) -> Iterator[Stake]:
        """Every position with liquidity in one of `pools`, and what `burn` would pay for it."""
        for key, held in sorted(book.items(RANGES)):
            if held.pool not in pools or held.owner not in self._mine or not held.liquidity:
                continue
            state = book.get(POOLS, held.pool) or V3State()
            token = key.partition(":")[2] if key.startswith(f"{self._manager}:") else ""
            yield stake_of(
                instance,
                held,
                token,
                sqrt_price_x96=state.sqrt_price_x96,
                tick=state.tick,
                liquidity=state.liquidity,
                units=(token_of(book, state.token0).units, token_of(book, state.token1).units),
            )
