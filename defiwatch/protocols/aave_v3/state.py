"""What is known of an Aave v3 market: frozen structs, replaced whole, in tables keyed by the addresses provider.

Amounts in the token's units, scaled amounts in scaled units, indices and rates in ray, times in Unix seconds.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.units import RAY
from defiwatch.protocols.spec import Table

# What was read of a market (bits of Market.have)
POOL, CONFIGURATOR, ORACLE, SENTINEL, REVISION, LIST, UNIT, PREMIUM, BASE = (1 << i for i in range(9))

# What was read of a reserve (bits of Reserve.have)
DATA, SUPPLIED, BORROWED, STABLE, DEFICIT, CASH, GRACE, SYMBOL, SOURCE = (1 << i for i in range(9))
NEEDED = DATA | SUPPLIED | BORROWED
"""Without these a reserve's balances and indices cannot be told."""

SUPPLY, VARIABLE, FIXED = "supply", "variable", "stable"
"""The three kinds of token of a reserve."""


class Market(msgspec.Struct, frozen=True):
    """One deployment: its contracts, and which lists it has. "" and 0 where not known yet."""

    pool: Address = ""
    configurator: Address = ""
    oracle: Address = ""
    sentinel: Address = ZERO_ADDRESS
    revision: int = 0
    base_unit: int = 10**8
    """One unit of the base currency, in which prices are given."""
    base_currency: Address = ZERO_ADDRESS
    """Its token; the zero address stands for USD. Asked only where the unit is not that of USD."""
    premium_to_protocol: int = 0
    assets: tuple[Address, ...] = ()
    """Every listed reserve, sorted."""
    tokens: tuple[Address, ...] = ()
    """Every aToken and debt token, sorted."""
    categories: tuple[int, ...] = ()
    """eMode categories known to exist, sorted: those that were read or told of, and those that somebody is in."""
    probed: int = 0
    """Up to which eMode category was asked. A market whose creation was seen need not ask: 255."""
    born: bool = False
    """Whether its creation was seen: nothing happened before that is not known."""
    block: int = -1
    """The newest block applied: answers of an older one come too late."""
    time: int = 0
    """That block's."""
    have: int = 0


class Reserve(msgspec.Struct, frozen=True):
    """One reserve."""

    asset: Address
    a_token: Address = ""
    variable_token: Address = ""
    stable_token: Address = ZERO_ADDRESS
    id: int = -1
    """Its place in every bitmap; -1 until read."""
    symbol: str = ""
    configuration: int = 0
    """The contract's own configuration word."""
    liquidity_index: int = RAY
    liquidity_rate: int = 0
    variable_index: int = RAY
    variable_rate: int = 0
    updated: int = 0
    accrued_to_treasury: int = 0
    """Scaled."""
    supplied: int = 0
    """The aToken's scaledTotalSupply."""
    borrowed: int = 0
    """The variable debt token's scaledTotalSupply."""
    supplied_known: int = 0
    """Sum of the scaled balances that are known."""
    borrowed_known: int = 0
    stable_principal: int = 0
    """Total stable debt at `stable_updated`, which compounds at `stable_rate` (up to 3.1)."""
    stable_rate: int = 0
    stable_updated: int = 0
    deficit: int = 0
    cash: int = 0
    """Underlying that can be withdrawn: the virtual balance from 3.1 on, before it what the aToken holds."""
    grace_until: int = 0
    isolation_debt: int = 0
    source: Address = ""
    """Where the oracle takes its price from."""
    strategy: Address = ""
    """The contract of its interest rates."""
    touched: int = -1
    """The block that last accrued it; `touches` counts its updates in there, `accrual` is what the treasury got."""
    touches: int = 0
    accrual: int = 0
    have: int = 0

    @property
    def ltv(self) -> int:
        """Basis points."""
        return self.configuration & 0xFFFF

    @property
    def threshold(self) -> int:
        """Liquidation threshold, basis points."""
        return self.configuration >> 16 & 0xFFFF

    @property
    def bonus(self) -> int:
        """Liquidation bonus, basis points; 10500 is 5 %."""
        return self.configuration >> 32 & 0xFFFF

    @property
    def decimals(self) -> int:
        """Of the underlying."""
        return self.configuration >> 48 & 0xFF

    @property
    def active(self) -> bool:
        """Whether it takes part at all."""
        return bool(self.configuration >> 56 & 1)

    @property
    def frozen(self) -> bool:
        """No new supply or debt."""
        return bool(self.configuration >> 57 & 1)

    @property
    def borrowing(self) -> bool:
        """Whether it can be borrowed."""
        return bool(self.configuration >> 58 & 1)

    @property
    def paused(self) -> bool:
        """Nothing can be done with it, liquidation included."""
        return bool(self.configuration >> 60 & 1)

    @property
    def factor(self) -> int:
        """Reserve factor, basis points."""
        return self.configuration >> 64 & 0xFFFF

    @property
    def borrow_cap(self) -> int:
        """Whole tokens; 0 is no cap."""
        return self.configuration >> 80 & 0xFFFFFFFFF

    @property
    def supply_cap(self) -> int:
        """Whole tokens; 0 is no cap."""
        return self.configuration >> 116 & 0xFFFFFFFFF

    @property
    def protocol_fee(self) -> int:
        """The protocol's part of the liquidation bonus, basis points."""
        return self.configuration >> 152 & 0xFFFF

    @property
    def category(self) -> int:
        """Its eMode category (up to 3.1)."""
        return self.configuration >> 168 & 0xFF

    @property
    def virtual(self) -> bool:
        """Whether its virtual balance counts (3.1 to 3.3; all reserves from 3.4)."""
        return bool(self.configuration >> 252 & 1)


