"""Vaults by the ERC-4626 standard: assets in and out for shares, both in their tokens' units."""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event


class VaultDeposit(Event, frozen=True):
    """`sender` paid `assets`; `owner` got `shares`."""

    sender: Address
    owner: Address
    assets: int
    shares: int


class VaultWithdraw(Event, frozen=True):
    """`shares` of `owner` went back; `receiver` got `assets`."""

    sender: Address
    receiver: Address
    owner: Address
    assets: int
    shares: int


EVENTS: tuple[EventSpec[Any], ...] = (
    event("Deposit(address indexed sender, address indexed owner, uint256 assets, uint256 shares)", VaultDeposit),
    event(
        "Withdraw(address indexed sender, address indexed receiver, address indexed owner, uint256 assets,"
        " uint256 shares)",
        VaultWithdraw,
    ),
)
