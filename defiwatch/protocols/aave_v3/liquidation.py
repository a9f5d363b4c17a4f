"""liquidationCall before it is made: does it succeed, what does it cover, what does it take, is bad debt left.

Up to 3.2: aave-v3-core@e0bfed1 LiquidationLogic.sol, ValidationLogic.sol. From 3.3: the same files of aave-v3-origin
v3.3.0 … fd1fbd9. Neither has a view for it: checked against eth_call of liquidationCall, recorded and on a devnet, and
for 3.6 against what was covered, taken and written off.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.risk import Leg
from defiwatch.domain.units import BPS, UINT256_MAX, WAD
from defiwatch.protocols.aave_v3 import rays
from defiwatch.protocols.aave_v3.account import Lane, Scene, account_data, unknown
from defiwatch.protocols.aave_v3.forms import Form
from defiwatch.protocols.aave_v3.state import CASH, NEEDED, Account

OK = "ok"
INACTIVE = "ReserveInactive"
PAUSED = "ReservePaused"
SENTINEL = "PriceOracleSentinelCheckFailed"
GRACE = "LiquidationGraceSentinelCheckFailed"
HEALTHY = "HealthFactorNotBelowThreshold"
NOT_COLLATERAL = "CollateralCannotBeLiquidated"
NOT_BORROWED = "SpecifiedCurrencyNotBorrowedByUser"
DUST = "MustNotLeaveDust"
NO_BURN = "InvalidBurnAmount"
PANIC = "Panic"
"""Arithmetic: collateral whose price is 0, or underlying that the pool does not have."""
TRANSFER = "TransferFailed"
"""The underlying's own transfer, which has words of its own: what is seized leaves before what is repaid comes in, also
where both are one asset. What was sent to an aToken without a supply is not known, and could make it succeed."""
NO_REASON = "0x"
"""A division by a bonus of 0, which says nothing."""

LEGACY_CODES: dict[str, str] = {
    "25": NO_BURN,
    "27": INACTIVE,
    "29": PAUSED,
    "39": NOT_BORROWED,
    "45": HEALTHY,
    "46": NOT_COLLATERAL,
    "59": SENTINEL,
    "97": GRACE,
    "103": DUST,
}
"""What revisions up to 7 revert with, as the names that later ones have. aave-v3-core@e0bfed1 Errors.sol."""
_CODES = {name: code for code, name in LEGACY_CODES.items()}

_CLOSE_FACTOR = 5_000
_CLOSE_FACTOR_HF = 95 * 10**16
_SENTINEL_HF = 95 * 10**16
"""Below it a sentinel is not asked."""
_SMALL = 2_000 * 10**8
"""Below this much collateral or debt in the reserve (base currency, 8 decimals) all of it may be liquidated."""
_LEFTOVER = _SMALL // 2


class Liquidation(msgspec.Struct, frozen=True):
    """What a call would do. `outcome` is "ok" or the error's name; amounts are units and 0 unless it is ok or dust.

    `seized` is what the liquidator gets, `fee` goes to the treasury on top. `closable` is the most that may be covered.
    `bad_debt` says that all remaining debt would be written off.
    """

    outcome: str
    covered: int = 0
    seized: int = 0
    fee: int = 0
    closable: int = 0
    bad_debt: bool = False


def plan(
    scene: Scene,
    account: Account,
    collateral_id: int,
    debt_id: int,
    *,
    cover: int = UINT256_MAX,
    receive_atoken: bool = False,
) -> Liquidation:
    """What liquidationCall(collateral, debt, account, cover, receive_atoken) would do at the scene's block.

    The outcome is the reason of `unknown` where the account cannot be told.
    """
    form = scene.form
    reason = _unreadable(scene, account)
    if reason:
        return Liquidation(reason)
    data = account_data(scene, account)
    lane_c, lane_d = scene.lanes[collateral_id], scene.lanes[debt_id]
    if lane_c is None or lane_d is None:
        return Liquidation(INACTIVE)
    for lane in (lane_c, lane_d):
        if lane.missing and not _reverts(scene, lane):
            return Liquidation(lane.missing)
    side_c = next((leg for leg in data.legs if leg.asset == lane_c.asset), None)
    side_d = next((leg for leg in data.legs if leg.asset == lane_d.asset), None)
    refused = _refused(scene, lane_c, lane_d, data.health_factor)
    if refused:
        return Liquidation(refused)
    category = scene.categories.get(account.emode) if account.emode else None
    inside = category is not None and (
        bool(category.collateral >> collateral_id & 1) if form.liquid_emode else lane_c.category == account.emode
    )
    if not account.collateral >> collateral_id & 1 or not (lane_c.threshold or form.zero_threshold_counts):
        return Liquidation(NOT_COLLATERAL)
    if side_d is None or side_d.debt == 0:
        return Liquidation(NOT_BORROWED)
    for lane in (lane_c, lane_d):
        if lane.missing:
            return Liquidation(_revert(scene, lane))

    bonus = category.bonus if inside and category is not None else lane_c.bonus
    balance, value, price_c = (0, 0, lane_c.price) if side_c is None else _side(side_c)
    debt, price_d = side_d.debt, side_d.price
    if category is not None and not form.liquid_emode and (answer := scene.prices.get(category.source)):
        price_d = answer.value or price_d
    closable = _closable(scene, data.health_factor, data.debt, value, debt, lane_d, price_d)
    actual = min(cover, closable)
    unit_c, unit_d = lane_c.unit, lane_d.unit
    if price_c == 0:
        return Liquidation(PANIC, closable=closable)
    if bonus == 0 and lane_c.reserve.protocol_fee:
        return Liquidation(NO_REASON, closable=closable)
    base = price_d * actual * unit_c // (price_c * unit_d)
    want = base * bonus // BPS if form.isolated_emode else rays.percent_mul(base, bonus)
    if want > balance:
        taken = balance
        needed = price_c * balance * unit_d // (price_d * unit_c)
        actual = -(-needed * BPS // bonus) if form.directional else rays.percent_div(needed, bonus)
    else:
        taken = want
    fee = _fee(scene, lane_c, taken, bonus)
    seized = taken - fee
    result = Liquidation(
        OK, actual, seized, fee, closable, _clears(scene, account, lane_c, seized, fee, data.collateral)
    )
    if form.deficit and actual < debt and taken < balance:
        left = (debt - actual) * price_d
        left_debt = -(-left // unit_d) if form.directional else left // unit_d
        if left_debt < _LEFTOVER or (balance - taken) * price_c // unit_c < _LEFTOVER:
            return msgspec.structs.replace(result, outcome=DUST)
    return msgspec.structs.replace(
        result, outcome=_executed(scene, account, lane_c, lane_d, result, debt, receive_atoken=receive_atoken)
    )


def said(form: Form, outcome: str) -> str:
    """What the contract itself reverts with for an outcome: a number up to 3.3, from 3.4 its error's name; "" if ok."""
    if outcome == OK:
        return ""
    return outcome if form.taylor else _CODES.get(outcome, outcome)


