"""Events of aTokens and debt tokens. Amounts in the token's units, indices and rates in ray."""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event
from defiwatch.protocols.erc20 import TRANSFER


class Mint(Event, frozen=True, tag="aave_v3.Mint"):
    """Scaled tokens minted; `value` includes the interest accrued since the user's last action (`balance_increase`)."""

    caller: Address
    on_behalf_of: Address
    value: int
    balance_increase: int
    index: int


class Burn(Event, frozen=True, tag="aave_v3.Burn"):
    """Scaled tokens burned; `value` is less by `balance_increase`. (`from` is no name for a Python field.)"""

    holder: Address
    target: Address
    value: int
    balance_increase: int
    index: int


class BalanceTransfer(Event, frozen=True, tag="aave_v3.BalanceTransfer"):
    """aTokens moved: scaled units from 3.0.2 on, plain amount before."""

    sender: Address
    recipient: Address
    value: int
    index: int


class StableMint(Event, frozen=True, tag="aave_v3.StableMint"):
    """Stable debt minted (or burned by less than the accrued interest). Rates in ray."""

    user: Address
    on_behalf_of: Address
    amount: int
    current_balance: int
    balance_increase: int
    new_rate: int
    avg_stable_rate: int
    new_total_supply: int


class StableBurn(Event, frozen=True, tag="aave_v3.StableBurn"):
    """Stable debt burned; `amount` is what the principal fell by."""

    holder: Address
    amount: int
    current_balance: int
    balance_increase: int
    avg_stable_rate: int
    new_total_supply: int


TOKEN_EVENTS: tuple[EventSpec[Any], ...] = (
    event(
        "Mint(address indexed caller, address indexed onBehalfOf, uint256 value, uint256 balanceIncrease,"
        " uint256 index)",
        Mint,
    ),
    event(
        "Burn(address indexed holder, address indexed target, uint256 value, uint256 balanceIncrease, uint256 index)",
        Burn,
    ),
    event(
        "BalanceTransfer(address indexed sender, address indexed recipient, uint256 value, uint256 index)",
        BalanceTransfer,
    ),
    TRANSFER,
    event(
        "Mint(address indexed user, address indexed onBehalfOf, uint256 amount, uint256 currentBalance,"
        " uint256 balanceIncrease, uint256 newRate, uint256 avgStableRate, uint256 newTotalSupply)",
        StableMint,
    ),
    event(
        "Burn(address indexed holder, uint256 amount, uint256 currentBalance, uint256 balanceIncrease,"
        " uint256 avgStableRate, uint256 newTotalSupply)",
        StableBurn,
    ),
)
