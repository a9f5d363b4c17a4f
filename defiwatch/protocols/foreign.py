"""Events that no protocol here follows, known so that they are told apart from those that share their first topic.

`Transfer` and `Approval` belong to ERC-20 (three topics) and ERC-721 (four); `Mint(address,uint256,uint256)` to a
Uniswap v2 pair (two topics) and a Compound cToken (one). Wrapped ether's Deposit and Withdrawal emit no Transfer.
"""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event


class NftTransfer(Event, frozen=True):
    """ERC-721: the token `token_id` went from `sender` to `recipient`."""

    sender: Address
    recipient: Address
    token_id: int


class NftApproval(Event, frozen=True):
    """ERC-721: `owner` lets `approved` take the token `token_id`."""

    owner: Address
    approved: Address
    token_id: int


class CTokenMint(Event, frozen=True):
    """Compound v2: `minter` paid `mint_amount` of the underlying for `mint_tokens` of the cToken."""

    minter: Address
    mint_amount: int
    mint_tokens: int


class WrapDeposit(Event, frozen=True):
    """WETH9: `amount` wei of the native coin were wrapped for `recipient`."""

    recipient: Address
    amount: int


class WrapWithdrawal(Event, frozen=True):
    """WETH9: `sender` unwrapped `amount` wei."""

    sender: Address
    amount: int


NFT_TRANSFER = event(
    "Transfer(address indexed sender, address indexed recipient, uint256 indexed token_id)", NftTransfer
)

FOREIGN: tuple[EventSpec[Any], ...] = (
    NFT_TRANSFER,
    event("Approval(address indexed owner, address indexed approved, uint256 indexed token_id)", NftApproval),
    event("Mint(address minter, uint256 mint_amount, uint256 mint_tokens)", CTokenMint),
    event("Deposit(address indexed recipient, uint256 amount)", WrapDeposit),
    event("Withdrawal(address indexed sender, uint256 amount)", WrapWithdrawal),
)
