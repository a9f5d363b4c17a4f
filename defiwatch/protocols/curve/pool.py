"""Curve: balances of each pool, kept from events; each exchange is done again and held against `tokens_bought`.

The event leaves out the administrator's part of the fee, so the balance after it is known by doing the exchange again.
Where that does not come out (a rate moved within the block, a coin takes a fee or rebases) it is counted and told, and
balances and rates are read anew. Two-crypto pools: their trades are told, their balances are not worked out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact, LiquidityMoved, Swapped
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address, ChainId
from defiwatch.domain.risk import Pool, Stake
from defiwatch.errors import ConfigError
from defiwatch.protocols import reads, stakes
from defiwatch.protocols.abi import Call, words
from defiwatch.protocols.curve import answers
from defiwatch.protocols.curve import state as pools
from defiwatch.protocols.curve.events import (
    EVENTS,
    AddLiquidity,
    ApplyNewAdminFee,
    ApplyNewFee,
    CryptoExchange,
    NewFee,
    RampA,
    RemoveLiquidity,
    RemoveLiquidityImbalance,
    RemoveLiquidityOne,
    RemoveLiquidityOneNg,
    StopRampA,
    TokenExchange,
    TokenExchangeUnderlying,
)
from defiwatch.protocols.curve.stableswap import FEE_DENOMINATOR, largest_share, scaled
from defiwatch.protocols.curve.state import POOLS, CurveState, ready
from defiwatch.protocols.erc20 import TRANSFER, Transfer, symbol_of, token_of, token_read, token_wants
from defiwatch.protocols.pools import own_rates, pool_addresses, pool_label, pool_raw, pool_unknown
from defiwatch.protocols.spec import Book, Instance, LogFilter, ProtocolSpec


class Curve(Instance):
    """Pools named one by one."""

    protocol = "curve"
    events = (*EVENTS, TRANSFER)

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not deployment.pools:
            raise ConfigError("curve: expected pools = [addresses]")
        self._pools = pool_addresses(deployment)
        self._pool_set = frozenset(self._pools)
        self._filter = LogFilter(self._pool_set, frozenset(spec.topic0 for spec in self.events))
        self._depths: dict[Address, tuple[CurveState, tuple[int, int]]] = {}
        self._shares = stakes.Shares((stakes.TOTAL_SUPPLY,))

    def mine(self, accounts: Iterable[Address]) -> None:
        """Whose shares are told."""
        self._shares.mine(accounts)

    def watch(self, accounts: Iterable[Address]) -> None:
        """Whose balances may be asked for."""
        self._shares.ask_for(accounts)

    def extras(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """All shares of each pool whose shares moved, whoever's they are."""
        return self._shares.extras(book, at, self._pool_set)

    def stakes(self, book: Book) -> Iterable[Stake]:
        """What watched accounts would be paid by `remove_liquidity`, of pools that are their own share token: in older
        ones it is another contract, which is not followed."""

        def paid(pool: Address, shares: int, told: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
            balances, whole = self._complete(book, pool).balances, told[0]
            known = whole > 0 and min(balances, default=-1) >= 0
            return whole, tuple(balance * shares // whole for balance in balances) if known else ()

        return self._shares.stakes(book, self, {pool: pool for pool in self._pools}, paid)

    def unseen(self, book: Book, pool_id: str) -> bool:
        """As `Instance.unseen`."""
        return self._shares.unseen(book, pool_id)

    def filter(self, book: Book) -> LogFilter:  # noqa: ARG002 - always the same
        """Every event of its pools."""
        return self._filter

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Coins, balances, rates, A and fees of each pool; then balances and rates where events could not tell them."""
        calls: list[Call] = []
        for pool in self._pools:
            calls.extend(answers.open_questions(at, pool, book.get(POOLS, pool) or CurveState()))
        return reads.open_calls(book, at, [*calls, *token_wants(book, at)])

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take an answer of a pool, a refusal among them, and what its coins say of themselves."""
        pool = call.to.lower()
        if self._shares.on_read(book, at, call, self._pool_set):
            return True
        if pool not in self._pool_set or call.data[:10].lower() not in answers.QUESTIONS:
            return token_read(book, at, call)
        state = book.get(POOLS, pool) or CurveState()
        if reads.empty(call) or not words(call.result):
            reads.refuse(book, at, call)
            book.put(POOLS, pool, answers.refused(state, call))
            return True
        reads.accept(book, call)
        if at.number >= state.block:
            book.put(POOLS, pool, answers.answered(book, at, pool, state, call))
        return True

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Apply one event to its pool; trades and liquidity come back as facts."""
        if isinstance(event, Transfer):
            if event.address in self._pool_set:
                self._shares.moved(book, at, event)
            return ()
        state = book.get(POOLS, event.address)
        if event.address not in self._pool_set or state is None:
            return ()
        state = answers.complete(book, state)
        if isinstance(event, TokenExchangeUnderlying):
            book.put(POOLS, event.address, msgspec.structs.replace(state, stale=True, block=at.number, time=at.time))
            return ()
        if isinstance(event, TokenExchange):
            return self._exchanged(book, at, state, event)
        if isinstance(event, AddLiquidity | RemoveLiquidity | RemoveLiquidityOne):
            return self._moved(book, at, state, event)
        replace = msgspec.structs.replace
        if isinstance(event, RampA):
            state = replace(state, amps=(event.old_a, event.new_a, event.initial_time, event.future_time))
        elif isinstance(event, StopRampA):
            state = replace(state, amps=(event.a, event.a, event.t, event.t))
        elif isinstance(event, NewFee):
            state = replace(state, fee=event.fee, admin_fee=event.admin_fee)
        elif isinstance(event, ApplyNewFee):
            state = replace(state, fee=event.fee, offpeg=event.offpeg_fee_multiplier)
        elif isinstance(event, ApplyNewAdminFee):
            state = replace(state, admin_fee=event.admin_fee)
        book.put(POOLS, event.address, state)
        return ()

    def _exchanged(self, book: Book, at: BlockRef, state: CurveState, event: TokenExchange) -> Iterable[Fact]:
        pool, i, j = event.address, event.sold_id, event.bought_id
        if not (0 <= i < len(state.coins) and 0 <= j < len(state.coins)) or i == j:
            return ()
        after = self._redone(book, at, state, event)
        book.put(POOLS, pool, after)
        first, second = min(i, j), max(i, j)
        amounts = {i: event.tokens_sold, j: -event.tokens_bought}
        return (
            Swapped(
                pool=pool,
                protocol=self.protocol,
                token0=state.coins[first],
                token1=state.coins[second],
                amount0=amounts[first],
                amount1=amounts[second],
                price=_price(book, after, first, second, at.time),
                fee_ppm=max(state.fee, 0) // 10_000,
                tx=event.tx,
                log_index=event.log_index,
            ),
        )

    def _redone(self, book: Book, at: BlockRef, state: CurveState, event: TokenExchange) -> CurveState:
        """The state after an exchange; where doing it again does not give the event, balances are read anew."""
        i, j = event.sold_id, event.bought_id
        replace = msgspec.structs.replace
        if len(state.balances) != len(state.coins) or isinstance(event, CryptoExchange):
            return replace(state, block=at.number, time=at.time)
        admin, sound = 0, True
        if ready(state) and not state.stale:
            try:
                done = pools.quote(state, i, j, event.tokens_sold, at.time)
            except (ValueError, ZeroDivisionError):
                sound = False
            else:
                admin, sound = done.admin, done.dy == event.tokens_bought
        balances = list(state.balances)
        balances[i] += event.tokens_sold
        balances[j] -= event.tokens_bought + admin
        if not sound:
            book.notice(f"curve {event.address}: an exchange paid what its mathematics does not give; it is read anew")
        return replace(
            state,
            balances=tuple(balances),
            stale=state.stale or not sound,
            mismatches=state.mismatches + (not sound),
            block=at.number,
            time=at.time,
        )

    def _moved(
        self, book: Book, at: BlockRef, state: CurveState, event: AddLiquidity | RemoveLiquidity | RemoveLiquidityOne
    ) -> Iterable[Fact]:
        """Liquidity in or out. A withdrawal of one coin leaves its fee untold, so the pool is read anew."""
        n = len(state.coins)
        if len(state.balances) != n or n < 2:
            return ()
        stale = state.stale
        amounts = [0] * n
        admins = [0] * n
        if isinstance(event, RemoveLiquidityOne):
            stale = True
            if isinstance(event, RemoveLiquidityOneNg) and 0 <= event.token_id < n:
                amounts[event.token_id] = -event.coin_amount
        elif len(event.token_amounts) != n:
            stale = True
        else:
            sign = -1 if isinstance(event, RemoveLiquidity | RemoveLiquidityImbalance) else 1
            amounts = [sign * amount for amount in event.token_amounts]
            if isinstance(event, AddLiquidity) and len(event.fees) == n:
                admins = [fee * max(state.admin_fee, 0) // FEE_DENOMINATOR for fee in event.fees]
        rows = list(zip(state.balances, amounts, admins, strict=True))
        after = tuple(balance + amount - admin for balance, amount, admin in rows)
        whole = _value(book, state.coins, state.balances, after)
        moved = msgspec.structs.replace(state, balances=after, stale=stale, block=at.number, time=at.time)
        book.put(POOLS, event.address, moved)
        return (
            LiquidityMoved(
                pool=event.address,
                protocol=self.protocol,
                amount0=amounts[0],
                amount1=amounts[1],
                share=max(min(_sum(book, state.coins, amounts) / whole, 1.0), -1.0) if whole > 0 else 0.0,
                tx=event.tx,
                log_index=event.log_index,
            ),
        )

    def pools(self, book: Book) -> Iterable[Pool]:
        """Its pools as they stand."""
        return [self._pool(book, pool) for pool in self._pools]

    def pool(self, book: Book, pool_id: str) -> Pool | None:
        """One of its pools by address."""
        return self._pool(book, pool_id) if pool_id in self._pool_set else None

    def _pool(self, book: Book, pool: Address) -> Pool:
        state = self._complete(book, pool)
        missing = {
            "coins": not state.coins_done,
            "balances": not state.balances or min(state.balances) < 0,
            "rates": bool(state.coins) and len(state.rates) != len(state.coins),
            "A": state.amps[1] <= 0,
            "fee": min(state.fee, state.admin_fee) < 0,
        }
        usable = ready(state) and min(state.balances) > 0
        return Pool(
            chain_id=self.chain_id,
            protocol=self.protocol,
            id=pool,
            label=pool_label(book, self.deployment, pool, state.coins, max(state.fee, 0) // 10_000),
            tokens=state.coins,
            symbols=tuple(symbol_of(book, coin) for coin in state.coins),
            decimals=tuple(token_of(book, coin).units for coin in state.coins),
            reserves=tuple(max(balance, 0) for balance in state.balances),
            fee_ppm=max(state.fee, 0) // 10_000,
            price=_price(book, state, 0, 1, state.time) if usable else 0.0,
            block=state.block,
            time=state.time,
            raw=pool_raw(book, state.coins),
            unknown=pool_unknown(book, state.coins, tuple(name for name, absent in missing.items() if absent)),
            depth=self._depth(pool, state) if usable else (0, 0),
            share=largest_share(scaled(state.balances, state.rates)) if usable else 0.0,
            checks=state.checks,
            mismatches=state.mismatches,
            rates=own_rates(state.rates, [token_of(book, coin).units for coin in state.coins]) if usable else (),
        )

    def _complete(self, book: Book, pool: Address) -> CurveState:
        state = book.get(POOLS, pool) or CurveState()
        return answers.complete(book, state)

    def _depth(self, pool: Address, state: CurveState) -> tuple[int, int]:
        kept = self._depths.get(pool)
        if kept is not None and kept[0] == state:
            return kept[1]
        time = state.time
        found = (pools.move_cost(state, 0, 1, time), pools.move_cost(state, 1, 0, time, 1 - 1 / 1.02))
        self._depths[pool] = (state, found)
        return found


def _price(book: Book, state: CurveState, i: int, j: int, time: int) -> float:
    """Whole units of coin j for one of coin i; 0.0 where it cannot be told."""
    units = token_of(book, state.coins[i]).units - token_of(book, state.coins[j]).units
    return float(pools.price(state, i, j, time) * 10.0**units)


def _sum(book: Book, coins: Sequence[Address], amounts: Sequence[int]) -> float:
    """Amounts added up in whole coins: pegs count as one."""
    return sum(amount / 10.0 ** token_of(book, coin).units for coin, amount in zip(coins, amounts, strict=True))


def _value(book: Book, coins: Sequence[Address], before: Sequence[int], after: Sequence[int]) -> float:
    """What the pool held at the larger of two moments, in whole coins."""
    return max(_sum(book, coins, before), _sum(book, coins, after))


CURVE = ProtocolSpec(
    name="curve",
    title="Curve",
    events=Curve.events,
    create=Curve,
    keys=frozenset({"pools", "label"}),
)
