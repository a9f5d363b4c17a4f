"""What watched accounts have of a pool whose shares are a token of its own: Uniswap v2, Balancer, Curve.

Balances follow from the token's Transfer events alone: what is asked of a chain is the same, whoever is watched. So
what an account had before the first event that named it is not known, and what is told is the least that it has: all
that came in, less all that went out, never below nothing. It is exact where the pool's beginning was seen (the first
shares are locked at the zero address) and where the balance was read, which only a private endpoint is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.risk import Stake
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, Function, function, words
from defiwatch.protocols.erc20 import BALANCE_OF, Transfer
from defiwatch.protocols.spec import Book, Instance, Table

TOTAL_SUPPLY = function("totalSupply()", "uint256")

POOL_UNREAD = "what the pool holds was not read"
UNREAD = "how many shares there are was not read since they last moved"

Paid: TypeAlias = Callable[[Address, int, tuple[int, ...]], tuple[int, tuple[int, ...]]]
"""(pool's token, shares, what the questions told) → (all shares, what the contract would pay for those shares)."""


class Held(msgspec.Struct, frozen=True):
    """Shares of one account, the least where not `exact`. `since`: what came before that block is not known."""

    shares: int = 0
    exact: bool = False
    since: int = -1
    block: int = -1
    """Of the last event or read."""


class Supply(msgspec.Struct, frozen=True):
    """What a pool says of all its shares, in the order of the questions; () until read. `moved`: the last Transfer."""

    told: tuple[int, ...] = ()
    block: int = -1
    moved: int = -1


HELD: Table[tuple[Address, Address], Held] = Table("stakes.held")
"""(pool's token, account) → shares; of watched accounts only."""
SUPPLIES: Table[Address, Supply] = Table("stakes.supply")
"""Pool's token → its supply, from the first Transfer on that was seen of it."""


class Shares:
    """The shares of one deployment's pools. `questions` are asked of a pool's token, the first one tells all shares;
    0 stands for one of the others that a pool does not know."""

    def __init__(self, questions: Sequence[Function]) -> None:
        self._questions = tuple(questions)
        self._selectors = frozenset(asked.selector for asked in questions)
        self._mine: tuple[Address, ...] = ()
        self._named: tuple[Address, ...] = ()

    def mine(self, accounts: Iterable[Address]) -> None:
        """The accounts whose shares are told; nothing is asked for them."""
        self._mine = tuple(sorted(set(accounts)))

    def ask_for(self, accounts: Iterable[Address]) -> None:
        """The accounts whose balances may be asked for."""
        self._named = tuple(sorted(set(accounts)))

    def moved(self, book: Book, at: BlockRef, event: Transfer) -> None:
        """Shares went from one account to another; from the zero address they are new, to it they are no more."""
        pool = event.address
        supply = book.get(SUPPLIES, pool) or Supply()
        book.put(SUPPLIES, pool, msgspec.structs.replace(supply, moved=at.number))
        if event.sender == event.recipient:
            if event.sender == ZERO_ADDRESS:  # the pool begins: nobody had anything before
                for account in self._mine:
                    before = book.get(HELD, (pool, account)) or Held(since=at.number, block=at.number)
                    book.put(HELD, (pool, account), msgspec.structs.replace(before, exact=True))
            return
        for account, amount in ((event.sender, -event.amount), (event.recipient, event.amount)):
            if account in self._mine:
                before = book.get(HELD, (pool, account)) or Held(since=at.number)
                left = before.shares + amount
                after = Held(max(0, left), before.exact and left >= 0, before.since, at.number)
                book.put(HELD, (pool, account), after)
            elif book.get(HELD, (pool, account)) is not None:  # of a wallet that was watched once
                book.drop(HELD, (pool, account))

    def extras(self, book: Book, at: BlockRef, pools: frozenset[Address]) -> list[Call]:
        """The supply of each pool whose shares moved since it was read; the balances that may be asked for."""
        calls: list[Call] = []
        for pool in sorted(pools) if self._named else [key for key, _ in book.items(SUPPLIES) if key in pools]:
            supply = book.get(SUPPLIES, pool) or Supply()
            if supply.block < max(supply.moved, 0):
                calls += [asked.call(pool) for asked in self._questions]
            for account in self._named:
                held = book.get(HELD, (pool, account))
                if held is None or not held.exact:
                    calls.append(BALANCE_OF.call(pool, account))
        return reads.open_calls(book, at, calls)

    def on_read(self, book: Book, at: BlockRef, call: CallResult, pools: frozenset[Address]) -> bool:
        """Take a supply or a balance of one of `pools`; False if it is none."""
        kind, pool = call.data[:10].lower(), call.to.lower()
        if pool not in pools or not (kind in self._selectors or kind == BALANCE_OF.selector):
            return False
        if not reads.empty(call) and words(call.result):
            reads.accept(book, call)
            value = words(call.result)[0]
        elif kind in self._selectors and kind != self._questions[0].selector:
            value = 0  # a pool that does not know the question
        else:
            reads.refuse(book, at, call)
            return True
        if kind == BALANCE_OF.selector:
            (account,) = BALANCE_OF.arguments(call)
            before = book.get(HELD, (pool, account)) or Held(since=at.number)
            if account in self._mine and at.number >= before.block:
                book.put(HELD, (pool, account), Held(value, True, before.since, at.number))
            return True
        supply = book.get(SUPPLIES, pool) or Supply()
        if at.number < supply.moved:
            return True
        place = [asked.selector for asked in self._questions].index(kind)
        told = supply.told if len(supply.told) == len(self._questions) else (-1,) * len(self._questions)
        told = (*told[:place], value, *told[place + 1 :])
        # The last question's answer completes it: they are asked together, and answered in their order.
        block = at.number if place == len(self._questions) - 1 else supply.block
        book.put(SUPPLIES, pool, msgspec.structs.replace(supply, told=told, block=block))
        return True

    def unseen(self, book: Book, token: Address) -> bool:
        """Whether one of them may have shares of the pool that no event has told."""
        held = (book.get(HELD, (token, account)) for account in self._mine)
        return any(one is None or not one.exact for one in held)

    def stakes(self, book: Book, instance: Instance, pools: Mapping[Address, str], paid: Paid) -> Iterator[Stake]:
        """What the accounts that `mine` named have of `pools` (pool's token → pool), by pool and account."""
        for (token, account), held in sorted(book.items(HELD)):
            if token not in pools or account not in self._mine or not held.shares:
                continue
            supply = book.get(SUPPLIES, token) or Supply()
            fresh = _fresh(supply)
            whole, amounts = paid(token, held.shares, supply.told) if fresh else (0, ())
            yield Stake(
                chain_id=instance.chain_id,
                protocol=instance.protocol,
                pool=pools[token],
                account=account,
                units=held.shares,
                whole=whole,
                amounts=amounts,
                exact=held.exact,
                since=held.since,
                unknown="" if amounts else POOL_UNREAD if fresh else UNREAD,
            )


def _fresh(supply: Supply) -> bool:
    """Whether all shares are known as they are since the last one moved."""
    return bool(supply.told) and supply.block >= supply.moved and min(supply.told) >= 0
