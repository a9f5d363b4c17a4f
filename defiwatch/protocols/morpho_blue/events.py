"""Every event of Morpho Blue that its state follows from. Assets in token units, rates in wad a second.

morpho-blue@3085651 src/libraries/EventsLib.sol.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event

Params: TypeAlias = tuple[Address, Address, Address, Address, int]
"""Loan token, collateral token, oracle, rate model (zero: none), LLTV in wad."""


class CreateMarket(Event, frozen=True, tag="morpho_blue.CreateMarket"):
    """A market exists from now on; its id is the hash of its parameters."""

    id: str
    market_params: Params


class AccrueInterest(Event, frozen=True, tag="morpho_blue.AccrueInterest"):
    """`interest` went onto both totals; `fee_shares` of supply were made for the fee recipient."""

    id: str
    prev_borrow_rate: int
    interest: int
    fee_shares: int


class Supply(Event, frozen=True, tag="morpho_blue.Supply"):
    """Loan tokens came in."""

    id: str
    caller: Address
    on_behalf: Address
    assets: int
    shares: int


class Withdraw(Event, frozen=True, tag="morpho_blue.Withdraw"):
    """Loan tokens of a supplier went out."""

    id: str
    caller: Address
    on_behalf: Address
    receiver: Address
    assets: int
    shares: int


class Borrow(Event, frozen=True, tag="morpho_blue.Borrow"):
    """Debt was opened."""

    id: str
    caller: Address
    on_behalf: Address
    receiver: Address
    assets: int
    shares: int


class Repay(Event, frozen=True, tag="morpho_blue.Repay"):
    """Debt was repaid; `assets` may be one more than the market's total."""

    id: str
    caller: Address
    on_behalf: Address
    assets: int
    shares: int


class SupplyCollateral(Event, frozen=True, tag="morpho_blue.SupplyCollateral"):
    """Collateral came in."""

    id: str
    caller: Address
    on_behalf: Address
    assets: int


class WithdrawCollateral(Event, frozen=True, tag="morpho_blue.WithdrawCollateral"):
    """Collateral went out."""

    id: str
    caller: Address
    on_behalf: Address
    receiver: Address
    assets: int


class Liquidate(Event, frozen=True, tag="morpho_blue.Liquidate"):
    """A liquidation; `bad_debt_*` was taken from the suppliers because no collateral was left."""

    id: str
    caller: Address
    borrower: Address
    repaid_assets: int
    repaid_shares: int
    seized_assets: int
    bad_debt_assets: int
    bad_debt_shares: int


class SetFee(Event, frozen=True, tag="morpho_blue.SetFee"):
    """The part of the interest that goes to the fee recipient, wad."""

    id: str
    new_fee: int


class SetFeeRecipient(Event, frozen=True, tag="morpho_blue.SetFeeRecipient"):
    """Who gets the fee shares of every market."""

    new_fee_recipient: Address


CREATE_MARKET = event(
    "CreateMarket(bytes32 indexed id, (address,address,address,address,uint256) marketParams)", CreateMarket
)
ACCRUE_INTEREST = event(
    "AccrueInterest(bytes32 indexed id, uint256 prevBorrowRate, uint256 interest, uint256 feeShares)", AccrueInterest
)
SUPPLY = event(
    "Supply(bytes32 indexed id, address indexed caller, address indexed onBehalf, uint256 assets, uint256 shares)",
    Supply,
)
WITHDRAW = event(
    "Withdraw(bytes32 indexed id, address caller, address indexed onBehalf, address indexed receiver, uint256 assets,"
    " uint256 shares)",
    Withdraw,
)
BORROW = event(
    "Borrow(bytes32 indexed id, address caller, address indexed onBehalf, address indexed receiver, uint256 assets,"
    " uint256 shares)",
    Borrow,
)
REPAY = event(
    "Repay(bytes32 indexed id, address indexed caller, address indexed onBehalf, uint256 assets, uint256 shares)", Repay
)
SUPPLY_COLLATERAL = event(
    "SupplyCollateral(bytes32 indexed id, address indexed caller, address indexed onBehalf, uint256 assets)",
    SupplyCollateral,
)
WITHDRAW_COLLATERAL = event(
    "WithdrawCollateral(bytes32 indexed id, address caller, address indexed onBehalf, address indexed receiver,"
    " uint256 assets)",
    WithdrawCollateral,
)
LIQUIDATE = event(
    "Liquidate(bytes32 indexed id, address indexed caller, address indexed borrower, uint256 repaidAssets,"
    " uint256 repaidShares, uint256 seizedAssets, uint256 badDebtAssets, uint256 badDebtShares)",
    Liquidate,
)
SET_FEE = event("SetFee(bytes32 indexed id, uint256 newFee)", SetFee)
SET_FEE_RECIPIENT = event("SetFeeRecipient(address indexed newFeeRecipient)", SetFeeRecipient)

EVENTS: tuple[EventSpec[Any], ...] = (
    CREATE_MARKET,
    ACCRUE_INTEREST,
    SUPPLY,
    WITHDRAW,
    BORROW,
    REPAY,
    SUPPLY_COLLATERAL,
    WITHDRAW_COLLATERAL,
    LIQUIDATE,
    SET_FEE,
    SET_FEE_RECIPIENT,
)
