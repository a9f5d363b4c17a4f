"""Everything about one position that its own numbers do not say: how far it is, what would help, what it would cost."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import UINT256_MAX, WAD
from defiwatch.state.lending.desk import Balance, Desk, Probe, largest
from defiwatch.state.lending.distances import Toxic, carry_time, common_shock, factor, net_rates, toxic
from defiwatch.state.lending.oracles import Dual, dual
from defiwatch.state.lending.paths import Path
from defiwatch.state.lending.remedies import Remedy, Room, remedies
from defiwatch.state.prices import PriceBook
from defiwatch.state.prices.rates import agree

NEAR = WAD + WAD // 20
"""Below this factor (wad) each possible liquidation is looked at."""


class Insight(msgspec.Struct, frozen=True):
    """What is made of one position at one block.

    `legs` are the position's, or amounts alone where it cannot be told. `carry_s`: seconds until interest alone brings
    the factor to 1, None if it never does or a rate is not known. `take`: the liquidation that pays most now.
    """

    legs: tuple[Leg, ...]
    balances: dict[Address, Balance]
    probes: tuple[Probe, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    common_shock: float | None = None
    carry_s: float | None = None
    toxic: tuple[Toxic, ...] = ()
    dual: Dual | None = None
    take: Probe | None = None
    paths: tuple[Path, ...] = ()


def insight(
    position: Position,
    desk: Desk,
    *,
    target: float,
    market_prices: Mapping[Address, float] | None = None,
    paths: tuple[Path, ...] = (),
    wallet: Mapping[Address, int] | None = None,
) -> Insight:
    """Look at a position from all sides. `target`: the health factor that counts as safe; `market_prices` as `dual`
    takes them; `paths` how each price comes; `wallet`: what the account holds of each asset, where that is known."""
    legs = desk.legs(position)
    probes: tuple[Probe, ...] = ()
    if position.unknown or position.health_factor < NEAR:
        probes = tuple(desk.probes(position))
    owing = not position.unknown and position.debt_base > 0 and position.health_factor < UINT256_MAX
    rates = net_rates(position, desk.rates(position)) if owing else None
    value = factor(position) if owing else math.inf
    return Insight(
        legs=legs,
        balances=desk.balances(position),
        probes=probes,
        remedies=cures(position, desk, target, wallet) if owing else (),
        common_shock=common_shock(position) if owing else None,
        carry_s=carry_time(value, *rates) if rates is not None else None,
        toxic=tuple(item for item in toxic(position) if item.inside) if owing else (),
        dual=dual(position, market_prices or {}, {one.asset: one.kind for one in paths}) if owing else None,
        take=largest(probes, {leg.asset: leg for leg in legs}),
        paths=paths,
    )


def cures(
    position: Position, desk: Desk, target: float, wallet: Mapping[Address, int] | None = None
) -> tuple[Remedy, ...]:
    """What would make it safe. () where it is, or cannot be told."""
    if position.unknown or position.debt_base == 0 or position.health_factor >= target * WAD:
        return ()
    rooms = desk.rooms(position)
    for asset, amount in (wallet or {}).items():
        rooms[asset] = msgspec.structs.replace(rooms.get(asset, Room()), wallet=amount)
    return tuple(remedies(position, desk.health_of(position), target, rooms))


def base_usd(position: Position, prices: PriceBook) -> float | None:
    """Dollars for one unit of the position's base currency; None where it is a token without a price."""
    if position.base == "USD":
        return 1.0
    one = 10**position.base_decimals
    loan = next((leg.asset for leg in position.legs if leg.debt or leg.price == one), None)
    return None if loan is None else prices.usd(loan)


def market_prices(position: Position, prices: PriceBook) -> dict[Address, float]:
    """What venues and pools (no oracle) say of its assets, as `dual` takes them; assets without such a price are not
    in it."""
    unit = base_usd(position, prices)
    found: dict[Address, float] = {}
    if unit is None or unit <= 0.0:
        return found
    for leg in position.legs:
        told = [p for p in prices.sources(leg.asset) if p.kind in ("venue", "dex") and p.fresh]
        if told:
            found[leg.asset] = agree(told).price / unit * 10.0**position.base_decimals
    return found