class Category(msgspec.Struct, frozen=True):
    """An eMode category. Bitmaps (bit = reserve id) from 3.2 on, `source` up to 3.1."""

    ltv: int = 0
    threshold: int = 0
    bonus: int = 0
    source: Address = ZERO_ADDRESS
    collateral: int = 0
    borrowable: int = 0
    ltv_zero: int = 0
    isolated: bool = False
    label: str = ""


class Holding(msgspec.Struct, frozen=True):
    """One account's scaled balances in one reserve. The stable principal compounds from `stable_updated` on."""

    id: int
    supplied: int = 0
    borrowed: int = 0
    stable: int = 0
    stable_rate: int = 0
    stable_updated: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return not (self.supplied or self.borrowed or self.stable)


class Account(msgspec.Struct, frozen=True):
    """One account: what it holds by reserve, what counts as collateral, its eMode.

    Bitmaps have one bit a reserve id. What is unknown (a start in mid-life) is marked, and read if it matters.
    """

    holdings: tuple[Holding, ...] = ()
    """Sorted by id, none empty."""
    collateral: int = 0
    emode: int = 0
    unknown_supplied: int = 0
    unknown_borrowed: int = 0
    unknown_stable: int = 0
    unknown_collateral: bool = False
    unknown_emode: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing is unknown."""
        return not (
            self.unknown_supplied
            or self.unknown_borrowed
            or self.unknown_stable
            or self.unknown_collateral
            or self.unknown_emode
        )

    def holding(self, reserve_id: int) -> Holding:
        """What it holds of one reserve."""
        for holding in self.holdings:
            if holding.id == reserve_id:
                return holding
        return Holding(reserve_id)


class Price(msgspec.Struct, frozen=True):
    """An oracle's answer in base currency; None if it reverted, and then why."""

    value: int | None
    block: int
    error: str = ""


class Strategy(msgspec.Struct, frozen=True):
    """What a rate strategy told, ray; -1 where not read yet. `refused`: it does not know the question."""

    optimal: int = -1
    base: int = -1
    slope1: int = -1
    slope2: int = -1
    refused: bool = False

    @property
    def whole(self) -> bool:
        """Whether everything was read."""
        return min(self.optimal, self.base, self.slope1, self.slope2) >= 0


class Token(msgspec.Struct, frozen=True):
    """What a token's address stands for."""

    asset: Address
    kind: str


class Moved(msgspec.Struct, frozen=True):
    """The last ERC-20 Transfer of a token."""

    tx: str
    sender: Address
    recipient: Address
    value: int


class Scaled(msgspec.Struct, frozen=True):
    """One mint or burn as it was applied: from which scaled balance, by how much (units, signed), to which."""

    token: Address
    account: Address
    before: int
    delta: int
    index: int
    after: int


MARKETS: Table[Address, Market] = Table("aave_v3.market")
"""By addresses provider, as are the first parts of the keys below."""
RESERVES: Table[tuple[Address, Address], Reserve] = Table("aave_v3.reserve")
"""By asset."""
CATEGORIES: Table[tuple[Address, int], Category] = Table("aave_v3.category")
ACCOUNTS: Table[tuple[Address, Address], Account] = Table("aave_v3.account")
PENDING: Table[tuple[Address, Address], int] = Table("aave_v3.pending")
"""Accounts of which something that matters is unknown."""
PRICES: Table[tuple[Address, Address], Price] = Table("aave_v3.price")
"""By what the oracle was asked for; under the sentinel's own address 1 or 0: whether it allows liquidations."""
STRATEGIES: Table[tuple[Address, Address, Address], Strategy] = Table("aave_v3.strategy")
"""By strategy and asset; asset "" up to 3.0, where a strategy has one curve."""
TOKENS: Table[tuple[Address, Address], Token] = Table("aave_v3.token")
"""By token."""
MOVES: Table[tuple[Address, Address], Moved] = Table("aave_v3.moved")
"""By token, up to 3.0 only."""
UPGRADING: Table[Address, tuple[Scaled, ...]] = Table("aave_v3.upgrading")
"""By addresses provider: the mints and burns since an upgrade of the pool whose revision was not read yet."""
FAILED: Table[tuple[Address, str], int] = Table("aave_v3.failed")
"""Reads that were answered with an error, by contract and calldata: the block."""
