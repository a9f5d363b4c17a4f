"""Uniswap v3: price, active liquidity and token balances of each pool, kept from events after one read.

Uniswap/v3-core@d8b1c63 contracts/UniswapV3Pool.sol. `Burn` only makes amounts claimable; `Collect` pays them out, so a
pool's balances fall there, and a fact of liquidity taken out comes from Burn alone. A Burn of nothing settles fees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact, LiquidityMoved, Swapped
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address, ChainId
from defiwatch.domain.risk import Pool, Stake
from defiwatch.domain.units import ratio
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, decode
from defiwatch.protocols.concentrated.depths import Depths
from defiwatch.protocols.concentrated.table import CHECKS
from defiwatch.protocols.erc20 import BALANCE_OF, symbol_of, token_of, token_read, token_wants, watch
from defiwatch.protocols.factories import FactoryPools
from defiwatch.protocols.foreign import NFT_TRANSFER, NftTransfer
from defiwatch.protocols.heard.exchanges import POSITION_DECREASED, POSITION_INCREASED, PositionIncreased
from defiwatch.protocols.pools import pool_label, pool_raw, pool_unknown
from defiwatch.protocols.spec import Book, ProtocolSpec
from defiwatch.protocols.ticks import Q192, spot_price
from defiwatch.protocols.uniswap_v3 import quotes
from defiwatch.protocols.uniswap_v3.events import (
    BURN,
    COLLECT,
    COLLECT_PROTOCOL,
    FLASH,
    INITIALIZE,
    MINT,
    PANCAKE_SWAP,
    POOL_CREATED,
    SWAP,
    PoolCreated,
    V3Burn,
    V3Collect,
    V3CollectProtocol,
    V3Flash,
    V3Initialize,
    V3Mint,
    V3Swap,
)
from defiwatch.protocols.uniswap_v3.positions import Positions
from defiwatch.protocols.uniswap_v3.state import (
    FEE,
    LIQUIDITY,
    MADE,
    POOLS,
    SLOT0,
    TICK_SPACING,
    TOKEN0,
    TOKEN1,
    V3State,
)


class UniswapV3(FactoryPools):
    """Pools named one by one, found by the factory's events, or both."""

    protocol = "uniswap_v3"
    events = (
        INITIALIZE,
        SWAP,
        PANCAKE_SWAP,
        MINT,
        BURN,
        COLLECT,
        FLASH,
        COLLECT_PROTOCOL,
        POOL_CREATED,
        NFT_TRANSFER,
        POSITION_INCREASED,
        POSITION_DECREASED,
    )
    made = MADE

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        self._depths = Depths()
        self._positions = Positions(deployment.positions)

    def _others(self) -> frozenset[Address]:
        """The manager of positions."""
        return frozenset({self.deployment.positions} - {""})

    def mine(self, accounts: Iterable[Address]) -> None:
        """Whose positions are told."""
        self._positions.mine(accounts)

    def watch(self, accounts: Iterable[Address]) -> None:
        """Whose positions may be asked for."""
        self._positions.ask_for(accounts)

    def extras(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """The positions of accounts that may be asked for."""
        return self._positions.extras(book, at, self._known(book))

    def stakes(self, book: Book) -> Iterable[Stake]:
        """The positions of watched accounts."""
        self._known(book)
        return self._positions.stakes(book, self, self._pool_set)

    def unseen(self, book: Book, pool_id: str) -> bool:  # noqa: ARG002 - of all pools alike
        """As `Instance.unseen`."""
        return self._positions.unseen(book)

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Tokens, fee, spacing, price, liquidity and balances of each pool, once; from then on events carry them.

        Then the ticks around the price, in rounds; and now and then what events carry, to compare it.
        """
        calls: list[Call] = []
        known = self._known(book)
        for address in known:
            calls.extend(_missing(address, book.get(POOLS, address) or V3State()))
        first = reads.open_calls(book, at, [*calls, *token_wants(book, at)])
        return [*first, *quotes.tick_wants(book, at, known, self._pool_set)]

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take a pool's state, its balances, and what its tokens say of themselves."""
        kind = call.data[:10].lower()
        if self._positions.on_read(book, at, call, self._known(book)):
            return True
        if kind == BALANCE_OF.selector:
            return self._balance(book, at, call)
        of_ticks = kind in _TICK_QUESTIONS
        if not of_ticks and (kind not in _QUESTIONS or len(call.data) != 10):
            return token_read(book, at, call)
        address = call.to.lower()
        if not self._is_ours(book, address):
            return False
        if of_ticks:
            quotes.tick_read(book, at, address, call)
            return True
        if reads.empty(call):
            reads.refuse(book, at, call)
            return True
        reads.accept(book, call)
        before = book.get(POOLS, address) or V3State()
        state = _answered(book, before, kind, call.result or "", at)
        book.put(POOLS, address, state)
        if kind == TICK_SPACING.selector:
            quotes.started(book, address, state)
        elif kind == SLOT0.selector and before.sqrt_price_x96 > 0 and at.number >= before.block:
            same = (before.sqrt_price_x96, before.tick) == (state.sqrt_price_x96, state.tick)
            quotes.compared(book, at, address, state, "price", same=same)
        elif kind == LIQUIDITY.selector and before.liquidity >= 0 and at.number >= before.block:
            quotes.compared(book, at, address, state, "liquidity", same=before.liquidity == state.liquidity)
        return True

    def _balance(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        (holder,) = BALANCE_OF.arguments(call)
        state = book.get(POOLS, holder)
        token = call.to.lower()
        if state is None or token not in (state.token0, state.token1):
            return False
        if reads.empty(call):
            reads.refuse(book, at, call)
            return True
        reads.accept(book, call)
        (balance,) = decode(BALANCE_OF.outputs, call.result or "")
        if at.number < state.block:
            return True
        for name, its_token in (("balance0", state.token0), ("balance1", state.token1)):
            if token == its_token:
                before = getattr(state, name)
                book.put(POOLS, holder, msgspec.structs.replace(state, **{name: balance}))
                if before >= 0:
                    quotes.compared(book, at, holder, state, name, same=before == balance)
        return True

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Apply one event to its pool; trades and liquidity come back as facts."""
        if isinstance(event, PoolCreated):
            self._create(book, event)
            return ()
        if isinstance(event, NftTransfer | PositionIncreased):
            self._positions.on_event(book, at, event)
            return ()
        state = book.get(POOLS, event.address) or V3State()
        if isinstance(event, V3Swap):
            after = _paid(
                state,
                event.amount0,
                event.amount1,
                at,
                sqrt_price_x96=event.sqrt_price_x96,
                tick=event.tick,
                liquidity=event.liquidity,
            )
            book.put(POOLS, event.address, after)
            return (self._swapped(book, after, event),)
        if isinstance(event, V3Mint):
            after = _paid(state, event.amount0, event.amount1, at, liquidity=_active(state, event, event.amount))
            self._move(book, after, event, event.amount)
            self._positions.pool_moved(book, at, event, event.amount)
            return self._moved(event, 1, _share(after, event))
        if isinstance(event, V3Burn):
            after = _paid(state, 0, 0, at, liquidity=_active(state, event, -event.amount))
            self._move(book, after, event, -event.amount)
            self._positions.pool_moved(book, at, event, -event.amount)
            return self._moved(event, -1, -_share(state, event))
        if isinstance(event, V3Collect | V3CollectProtocol):
            book.put(POOLS, event.address, _paid(state, -event.amount0, -event.amount1, at))
        elif isinstance(event, V3Flash):
            book.put(POOLS, event.address, _paid(state, event.paid0, event.paid1, at))
        elif isinstance(event, V3Initialize):
            start = _paid(state, 0, 0, at, sqrt_price_x96=event.sqrt_price_x96, tick=event.tick, liquidity=0)
            start = msgspec.structs.replace(start, ticks_from=at.number)
            book.put(POOLS, event.address, start)
            quotes.started(book, event.address, start)
        return ()

    def _create(self, book: Book, event: PoolCreated) -> None:
        if event.address != self.deployment.factory:
            return
        state = book.get(POOLS, event.pool) or V3State()
        state = msgspec.structs.replace(
            state, token0=event.token0, token1=event.token1, fee=event.fee, tick_spacing=event.tick_spacing
        )
        book.put(POOLS, event.pool, state)
        self._created(book, event.pool, (event.token0, event.token1))

    def _move(self, book: Book, after: V3State, event: V3Mint | V3Burn, liquidity: int) -> None:
        book.put(POOLS, event.address, after)
        if liquidity:
            quotes.position_moved(book, event.address, after, event.tick_lower, event.tick_upper, liquidity)

    def _swapped(self, book: Book, state: V3State, event: V3Swap) -> Swapped:
        return Swapped(
            pool=event.address,
            protocol=self.protocol,
            token0=state.token0,
            token1=state.token1,
            amount0=event.amount0,
            amount1=event.amount1,
            price=_price(book, state),
            fee_ppm=max(state.fee, 0),
            tx=event.tx,
            log_index=event.log_index,
        )

    def _moved(self, event: V3Mint | V3Burn, sign: int, share: float) -> tuple[LiquidityMoved, ...]:
        if event.amount == 0:
            return ()
        return (
            LiquidityMoved(
                pool=event.address,
                protocol=self.protocol,
                amount0=sign * event.amount0,
                amount1=sign * event.amount1,
                share=share,
                tx=event.tx,
                log_index=event.log_index,
            ),
        )

    def _pool(self, book: Book, address: Address) -> Pool:
        state = book.get(POOLS, address) or V3State()
        tokens = (state.token0, state.token1)
        missing = {
            "price": state.sqrt_price_x96 == 0,
            "liquidity": state.liquidity < 0,
            "balances": min(state.balance0, state.balance1) < 0,
        }
        moves = self._depths.of(book, address, state, quotes.curve_of(state))
        check = book.get(CHECKS, address)
        return Pool(
            chain_id=self.chain_id,
            protocol=self.protocol,
            id=address,
            label=pool_label(book, self.deployment, address, tokens, state.fee),
            tokens=tokens,
            symbols=(symbol_of(book, state.token0), symbol_of(book, state.token1)),
            decimals=(token_of(book, state.token0).units, token_of(book, state.token1).units),
            reserves=(max(state.balance0, 0), max(state.balance1, 0)),
            fee_ppm=max(state.fee, 0),
            price=_price(book, state),
            liquidity=max(state.liquidity, 0),
            block=state.block,
            time=state.time,
            raw=pool_raw(book, tokens),
            unknown=pool_unknown(book, tokens, tuple(name for name, absent in missing.items() if absent)),
            depth=(moves.sell_in, moves.buy_in) if moves is not None else (0, 0),
            checks=check.made if check is not None else 0,
            mismatches=check.mismatches if check is not None else 0,
        )


def _missing(address: Address, state: V3State) -> Iterable[Call]:
    """What has to be read of a pool before its events carry the rest."""
    if not state.token0:
        yield TOKEN0.call(address)
    if not state.token1:
        yield TOKEN1.call(address)
    if state.fee < 0:
        yield FEE.call(address)
    if state.tick_spacing < 0:
        yield TICK_SPACING.call(address)
    if state.sqrt_price_x96 == 0:
        yield SLOT0.call(address)
    if state.liquidity < 0:
        yield LIQUIDITY.call(address)
    if state.token0 and state.balance0 < 0:
        yield BALANCE_OF.call(state.token0, address)
    if state.token1 and state.balance1 < 0:
        yield BALANCE_OF.call(state.token1, address)


def _answered(book: Book, state: V3State, question: str, result: str, at: BlockRef) -> V3State:
    """The state with one answer in it. What moves (price, liquidity) is not taken from before its last change."""
    if question in (TOKEN0.selector, TOKEN1.selector):
        (token,) = decode(TOKEN0.outputs, result)
        watch(book, token)
        if question == TOKEN0.selector:
            return msgspec.structs.replace(state, token0=token)
        return msgspec.structs.replace(state, token1=token)
    if question == FEE.selector:
        return msgspec.structs.replace(state, fee=decode(FEE.outputs, result)[0])
    if question == TICK_SPACING.selector:
        return msgspec.structs.replace(state, tick_spacing=decode(TICK_SPACING.outputs, result)[0])
    if at.number < state.block:
        return state
    if question == LIQUIDITY.selector:
        return msgspec.structs.replace(state, liquidity=decode(LIQUIDITY.outputs, result)[0])
    sqrt_price, tick = decode(SLOT0.outputs, result)
    since = {} if state.block else {"block": at.number, "time": at.time}
    return msgspec.structs.replace(state, sqrt_price_x96=sqrt_price, tick=tick, **since)


def _paid(
    state: V3State,
    amount0: int,
    amount1: int,
    at: BlockRef,
    *,
    sqrt_price_x96: int | None = None,
    tick: int | None = None,
    liquidity: int | None = None,
) -> V3State:
    """The state after `amount0` and `amount1` came in (negative: went out), with what else changed."""
    return V3State(
        token0=state.token0,
        token1=state.token1,
        fee=state.fee,
        tick_spacing=state.tick_spacing,
        sqrt_price_x96=state.sqrt_price_x96 if sqrt_price_x96 is None else sqrt_price_x96,
        tick=state.tick if tick is None else tick,
        liquidity=state.liquidity if liquidity is None else liquidity,
        balance0=state.balance0 + amount0 if state.balance0 >= 0 else -1,
        balance1=state.balance1 + amount1 if state.balance1 >= 0 else -1,
        ticks_from=state.ticks_from,
        block=at.number,
        time=at.time,
    )


def _active(state: V3State, event: V3Mint | V3Burn, liquidity: int) -> int:
    """The active liquidity once a position changed by `liquidity`: only one that spans the current tick counts."""
    inside = state.sqrt_price_x96 > 0 and event.tick_lower <= state.tick < event.tick_upper
    return state.liquidity + liquidity if inside and state.liquidity >= 0 else state.liquidity


def _share(state: V3State, event: V3Mint | V3Burn) -> float:
    """The part of the pool's value that a position's amounts are, at the spot price, on the state that holds them.

    Without balances: its part of the active liquidity if it spans the price, else 0.
    """
    price = ratio(state.sqrt_price_x96**2, Q192)
    if min(state.balance0, state.balance1) >= 0 and price > 0:
        whole = state.balance0 * price + state.balance1
        return min((event.amount0 * price + event.amount1) / whole, 1.0) if whole > 0 else 0.0
    inside = state.sqrt_price_x96 > 0 and event.tick_lower <= state.tick < event.tick_upper
    return min(event.amount / state.liquidity, 1.0) if inside and state.liquidity > 0 else 0.0


def _price(book: Book, state: V3State) -> float:
    """Units of token 1 for one token 0; 0.0 before the first price."""
    return spot_price(state.sqrt_price_x96, token_of(book, state.token0).units, token_of(book, state.token1).units)


_QUESTIONS = frozenset(spec.selector for spec in (TOKEN0, TOKEN1, FEE, TICK_SPACING, SLOT0, LIQUIDITY))
_TICK_QUESTIONS = frozenset({quotes.TICK.selector, quotes.TICK_BITMAP.selector})

UNISWAP_V3 = ProtocolSpec(
    name="uniswap_v3",
    title="Uniswap v3",
    events=UniswapV3.events,
    create=UniswapV3,
    keys=frozenset({"pools", "factory", "positions", "label"}),
)
"""`positions` is the NonfungiblePositionManager."""
