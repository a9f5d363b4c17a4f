"""Events of the pool. Amounts in the token's units, rates and indices in ray."""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event


class Supply(Event, frozen=True, tag="aave_v3.Supply"):
    """Underlying came in."""

    reserve: Address
    user: Address
    on_behalf_of: Address
    amount: int
    referral_code: int


class Withdraw(Event, frozen=True, tag="aave_v3.Withdraw"):
    """Underlying went out."""

    reserve: Address
    user: Address
    to: Address
    amount: int


class Borrow(Event, frozen=True, tag="aave_v3.Borrow"):
    """Debt was opened. `interest_rate_mode` 1 is stable, 2 variable."""

    reserve: Address
    user: Address
    on_behalf_of: Address
    amount: int
    interest_rate_mode: int
    borrow_rate: int
    referral_code: int


class Repay(Event, frozen=True, tag="aave_v3.Repay"):
    """Debt was repaid, in underlying or in aTokens."""

    reserve: Address
    user: Address
    repayer: Address
    amount: int
    use_atokens: bool


class FlashLoan(Event, frozen=True, tag="aave_v3.FlashLoan"):
    """A flash loan; mode 0 was paid back with `premium`, others left as debt."""

    target: Address
    initiator: Address
    asset: Address
    amount: int
    interest_rate_mode: int
    premium: int
    referral_code: int


class BackUnbacked(Event, frozen=True, tag="aave_v3.BackUnbacked"):
    """A bridge backed what it had minted (3.0 to 3.3)."""

    reserve: Address
    backer: Address
    amount: int
    fee: int


class MintUnbacked(Event, frozen=True, tag="aave_v3.MintUnbacked"):
    """A bridge minted aTokens without underlying (3.0 to 3.3)."""

    reserve: Address
    user: Address
    on_behalf_of: Address
    amount: int
    referral_code: int


class LiquidationCall(Event, frozen=True, tag="aave_v3.LiquidationCall"):
    """A liquidation; `liquidated_collateral_amount` leaves out the protocol's fee."""

    collateral_asset: Address
    debt_asset: Address
    user: Address
    debt_to_cover: int
    liquidated_collateral_amount: int
    liquidator: Address
    receive_atoken: bool


class ReserveDataUpdated(Event, frozen=True, tag="aave_v3.ReserveDataUpdated"):
    """A reserve's rates and indices as they are from now on, ray."""

    reserve: Address
    liquidity_rate: int
    stable_borrow_rate: int
    variable_borrow_rate: int
    liquidity_index: int
    variable_borrow_index: int


class ReserveUsedAsCollateralEnabled(Event, frozen=True, tag="aave_v3.ReserveUsedAsCollateralEnabled"):
    """A user's supply counts as collateral from now on."""

    reserve: Address
    user: Address


class ReserveUsedAsCollateralDisabled(Event, frozen=True, tag="aave_v3.ReserveUsedAsCollateralDisabled"):
    """A user's supply no longer counts as collateral."""

    reserve: Address
    user: Address


class UserEModeSet(Event, frozen=True, tag="aave_v3.UserEModeSet"):
    """A user chose an eMode category (0: none)."""

    user: Address
    category_id: int


class MintedToTreasury(Event, frozen=True, tag="aave_v3.MintedToTreasury"):
    """What had accrued to the treasury was minted to it."""

    reserve: Address
    amount_minted: int


class IsolationModeTotalDebtUpdated(Event, frozen=True, tag="aave_v3.IsolationModeTotalDebtUpdated"):
    """Debt against isolated collateral, with 2 decimals (up to 3.6)."""

    asset: Address
    total_debt: int


class DeficitCreated(Event, frozen=True, tag="aave_v3.DeficitCreated"):
    """Bad debt was burned and became the reserve's deficit."""

    user: Address
    debt_asset: Address
    amount_created: int


class DeficitCovered(Event, frozen=True, tag="aave_v3.DeficitCovered"):
    """Part of a deficit was covered."""

    reserve: Address
    caller: Address
    amount_covered: int


POOL_EVENTS: tuple[EventSpec[Any], ...] = (
    event(
        "Supply(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount,"
        " uint16 indexed referralCode)",
        Supply,
    ),
    event("Withdraw(address indexed reserve, address indexed user, address indexed to, uint256 amount)", Withdraw),
    event(
        "Borrow(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount,"
        " uint8 interestRateMode, uint256 borrowRate, uint16 indexed referralCode)",
        Borrow,
    ),
    event(
        "Repay(address indexed reserve, address indexed user, address indexed repayer, uint256 amount,"
        " bool useAtokens)",
        Repay,
    ),
    event(
        "FlashLoan(address indexed target, address initiator, address indexed asset, uint256 amount,"
        " uint8 interestRateMode, uint256 premium, uint16 indexed referralCode)",
        FlashLoan,
    ),
    event("BackUnbacked(address indexed reserve, address indexed backer, uint256 amount, uint256 fee)", BackUnbacked),
    event(
        "MintUnbacked(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount,"
        " uint16 indexed referralCode)",
        MintUnbacked,
    ),
    event(
        "LiquidationCall(address indexed collateralAsset, address indexed debtAsset, address indexed user,"
        " uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, bool receiveAtoken)",
        LiquidationCall,
    ),
    event(
        "ReserveDataUpdated(address indexed reserve, uint256 liquidityRate, uint256 stableBorrowRate,"
        " uint256 variableBorrowRate, uint256 liquidityIndex, uint256 variableBorrowIndex)",
        ReserveDataUpdated,
    ),
    event(
        "ReserveUsedAsCollateralEnabled(address indexed reserve, address indexed user)", ReserveUsedAsCollateralEnabled
    ),
    event(
        "ReserveUsedAsCollateralDisabled(address indexed reserve, address indexed user)",
        ReserveUsedAsCollateralDisabled,
    ),
    event("UserEModeSet(address indexed user, uint8 categoryId)", UserEModeSet),
    event("MintedToTreasury(address indexed reserve, uint256 amountMinted)", MintedToTreasury),
    event("IsolationModeTotalDebtUpdated(address indexed asset, uint256 totalDebt)", IsolationModeTotalDebtUpdated),
    event("DeficitCreated(address indexed user, address indexed debtAsset, uint256 amountCreated)", DeficitCreated),
    event("DeficitCovered(address indexed reserve, address caller, uint256 amountCovered)", DeficitCovered),
)
