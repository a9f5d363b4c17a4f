"""The price of one asset at which an account's health factor crosses 1, all else equal, in the contract's integers.

The real crossing is p = (D − K) / (a·LT − d): K and D are the weighted collateral and the debt that the other assets
give, a and d the asset's own collateral and debt. The contract rounds, so its own arithmetic settles the answer.
"""

from __future__ import annotations

from collections.abc import Callable

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg
from defiwatch.domain.units import BPS, UINT256_MAX, WAD
from defiwatch.protocols.aave_v3.account import AccountData, health_factor
from defiwatch.protocols.aave_v3.forms import Form
from defiwatch.protocols.aave_v3.rays import percent_mul


def liquidation_prices(form: Form, data: AccountData) -> dict[Address, int]:
    """For each asset whose price alone can decide it: the last price (base currency) on the liquidatable side.

    For an asset that must fall it is the highest price with a health factor below 1, for one that must rise the lowest;
    where it is both collateral and debt, rounding may make neighbouring prices alternate around there. An asset is left
    out if no price of it moves the account across 1.
    """
    if data.debt == 0:
        return {}
    found: dict[Address, int] = {}
    for leg in data.legs:
        price = liquidation_price(form, data, leg)
        if price is not None:
            found[leg.asset] = price
    return found


def liquidation_price(form: Form, data: AccountData, leg: Leg) -> int | None:
    """The same for one leg of `data`; None if its price decides nothing."""
    threshold = leg.liquidation_threshold
    amount = leg.collateral if threshold else 0
    owed = leg.debt
    other_debt = data.debt - leg.debt_base
    other_weighted = data.weighted - leg.collateral_base * threshold
    slope = amount * threshold - owed * BPS
    gap = other_debt * BPS - other_weighted
    if slope == 0 or (slope < 0 <= gap) or (slope > 0 >= gap and form.directional):
        return None
    unit = 10**leg.decimals
    other_collateral = data.collateral - leg.collateral_base
    small = data.debt < WAD and data.weighted < BPS * WAD
    if small and not amount:
        return _rising(form, owed, unit, other_debt, other_collateral, other_weighted)
    if small and not owed and form.directional:
        return _worth((gap - 1) // threshold, amount, unit) or None
    up = unit - 1 if form.directional else 0

    def liquidatable(price: int) -> bool:
        value = amount * price // unit
        debt = other_debt + (owed * price + up) // unit
        return health_factor(form, other_collateral + value, other_weighted + value * threshold, debt) < WAD

    def level(price: int) -> int:
        value = amount * price // unit
        total = other_collateral + value
        return (other_weighted + value * threshold) // total if total else 0

    if small and not owed:
        price = _worth(_most_averaged(threshold, data.debt, other_collateral, other_weighted), amount, unit)
        if liquidatable(price) and not liquidatable(price + 1):
            return price or None
    if slope > 0 >= gap and not liquidatable(1):
        return None
    steps = level if amount and not form.directional else None
    guess = max(1, gap * unit // slope)
    margin = (threshold + 2 * BPS) * unit // abs(slope) + 2
    if steps is not None:
        # The averaged threshold is floored to a basis point, which weighs up to a 10000th of the collateral.
        margin += (other_collateral + amount * guess // unit + BPS) * unit // abs(slope) + 1
    search = _highest if slope > 0 else _lowest
    return search(liquidatable, guess, margin, steps)


def _worth(value: int, amount: int, unit: int) -> int:
    """The highest price at which `amount` is worth no more than `value` (base currency); 0 for none."""
    return max(0, ((value + 1) * unit - 1) // amount)


def _rising(form: Form, owed: int, unit: int, debt: int, collateral: int, weighted: int) -> int | None:
    """The lowest liquidatable price of an asset that is only owed; `debt` is that in other assets.

    In closed form: below 10**18 of debt the factor is below 1 just where the weighted collateral is less than the debt.
    """
    if form.directional:
        least = weighted // BPS + 1 - debt
        price = (least - 1) * unit // owed + 1
    else:
        least = percent_mul(collateral, weighted // collateral if collateral else 0) + 1 - debt
        price = -(-least * unit // owed)
    return price if price > 1 else None


def _most_averaged(threshold: int, debt: int, collateral: int, weighted: int) -> int:
    """How much an asset that is only collateral may be worth (base currency) for a factor below 1; -1: nothing.

    The threshold is averaged and floored: C·L ≤ 10000·D − 5001 is solved for each L = ⌊ΣC·LT/ΣC⌋ that may hold there.
    """
    target = debt * BPS - BPS // 2 - 1
    start = max(0, debt * BPS - weighted) // threshold
    middle = (weighted + start * threshold) // max(1, collateral + start)
    best = -1
    for level in range(max(1, middle - 1), middle + 3):
        value = target // level - collateral
        # Only where the average is that level: level·C ≤ weighted sum < (level + 1)·C.
        above, below = threshold - level, threshold - level - 1
        low = 0
        if above > 0:
            low = max(0, -((weighted - level * collateral) // above))
        elif above < 0:
            value = min(value, (weighted - level * collateral) // -above)
        elif weighted < level * collateral:
            continue
        room = (level + 1) * collateral - weighted
        if below > 0:
            value = min(value, (room - 1) // below)
        elif below < 0:
            low = max(low, -room // -below + 1)
        elif room <= 0:
            continue
        if value >= low:
            best = max(best, value)
    return best


def _highest(
    test: Callable[[int], bool], guess: int, margin: int, level: Callable[[int], int] | None = None
) -> int | None:
    """The highest price ≥ 1 that passes `test`, which fails above some price near `guess`."""
    low, high = max(1, guess - margin), guess + margin
    while test(high):
        high += 2 * (high - low + 1)
        if high > UINT256_MAX:
            return None
    while low > 1 and not test(low):
        low = max(1, low - 2 * (high - low + 1))
    return _last(test, low, high, level)


def _lowest(
    test: Callable[[int], bool], guess: int, margin: int, level: Callable[[int], int] | None = None
) -> int | None:
    """The lowest price that passes `test`, which passes above some price near `guess`; None if every price ≥ 1 does."""
    low, high = max(1, guess - margin), guess + margin
    while not test(high):
        high += 2 * (high - low + 1)
        if high > UINT256_MAX:
            return None
    while low > 1 and test(low):
        low = max(1, low - 2 * (high - low + 1))
    if low == 1 and test(1):
        return None

    def mirrored(k: int) -> bool:
        return test(high - k)

    def mirrored_level(k: int) -> int:
        return 0 if level is None else level(high - k)

    k = _last(mirrored, 0, high - low, None if level is None else mirrored_level)
    return None if k is None else high - k


def _last(test: Callable[[int], bool], low: int, high: int, level: Callable[[int], int] | None = None) -> int | None:
    """The highest value in low..high that passes `test`; None if none does.

    Where the form averages thresholds, `level` is that average: it moves one way in steps, and only between them is
    `test` monotone. They are taken one by one, from above.
    """
    while high >= low:
        floor = low if level is None else _segment(level, low, high)
        if test(high):
            return high
        if test(floor):
            return _bisect(test, floor, high)
        high = floor - 1
    return None


def _segment(level: Callable[[int], int], low: int, high: int) -> int:
    """The first value of the run that ends at `high` on which `level` stays the same."""
    step = level(high)
    if level(low) == step:
        return low
    while high - low > 1:
        middle = (low + high) // 2
        if level(middle) == step:
            high = middle
        else:
            low = middle
    return high


def _bisect(test: Callable[[int], bool], low: int, high: int) -> int:
    """The last value that passes, given that `low` does and `high` does not."""
    while high - low > 1:
        middle = (low + high) // 2
        if test(middle):
            low = middle
        else:
            high = middle
    return low
