"""Lenders: Compound v2, Aave v1 and v2 where they differ from v3, Liquity, crvUSD. Amounts in the tokens' units."""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event


class CTokenAccrueInterest(Event, frozen=True):
    """Compound v2: interest up to now; the index with 18 decimals."""

    cash_prior: int
    interest_accumulated: int
    borrow_index: int
    total_borrows: int


class CTokenAccrueInterestOld(Event, frozen=True):
    """Compound v2's first markets: the same without the cash."""

    interest_accumulated: int
    borrow_index: int
    total_borrows: int


class CTokenBorrow(Event, frozen=True):
    """Compound v2: `borrower` took `borrow_amount`; what it and the market owe after it."""

    borrower: Address
    borrow_amount: int
    account_borrows: int
    total_borrows: int


class CTokenRepayBorrow(Event, frozen=True):
    """Compound v2: `payer` paid back `repay_amount` of the borrower's debt."""

    payer: Address
    borrower: Address
    repay_amount: int
    account_borrows: int
    total_borrows: int


class CTokenRedeem(Event, frozen=True):
    """Compound v2: `redeem_tokens` of the cToken went back for `redeem_amount` of the underlying."""

    redeemer: Address
    redeem_amount: int
    redeem_tokens: int


class CTokenLiquidateBorrow(Event, frozen=True):
    """Compound v2: `repay_amount` of the debt was paid for `seize_tokens` of another cToken."""

    liquidator: Address
    borrower: Address
    repay_amount: int
    c_token_collateral: Address
    seize_tokens: int


class AaveV1LiquidationCall(Event, frozen=True):
    """Aave v1: a liquidation."""

    collateral: Address
    reserve: Address
    user: Address
    purchase_amount: int
    liquidated_collateral_amount: int
    accrued_borrow_interest: int
    liquidator: Address
    receive_a_token: bool
    timestamp: int


class AaveV2Deposit(Event, frozen=True):
    """Aave v2: `amount` was supplied for `on_behalf_of`."""

    reserve: Address
    user: Address
    on_behalf_of: Address
    amount: int
    referral: int


class AaveV2Borrow(Event, frozen=True):
    """Aave v2: `amount` was borrowed; mode 1 stable, 2 variable; the rate in rays."""

    reserve: Address
    user: Address
    on_behalf_of: Address
    amount: int
    borrow_rate_mode: int
    borrow_rate: int
    referral: int


class LiquityTroveUpdated(Event, frozen=True):
    """Liquity v1: a trove after an operation (0 open, 1 close, 2 adjust)."""

    borrower: Address
    debt: int
    coll: int
    stake: int
    operation: int


class CrvUsdBorrow(Event, frozen=True):
    """crvUSD and LlamaLend: collateral and debt of a loan grew by so much."""

    user: Address
    collateral_increase: int
    loan_increase: int


EVENTS: tuple[EventSpec[Any], ...] = (
    event(
        "AccrueInterest(uint256 cashPrior, uint256 interestAccumulated, uint256 borrowIndex, uint256 totalBorrows)",
        CTokenAccrueInterest,
    ),
    event(
        "AccrueInterest(uint256 interestAccumulated, uint256 borrowIndex, uint256 totalBorrows)",
        CTokenAccrueInterestOld,
    ),
    event("Borrow(address borrower, uint256 borrowAmount, uint256 accountBorrows, uint256 totalBorrows)", CTokenBorrow),
    event(
        "RepayBorrow(address payer, address borrower, uint256 repayAmount, uint256 accountBorrows,"
        " uint256 totalBorrows)",
        CTokenRepayBorrow,
    ),
    event("Redeem(address redeemer, uint256 redeemAmount, uint256 redeemTokens)", CTokenRedeem),
    event(
        "LiquidateBorrow(address liquidator, address borrower, uint256 repayAmount, address cTokenCollateral,"
        " uint256 seizeTokens)",
        CTokenLiquidateBorrow,
    ),
    event(
        "LiquidationCall(address indexed collateral, address indexed reserve, address indexed user,"
        " uint256 purchaseAmount, uint256 liquidatedCollateralAmount, uint256 accruedBorrowInterest,"
        " address liquidator, bool receive_a_token, uint256 timestamp)",
        AaveV1LiquidationCall,
    ),
    event(
        "Deposit(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount,"
        " uint16 indexed referral)",
        AaveV2Deposit,
    ),
    event(
        "Borrow(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount,"
        " uint256 borrowRateMode, uint256 borrowRate, uint16 indexed referral)",
        AaveV2Borrow,
    ),
    event(
        "TroveUpdated(address indexed borrower, uint256 debt, uint256 coll, uint256 stake, uint8 operation)",
        LiquityTroveUpdated,
    ),
    event("Borrow(address indexed user, uint256 collateral_increase, uint256 loan_increase)", CrvUsdBorrow),
)
