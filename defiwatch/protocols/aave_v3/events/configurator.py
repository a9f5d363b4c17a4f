"""Events of the configurator. Percentages in basis points, caps in whole tokens."""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event


class ReserveInitialized(Event, frozen=True, tag="aave_v3.ReserveInitialized"):
    """A reserve was listed."""

    asset: Address
    a_token: Address
    stable_debt_token: Address
    variable_debt_token: Address
    interest_rate_strategy_address: Address


class ReserveDropped(Event, frozen=True, tag="aave_v3.ReserveDropped"):
    """A reserve was taken off the list."""

    asset: Address


class CollateralConfigurationChanged(Event, frozen=True, tag="aave_v3.CollateralConfigurationChanged"):
    """A reserve's LTV, liquidation threshold and bonus."""

    asset: Address
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int


class ReserveFlag(Event, frozen=True, tag="aave_v3.ReserveFlag"):
    """Base of the events that set one bit of a reserve's configuration."""

    asset: Address


class ReserveActive(ReserveFlag, frozen=True, tag="aave_v3.ReserveActive"):
    """Bit 56."""

    active: bool


class ReserveFrozen(ReserveFlag, frozen=True, tag="aave_v3.ReserveFrozen"):
    """Bit 57."""

    frozen: bool


class ReserveBorrowing(ReserveFlag, frozen=True, tag="aave_v3.ReserveBorrowing"):
    """Bit 58."""

    enabled: bool


class ReserveStableRateBorrowing(ReserveFlag, frozen=True, tag="aave_v3.ReserveStableRateBorrowing"):
    """Bit 59 (up to 3.1)."""

    enabled: bool


class ReservePaused(ReserveFlag, frozen=True, tag="aave_v3.ReservePaused"):
    """Bit 60."""

    paused: bool


class BorrowableInIsolationChanged(ReserveFlag, frozen=True, tag="aave_v3.BorrowableInIsolationChanged"):
    """Bit 61."""

    borrowable: bool


class SiloedBorrowingChanged(ReserveFlag, frozen=True, tag="aave_v3.SiloedBorrowingChanged"):
    """Bit 62."""

    old_state: bool
    new_state: bool


class ReserveFlashLoaning(ReserveFlag, frozen=True, tag="aave_v3.ReserveFlashLoaning"):
    """Bit 63."""

    enabled: bool


class ReserveFactorChanged(Event, frozen=True, tag="aave_v3.ReserveFactorChanged"):
    """The treasury's part of interest."""

    asset: Address
    old_reserve_factor: int
    new_reserve_factor: int


class BorrowCapChanged(Event, frozen=True, tag="aave_v3.BorrowCapChanged"):
    """Whole tokens; 0 is no cap."""

    asset: Address
    old_borrow_cap: int
    new_borrow_cap: int


class SupplyCapChanged(Event, frozen=True, tag="aave_v3.SupplyCapChanged"):
    """Whole tokens; 0 is no cap."""

    asset: Address
    old_supply_cap: int
    new_supply_cap: int


class LiquidationProtocolFeeChanged(Event, frozen=True, tag="aave_v3.LiquidationProtocolFeeChanged"):
    """The protocol's part of the liquidation bonus."""

    asset: Address
    old_fee: int
    new_fee: int


class UnbackedMintCapChanged(Event, frozen=True, tag="aave_v3.UnbackedMintCapChanged"):
    """Whole tokens (up to 3.3)."""

    asset: Address
    old_unbacked_mint_cap: int
    new_unbacked_mint_cap: int


class DebtCeilingChanged(Event, frozen=True, tag="aave_v3.DebtCeilingChanged"):
    """Isolation mode's ceiling, 2 decimals."""

    asset: Address
    old_debt_ceiling: int
    new_debt_ceiling: int


class ReserveInterestRateStrategyChanged(Event, frozen=True, tag="aave_v3.ReserveInterestRateStrategyChanged"):
    """Another contract sets the reserve's rates."""

    asset: Address
    old_strategy: Address
    new_strategy: Address


class ReserveInterestRateDataChanged(Event, frozen=True, tag="aave_v3.ReserveInterestRateDataChanged"):
    """The strategy was given other numbers for the reserve (from 3.1); `data` is for it to read."""

    asset: Address
    strategy: Address
    data: str


class LiquidationGracePeriodChanged(Event, frozen=True, tag="aave_v3.LiquidationGracePeriodChanged"):
    """No liquidation up to and including this time (Unix seconds)."""

    asset: Address
    grace_period_until: int


class LiquidationGracePeriodDisabled(Event, frozen=True, tag="aave_v3.LiquidationGracePeriodDisabled"):
    """The grace period was ended."""

    asset: Address


class EModeCategoryAdded(Event, frozen=True, tag="aave_v3.EModeCategoryAdded"):
    """An eMode category was added or changed."""

    category_id: int
    ltv: int
    liquidation_threshold: int
    liquidation_bonus: int
    oracle: Address
    label: str


class EModeAssetCategoryChanged(Event, frozen=True, tag="aave_v3.EModeAssetCategoryChanged"):
    """An asset moved to another category (up to 3.1)."""

    asset: Address
    old_category_id: int
    new_category_id: int


class AssetCollateralInEModeChanged(Event, frozen=True, tag="aave_v3.AssetCollateralInEModeChanged"):
    """One bit of a category's collateral bitmap (from 3.2)."""

    asset: Address
    category_id: int
    collateral: bool


