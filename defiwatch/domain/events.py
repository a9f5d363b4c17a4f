"""Events: a log, decoded by the protocol that owns it, and the facts that protocols hand on.

An *event* is exact and belongs to its protocol: a frozen tagged struct with the ABI's own values (`protocols/` defines
them). A *fact* is what every protocol says in the same words, so that features and scoring need not know which it was.
Amounts are int in the token's own units.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from defiwatch.domain.ids import Address, ChainId, Hash


class BlockRef(msgspec.Struct, frozen=True):
    """Where on a chain we are: `time` is the block's own timestamp, Unix seconds."""

    chain_id: ChainId
    number: int
    hash: Hash
    time: int
    parent: Hash = ""


class Event(msgspec.Struct, frozen=True, tag=True, tag_field="event"):
    """What every decoded log carries. `log_index` and `tx` are -1 and "" where the source gave none."""

    address: Address
    tx: Hash
    log_index: int


class Swapped(msgspec.Struct, frozen=True, tag=True, tag_field="fact"):
    """A trade against a pool. Amounts are the pool's change: positive came in, negative went out.

    `price` is the pool's spot price after the trade: units of token 1 for one token 0, decimals applied; 0.0 where
    the pool has none yet. `fee_ppm` is the fee in parts per million of the amount in.
    """

    pool: str
    protocol: str
    token0: Address
    token1: Address
    amount0: int
    amount1: int
    price: float
    fee_ppm: int
    tx: Hash
    log_index: int


class LiquidityMoved(msgspec.Struct, frozen=True, tag=True, tag_field="fact"):
    """Liquidity added (positive amounts) or taken out (negative). `share`: signed part of the pool's value, 0..1."""

    pool: str
    protocol: str
    amount0: int
    amount1: int
    share: float
    tx: Hash
    log_index: int


class Liquidated(msgspec.Struct, frozen=True, tag=True, tag_field="fact"):
    """A position was liquidated. Amounts in the tokens' own units, both positive."""

    protocol: str
    market: Address
    account: Address
    liquidator: Address
    collateral_asset: Address
    debt_asset: Address
    collateral_seized: int
    debt_repaid: int
    tx: Hash
    log_index: int


LendingAction: TypeAlias = Literal["supply", "withdraw", "borrow", "repay"]


class LendingMoved(msgspec.Struct, frozen=True, tag=True, tag_field="fact"):
    """`amount` of `asset`, in its own units, went in (supply, repay) or out (withdraw, borrow) of a lending market.

    `market` and `account` as positions name them. Liquidations and flash loans are none of these.
    """

    protocol: str
    market: str
    account: Address
    asset: Address
    action: LendingAction
    amount: int
    tx: Hash
    log_index: int


class BadDebt(msgspec.Struct, frozen=True, tag=True, tag_field="fact"):
    """Debt was written off at the suppliers' or the reserves' cost: `amount` of `asset`, in its own units."""

    protocol: str
    market: Address
    account: Address
    asset: Address
    amount: int
    tx: Hash
    log_index: int


class PricePushed(msgspec.Struct, frozen=True, tag=True, tag_field="fact"):
    """An oracle published: `answer` in 10**-decimals of the quote unit, `updated_at` Unix seconds."""

    feed: Address
    protocol: str
    base: str
    quote: str
    answer: int
    decimals: int
    round_id: int
    updated_at: int
    tx: Hash
    log_index: int


class Transferred(msgspec.Struct, frozen=True, tag=True, tag_field="fact"):
    """An ERC-20 transfer."""

    token: Address
    sender: Address
    recipient: Address
    amount: int
    tx: Hash
    log_index: int


Fact: TypeAlias = Swapped | LiquidityMoved | Liquidated | LendingMoved | BadDebt | PricePushed | Transferred
