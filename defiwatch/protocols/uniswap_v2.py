"""Uniswap v2 and its forks: reserves exact from `Sync`, amounts by the pair's own integer math.

Uniswap/v2-core@ee547b1 contracts/UniswapV2Pair.sol; forks differ by their fee (`fee_ppm`). A pair emits Sync before the
Swap, Mint or Burn that caused it, so the reserves that such an event meets are those after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef, Event, Fact, LiquidityMoved, Swapped
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address, ChainId
from defiwatch.domain.risk import Pool, Stake
from defiwatch.domain.units import ratio
from defiwatch.errors import ConfigError
from defiwatch.protocols import reads, stakes
from defiwatch.protocols.abi import Call, decode, event, function
from defiwatch.protocols.erc20 import TRANSFER, Transfer, symbol_of, token_of, token_read, token_wants, watch
from defiwatch.protocols.factories import FactoryPools
from defiwatch.protocols.pools import pool_label, pool_raw, pool_unknown
from defiwatch.protocols.spec import Book, ProtocolSpec, Table

FEE_PPM = 3000
"""Uniswap's own fee: 0.3 % of the amount in."""

_PPM = 1_000_000

TOKEN0 = function("token0()", "address")
TOKEN1 = function("token1()", "address")
GET_RESERVES = function("getReserves()", "uint112,uint112,uint32")
K_LAST = function("kLast()", "uint256")
"""reserve0 · reserve1 after the last liquidity event; 0 where the protocol takes no part of the fee."""


class V2Swap(Event, frozen=True):
    """A trade. Amounts as they came in and went out, in each token's units; all four may be positive."""

    sender: Address
    amount0_in: int
    amount1_in: int
    amount0_out: int
    amount1_out: int
    to: Address


class V2Sync(Event, frozen=True):
    """The reserves as the pair holds them from here on."""

    reserve0: int
    reserve1: int


class V2Mint(Event, frozen=True):
    """Liquidity added."""

    sender: Address
    amount0: int
    amount1: int


class V2Burn(Event, frozen=True):
    """Liquidity taken out."""

    sender: Address
    amount0: int
    amount1: int
    to: Address


class PairCreated(Event, frozen=True):
    """A factory made a pair; `all_pairs_length` counts it."""

    token0: Address
    token1: Address
    pair: Address
    all_pairs_length: int


SWAP = event(
    "Swap(address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out,"
    " address indexed to)",
    V2Swap,
)
SYNC = event("Sync(uint112 reserve0, uint112 reserve1)", V2Sync)
MINT = event("Mint(address indexed sender, uint256 amount0, uint256 amount1)", V2Mint)
BURN = event("Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to)", V2Burn)
PAIR_CREATED = event(
    "PairCreated(address indexed token0, address indexed token1, address pair, uint256 allPairsLength)", PairCreated
)


def get_amount_out(amount_in: int, reserve_in: int, reserve_out: int, fee_ppm: int = FEE_PPM) -> int:
    """What a pair pays for `amount_in`, in units of the token out.

    v2-periphery@0335e8f contracts/libraries/UniswapV2Library.sol:43-50. ValueError where the pair would revert.
    """
    if amount_in <= 0 or reserve_in <= 0 or reserve_out <= 0:
        raise ValueError("a swap needs a positive amount in and reserves on both sides")
    taxed = amount_in * (_PPM - fee_ppm)
    return taxed * reserve_out // (reserve_in * _PPM + taxed)


def get_amount_in(amount_out: int, reserve_in: int, reserve_out: int, fee_ppm: int = FEE_PPM) -> int:
    """What a pair must be paid for `amount_out`, in units of the token in.

    v2-periphery@0335e8f contracts/libraries/UniswapV2Library.sol:53-60. ValueError where the pair would revert.
    """
    if amount_out <= 0 or reserve_in <= 0 or reserve_out <= amount_out:
        raise ValueError("a swap needs a positive amount out that is less than the reserve")
    return reserve_in * amount_out * _PPM // ((reserve_out - amount_out) * (_PPM - fee_ppm)) + 1


