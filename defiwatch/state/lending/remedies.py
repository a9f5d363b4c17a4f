"""What would make a position safe: the smallest repayment or top-up per asset, and whether it can be done now.

Amounts are exact integers, settled by asking the protocol's own arithmetic: the amount found reaches the target and
one unit less does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from defiwatch.domain.ids import Address, short
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import WAD, to_float
from defiwatch.state.lending.exact import HealthOf, with_amounts

Action: TypeAlias = Literal["repay", "supply", "repay_from_supply"]
"""repay: from the wallet. supply: more collateral, from the wallet. repay_from_supply: with what is supplied of the
same asset, which the pool must be able to pay out."""

_MOST = 1 << 160
"""No token has more units: a top-up above it does not exist."""


class Room(msgspec.Struct, frozen=True):
    """What stands in the way of acting on one asset now. None where it is not known, or nothing limits it; units."""

    paused: bool = False
    """Nothing can be done with the asset."""
    frozen: bool = False
    """It cannot be supplied (it can be repaid)."""
    supply_left: int | None = None
    """What its supply cap leaves."""
    withdrawable: int | None = None
    """What the pool could pay out."""
    wallet: int | None = None
    """What the account holds of it."""


class Remedy(msgspec.Struct, frozen=True):
    """One way to bring the health factor to `target` (wad) by one asset alone. `amount` in its units; 0 where none
    does.

    Where it cannot be done now `possible` is false and `why` says what stands against it.
    """

    action: Action
    asset: Address
    symbol: str
    amount: int
    target: int
    possible: bool
    why: str
    value: int = 0
    """What the amount is worth, base-currency units, rounded down."""


def smallest(reaches: Callable[[int], bool], most: int) -> int | None:
    """The least amount in 0..most that passes `reaches`, with the one below it failing; None where `most` does not
    pass.

    By doubling, then halving: about 2·log2(amount) questions.
    """
    if reaches(0):
        return 0
    low, high = 0, 1
    while high < most and not reaches(high):
        low, high = high, high * 2
    high = min(high, most)
    if not reaches(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if reaches(middle):
            high = middle
        else:
            low = middle
    return high


def after(legs: Sequence[Leg], action: Action, asset: Address, amount: int) -> tuple[Leg, ...]:
    """The legs after an action."""
    if action == "repay":
        return with_amounts(legs, asset, debt=-amount)
    if action == "supply":
        return with_amounts(legs, asset, collateral=amount)
    return with_amounts(legs, asset, collateral=-amount, debt=-amount)


def amount_for(health_of: HealthOf, legs: Sequence[Leg], action: Action, asset: Address, target: int) -> int | None:
    """The smallest amount of `asset` that brings the factor to `target` (wad) or above; None where no amount does."""
    leg = next((item for item in legs if item.asset == asset), None)
    if leg is None:
        return None
    most = {"repay": leg.debt, "supply": _MOST, "repay_from_supply": min(leg.debt, leg.collateral)}[action]

    def reaches(amount: int) -> bool:
        return health_of(after(legs, action, asset, amount)) >= target

    return smallest(reaches, most)


def remedies(
    position: Position,
    health_of: HealthOf,
    target: float,
    rooms: Mapping[Address, Room] | None = None,
) -> list[Remedy]:
    """Every way by one asset alone to reach the health factor `target` (1.5, say); those that can be done first,
    cheapest first.

    [] where the position cannot be told, has no debt, or stands there already.
    """
    wanted = round(target * WAD)
    if position.unknown or position.debt_base == 0 or health_of(position.legs) >= wanted:
        return []
    found: list[Remedy] = []
    for leg in position.legs:
        room = (rooms or {}).get(leg.asset, Room())
        if leg.debt:
            found.append(_remedy(position, health_of, "repay", leg, wanted, room))
        if leg.debt and leg.collateral:
            found.append(_remedy(position, health_of, "repay_from_supply", leg, wanted, room))
        if leg.liquidation_threshold and leg.price > 0:
            found.append(_remedy(position, health_of, "supply", leg, wanted, room))
    return sorted(found, key=lambda item: (not item.possible, item.amount == 0, item.value, item.action, item.asset))


def _remedy(position: Position, health_of: HealthOf, action: Action, leg: Leg, target: int, room: Room) -> Remedy:
    amount = amount_for(health_of, position.legs, action, leg.asset, target)
    name = leg.symbol or leg.asset
    if amount is None:
        why = {
            "repay": f"repaying all {name} is not enough",
            "supply": f"no amount of {name} is enough",
            "repay_from_supply": f"the {name} supplied is not enough",
        }[action]
        return Remedy(action, leg.asset, leg.symbol, 0, target, False, why)
    why = _against(action, amount, name, room)
    value = amount * leg.price // 10**leg.decimals
    return Remedy(action, leg.asset, leg.symbol, amount, target, not why, why, value)


def _against(action: Action, amount: int, name: str, room: Room) -> str:
    if room.paused:
        return f"{name} is paused"
    if action == "supply":
        if room.frozen:
            return f"{name} is frozen: it can be repaid, not supplied"
        if room.supply_left is not None and amount > room.supply_left:
            return f"the supply cap of {name} leaves room for {max(0, room.supply_left)} units only"
    if action == "repay_from_supply":
        if room.withdrawable is not None and amount > room.withdrawable:
            return f"only {max(0, room.withdrawable)} units of {name} can be withdrawn now"
        return ""
    if room.wallet is not None and amount > room.wallet:
        return f"the wallet holds {room.wallet} units of {name} only"
    return ""


def phrase(remedy: Remedy, decimals: int) -> str:
    """A remedy in words: "repay 1,688.37 DAI", "add 2.5 WETH: not now, WETH is frozen"."""
    name = remedy.symbol or short(remedy.asset)
    what = {"repay": "repay {}", "supply": "add {}", "repay_from_supply": "repay {} with what is supplied of it"}
    amount = f"{to_float(remedy.amount, decimals):,.6g} {name}" if remedy.amount else name
    return what[remedy.action].format(amount) + ("" if remedy.possible else f": not now, {remedy.why}")