class AssetBorrowableInEModeChanged(Event, frozen=True, tag="aave_v3.AssetBorrowableInEModeChanged"):
    """One bit of a category's borrowable bitmap (from 3.2)."""

    asset: Address
    category_id: int
    borrowable: bool


class AssetLtvzeroInEModeChanged(Event, frozen=True, tag="aave_v3.AssetLtvzeroInEModeChanged"):
    """One bit of a category's LTV-zero bitmap (from 3.6)."""

    asset: Address
    category_id: int
    ltvzero: bool


class EModeCategoryIsolationChanged(Event, frozen=True, tag="aave_v3.EModeCategoryIsolationChanged"):
    """Whether a category is isolated (3.7)."""

    category_id: int
    isolated: bool


class FlashloanPremiumToProtocolUpdated(Event, frozen=True, tag="aave_v3.FlashloanPremiumToProtocolUpdated"):
    """The protocol's part of flash loan premiums (up to 3.3)."""

    old_flashloan_premium_to_protocol: int
    new_flashloan_premium_to_protocol: int


CONFIGURATOR_EVENTS: tuple[EventSpec[Any], ...] = (
    event(
        "ReserveInitialized(address indexed asset, address indexed aToken, address stableDebtToken,"
        " address variableDebtToken, address interestRateStrategyAddress)",
        ReserveInitialized,
    ),
    event("ReserveDropped(address indexed asset)", ReserveDropped),
    event(
        "CollateralConfigurationChanged(address indexed asset, uint256 ltv, uint256 liquidationThreshold,"
        " uint256 liquidationBonus)",
        CollateralConfigurationChanged,
    ),
    event("ReserveActive(address indexed asset, bool active)", ReserveActive),
    event("ReserveFrozen(address indexed asset, bool frozen)", ReserveFrozen),
    event("ReserveBorrowing(address indexed asset, bool enabled)", ReserveBorrowing),
    event("ReserveStableRateBorrowing(address indexed asset, bool enabled)", ReserveStableRateBorrowing),
    event("ReservePaused(address indexed asset, bool paused)", ReservePaused),
    event("BorrowableInIsolationChanged(address asset, bool borrowable)", BorrowableInIsolationChanged),
    event("SiloedBorrowingChanged(address indexed asset, bool oldState, bool newState)", SiloedBorrowingChanged),
    event("ReserveFlashLoaning(address indexed asset, bool enabled)", ReserveFlashLoaning),
    event(
        "ReserveFactorChanged(address indexed asset, uint256 oldReserveFactor, uint256 newReserveFactor)",
        ReserveFactorChanged,
    ),
    event("BorrowCapChanged(address indexed asset, uint256 oldBorrowCap, uint256 newBorrowCap)", BorrowCapChanged),
    event("SupplyCapChanged(address indexed asset, uint256 oldSupplyCap, uint256 newSupplyCap)", SupplyCapChanged),
    event(
        "LiquidationProtocolFeeChanged(address indexed asset, uint256 oldFee, uint256 newFee)",
        LiquidationProtocolFeeChanged,
    ),
    event(
        "UnbackedMintCapChanged(address indexed asset, uint256 oldUnbackedMintCap, uint256 newUnbackedMintCap)",
        UnbackedMintCapChanged,
    ),
    event(
        "DebtCeilingChanged(address indexed asset, uint256 oldDebtCeiling, uint256 newDebtCeiling)",
        DebtCeilingChanged,
    ),
    event(
        "ReserveInterestRateStrategyChanged(address indexed asset, address oldStrategy, address newStrategy)",
        ReserveInterestRateStrategyChanged,
    ),
    event(
        "ReserveInterestRateDataChanged(address indexed asset, address indexed strategy, bytes data)",
        ReserveInterestRateDataChanged,
    ),
    event(
        "LiquidationGracePeriodChanged(address indexed asset, uint40 gracePeriodUntil)", LiquidationGracePeriodChanged
    ),
    event("LiquidationGracePeriodDisabled(address indexed asset)", LiquidationGracePeriodDisabled),
    event(
        "EModeCategoryAdded(uint8 indexed categoryId, uint256 ltv, uint256 liquidationThreshold,"
        " uint256 liquidationBonus, address oracle, string label)",
        EModeCategoryAdded,
    ),
    event(
        "EModeAssetCategoryChanged(address indexed asset, uint8 oldCategoryId, uint8 newCategoryId)",
        EModeAssetCategoryChanged,
    ),
    event(
        "AssetCollateralInEModeChanged(address indexed asset, uint8 categoryId, bool collateral)",
        AssetCollateralInEModeChanged,
    ),
    event(
        "AssetBorrowableInEModeChanged(address indexed asset, uint8 categoryId, bool borrowable)",
        AssetBorrowableInEModeChanged,
    ),
    event(
        "AssetLtvzeroInEModeChanged(address indexed asset, uint8 categoryId, bool ltvzero)", AssetLtvzeroInEModeChanged
    ),
    event("EModeCategoryIsolationChanged(uint8 indexed categoryId, bool isolated)", EModeCategoryIsolationChanged),
    event(
        "FlashloanPremiumToProtocolUpdated(uint128 oldFlashloanPremiumToProtocol,"
        " uint128 newFlashloanPremiumToProtocol)",
        FlashloanPremiumToProtocolUpdated,
    ),
)
