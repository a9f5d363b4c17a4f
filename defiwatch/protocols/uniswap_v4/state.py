"""One Uniswap v4 pool in the book, and where the PoolManager keeps it.

v4-core 1.0.2 src/types/PoolId.sol, PoolKey.sol, Slot0.sol; src/libraries/StateLibrary.sol, ProtocolFeeLibrary.sol.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from defiwatch.domain.ids import ZERO_ADDRESS, Address, Hash
from defiwatch.domain.keccak import keccak
from defiwatch.protocols.abi import encode, function
from defiwatch.protocols.concentrated.walk import Curve
from defiwatch.protocols.spec import Table
from defiwatch.protocols.ticks import Tick

EXTSLOAD = function("extsload(bytes32)", "uint256")
KEY_TYPE = "(address,address,uint24,int24,address)"
ASK_KEY = function(f"initialize({KEY_TYPE},uint160)", "int24")
"""Carries a pool's key, which no view tells: the key's hash is the id, whatever the manager answers."""

DYNAMIC_FEE = 0x800000
_PPM = 1_000_000
_POOLS_SLOT = 6
_LIQUIDITY, _TICKS, _BITMAP = 3, 4, 5


class V4Key(msgspec.Struct, frozen=True):
    """What a pool is: two currencies in order, its fee (or `DYNAMIC_FEE`), its spacing and its hook."""

    currency0: Address
    currency1: Address
    fee: int
    tick_spacing: int
    hooks: Address

    @property
    def dynamic(self) -> bool:
        """Whether its hook sets the fee, without an event."""
        return self.fee == DYNAMIC_FEE

    @property
    def hooked(self) -> bool:
        """Whether a hook may change what a swap pays."""
        return self.hooks != ZERO_ADDRESS


class V4State(msgspec.Struct, frozen=True):
    """One pool's state. Price 0, liquidity and fees -1 until they are known.

    `protocol_fee` packs both directions as the contract does. `fee_block` is the block of the last read of the fee;
    `block` and `time` are of the last change.
    """

    sqrt_price_x96: int = 0
    tick: int = 0
    liquidity: int = -1
    lp_fee: int = -1
    protocol_fee: int = -1
    fee_block: int = -1
    block: int = 0
    time: int = 0


KEYS: Table[Hash, V4Key] = Table("uniswap_v4.key")
POOLS: Table[Hash, V4State] = Table("uniswap_v4.pool")
MADE: Table[Address, tuple[Hash, ...]] = Table("uniswap_v4.made")
"""manager → the pools it began while it was watched, oldest first."""


def pool_id(key: V4Key) -> Hash:
    """The id of a pool: the hash of its key (PoolId.sol:11-17)."""
    values = (key.currency0, key.currency1, key.fee, key.tick_spacing, key.hooks)
    types = ("address", "address", "uint24", "int24", "address")
    return "0x" + keccak(bytes.fromhex(encode(types, values))).hex()


def swap_fee(lp_fee: int, protocol_fee: int, *, zero_for_one: bool) -> int:
    """The whole fee of a direction, parts per million: the protocol's first, the pool's of what is left.

    ProtocolFeeLibrary.sol:24-58.
    """
    part = protocol_fee & 0xFFF if zero_for_one else protocol_fee >> 12
    return part + lp_fee - part * lp_fee // _PPM


def curve_of(key: V4Key | None, state: V4State, *, zero_for_one: bool) -> Curve | None:
    """What a walk of one direction starts from; None while the pool's key, price, liquidity or fee is not known."""
    if key is None or state.sqrt_price_x96 <= 0 or min(state.liquidity, state.lp_fee, state.protocol_fee) < 0:
        return None
    fee = swap_fee(state.lp_fee, state.protocol_fee, zero_for_one=zero_for_one)
    return Curve(state.sqrt_price_x96, state.tick, state.liquidity, fee, key.tick_spacing)


def _word(value: int) -> bytes:
    return (value % (1 << 256)).to_bytes(32, "big")


@lru_cache(maxsize=1 << 15)
def _base(pool: Hash) -> int:
    return int.from_bytes(keccak(bytes.fromhex(pool[2:]) + _word(_POOLS_SLOT)), "big")


def slot0_slot(pool: Hash) -> Hash:
    """Where the pool's price, tick and fees are."""
    return "0x" + _word(_base(pool)).hex()


def liquidity_slot(pool: Hash) -> Hash:
    """Where the pool's active liquidity is."""
    return "0x" + _word(_base(pool) + _LIQUIDITY).hex()


@lru_cache(maxsize=1 << 15)
def word_slot(pool: Hash, word: int) -> Hash:
    """Where 256 bits of the pool's tick bitmap are."""
    return "0x" + keccak(_word(word) + _word(_base(pool) + _BITMAP)).hex()


@lru_cache(maxsize=1 << 15)
def tick_slot(pool: Hash, tick: int) -> Hash:
    """Where a tick's gross and net liquidity are."""
    return "0x" + keccak(_word(tick) + _word(_base(pool) + _TICKS)).hex()


def slot0(value: int) -> tuple[int, int, int, int]:
    """(square-root price, tick, protocol fee, fee of the pool) from the word (Slot0.sol:7-23)."""
    tick = value >> 160 & 0xFFFFFF
    return (
        value & ((1 << 160) - 1),
        tick - (1 << 24) if tick >> 23 else tick,
        value >> 184 & 0xFFFFFF,
        value >> 208 & 0xFFFFFF,
    )


def tick_liquidity(value: int) -> Tick:
    """A tick from its word: net above, gross below (StateLibrary.sol:113-131)."""
    net = value >> 128
    return Tick(value & ((1 << 128) - 1), net - (1 << 128) if net >> 127 else net)
