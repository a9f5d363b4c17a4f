"""Uniswap v4: price, liquidity, fee and ticks of each pool of one PoolManager, kept from events after one read.

v4-core 1.0.2 src/PoolManager.sol. All pools share one purse, so none has reserves of its own to tell: a pool's size is
its liquidity. A pool's key (currencies, fee, spacing, hook) is only in the event it began with; for a pool that began
before the watch, a search of the past finds it. Exact without a hook and with a static fee; others say what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import PRESETS, Deployment
from defiwatch.domain.events import BlockRef, Event, Fact, LiquidityMoved, Swapped
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.ids import ZERO_ADDRESS, Address, ChainId, Hash, short
from defiwatch.domain.risk import Pool, Stake
from defiwatch.errors import ConfigError
from defiwatch.protocols import reads
from defiwatch.protocols.abi import Call, decode
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.concentrated.depths import Depths
from defiwatch.protocols.concentrated.steps import amounts_for
from defiwatch.protocols.erc20 import TOKENS, Token, symbol_of, token_of, token_read, token_wants, watch
from defiwatch.protocols.foreign import NFT_TRANSFER, NftTransfer
from defiwatch.protocols.pools import pool_ids, pool_label, pool_raw, pool_unknown
from defiwatch.protocols.spec import Book, Instance, LogFilter, ProtocolSpec, Scan
from defiwatch.protocols.ticks import spot_price
from defiwatch.protocols.uniswap_v4 import slots
from defiwatch.protocols.uniswap_v4.events import (
    DONATE,
    INITIALIZE,
    MODIFY_LIQUIDITY,
    PROTOCOL_FEE_UPDATED,
    SWAP,
    V4Initialize,
    V4ModifyLiquidity,
    V4ProtocolFeeUpdated,
    V4Swap,
)
from defiwatch.protocols.uniswap_v4.positions import Positions
from defiwatch.protocols.uniswap_v4.state import (
    ASK_KEY,
    EXTSLOAD,
    KEYS,
    MADE,
    POOLS,
    V4Key,
    V4State,
    curve_of,
    pool_id,
    swap_fee,
)


class UniswapV4(Instance):
    """One PoolManager: the pools named by id, or all that begin while it is watched."""

    protocol = "uniswap_v4"
    events = (INITIALIZE, SWAP, MODIFY_LIQUIDITY, DONATE, PROTOCOL_FEE_UPDATED, NFT_TRANSFER)

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not deployment.address:
            raise ConfigError("uniswap_v4: expected address = the PoolManager")
        self._manager = deployment.address
        self._named = pool_ids(deployment)
        addresses = frozenset({self._manager, deployment.positions} - {""})
        self._filter = LogFilter(addresses, frozenset(spec.topic0 for spec in self.events))
        self._positions = Positions(deployment.positions)
        self._depths = Depths()
        self._asked: dict[Hash, slots.Question] = {}
        self._set_pools(())

    def _set_pools(self, made: tuple[Hash, ...]) -> None:
        self._made = made
        self._pools = self._named or made
        self._pool_set = frozenset(self._pools)

    def _known(self, book: Book) -> tuple[Hash, ...]:
        """Its pools: those named; where none is, those that began while it was watched."""
        made = book.get(MADE, self._manager) or ()
        if made != self._made:
            self._set_pools(made)
        return self._pools

    def filter(self, book: Book) -> LogFilter:  # noqa: ARG002 - always the same
        """Every event of the manager, and whose the positions are."""
        return self._filter

    def mine(self, accounts: Iterable[Address]) -> None:
        """Whose positions are told."""
        self._positions.mine(accounts)

    def stakes(self, book: Book) -> Iterable[Stake]:
        """The positions of watched accounts."""
        self._known(book)
        return self._positions.stakes(book, self, self._pool_set)

    def unseen(self, book: Book, pool_id: str) -> bool:  # noqa: ARG002 - of all pools alike
        """As `Instance.unseen`."""
        return self._positions.unseen()

    def scans(self, book: Book) -> Sequence[Scan]:
        """The beginnings of the named pools whose keys are not known."""
        missing = tuple(pool for pool in self._named if book.get(KEYS, pool) is None)
        if not missing:
            return ()
        topics = ((INITIALIZE.topic0,), missing)
        key = f"uniswap_v4:{self._manager}:{','.join(missing)}"
        return (Scan(key, (self._manager,), topics, self.deployment.from_block),)

    def on_scan(self, book: Book, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:  # noqa: ARG002
        """A call for each key that was found, so that it comes back as a frame."""
        found = [INITIALIZE.decode(log) for log in logs if INITIALIZE.fits(log)]
        return [
            ASK_KEY.call(
                self._manager,
                (start.currency0, start.currency1, start.fee, start.tick_spacing, start.hooks),
                start.sqrt_price_x96,
            )
            for start in found
            if start.id in self._pool_set
        ]

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Price, fees and liquidity of each pool, once; then its ticks, in rounds; now and then all of it again.

        The fee of a pool whose hook sets it is read after every block that touched the pool.
        """
        self._asked = slots.questions(book, at, self._known(book), self._pool_set)
        calls = [EXTSLOAD.call(self._manager, slot) for slot in self._asked]
        return reads.open_calls(book, at, [*calls, *token_wants(book, at)])

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take a slot of the manager, a pool's key, and what tokens say of themselves."""
        if call.to.lower() != self._manager:
            return token_read(book, at, call)
        if ASK_KEY.matches(call):
            return self._keyed(book, call)
        if not EXTSLOAD.matches(call):
            return False
        slot = "0x" + call.data[10:74].lower()
        question = self._asked.get(slot)
        if question is None:
            self._asked = slots.questions(book, at, self._known(book), self._pool_set)
            question = self._asked.get(slot)
        if question is None:
            return False
        if reads.empty(call):
            reads.refuse(book, at, call)
            return True
        reads.accept(book, call)
        (value,) = decode(EXTSLOAD.outputs, call.result or "")
        slots.answer(book, at, question, value)
        return True

    def _keyed(self, book: Book, call: CallResult) -> bool:
        """Take a key from the question that carries it: it is the pool's if its hash is the pool's id."""
        row, _ = ASK_KEY.arguments(call)
        key = V4Key(*row)
        pool = pool_id(key)
        self._known(book)
        if pool not in self._pool_set:
            return False
        self._learn(book, pool, key)
        return True

    def _learn(self, book: Book, pool: Hash, key: V4Key) -> None:
        book.put(KEYS, pool, key)
        for currency in (key.currency0, key.currency1):
            if currency == ZERO_ADDRESS:
                native = next((p.native for p in PRESETS.values() if p.chain_id == self.chain_id), "ETH")
                book.put(TOKENS, currency, Token(native, native, 18))
            else:
                watch(book, currency)

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Apply one event to its pool; trades and liquidity come back as facts."""
        if isinstance(event, V4Initialize):
            self._begin(book, at, event)
            return ()
        if isinstance(event, NftTransfer):
            self._positions.transferred(book, at, event)
            return ()
        if not isinstance(event, V4Swap | V4ModifyLiquidity | V4ProtocolFeeUpdated):
            return ()
        self._known(book)
        if event.id not in self._pool_set:
            return ()
        state = book.get(POOLS, event.id) or V4State()
        if isinstance(event, V4Swap):
            return (self._swapped(book, at, state, event),)
        if isinstance(event, V4ModifyLiquidity):
            self._positions.modified(book, at, event)
            return self._moved(book, at, state, event)
        fee = msgspec.structs.replace(state, protocol_fee=event.protocol_fee, block=at.number, time=at.time)
        book.put(POOLS, event.id, fee)
        return ()

    def _begin(self, book: Book, at: BlockRef, event: V4Initialize) -> None:
        if self._named and event.id not in self._pool_set:
            return
        made = book.get(MADE, self._manager) or ()
        if event.id not in made:
            book.put(MADE, self._manager, (*made, event.id))
        key = V4Key(event.currency0, event.currency1, event.fee, event.tick_spacing, event.hooks)
        self._learn(book, event.id, key)
        fee = 0 if key.dynamic else key.fee
        start = V4State(event.sqrt_price_x96, event.tick, 0, fee, 0, -1, at.number, at.time)
        book.put(POOLS, event.id, start)
        table.begin_whole(book, event.id, key.tick_spacing)

    def _swapped(self, book: Book, at: BlockRef, state: V4State, event: V4Swap) -> Swapped:
        after = V4State(
            event.sqrt_price_x96,
            event.tick,
            event.liquidity,
            state.lp_fee,
            state.protocol_fee,
            state.fee_block,
            at.number,
            at.time,
        )
        book.put(POOLS, event.id, after)
        key = book.get(KEYS, event.id)
        return Swapped(
            pool=event.id,
            protocol=self.protocol,
            token0=key.currency0 if key else "",
            token1=key.currency1 if key else "",
            amount0=-event.amount0,
            amount1=-event.amount1,
            price=_price(book, key, after),
            fee_ppm=event.fee,
            tx=event.tx,
            log_index=event.log_index,
        )

    def _moved(self, book: Book, at: BlockRef, state: V4State, event: V4ModifyLiquidity) -> tuple[LiquidityMoved, ...]:
        delta = event.liquidity_delta
        inside = state.sqrt_price_x96 > 0 and event.tick_lower <= state.tick < event.tick_upper
        liquidity = state.liquidity + delta if inside and state.liquidity >= 0 else state.liquidity
        after = msgspec.structs.replace(state, liquidity=liquidity, block=at.number, time=at.time)
        book.put(POOLS, event.id, after)
        key = book.get(KEYS, event.id)
        if key is not None and delta:
            sound = table.move(book, event.id, key.tick_spacing, event.tick_lower, event.tick_upper, delta)
            if not sound:
                book.notice(f"uniswap_v4 {event.id}: more liquidity left a tick than entered it; it is read again")
        if not delta or state.sqrt_price_x96 <= 0:
            return ()
        sign = 1 if delta > 0 else -1
        amounts = amounts_for(state.sqrt_price_x96, event.tick_lower, event.tick_upper, abs(delta), up=delta > 0)
        active = max(liquidity, state.liquidity)
        return (
            LiquidityMoved(
                pool=event.id,
                protocol=self.protocol,
                amount0=sign * amounts[0],
                amount1=sign * amounts[1],
                share=sign * min(abs(delta) / active, 1.0) if inside and active > 0 else 0.0,
                tx=event.tx,
                log_index=event.log_index,
            ),
        )

    def pools(self, book: Book) -> Iterable[Pool]:
        """Its pools as they stand."""
        return [self._pool(book, pool) for pool in self._known(book)]

    def pool(self, book: Book, pool_id: str) -> Pool | None:
        """One of its pools by id."""
        self._known(book)
        return self._pool(book, pool_id) if pool_id in self._pool_set else None

    def _pool(self, book: Book, pool: Hash) -> Pool:
        state = book.get(POOLS, pool) or V4State()
        key = book.get(KEYS, pool)
        tokens = (key.currency0, key.currency1) if key else ("", "")
        missing = {
            "key": key is None,
            "price": state.sqrt_price_x96 == 0,
            "liquidity": state.liquidity < 0,
            "fee": min(state.lp_fee, state.protocol_fee) < 0,
        }
        sell, buy = (curve_of(key, state, zero_for_one=way) for way in (True, False))
        moves = self._depths.of(book, pool, state, sell, buy.fee_ppm if buy is not None else None)
        check = book.get(table.CHECKS, pool)
        said = [pool_unknown(book, tokens, tuple(name for name, absent in missing.items() if absent))]
        if key is not None and key.hooked:
            said.append(f"hooked: what {short(key.hooks)} adds or takes is not counted")
        fee = 0 if missing["fee"] else swap_fee(state.lp_fee, state.protocol_fee, zero_for_one=True)
        suffix = (" dynamic fee" if key.dynamic else "") + (" hooked" if key.hooked else "") if key else ""
        return Pool(
            chain_id=self.chain_id,
            protocol=self.protocol,
            id=pool,
            label=pool_label(book, self.deployment, pool, tokens, 0 if key and key.dynamic else fee, suffix),
            tokens=tokens,
            symbols=(symbol_of(book, tokens[0]), symbol_of(book, tokens[1])),
            decimals=(token_of(book, tokens[0]).units, token_of(book, tokens[1]).units),
            reserves=(0, 0),
            fee_ppm=fee,
            price=_price(book, key, state),
            liquidity=max(state.liquidity, 0),
            block=state.block,
            time=state.time,
            raw=pool_raw(book, tokens),
            unknown="; ".join(words for words in said if words),
            depth=(moves.sell_in, moves.buy_in) if moves is not None else (0, 0),
            checks=check.made if check is not None else 0,
            mismatches=check.mismatches if check is not None else 0,
        )


def _price(book: Book, key: V4Key | None, state: V4State) -> float:
    """Units of token 1 for one token 0; 0.0 before the first price."""
    tokens = (key.currency0, key.currency1) if key else ("", "")
    return spot_price(state.sqrt_price_x96, token_of(book, tokens[0]).units, token_of(book, tokens[1]).units)


UNISWAP_V4 = ProtocolSpec(
    name="uniswap_v4",
    title="Uniswap v4",
    events=UniswapV4.events,
    create=UniswapV4,
    keys=frozenset({"address", "pools", "positions", "label", "from_block"}),
)
"""`address` is the PoolManager, `positions` the PositionManager."""
