"""Events of the configurator: reserves, their configuration words, eMode categories."""

from __future__ import annotations

import msgspec

from defiwatch.domain.events import Event
from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.text import harmless
from defiwatch.protocols.aave_v3.apply.handler import Handler, updated
from defiwatch.protocols.aave_v3.curve import forget_curve
from defiwatch.protocols.aave_v3.events import configurator as e
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    CATEGORIES,
    FIXED,
    LIST,
    SOURCE,
    SUPPLY,
    SYMBOL,
    VARIABLE,
    Category,
    Reserve,
)

replace = msgspec.structs.replace


def _initialized(ledger: Ledger, event: e.ReserveInitialized) -> None:
    old = ledger.list_reserve(event.asset)
    ledger.set_reserve(
        Reserve(
            event.asset,
            symbol=old.symbol,
            source=old.source,
            have=old.have & (SYMBOL | SOURCE),  # one that was dropped, and is listed again, begins anew
            a_token=event.a_token,
            variable_token=event.variable_debt_token,
            stable_token=event.stable_debt_token,
            strategy=event.interest_rate_strategy_address,
        )
    )
    ledger.list_token(event.a_token, event.asset, SUPPLY)
    ledger.list_token(event.variable_debt_token, event.asset, VARIABLE)
    ledger.list_token(event.stable_debt_token, event.asset, FIXED)


def _dropped(ledger: Ledger, event: e.ReserveDropped) -> None:
    market = ledger.market
    assets = tuple(asset for asset in market.assets if asset != event.asset)
    ledger.set_market(replace(market, assets=assets, have=market.have & ~LIST))


def _word(ledger: Ledger, asset: Address, start: int, size: int, value: int) -> None:
    """Set `size` bits of a reserve's configuration word."""
    reserve = ledger.reserve(asset)
    if reserve is not None:
        mask = (1 << size) - 1
        word = reserve.configuration & ~(mask << start) | (value & mask) << start
        ledger.set_reserve(replace(reserve, configuration=word))


def _collateral_configured(ledger: Ledger, event: e.CollateralConfigurationChanged) -> None:
    word = event.ltv | event.liquidation_threshold << 16 | event.liquidation_bonus << 32
    _word(ledger, event.asset, 0, 48, word)


def _active(ledger: Ledger, event: e.ReserveActive) -> None:
    _word(ledger, event.asset, 56, 1, event.active)


def _frozen(ledger: Ledger, event: e.ReserveFrozen) -> None:
    _word(ledger, event.asset, 57, 1, event.frozen)


def _borrowing(ledger: Ledger, event: e.ReserveBorrowing) -> None:
    _word(ledger, event.asset, 58, 1, event.enabled)


def _stable_borrowing(ledger: Ledger, event: e.ReserveStableRateBorrowing) -> None:
    _word(ledger, event.asset, 59, 1, event.enabled)


def _paused(ledger: Ledger, event: e.ReservePaused) -> None:
    _word(ledger, event.asset, 60, 1, event.paused)


def _isolated_borrowing(ledger: Ledger, event: e.BorrowableInIsolationChanged) -> None:
    _word(ledger, event.asset, 61, 1, event.borrowable)


def _siloed(ledger: Ledger, event: e.SiloedBorrowingChanged) -> None:
    _word(ledger, event.asset, 62, 1, event.new_state)


def _flash_loaning(ledger: Ledger, event: e.ReserveFlashLoaning) -> None:
    _word(ledger, event.asset, 63, 1, event.enabled)


def _factor(ledger: Ledger, event: e.ReserveFactorChanged) -> None:
    reserve = ledger.reserve(event.asset)
    if reserve is not None and ledger.form.virtual_balance:
        # From 3.1 the state is updated by the old factor before the new one is set.
        ledger.set_reserve(updated(ledger, reserve))
    _word(ledger, event.asset, 64, 16, event.new_reserve_factor)


def _borrow_cap(ledger: Ledger, event: e.BorrowCapChanged) -> None:
    _word(ledger, event.asset, 80, 36, event.new_borrow_cap)


def _supply_cap(ledger: Ledger, event: e.SupplyCapChanged) -> None:
    _word(ledger, event.asset, 116, 36, event.new_supply_cap)


def _protocol_fee(ledger: Ledger, event: e.LiquidationProtocolFeeChanged) -> None:
    _word(ledger, event.asset, 152, 16, event.new_fee)


def _asset_category(ledger: Ledger, event: e.EModeAssetCategoryChanged) -> None:
    _word(ledger, event.asset, 168, 8, event.new_category_id)


def _unbacked_cap(ledger: Ledger, event: e.UnbackedMintCapChanged) -> None:
    _word(ledger, event.asset, 176, 36, event.new_unbacked_mint_cap)


def _debt_ceiling(ledger: Ledger, event: e.DebtCeilingChanged) -> None:
    _word(ledger, event.asset, 212, 40, event.new_debt_ceiling)


def _strategy_changed(ledger: Ledger, event: e.ReserveInterestRateStrategyChanged) -> None:
    reserve = ledger.reserve(event.asset)
    if reserve is not None:
        ledger.set_reserve(replace(reserve, strategy=event.new_strategy))


