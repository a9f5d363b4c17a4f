"""The events of a Comet. Amounts in token units, `usd_value` in 1e-8 of the price unit.

comet@d5a30b0 contracts/CometMainInterface.sol. None carries a principal or an index: a base event says whose balance
moved. A transfer of base between two borrowers emits none at all (`transferBase`).
"""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event


class Supply(Event, frozen=True, tag="compound_v3.Supply"):
    """Base came in for `dst`: it repays debt first, the rest is supplied."""

    sender: Address
    dst: Address
    amount: int


class Withdraw(Event, frozen=True, tag="compound_v3.Withdraw"):
    """Base of `src` went out: what was not supplied is borrowed."""

    src: Address
    to: Address
    amount: int


class Transfer(Event, frozen=True, tag="compound_v3.Transfer"):
    """The supplied part of a move, at the supply index; mints come from the zero address."""

    sender: Address
    to: Address
    amount: int


class SupplyCollateral(Event, frozen=True, tag="compound_v3.SupplyCollateral"):
    """Collateral came in for `dst`."""

    sender: Address
    dst: Address
    asset: Address
    amount: int


class TransferCollateral(Event, frozen=True, tag="compound_v3.TransferCollateral"):
    """Collateral changed hands inside."""

    sender: Address
    to: Address
    asset: Address
    amount: int


class WithdrawCollateral(Event, frozen=True, tag="compound_v3.WithdrawCollateral"):
    """Collateral of `src` went out."""

    src: Address
    to: Address
    asset: Address
    amount: int


class AbsorbCollateral(Event, frozen=True, tag="compound_v3.AbsorbCollateral"):
    """All of one collateral of a borrower became the protocol's."""

    absorber: Address
    borrower: Address
    asset: Address
    collateral_absorbed: int
    usd_value: int


class AbsorbDebt(Event, frozen=True, tag="compound_v3.AbsorbDebt"):
    """The borrower's debt was paid out of reserves, its collateral's credit included."""

    absorber: Address
    borrower: Address
    base_paid_out: int
    usd_value: int


class BuyCollateral(Event, frozen=True, tag="compound_v3.BuyCollateral"):
    """Absorbed collateral was sold at the storefront price."""

    buyer: Address
    asset: Address
    base_amount: int
    collateral_amount: int


class PauseAction(Event, frozen=True, tag="compound_v3.PauseAction"):
    """Which actions are paused from now on."""

    supply_paused: bool
    transfer_paused: bool
    withdraw_paused: bool
    absorb_paused: bool
    buy_paused: bool


class Upgraded(Event, frozen=True, tag="compound_v3.Upgraded"):
    """The proxy has another implementation, and with it another configuration (EIP-1967)."""

    implementation: Address


SUPPLY = event("Supply(address indexed sender, address indexed dst, uint amount)", Supply)
WITHDRAW = event("Withdraw(address indexed src, address indexed to, uint amount)", Withdraw)
TRANSFER = event("Transfer(address indexed sender, address indexed to, uint amount)", Transfer)
SUPPLY_COLLATERAL = event(
    "SupplyCollateral(address indexed sender, address indexed dst, address indexed asset, uint amount)",
    SupplyCollateral,
)
TRANSFER_COLLATERAL = event(
    "TransferCollateral(address indexed sender, address indexed to, address indexed asset, uint amount)",
    TransferCollateral,
)
WITHDRAW_COLLATERAL = event(
    "WithdrawCollateral(address indexed src, address indexed to, address indexed asset, uint amount)",
    WithdrawCollateral,
)
ABSORB_COLLATERAL = event(
    "AbsorbCollateral(address indexed absorber, address indexed borrower, address indexed asset,"
    " uint collateralAbsorbed, uint usdValue)",
    AbsorbCollateral,
)
ABSORB_DEBT = event(
    "AbsorbDebt(address indexed absorber, address indexed borrower, uint basePaidOut, uint usdValue)", AbsorbDebt
)
BUY_COLLATERAL = event(
    "BuyCollateral(address indexed buyer, address indexed asset, uint baseAmount, uint collateralAmount)", BuyCollateral
)
PAUSE_ACTION = event(
    "PauseAction(bool supplyPaused, bool transferPaused, bool withdrawPaused, bool absorbPaused, bool buyPaused)",
    PauseAction,
)
UPGRADED = event("Upgraded(address indexed implementation)", Upgraded)

EVENTS: tuple[EventSpec[Any], ...] = (
    SUPPLY,
    WITHDRAW,
    TRANSFER,
    SUPPLY_COLLATERAL,
    TRANSFER_COLLATERAL,
    WITHDRAW_COLLATERAL,
    ABSORB_COLLATERAL,
    ABSORB_DEBT,
    BUY_COLLATERAL,
    PAUSE_ACTION,
    UPGRADED,
)