def amount_to_move(reserve_in: int, reserve_out: int, fee_ppm: int = FEE_PPM, *, falls_to: tuple[int, int]) -> int:
    """The least amount in (fee included) after which the token in is worth at most `falls_to` (up, down) of before.

    (98, 100) is 2 % less. The fee stays in the reserves: (x + g)(x + (1 - f)g) = x² · down/up is solved for the amount
    in g, then settled by the pair's own rounding. ValueError where the pair has no reserves.
    """
    if reserve_in <= 0 or reserve_out <= 0:
        raise ValueError("a pair without reserves has no price to move")
    up, down = falls_to
    kept = _PPM - fee_ppm
    half = (_PPM + kept) * reserve_in
    root = math.isqrt(half * half + 4 * kept * _PPM * reserve_in * reserve_in * (down - up) // up)
    amount = max((root - half) // (2 * kept), 1)

    def there(size: int) -> bool:
        left = reserve_out - get_amount_out(size, reserve_in, reserve_out, fee_ppm)
        return left * down * reserve_in <= reserve_out * up * (reserve_in + size)

    low, high = max(amount - 3, 0), amount + 3
    if low and there(low):
        low = 0
    while not there(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if there(middle) else (middle, high)
    return high


class Pair(msgspec.Struct, frozen=True):
    """One pair's state. Tokens are "", reserves -1 until they are known; `block` and `time` are of the last change."""

    token0: Address = ""
    token1: Address = ""
    reserve0: int = -1
    reserve1: int = -1
    block: int = 0
    time: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is left to be read."""
        return bool(self.token0 and self.token1) and self.reserve0 >= 0


PAIRS: Table[Address, Pair] = Table("uniswap_v2.pair")
MADE: Table[Address, tuple[Address, ...]] = Table("uniswap_v2.made")


def _all_shares(pair: Pair, supply: int, k_last: int, *, own: bool) -> int:
    """All shares once `burn` has minted the protocol's part of the fees: UniswapV2Pair.sol:89-107.

    Forks take another part, which is not counted (`own` is false).
    """
    root, last = math.isqrt(pair.reserve0 * pair.reserve1), math.isqrt(k_last)
    if not own or k_last == 0 or root <= last:
        return supply
    return supply + supply * (root - last) // (root * 5 + last)


def burned(pair: Pair, shares: int, whole: int) -> tuple[int, ...]:
    """What `burn` pays for shares, of `whole` in all: UniswapV2Pair.sol:134-156."""
    return (shares * pair.reserve0 // whole, shares * pair.reserve1 // whole) if whole else ()


class UniswapV2(FactoryPools):
    """Pairs of one factory (or fork), named one by one, found by the factory's events, or both."""

    protocol = "uniswap_v2"
    events = (SWAP, SYNC, MINT, BURN, PAIR_CREATED, TRANSFER)
    made = MADE

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not 0 <= deployment.fee_ppm < _PPM:
            raise ConfigError(f"uniswap_v2: expected 0 <= fee_ppm < 1000000, got {deployment.fee_ppm}")
        self.fee_ppm = deployment.fee_ppm or FEE_PPM
        self._shares = stakes.Shares((stakes.TOTAL_SUPPLY, K_LAST))

    def wants(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """Tokens and reserves of each pair, once; from then on the reserves follow from Sync."""
        calls: list[Call] = []
        for address in self._known(book):
            pair = book.get(PAIRS, address) or Pair()
            if pair.whole:
                continue
            if not pair.token0:
                calls.append(TOKEN0.call(address))
            if not pair.token1:
                calls.append(TOKEN1.call(address))
            if pair.reserve0 < 0:
                calls.append(GET_RESERVES.call(address))
        return reads.open_calls(book, at, [*calls, *token_wants(book, at)])

    def mine(self, accounts: Iterable[Address]) -> None:
        """Whose shares are told."""
        self._shares.mine(accounts)

    def watch(self, accounts: Iterable[Address]) -> None:
        """Whose balances may be asked for."""
        self._shares.ask_for(accounts)

    def extras(self, book: Book, at: BlockRef) -> Sequence[Call]:
        """All shares of each pair whose shares moved, whoever's they are."""
        self._known(book)
        return self._shares.extras(book, at, self._pool_set)

    def stakes(self, book: Book) -> Iterable[Stake]:
        """What watched accounts would be paid by `burn`."""

        def paid(address: Address, shares: int, told: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
            pair = book.get(PAIRS, address) or Pair()
            whole = _all_shares(pair, *told, own=self.fee_ppm == FEE_PPM) if pair.reserve0 >= 0 else 0
            return whole, burned(pair, shares, whole)

        return self._shares.stakes(book, self, {pool: pool for pool in self._known(book)}, paid)

    def unseen(self, book: Book, pool_id: str) -> bool:
        """As `Instance.unseen`."""
        return self._shares.unseen(book, pool_id)

    def on_read(self, book: Book, at: BlockRef, call: CallResult) -> bool:
        """Take a pair's tokens, reserves and shares, and what its tokens say of themselves."""
        self._known(book)
        if self._shares.on_read(book, at, call, self._pool_set):
            return True
        kind = call.data.lower()
        if kind not in _QUESTIONS:
            return token_read(book, at, call)
        address = call.to.lower()
        if not self._is_ours(book, address):
            return False
        if reads.empty(call):
            reads.refuse(book, at, call)
            return True
        reads.accept(book, call)
        pair = book.get(PAIRS, address) or Pair()
        if kind == GET_RESERVES.selector:
            reserve0, reserve1, last = decode(GET_RESERVES.outputs, call.result or "")
            if pair.reserve0 < 0 or at.number >= pair.block:
                pair = msgspec.structs.replace(pair, reserve0=reserve0, reserve1=reserve1, block=at.number, time=last)
        else:
            (token,) = decode(TOKEN0.outputs, call.result or "")
            watch(book, token)
            if kind == TOKEN0.selector:
                pair = msgspec.structs.replace(pair, token0=token)
            else:
                pair = msgspec.structs.replace(pair, token1=token)
        book.put(PAIRS, address, pair)
        return True

    def on_event(self, book: Book, at: BlockRef, event: Event) -> Iterable[Fact]:
        """Reserves from Sync; trades and liquidity as facts, measured on the reserves after them."""
        address = event.address
        if isinstance(event, PairCreated):
            self._create(book, event)
            return ()
        if isinstance(event, Transfer):
            if self._is_ours(book, address):
                self._shares.moved(book, at, event)
            return ()
        pair = book.get(PAIRS, address) or Pair()
        if isinstance(event, V2Sync):
            book.put(PAIRS, address, Pair(pair.token0, pair.token1, event.reserve0, event.reserve1, at.number, at.time))
            return ()
        if isinstance(event, V2Swap):
            return (self._swapped(book, pair, event),)
        if isinstance(event, V2Mint):
            share = _share(event.amount0, event.amount1, pair.reserve0, pair.reserve1)
            return (self._moved(event, event.amount0, event.amount1, share),)
        if isinstance(event, V2Burn):
            before0, before1 = pair.reserve0 + event.amount0, pair.reserve1 + event.amount1
            share = -_share(event.amount0, event.amount1, before0, before1) if pair.reserve0 >= 0 else 0.0
            return (self._moved(event, -event.amount0, -event.amount1, share),)
        return ()

    def _create(self, book: Book, event: PairCreated) -> None:
        if event.address != self.deployment.factory:
            return
        pair = book.get(PAIRS, event.pair) or Pair()
        book.put(PAIRS, event.pair, msgspec.structs.replace(pair, token0=event.token0, token1=event.token1))
        self._created(book, event.pair, (event.token0, event.token1))

    def _swapped(self, book: Book, pair: Pair, event: V2Swap) -> Swapped:
        return Swapped(
            pool=event.address,
            protocol=self.protocol,
            token0=pair.token0,
            token1=pair.token1,
            amount0=event.amount0_in - event.amount0_out,
            amount1=event.amount1_in - event.amount1_out,
            price=_price(book, pair),
            fee_ppm=self.fee_ppm,
            tx=event.tx,
            log_index=event.log_index,
        )

    def _moved(self, event: Event, amount0: int, amount1: int, share: float) -> LiquidityMoved:
        return LiquidityMoved(
            pool=event.address,
            protocol=self.protocol,
            amount0=amount0,
            amount1=amount1,
            share=share,
            tx=event.tx,
            log_index=event.log_index,
        )

    def _pool(self, book: Book, address: Address) -> Pool:
        pair = book.get(PAIRS, address) or Pair()
        tokens = (pair.token0, pair.token1)
        return Pool(
            chain_id=self.chain_id,
            protocol=self.protocol,
            id=address,
            label=pool_label(book, self.deployment, address, tokens, self.fee_ppm),
            tokens=tokens,
            symbols=(symbol_of(book, pair.token0), symbol_of(book, pair.token1)),
            decimals=(token_of(book, pair.token0).units, token_of(book, pair.token1).units),
            reserves=(max(pair.reserve0, 0), max(pair.reserve1, 0)),
            fee_ppm=self.fee_ppm,
            price=_price(book, pair),
            block=pair.block,
            time=pair.time,
            raw=pool_raw(book, tokens),
            unknown=pool_unknown(book, tokens, () if pair.reserve0 >= 0 else ("reserves",)),
            depth=_depth(pair, self.fee_ppm),
        )


def _depth(pair: Pair, fee_ppm: int) -> tuple[int, int]:
    """What moves the price by 2 %: of token 0 to lower it, of token 1 to raise it; zeros without reserves."""
    if pair.reserve0 <= 0 or pair.reserve1 <= 0:
        return (0, 0)
    down = amount_to_move(pair.reserve0, pair.reserve1, fee_ppm, falls_to=(98, 100))
    return down, amount_to_move(pair.reserve1, pair.reserve0, fee_ppm, falls_to=(100, 102))


def _price(book: Book, pair: Pair) -> float:
    """Units of token 1 for one token 0; 0.0 where a reserve is missing."""
    if pair.reserve0 <= 0 or pair.reserve1 <= 0:
        return 0.0
    up = pair.reserve1 * 10 ** token_of(book, pair.token0).units
    return ratio(up, pair.reserve0 * 10 ** token_of(book, pair.token1).units)


def _share(amount0: int, amount1: int, reserve0: int, reserve1: int) -> float:
    """The part of the pool's value that two amounts are: the mean of both sides' parts, 0..1; 0.0 without reserves."""
    parts = [
        min(amount / reserve, 1.0) if reserve > 0 else 0.0
        for amount, reserve in ((amount0, reserve0), (amount1, reserve1))
    ]
    return sum(parts) / 2


_QUESTIONS = frozenset({TOKEN0.selector, TOKEN1.selector, GET_RESERVES.selector})

UNISWAP_V2 = ProtocolSpec(
    name="uniswap_v2",
    title="Uniswap v2 and forks",
    events=UniswapV2.events,
    create=UniswapV2,
    keys=frozenset({"pools", "factory", "fee_ppm", "label"}),
)