def _side(leg: Leg) -> tuple[int, int, int]:
    return leg.collateral, leg.collateral_base, leg.price


def _unreadable(scene: Scene, account: Account) -> str:
    """The revert of the account's own data, else why it cannot be told."""
    reason = unknown(scene, account)
    if not reason:
        return ""
    touched = account.collateral
    for holding in account.holdings:
        if holding.borrowed or holding.stable:
            touched |= 1 << holding.id
    for lane in scene.lanes:
        if lane is not None and lane.missing and touched >> lane.reserve.id & 1:
            return _revert(scene, lane)
    return reason


def _reverts(scene: Scene, lane: Lane) -> bool:
    price = scene.prices.get(lane.asset)
    return price is not None and price.value is None and lane.reserve.have & NEEDED == NEEDED


def _revert(scene: Scene, lane: Lane) -> str:
    price = scene.prices.get(lane.asset)
    return price.error if price is not None and price.value is None else lane.missing


def _refused(scene: Scene, lane_c: Lane, lane_d: Lane, factor: int) -> str:
    """The first condition that fails, in the contract's order (ValidationLogic.validateLiquidationCall)."""
    reserves = (lane_c.reserve, lane_d.reserve)
    if not all(reserve.active for reserve in reserves):
        return INACTIVE
    if any(reserve.paused for reserve in reserves):
        return PAUSED
    sentinel = scene.sentinel
    if sentinel is not None and factor >= _SENTINEL_HF:
        if sentinel.value is None:
            return sentinel.error
        if sentinel.value == 0:
            return SENTINEL
    if scene.form.virtual_balance and any(reserve.grace_until >= scene.time for reserve in reserves):
        return GRACE
    return HEALTHY if factor >= WAD else ""


