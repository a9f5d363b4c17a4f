"""getUserAccountData, by revision: what an account's collateral and debt are worth, and its health factor.

aave-v3-core@e0bfed1 GenericLogic.sol:62-190 (3.0), aave-v3-origin@fd1fbd9 GenericLogic.sol:65-183 (3.7).
Checked against the contracts' own answers, but for 3.1 to 3.3: 3.0.2 and 3.6 in tests/devnet, 3.4 to 3.7 in
tests/replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from defiwatch.domain.ids import ZERO_ADDRESS, Address
from defiwatch.domain.risk import Leg
from defiwatch.domain.units import BPS, RAY, UINT256_MAX, WAD
from defiwatch.protocols.aave_v3 import indices, rays
from defiwatch.protocols.aave_v3.forms import Form
from defiwatch.protocols.aave_v3.state import BORROWED, NEEDED, SUPPLIED, Account, Category, Price, Reserve

_HALF_RAY = RAY // 2


class Lane(msgspec.Struct, frozen=True):
    """One reserve as it stands at one moment: everything that an account's data needs of it."""

    reserve: Reserve
    asset: Address
    symbol: str
    decimals: int
    income: int
    debt_index: int
    price: int
    price_block: int
    """When the price was read; -1: never."""
    unit: int
    ltv: int
    threshold: int
    bonus: int
    category: int
    missing: str
    """Why it cannot be told ("" if it can): not read, or its price reverted."""


class Scene(msgspec.Struct, frozen=True):
    """A whole market at one moment: the reserves by id, the eMode categories, and which reserves cannot be told."""

    form: Form
    time: int
    lanes: tuple[Lane | None, ...]
    categories: Mapping[int, Category]
    prices: Mapping[Address, Price]
    blind: int
    """Bitmap of the reserves of which something is missing."""
    supplied_whole: int
    """Bitmap of the reserves whose aToken balances are all known: who has none on record, has none."""
    borrowed_whole: int
    unread: bool
    """Whether a reserve is listed whose place is not known yet."""
    sentinel: Price | None
    """Whether liquidations are allowed (1, 0); None where there is no sentinel."""
    born: bool = False
    """Whether the market's creation was seen: nothing happened before that is not known."""
    upgraded: bool = False
    """Whether the pool got another implementation whose revision, and so whose rules, was not read yet."""


class AccountData(msgspec.Struct, frozen=True):
    """As getUserAccountData returns it: base currency, basis points, wad; with the legs that it is made of."""

    collateral: int
    debt: int
    available: int
    threshold: int
    ltv: int
    health_factor: int
    weighted: int
    """Sum of collateral in base currency times its threshold."""
    legs: tuple[Leg, ...]
    prices_block: int = -1
    """The oldest block whose prices it rests on; -1 where it rests on none."""


def scene(
    form: Form,
    reserves: Iterable[Reserve],
    categories: Mapping[int, Category],
    prices: Mapping[Address, Price],
    time: int,
    sentinel: Price | None = None,
    *,
    born: bool = False,
    upgraded: bool = False,
) -> Scene:
    """The market at `time` (Unix seconds), with the prices last read."""
    by_id: dict[int, Lane] = {}
    blind = supplied_whole = borrowed_whole = 0
    unread = False
    for reserve in reserves:
        if reserve.id < 0:
            unread = True
            continue
        bit = 1 << reserve.id
        price = prices.get(reserve.asset)
        missing = _missing(reserve, price)
        if missing:
            blind |= bit
        if reserve.have & SUPPLIED and reserve.supplied == reserve.supplied_known:
            supplied_whole |= bit
        if reserve.have & BORROWED and reserve.borrowed == reserve.borrowed_known:
            borrowed_whole |= bit
        by_id[reserve.id] = Lane(
            reserve=reserve,
            asset=reserve.asset,
            symbol=reserve.symbol,
            decimals=reserve.decimals,
            income=indices.income(reserve, time),
            debt_index=indices.debt(form, reserve, time),
            price=0 if price is None or price.value is None else price.value,
            price_block=-1 if price is None else price.block,
            unit=10**reserve.decimals,
            ltv=reserve.ltv,
            threshold=reserve.threshold,
            bonus=reserve.bonus,
            category=reserve.category,
            missing=missing,
        )
    lanes = tuple(by_id.get(i) for i in range(max(by_id, default=-1) + 1))
    return Scene(
        form,
        time,
        lanes,
        categories,
        prices,
        blind,
        supplied_whole,
        borrowed_whole,
        unread,
        sentinel,
        born,
        upgraded,
    )


def _missing(reserve: Reserve, price: Price | None) -> str:
    name = reserve.symbol or reserve.asset
    if reserve.have & NEEDED != NEEDED:
        return f"{name} was not read yet"
    if price is None:
        return f"the price of {name} was not read yet"
    if price.value is None:
        return f"the price of {name} reverts: {price.error}"
    return ""