def _rate_data_changed(ledger: Ledger, event: e.ReserveInterestRateDataChanged) -> None:
    forget_curve(ledger, event.strategy, event.asset)


def _grace(ledger: Ledger, asset: Address, until: int) -> None:
    reserve = ledger.reserve(asset)
    if reserve is not None:
        ledger.set_reserve(replace(reserve, grace_until=until))


def _grace_changed(ledger: Ledger, event: e.LiquidationGracePeriodChanged) -> None:
    _grace(ledger, event.asset, event.grace_period_until)


def _grace_disabled(ledger: Ledger, event: e.LiquidationGracePeriodDisabled) -> None:
    _grace(ledger, event.asset, 0)


def _premium(ledger: Ledger, event: e.FlashloanPremiumToProtocolUpdated) -> None:
    ledger.set_market(replace(ledger.market, premium_to_protocol=event.new_flashloan_premium_to_protocol))


def _category_added(ledger: Ledger, event: e.EModeCategoryAdded) -> None:
    key = (ledger.key, event.category_id)
    old = ledger.book.get(CATEGORIES, key) or Category()
    ledger.book.put(
        CATEGORIES,
        key,
        replace(
            old,
            ltv=event.ltv,
            threshold=event.liquidation_threshold,
            bonus=event.liquidation_bonus,
            source=event.oracle if not ledger.form.liquid_emode else ZERO_ADDRESS,
            label=harmless(event.label, 64),
        ),
    )
    ledger.list_category(event.category_id)


def _category_bit(ledger: Ledger, category_id: int, asset: Address, bitmap: str, *, on: bool) -> None:
    reserve = ledger.reserve(asset)
    category = ledger.book.get(CATEGORIES, (ledger.key, category_id))
    if reserve is None or reserve.id < 0 or category is None:
        if reserve is not None:  # its place, or the category, is not known yet: the category is asked again
            ledger.set_market(replace(ledger.market, probed=min(ledger.market.probed, category_id - 1)))
        return
    bit = 1 << reserve.id
    old: int = getattr(category, bitmap)
    changed = replace(category, **{bitmap: old | bit if on else old & ~bit})
    if bitmap == "collateral" and not on:  # what is no collateral there has no rule for its LTV either
        changed = replace(changed, ltv_zero=changed.ltv_zero & ~bit)
    ledger.book.put(CATEGORIES, (ledger.key, category_id), changed)


def _emode_collateral(ledger: Ledger, event: e.AssetCollateralInEModeChanged) -> None:
    _category_bit(ledger, event.category_id, event.asset, "collateral", on=event.collateral)


def _emode_borrowable(ledger: Ledger, event: e.AssetBorrowableInEModeChanged) -> None:
    _category_bit(ledger, event.category_id, event.asset, "borrowable", on=event.borrowable)


def _emode_ltv_zero(ledger: Ledger, event: e.AssetLtvzeroInEModeChanged) -> None:
    _category_bit(ledger, event.category_id, event.asset, "ltv_zero", on=event.ltvzero)


def _emode_isolation(ledger: Ledger, event: e.EModeCategoryIsolationChanged) -> None:
    key = (ledger.key, event.category_id)
    category = ledger.book.get(CATEGORIES, key) or Category()
    ledger.book.put(CATEGORIES, key, replace(category, isolated=event.isolated))


ON_CONFIGURATOR: dict[type[Event], Handler] = {
    e.ReserveInitialized: _initialized,
    e.ReserveDropped: _dropped,
    e.CollateralConfigurationChanged: _collateral_configured,
    e.ReserveActive: _active,
    e.ReserveFrozen: _frozen,
    e.ReserveBorrowing: _borrowing,
    e.ReserveStableRateBorrowing: _stable_borrowing,
    e.ReservePaused: _paused,
    e.BorrowableInIsolationChanged: _isolated_borrowing,
    e.SiloedBorrowingChanged: _siloed,
    e.ReserveFlashLoaning: _flash_loaning,
    e.ReserveFactorChanged: _factor,
    e.BorrowCapChanged: _borrow_cap,
    e.SupplyCapChanged: _supply_cap,
    e.LiquidationProtocolFeeChanged: _protocol_fee,
    e.EModeAssetCategoryChanged: _asset_category,
    e.UnbackedMintCapChanged: _unbacked_cap,
    e.DebtCeilingChanged: _debt_ceiling,
    e.ReserveInterestRateStrategyChanged: _strategy_changed,
    e.ReserveInterestRateDataChanged: _rate_data_changed,
    e.LiquidationGracePeriodChanged: _grace_changed,
    e.LiquidationGracePeriodDisabled: _grace_disabled,
    e.FlashloanPremiumToProtocolUpdated: _premium,
    e.EModeCategoryAdded: _category_added,
    e.AssetCollateralInEModeChanged: _emode_collateral,
    e.AssetBorrowableInEModeChanged: _emode_borrowable,
    e.AssetLtvzeroInEModeChanged: _emode_ltv_zero,
    e.EModeCategoryIsolationChanged: _emode_isolation,
}
