"""What one liquidation takes from a position's legs, by protocol, in the contract's integers.

The legs are a supposition (other prices, earlier liquidations), so the contracts' own plans, which read the book, do
not serve; tests hold these against them. Aave is exact to the unit; Morpho within a share's rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import BPS, WAD
from defiwatch.protocols.aave_v3 import AaveV3, rays
from defiwatch.protocols.aave_v3.forms import Form
from defiwatch.protocols.compound_v3 import arithmetic as comet
from defiwatch.protocols.compound_v3.comet import CompoundV3
from defiwatch.protocols.compound_v3.state import Scene as CometScene
from defiwatch.protocols.morpho_blue import shares
from defiwatch.protocols.morpho_blue.blue import MorphoBlue
from defiwatch.protocols.morpho_blue.state import Scene as MorphoScene
from defiwatch.protocols.spec import Book, Instance
from defiwatch.state.lending import exact
from defiwatch.state.lending.exact import HealthOf

_HALF = 5_000
_HALF_ABOVE = 95 * 10**16
_LARGE = 2_000 * 10**8


class Strike(msgspec.Struct, frozen=True):
    """One liquidation of one pair, units: the debt falls by `repay`, the collateral by `seize` + `fee`.

    The liquidator pays `pay` of the debt asset for `seize`; `fee` stays with the protocol.
    """

    collateral: Address
    debt: Address
    repay: int
    seize: int
    fee: int
    pay: int


Rule: TypeAlias = Callable[[Sequence[Leg], int], tuple[Strike, ...]]
"""(legs, health factor below 1 in wad) → what is taken at once; () where nothing can be."""


def of_aave(form: Form, fees: Mapping[Address, int]) -> Rule:
    """liquidationCall of the pair that pays most, as much as it may cover. `fees`: the protocol's part of the bonus,
    basis points by collateral.

    Up to 3.2: aave-v3-core@e0bfed1 LiquidationLogic.sol; from 3.3: aave-v3-origin v3.3.0 … fd1fbd9.
    """

    def rule(legs: Sequence[Leg], factor: int) -> tuple[Strike, ...]:
        total = sum(_owed(form, leg) for leg in legs)
        found: list[tuple[int, Address, Address, Strike]] = []
        for taken in legs:
            if not taken.collateral or not taken.liquidation_threshold or taken.price <= 0:
                continue
            for lent in legs:
                if lent.debt and lent.price > 0:
                    strike = _aave_strike(form, taken, lent, factor, total, fees.get(taken.asset, 0))
                    gain = strike.seize * taken.price // 10**taken.decimals
                    gain -= strike.pay * lent.price // 10**lent.decimals
                    found.append((-gain, taken.asset, lent.asset, strike))
        best = min(found, key=lambda item: item[:3], default=None)
        return (best[3],) if best is not None and best[3].repay and best[3].seize else ()

    return rule


def _owed(form: Form, leg: Leg) -> int:
    value, unit = leg.debt * leg.price, int(10**leg.decimals)
    return -(-value // unit) if form.directional else value // unit


def _aave_strike(form: Form, taken: Leg, lent: Leg, factor: int, total: int, rate: int) -> Strike:
    unit_c, unit_d, bonus = 10**taken.decimals, 10**lent.decimals, max(BPS, taken.liquidation_bonus)
    cover = lent.debt
    if not form.deficit:
        cover = rays.percent_mul(lent.debt, _HALF) if factor > _HALF_ABOVE else lent.debt
    elif factor > _HALF_ABOVE and min(taken.collateral * taken.price // unit_c, _owed(form, lent)) >= _LARGE:
        half = rays.percent_mul(total, _HALF)
        if _owed(form, lent) > half:
            cover = half * unit_d // lent.price
    base = lent.price * cover * unit_c // (taken.price * unit_d)
    seize = base * bonus // BPS if form.isolated_emode else rays.percent_mul(base, bonus)
    if seize > taken.collateral:
        seize = taken.collateral
        needed = taken.price * seize * unit_d // (lent.price * unit_c)
        cover = -(-needed * BPS // bonus) if form.directional else rays.percent_div(needed, bonus)
    if form.isolated_emode:
        fee = -(-(seize - seize * BPS // bonus) * rate // BPS)
    else:
        fee = rays.percent_mul(seize - rays.percent_div(seize, bonus), rate) if rate else 0
    return Strike(taken.asset, lent.asset, cover, seize - fee, fee, cover)


def of_morpho(scene: MorphoScene) -> Rule:
    """The whole debt, or all that the collateral pays for: morpho-blue@3085651 Morpho.sol:347-409."""
    market = scene.market
    bonus = shares.incentive(market.lltv)

    def rule(legs: Sequence[Leg], factor: int) -> tuple[Strike, ...]:  # noqa: ARG001 - there is no close factor
        held = next((leg for leg in legs if leg.asset == market.collateral and leg.collateral), None)
        owed = sum(leg.debt for leg in legs if leg.asset == market.loan)
        if held is None or not owed:
            return ()
        price = scene.price
        if held.price != price * 10**held.decimals // shares.PRICE_SCALE:
            price = held.price * shares.PRICE_SCALE // 10**held.decimals
        if price <= 0:
            return ()
        seize, repay = owed * bonus // WAD * shares.PRICE_SCALE // price, owed
        if seize > held.collateral:
            seize = held.collateral
            repay = min(owed, shares.up(shares.up(seize, price, shares.PRICE_SCALE), WAD, bonus))
        return (Strike(market.collateral, market.loan, repay, seize, 0, repay),) if seize and repay else ()

    return rule


def of_compound(scene: CometScene, store_front_factor: int = WAD) -> Rule:
    """`absorb` takes all collateral at once, and the store front sells it: Comet.sol:1183-1240 and 1274-1286."""
    by_asset = {asset.asset: asset for asset in scene.assets}

    def rule(legs: Sequence[Leg], factor: int) -> tuple[Strike, ...]:  # noqa: ARG001 - there is no close factor
        lent = next((leg for leg in legs if leg.debt and leg.asset == scene.base), None)
        if lent is None or lent.price <= 0:
            return ()
        left, found = lent.debt, []
        for leg in legs:
            asset = by_asset.get(leg.asset)
            if asset is None or not leg.collateral or leg.price <= 0:
                continue
            credit = comet.mul_factor(leg.collateral * leg.price // asset.scale, asset.liquidation_factor)
            repay = min(left, credit * scene.base_scale // lent.price)
            shop = comet.storefront_price(asset, leg.price, store_front_factor)
            pay = leg.collateral * shop * scene.base_scale // asset.scale // lent.price
            left -= repay
            found.append(Strike(leg.asset, lent.asset, repay, leg.collateral, 0, pay))
        return tuple(found)

    return rule


class Loan(msgspec.Struct, frozen=True):
    """One position with its protocol's arithmetic. `base`: the token that it is counted in; "" for dollars."""

    account: Address
    legs: tuple[Leg, ...]
    health: HealthOf
    rule: Rule
    base: Address = ""


def loans(instance: Instance, book: Book, at: BlockRef, positions: Iterable[Position]) -> list[Loan]:
    """The positions of one market with debt that can be told; [] for a protocol without a rule here."""
    owing = [position for position in positions if position.debt_base and not position.unknown]
    if not owing:
        return []
    if isinstance(instance, AaveV3):
        form = instance.ledger(book, at).form
        fees = {reserve.asset: reserve.protocol_fee for reserve in instance.reserves(book)}
        health, rule = exact.of_aave(form), of_aave(form, fees)
    elif isinstance(instance, MorphoBlue):
        scene = instance.totals(book, at, owing[0].market)
        if scene is None:
            return []
        health, rule = exact.of_morpho(scene), of_morpho(scene)
    elif isinstance(instance, CompoundV3):
        comets = instance.scene(book, at)
        health, rule = exact.of_compound(comets), of_compound(comets)
    else:
        return []
    return [Loan(position.account, position.legs, health, rule, _base(position)) for position in owing]


def _base(position: Position) -> Address:
    """The token that a position is counted in."""
    if position.base == "USD":
        return ""
    return next((leg.asset for leg in position.legs if leg.debt and leg.symbol == position.base), "")