def unknown(scene: Scene, account: Account) -> str:
    """Why the account's data cannot be told; "" if it can. A revert of the contract's own call is such a reason."""
    if account.unknown_collateral:
        return "what it uses as collateral was not read yet"
    touched = account.collateral
    for holding in account.holdings:
        if holding.borrowed or holding.stable:
            touched |= 1 << holding.id
    loans = account.unknown_borrowed & ~scene.borrowed_whole
    if scene.form.stable_debt:
        loans |= account.unknown_stable
    if not touched and not loans:
        return ""
    if scene.upgraded:
        return "the pool was upgraded, and its revision was not read yet"
    if account.unknown_emode:
        return "its eMode was not read yet"
    if account.emode:
        category = scene.categories.get(account.emode)
        if category is None:
            return f"eMode category {account.emode} was not read yet"
        if not scene.form.liquid_emode and category.source != ZERO_ADDRESS:
            price = scene.prices.get(category.source)
            if price is None:
                return f"the price source of eMode category {account.emode} was not read yet"
            if price.value is None:
                return f"the price source of eMode category {account.emode} reverts: {price.error}"
    balances = loans | account.unknown_supplied & account.collateral & ~scene.supplied_whole
    for reserve_id in _bits(touched & scene.blind | balances):
        lane = scene.lanes[reserve_id] if reserve_id < len(scene.lanes) else None
        if lane is not None:
            return lane.missing or f"its balance of {lane.symbol or lane.asset} was not read yet"
        return f"its balance of reserve {reserve_id} was not read yet"
    if scene.unread and touched >> len(scene.lanes):
        return "a reserve was not read yet"
    return ""


def _bits(bitmap: int) -> Iterable[int]:
    while bitmap:
        low = bitmap & -bitmap
        yield low.bit_length() - 1
        bitmap ^= low


def account_data(scene: Scene, account: Account) -> AccountData:
    """The account's data at the scene's time. Only meaningful where `unknown` is ""."""
    form = scene.form
    directional = form.directional
    emode = account.emode
    category = scene.categories.get(emode) if emode else None
    source = 0
    if category is not None and not form.liquid_emode and category.source != ZERO_ADDRESS:
        answer = scene.prices.get(category.source)
        source = 0 if answer is None or answer.value is None else answer.value
    collateral = debt = weighted = weighted_ltv = 0
    rests: list[int] = []
    legs: list[Leg] = []
    lanes = scene.lanes
    known = len(lanes)
    for holding in account.holdings:
        i = holding.id
        lane = lanes[i] if i < known else None
        if lane is None:
            continue
        unit = lane.unit
        inside = False
        price = lane.price
        if category is not None:
            inside = bool(category.collateral >> i & 1) if form.liquid_emode else lane.category == emode
            if inside and source:
                price = source
        balance = value = threshold = loan = owed = 0
        if holding.supplied:
            product = holding.supplied * lane.income
            balance = product // RAY if directional else (product + _HALF_RAY) // RAY
        if account.collateral >> i & 1 and (lane.threshold or form.zero_threshold_counts):
            threshold = category.threshold if inside and category is not None else lane.threshold
            value = balance * price // unit
            collateral += value
            rests.append(lane.price_block)
            weighted += value * threshold
            weighted_ltv += value * _ltv(form, lane, category, inside, i)
        if holding.borrowed:
            product = holding.borrowed * lane.debt_index
            loan = -(-product // RAY) if directional else (product + _HALF_RAY) // RAY
        if holding.stable:
            loan += indices.stable_balance(holding.stable, holding.stable_rate, holding.stable_updated, scene.time)
        if loan:
            owed = -(-loan * price // unit) if directional else loan * price // unit
            debt += owed
            rests.append(lane.price_block)
        bonus = category.bonus if inside and category is not None else lane.bonus
        legs.append(
            Leg(lane.asset, lane.symbol, lane.decimals, balance, loan, price, threshold, value, owed, bonus),
        )
    average = weighted // collateral if collateral else 0
    ltv = weighted_ltv // collateral if collateral else 0
    borrowable = collateral * ltv // BPS if directional else rays.percent_mul(collateral, ltv)
    return AccountData(
        collateral=collateral,
        debt=debt,
        available=max(0, borrowable - debt),
        threshold=average,
        ltv=ltv,
        health_factor=health_factor(form, collateral, weighted, debt),
        weighted=weighted,
        legs=tuple(legs),
        prices_block=min(rests, default=-1),
    )


def _ltv(form: Form, lane: Lane, category: Category | None, inside: bool, reserve_id: int) -> int:
    if not form.zero_threshold_counts:
        if lane.ltv == 0:
            return 0
        return category.ltv if inside and category is not None else lane.ltv
    if category is not None:
        if inside:
            return 0 if category.ltv_zero >> reserve_id & 1 else category.ltv
        if form.isolated_emode and category.isolated:
            return 0
    return lane.ltv


def health_factor(form: Form, collateral: int, weighted: int, debt: int) -> int:
    """In wad; 2**256-1 without debt. `weighted`: sum of collateral (base currency) times threshold (basis points)."""
    if debt == 0:
        return UINT256_MAX
    if form.directional:
        return ((weighted * WAD + debt // 2) // debt) // BPS
    average = weighted // collateral if collateral else 0
    return (rays.percent_mul(collateral, average) * WAD + debt // 2) // debt
