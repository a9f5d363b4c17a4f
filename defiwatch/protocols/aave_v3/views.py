"""The view functions that are read, of all revisions. Signatures as in `events`."""

from __future__ import annotations

from defiwatch.protocols.abi import function

GET_POOL = function("getPool()", "address")
GET_CONFIGURATOR = function("getPoolConfigurator()", "address")
GET_ORACLE = function("getPriceOracle()", "address")
GET_SENTINEL = function("getPriceOracleSentinel()", "address")
LIQUIDATION_ALLOWED = function("isLiquidationAllowed()", "bool")
POOL_REVISION = function("POOL_REVISION()", "uint256")
RESERVES_LIST = function("getReservesList()", "address[]")
RESERVE_DATA = function(
    "getReserveData(address)",
    "uint256, uint128, uint128, uint128, uint128, uint128, uint40, uint16, address, address, address, address, uint128,"
    " uint128, uint128",
)
CONFIGURATION = function("getConfiguration(address)", "uint256")
PREMIUM_TO_PROTOCOL = function("FLASHLOAN_PREMIUM_TO_PROTOCOL()", "uint128")
RESERVE_DEFICIT = function("getReserveDeficit(address)", "uint256")
VIRTUAL_BALANCE = function("getVirtualUnderlyingBalance(address)", "uint128")
GRACE_PERIOD = function("getLiquidationGracePeriod(address)", "uint40")
ACCOUNT_DATA = function("getUserAccountData(address)", "uint256, uint256, uint256, uint256, uint256, uint256")
NORMALIZED_INCOME = function("getReserveNormalizedIncome(address)", "uint256")
NORMALIZED_DEBT = function("getReserveNormalizedVariableDebt(address)", "uint256")
USER_CONFIGURATION = function("getUserConfiguration(address)", "uint256")
USER_EMODE = function("getUserEMode(address)", "uint256")
CATEGORY_DATA = function("getEModeCategoryData(uint8)", "(uint16,uint16,uint16,address,string)")
CATEGORY_CONFIG = function("getEModeCategoryCollateralConfig(uint8)", "uint16, uint16, uint16")
CATEGORY_LABEL = function("getEModeCategoryLabel(uint8)", "string")
CATEGORY_COLLATERAL = function("getEModeCategoryCollateralBitmap(uint8)", "uint128")
CATEGORY_BORROWABLE = function("getEModeCategoryBorrowableBitmap(uint8)", "uint128")
CATEGORY_LTV_ZERO = function("getEModeCategoryLtvzeroBitmap(uint8)", "uint128")
CATEGORY_ISOLATED = function("getIsEModeCategoryIsolated(uint8)", "bool")
TOKEN_BALANCE = function("balanceOf(address)", "uint256")
SCALED_SUPPLY = function("scaledTotalSupply()", "uint256")
SCALED_BALANCE = function("scaledBalanceOf(address)", "uint256")
STABLE_SUPPLY = function("getSupplyData()", "uint256, uint256, uint256, uint40")
STABLE_BALANCE = function("principalBalanceOf(address)", "uint256")
STABLE_RATE = function("getUserStableRate(address)", "uint256")
STABLE_UPDATED = function("getUserLastUpdated(address)", "uint40")
ASSET_PRICE = function("getAssetPrice(address)", "uint256")
ASSET_SOURCE = function("getSourceOfAsset(address)", "address")
BASE_UNIT = function("BASE_CURRENCY_UNIT()", "uint256")
BASE_CURRENCY = function("BASE_CURRENCY()", "address")
TOKEN_SYMBOL = function("symbol()")
"""A string, or bytes32 in old tokens."""
OPTIMAL_USAGE = function("OPTIMAL_USAGE_RATIO()", "uint256")
"""Of a rate strategy, as the next three (up to 3.0)."""
BASE_RATE = function("getBaseVariableBorrowRate()", "uint256")
SLOPE_1 = function("getVariableRateSlope1()", "uint256")
SLOPE_2 = function("getVariableRateSlope2()", "uint256")
RATE_DATA = function("getInterestRateData(address)", "uint256, uint256, uint256, uint256")
"""Optimal usage, base, slope 1 and 2 of a reserve, ray: of the one strategy of a pool (from 3.1)."""
