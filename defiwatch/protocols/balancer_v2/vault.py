"""Balancer v2: balances of each pool, kept from the vault's events; each swap is done again and held against its event.

balancer-v2-monorepo@06f3ee7 pkg/vault/contracts. Exact for weighted and composable stable pools between their own
tokens; a rate or an amplification that moves is read. A swap that our mathematics does not give is counted and told,
and the pool is read anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact, LiquidityMoved, Swapped
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address, ChainId, Hash
from defiwatch.domain.risk import Pool, Stake
from defiwatch.errors import ConfigError
from defiwatch.protocols import reads, stakes
from defiwatch.protocols.abi import Call, words
from defiwatch.protocols.balancer_v2 import answers, rates
from defiwatch.protocols.balancer_v2 import state as pools
from defiwatch.protocols.balancer_v2.events import (
    AMP_UPDATE_STARTED,
    AMP_UPDATE_STOPPED,
    FLASH_LOAN,
    POOL_BALANCE_CHANGED,
    POOL_BALANCE_MANAGED,
    POOL_REGISTERED,
    PRICE_PROVIDER_SET,
    PRICE_RATE_UPDATED,
    PROVIDER_SET,
    RATE_UPDATED,
    SWAP,
    SWAP_FEE_CHANGED,
    TOKENS_DEREGISTERED,
    TOKENS_REGISTERED,
    AmpUpdateStarted,
    AmpUpdateStopped,
    BalancerSwap,
    PoolBalanceChanged,
    PoolBalanceManaged,
    PriceRateCacheUpdated,
    PriceRateProviderSet,
    SwapFeeChanged,
    TokenRateCacheUpdated,
    TokenRateProviderSet,
)
from defiwatch.protocols.balancer_v2.state import (
    ACTUAL_SUPPLY,
    POOL_TOKENS,
    POOLS,
    RATE,
    VIRTUAL_SUPPLY,
    BalancerState,
    address_of,
    ready,
)
from defiwatch.protocols.erc20 import TRANSFER, Transfer, symbol_of, token_of, token_read, token_wants
from defiwatch.protocols.pools import own_rates, pool_ids, pool_label, pool_raw, pool_unknown
from defiwatch.protocols.spec import Book, Instance, LogFilter, ProtocolSpec


class BalancerV2(Instance):
    """One vault: the pools named by their 32-byte ids."""

    protocol = "balancer_v2"
    events = (
        SWAP,
        POOL_BALANCE_CHANGED,
        POOL_BALANCE_MANAGED,
        POOL_REGISTERED,
        TOKENS_REGISTERED,
        TOKENS_DEREGISTERED,
        FLASH_LOAN,
        SWAP_FEE_CHANGED,
        AMP_UPDATE_STARTED,
        AMP_UPDATE_STOPPED,
        RATE_UPDATED,
        PROVIDER_SET,
        PRICE_RATE_UPDATED,
        PRICE_PROVIDER_SET,
        TRANSFER,
    )

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not deployment.address or not deployment.pools:
            raise ConfigError("balancer_v2: expected address = the vault, and pools = [32-byte ids]")
        self._vault = deployment.address
        self._pools = pool_ids(deployment)
        self._by_address = {address_of(pool): pool for pool in self._pools}
        addresses = frozenset({self._vault, *self._by_address})
        self._filter = LogFilter(addresses, frozenset(spec.topic0 for spec in self.events))
        self._depths: dict[Hash, tuple[BalancerState, tuple[int, int]]] = {}
        self._shares = stakes.Shares((stakes.TOTAL_SUPPLY, VIRTUAL_SUPPLY, ACTUAL_SUPPLY))
        self._tokens = frozenset(self._by_address)

    def mine(self, accounts: Iterable[Address]) -> None:
        """Whose shares are told."""
        self._shares.mine(accounts)

    def watch(self, accounts: Iterable[Address]) -> None:
        """Whose balances may be asked for."""
        self._shares.ask_for(accounts)

    def extras(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """All shares of each pool whose shares moved, whoever's they are."""
        return self._shares.extras(book, at, self._tokens)

    def stakes(self, book: Book) -> Iterable[Stake]:
        """What watched accounts would be paid by an exit in proportion. What the protocol is due in fees is counted as
        it was when shares last moved."""

        def paid(address: Address, shares: int, told: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
            pool = self._by_address[address]
            total, virtual, actual = told
            whole = actual or virtual or total
            return whole, pools.paid_out(book.get(POOLS, pool) or BalancerState(), pool, shares, whole)

        return self._shares.stakes(book, self, self._by_address, paid)

    def unseen(self, book: Book, pool_id: str) -> bool:
        """As `Instance.unseen`."""
        return self._shares.unseen(book, address_of(pool_id))

    def filter(self, book: Book) -> LogFilter:  # noqa: ARG002 - always the same
        """The vault's events, and what the pools say of their fee, amplification and rates."""
        return self._filter

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Tokens, balances, fee, weights or amplification, and rates; then only what moves without an event."""
        calls: list[Call] = []
        for pool in self._pools:
            state = book.get(POOLS, pool) or BalancerState()
            calls.extend(answers.open_questions(book, at, self._vault, pool, state))
        return reads.open_calls(book, at, [*calls, *token_wants(book, at)])

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take a pool's tokens, balances and parameters, and what its tokens say of themselves."""
        to = call.to.lower()
        if self._shares.on_read(book, at, call, self._tokens):
            return True
        if RATE.matches(call):
            return self._rate_read(book, at, call)
        if to == self._vault and POOL_TOKENS.matches(call):
            (pool,) = POOL_TOKENS.arguments(call)
            if pool not in self._pools:
                return False
        elif to in self._by_address and call.data[:10].lower() in answers.QUESTIONS:
            pool = self._by_address[to]
        else:
            return token_read(book, at, call)
        state = book.get(POOLS, pool) or BalancerState()
        if reads.empty(call):
            reads.refuse(book, at, call)
            book.put(POOLS, pool, answers.refused(book, at, state, call))
            return True
        reads.accept(book, call)
        if at.number < state.block:
            return True
        book.put(POOLS, pool, answers.answered(book, at, pool, state, call))
        return True

    def _rate_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """What a rate provider says counts in every pool that asks it."""
        states = {pool: book.get(POOLS, pool) for pool in self._pools}
        asking = {
            pool: state for pool, state in states.items() if state is not None and rates.asks(state, call.to.lower())
        }
        if not asking:
            return False
        if call.error is not None or not words(call.result):
            reads.refuse(book, at, call)
            return True
        reads.accept(book, call)
        for pool, state in asking.items():
            if at.number >= state.block:
                book.put(POOLS, pool, rates.rated(book, at, state, call))
        return True

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Apply one event to its pool; trades and liquidity come back as facts."""
        if isinstance(event, Transfer):
            if event.address in self._by_address:
                self._shares.moved(book, at, event)
            return ()
        if isinstance(event, BalancerSwap | PoolBalanceChanged | PoolBalanceManaged):
            state = book.get(POOLS, event.pool_id)
            if event.address != self._vault or event.pool_id not in self._pools:
                return ()
            if state is None or not state.balances:
                return ()
            if isinstance(event, BalancerSwap):
                return self._swapped(book, at, state, event)
            if isinstance(event, PoolBalanceChanged):
                return self._changed(book, at, state, event)
            self._managed(book, at, state, event)
            return ()
        pool = self._by_address.get(event.address)
        state = book.get(POOLS, pool) if pool is not None else None
        if pool is None or state is None:
            return ()
        replace = msgspec.structs.replace
        if isinstance(event, SwapFeeChanged):
            book.put(POOLS, pool, replace(state, fee=event.swap_fee_percentage))
        elif isinstance(event, AmpUpdateStarted):
            book.put(POOLS, pool, replace(state, amp_moves=True))
        elif isinstance(event, AmpUpdateStopped):
            book.put(POOLS, pool, replace(state, amp=event.current_value, amp_moves=False))
        elif isinstance(event, TokenRateCacheUpdated):
            book.put(POOLS, pool, rates.updated(book, at, state, event.token_index, event.rate))
        elif isinstance(event, TokenRateProviderSet):
            after = rates.provider_set(at, state, event.token_index, event.provider, event.cache_duration)
            book.put(POOLS, pool, after)
        elif isinstance(event, PriceRateCacheUpdated) and event.token in state.tokens:
            book.put(POOLS, pool, rates.updated(book, at, state, state.tokens.index(event.token), event.rate))
        elif isinstance(event, PriceRateProviderSet) and event.token in state.tokens:
            i = state.tokens.index(event.token)
            book.put(POOLS, pool, rates.provider_set(at, state, i, event.provider, event.cache_duration))
        return ()

    def _swapped(self, book: Book, at: BlockRef, state: BalancerState, event: BalancerSwap) -> Iterable[Fact]:
        pool = event.pool_id
        if event.token_in not in state.tokens or event.token_out not in state.tokens:
            return ()
        i, j = state.tokens.index(event.token_in), state.tokens.index(event.token_out)
        checked = self._redone(book, pool, state, i, j, event)
        balances = list(state.balances)
        balances[i] += event.amount_in
        balances[j] -= event.amount_out
        after = msgspec.structs.replace(checked, balances=tuple(balances), block=at.number, time=at.time)
        book.put(POOLS, pool, after)
        if address_of(pool) in (event.token_in, event.token_out):
            return self._own_token_moved(after, event, i)
        first, second = min(i, j), max(i, j)
        amounts = {i: event.amount_in, j: -event.amount_out}
        return (
            Swapped(
                pool=pool,
                protocol=self.protocol,
                token0=state.tokens[first],
                token1=state.tokens[second],
                amount0=amounts[first],
                amount1=amounts[second],
                price=_price(book, pool, after, first, second),
                fee_ppm=pools.fee_ppm(state),
                tx=event.tx,
                log_index=event.log_index,
            ),
        )

    def _redone(
        self, book: Book, pool: Hash, state: BalancerState, i: int, j: int, event: BalancerSwap
    ) -> BalancerState:
        """Do the swap again on the state before it; where it does not come out, count it and want the pool read."""
        if not ready(state) or state.amp_moves or address_of(pool) in (event.token_in, event.token_out):
            return state
        guesses = (True, False) if state.weights and state.shortcuts is None else (state.shortcuts,)
        for guess in guesses:
            trial = msgspec.structs.replace(state, shortcuts=guess)
            if pools.agrees(trial, pool, i, j, event):
                return trial if state.shortcuts is None and state.weights else state
        book.notice(f"balancer_v2 {pool}: a swap paid what its mathematics does not give; the pool is read anew")
        return msgspec.structs.replace(state, stale=True, mismatches=state.mismatches + 1)

    def _own_token_moved(self, state: BalancerState, event: BalancerSwap, i: int) -> Iterable[Fact]:
        """A swap against the pool's own token is liquidity: paid in with another token, or taken out."""
        own = address_of(event.pool_id)
        inwards = event.token_out == own
        amount = event.amount_in if inwards else -event.amount_out
        place = i if inwards else state.tokens.index(event.token_out)
        tokens = [k for k, token in enumerate(state.tokens) if token != own]
        held = state.balances[place]
        amounts = [amount if k == place else 0 for k in tokens[:2]]
        part = abs(amount) / (held if inwards else held + abs(amount)) / len(tokens) if held else 0.0
        return (
            LiquidityMoved(
                pool=event.pool_id,
                protocol=self.protocol,
                amount0=amounts[0],
                amount1=amounts[1] if len(amounts) > 1 else 0,
                share=part if inwards else -part,
                tx=event.tx,
                log_index=event.log_index,
            ),
        )

    def _changed(self, book: Book, at: BlockRef, state: BalancerState, event: PoolBalanceChanged) -> Iterable[Fact]:
        if event.tokens != state.tokens:
            book.put(POOLS, event.pool_id, msgspec.structs.replace(state, stale=True))
            return ()
        moves = zip(state.balances, event.deltas, event.protocol_fee_amounts, strict=True)
        balances = tuple(balance + delta - fee for balance, delta, fee in moves)
        after = msgspec.structs.replace(state, balances=balances, block=at.number, time=at.time)
        book.put(POOLS, event.pool_id, after)
        own = address_of(event.pool_id)
        real = [k for k, token in enumerate(state.tokens) if token != own]
        parts = [event.deltas[k] / whole if (whole := max(state.balances[k], balances[k])) > 0 else 0.0 for k in real]
        return (
            LiquidityMoved(
                pool=event.pool_id,
                protocol=self.protocol,
                amount0=event.deltas[real[0]],
                amount1=event.deltas[real[1]] if len(real) > 1 else 0,
                share=max(min(sum(parts) / len(parts), 1.0), -1.0),
                tx=event.tx,
                log_index=event.log_index,
            ),
        )

    def _managed(self, book: Book, at: BlockRef, state: BalancerState, event: PoolBalanceManaged) -> None:
        if event.token not in state.tokens:
            return
        i = state.tokens.index(event.token)
        balances = list(state.balances)
        balances[i] += event.cash_delta + event.managed_delta
        after = msgspec.structs.replace(state, balances=tuple(balances), block=at.number, time=at.time)
        book.put(POOLS, event.pool_id, after)

    def pools(self, book: Book) -> Iterable[Pool]:
        """Its pools as they stand."""
        return [self._pool(book, pool) for pool in self._pools]

    def pool(self, book: Book, pool_id: str) -> Pool | None:
        """One of its pools by id."""
        return self._pool(book, pool_id) if pool_id in self._pools else None

    def _pool(self, book: Book, pool: Hash) -> Pool:
        state = book.get(POOLS, pool) or BalancerState()
        own = address_of(pool)
        real = [k for k, token in enumerate(state.tokens) if token != own]
        tokens = tuple(state.tokens[k] for k in real)
        decimals = tuple(token_of(book, token).units for token in tokens)
        scaling = pools.factors(state)
        missing = {
            "tokens": not state.tokens,
            "fee": state.fee < 0,
            "weights or amplification": not state.weights and state.amp < 0,
            "scaling": not state.scaling,
        }
        return Pool(
            chain_id=self.chain_id,
            protocol=self.protocol,
            id=pool,
            label=pool_label(book, self.deployment, own, tokens, pools.fee_ppm(state)),
            tokens=tokens,
            symbols=tuple(symbol_of(book, token) for token in tokens),
            decimals=decimals,
            reserves=tuple(state.balances[k] for k in real) if state.balances else (),
            fee_ppm=pools.fee_ppm(state),
            price=_price(book, pool, state, real[0], real[1]) if len(real) > 1 else 0.0,
            block=state.block,
            time=state.time,
            raw=pool_raw(book, tokens),
            unknown=pool_unknown(book, tokens, tuple(name for name, absent in missing.items() if absent)),
            depth=self._depth(pool, state, real),
            share=pools.share(state, pool),
            checks=state.checks,
            mismatches=state.mismatches,
            rates=own_rates([scaling[k] for k in real], decimals) if ready(state) and not state.weights else (),
        )

    def _depth(self, pool: Hash, state: BalancerState, real: list[int]) -> tuple[int, int]:
        kept = self._depths.get(pool)
        if kept is not None and kept[0] is state:
            return kept[1]
        found = (0, 0)
        if ready(state) and len(real) > 1:
            i, j = real[0], real[1]
            found = (pools.move_cost(state, pool, i, j), pools.move_cost(state, pool, j, i, 1 - 1 / 1.02))
        self._depths[pool] = (state, found)
        return found


def _price(book: Book, pool: Hash, state: BalancerState, i: int, j: int) -> float:
    """Whole units of token j for one of token i; 0.0 where it cannot be told."""
    if not ready(state):
        return 0.0
    units = token_of(book, state.tokens[i]).units - token_of(book, state.tokens[j]).units
    return float(pools.spot(state, pool, i, j) * 10.0**units)


BALANCER_V2 = ProtocolSpec(
    name="balancer_v2",
    title="Balancer v2",
    events=BalancerV2.events,
    create=BalancerV2,
    keys=frozenset({"address", "pools", "label"}),
)
"""`address` is the vault."""
