"""Health factors in a contract's own integers, as functions of a position's legs: for questions that begin with "what
if".

A `HealthOf` takes legs and returns the health factor in wad (2**256-1 without debt) by the protocol's own roundings.
Each protocol gives its own; the amounts and prices in the legs are what it reads, `*_base` is worked out anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg
from defiwatch.domain.units import BPS, UINT256_MAX, WAD
from defiwatch.protocols.aave_v3.account import health_factor as aave_health_factor
from defiwatch.protocols.aave_v3.forms import Form
from defiwatch.protocols.compound_v3 import arithmetic as comet
from defiwatch.protocols.compound_v3.state import Scene as CometScene
from defiwatch.protocols.morpho_blue import shares
from defiwatch.protocols.morpho_blue.state import Scene as MorphoScene

HealthOf: TypeAlias = Callable[[Sequence[Leg]], int]


def plain(legs: Sequence[Leg]) -> int:
    """Σ collateral·threshold ÷ Σ debt: values rounded down, debt up, the factor down. For no known form."""
    weighted = debt = 0
    for leg in legs:
        unit = 10**leg.decimals
        weighted += leg.collateral * leg.price // unit * leg.liquidation_threshold
        debt += -(-leg.debt * leg.price // unit)
    return UINT256_MAX if debt == 0 else weighted * WAD // (debt * BPS)


def of_aave(form: Form) -> HealthOf:
    """Aave v3's by revision: `protocols.aave_v3.account.account_data` on legs."""

    def health(legs: Sequence[Leg]) -> int:
        collateral = weighted = debt = 0
        for leg in legs:
            unit = 10**leg.decimals
            if leg.liquidation_threshold or leg.collateral_base:
                value = leg.collateral * leg.price // unit
                collateral += value
                weighted += value * leg.liquidation_threshold
            if leg.debt:
                debt += -(-leg.debt * leg.price // unit) if form.directional else leg.debt * leg.price // unit
        return aave_health_factor(form, collateral, weighted, debt)

    return health


def of_morpho(scene: MorphoScene) -> HealthOf:
    """Morpho Blue's, at the oracle's own price; a leg's price counts by how far it was moved from the oracle's."""
    market = scene.market

    def health(legs: Sequence[Leg]) -> int:
        collateral = sum(leg.collateral for leg in legs if leg.asset == market.collateral)
        debt = sum(leg.debt for leg in legs if leg.asset == market.loan)
        price = scene.price
        for leg in legs:
            told = price * 10**leg.decimals // shares.PRICE_SCALE
            if leg.asset == market.collateral and leg.collateral and leg.price != told:
                price = leg.price * shares.PRICE_SCALE // 10**leg.decimals
        return shares.health_factor(collateral, price, market.lltv, debt)

    return health


def of_compound(scene: CometScene) -> HealthOf:
    """Compound v3's, with the Comet's factors; prices are those of the legs."""
    by_asset = {asset.asset: asset for asset in scene.assets}

    def health(legs: Sequence[Leg]) -> int:
        weighted = debt = 0
        for leg in legs:
            asset = by_asset.get(leg.asset)
            if asset is not None and leg.collateral:
                weighted += comet.weighted_value(comet.Side(asset, leg.collateral, leg.price))
            if leg.asset == scene.base:
                debt += leg.debt * leg.price // scene.base_scale
        return comet.health_factor(weighted, debt)

    return health


def with_amounts(legs: Sequence[Leg], asset: Address, *, collateral: int = 0, debt: int = 0) -> tuple[Leg, ...]:
    """The legs after `asset` changed by these amounts (its units, signed); below nothing is nothing."""
    return tuple(
        msgspec.structs.replace(leg, collateral=max(0, leg.collateral + collateral), debt=max(0, leg.debt + debt))
        if leg.asset == asset
        else leg
        for leg in legs
    )


def with_prices(legs: Sequence[Leg], prices: Mapping[Address, int]) -> tuple[Leg, ...]:
    """The legs at other prices (base-currency units for one whole asset); assets that are not named keep theirs."""
    return tuple(msgspec.structs.replace(leg, price=prices.get(leg.asset, leg.price)) for leg in legs)


def shocked(legs: Sequence[Leg], shocks: Mapping[Address, float]) -> tuple[Leg, ...]:
    """The legs after relative moves of prices: -0.2 is a fall by 20 %; rounded to the nearest price."""
    moved = {leg.asset: round(leg.price * (1.0 + shocks[leg.asset])) for leg in legs if leg.asset in shocks}
    return with_prices(legs, moved)