def _closable(scene: Scene, factor: int, total_debt: int, value: int, debt: int, lane: Lane, price: int) -> int:
    """The most debt that one call may cover, units. `value`: the collateral in base currency."""
    form = scene.form
    if not form.deficit:
        return rays.percent_mul(debt, _CLOSE_FACTOR) if factor > _CLOSE_FACTOR_HF else debt
    owed = -(-debt * price // lane.unit) if form.directional else debt * price // lane.unit
    if value >= _SMALL and owed >= _SMALL and factor > _CLOSE_FACTOR_HF:
        half = rays.percent_mul(total_debt, _CLOSE_FACTOR)
        if owed > half:
            return half * lane.unit // price
    return debt


def _fee(scene: Scene, lane: Lane, taken: int, bonus: int) -> int:
    """The protocol's part of the bonus, units of collateral."""
    rate = lane.reserve.protocol_fee
    if rate == 0:
        return 0
    if scene.form.isolated_emode:
        return -(-(taken - taken * BPS // bonus) * rate // BPS)
    return rays.percent_mul(taken - rays.percent_div(taken, bonus), rate)


def _clears(scene: Scene, account: Account, lane: Lane, seized: int, fee: int, collateral: int) -> bool:
    """Whether no collateral is left at all, so that the remaining debt becomes the reserves' deficit."""
    form = scene.form
    if not form.deficit:
        return False
    if not form.isolated_emode:
        return (seized + fee) * lane.price // lane.unit == collateral
    scaled = rays.div_ceil(seized, lane.income) + rays.div_ceil(fee, lane.income)
    scaled = min(scaled, account.holding(lane.reserve.id).supplied)
    return rays.mul_floor(scaled, lane.income) * lane.price // lane.unit == collateral


def _executed(
    scene: Scene,
    account: Account,
    lane_c: Lane,
    lane_d: Lane,
    call: Liquidation,
    debt: int,
    *,
    receive_atoken: bool,
) -> str:
    """What can still revert while tokens are burned."""
    form = scene.form
    burned = debt if call.bad_debt else call.covered
    if form.directional:
        scaled = rays.div_floor(burned, lane_d.debt_index)
    else:
        variable = rays.mul_half(account.holding(lane_d.reserve.id).borrowed, lane_d.debt_index)
        scaled = rays.div_half(min(burned, variable), lane_d.debt_index) if variable else burned
    if scaled == 0:
        return NO_BURN
    if receive_atoken:
        return OK
    divide = rays.div_ceil if form.directional else rays.div_half
    if divide(call.seized, lane_c.income) == 0:
        return NO_BURN
    reserve = lane_c.reserve
    if not (scene.born or reserve.have & CASH) or reserve.cash >= call.seized:
        return OK
    if not form.virtual_balance:  # the rates are computed with what will be left, if there is any debt
        return PANIC if reserve.borrowed or reserve.stable_principal else TRANSFER
    if not (reserve.virtual or form.taylor):
        return OK
    return TRANSFER if lane_c.asset == lane_d.asset and reserve.cash + call.covered >= call.seized else PANIC
