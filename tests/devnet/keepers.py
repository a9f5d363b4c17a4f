"""Those who keep the markets honest: the oracle's node, liquidators, and whoever saves a position in time."""

from __future__ import annotations

import random
from dataclasses import dataclass

from . import deploy_aave as aave
from . import deploy_morpho as blue
from .abi import MAX_UINT256
from .chain import Call, Tx
from .deploy_oracles import DECIMALS, submit
from .model import Devnet, Feed
from .people import MORPHO_PLANS

WAD = 10**18
USER_RESERVE = "uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint40,bool"
MORPHO_PUSH = 0.004
_MARKET = "uint128,uint128,uint128,uint128,uint128,uint128"


@dataclass(frozen=True, slots=True)
class FeedView:
    """A feed's last round: its number, its answer in USD and when it was given (s)."""

    feed: Feed
    round_id: int
    price: float
    updated_at: int


@dataclass(frozen=True, slots=True)
class Holding:
    """One asset of a position: units of collateral in use, of variable and of stable debt."""

    asset: str
    collateral: int
    variable: int
    stable: int


def read_feeds(devnet: Devnet, block: int | str = "latest") -> list[FeedView]:
    """Every feed's last round, as its proxy gives it (the round without the proxy's phase)."""
    returns = "uint80,int256,uint256,uint256,uint80"
    calls = [Call(feed.proxy, "latestRoundData()", (), returns) for feed in devnet.feeds.values()]
    rows = devnet.chain.reads(calls, block)
    return [
        FeedView(feed, row[0] & (2**64 - 1), row[1] / 10**DECIMALS, row[3])
        for feed, row in zip(devnet.feeds.values(), rows, strict=True)
    ]


def pushes(devnet: Devnet, prices: dict[str, float], now: int, silent: frozenset[str] = frozenset()) -> list[Tx]:
    """The submissions that are due: the market left a feed's band, or its heartbeat came. `silent` feeds wait."""
    txs: list[Tx] = []
    for view in read_feeds(devnet):
        feed = view.feed
        if feed.asset in silent:
            continue
        moved = abs(prices[feed.asset] / view.price - 1.0)
        if moved >= feed.deviation or now - view.updated_at >= feed.heartbeat:
            txs.append(submit(feed, view.round_id + 1, prices[feed.asset]))
    return txs


def morpho_pushes(devnet: Devnet, prices: dict[str, float]) -> list[Tx]:
    """New prices for Morpho's oracles where the market moved; such a change emits no event."""
    rows = devnet.chain.reads([Call(market.oracle, "price()", (), "uint256") for market in devnet.morpho.markets])
    txs: list[Tx] = []
    for market, (old,) in zip(devnet.morpho.markets, rows, strict=True):
        new = blue.oracle_price(devnet.tokens[market.collateral], devnet.tokens[market.loan], prices)
        if abs(new / old - 1.0) >= MORPHO_PUSH:
            txs.append(blue.set_price(devnet.roles, market, new))
    return txs


def holdings(devnet: Devnet, user: str, block: int | str = "latest") -> list[Holding]:
    """What a borrower has in each reserve, units."""
    signature = "getUserReserveData(address,address)"
    calls = [
        Call(devnet.aave.data_provider, signature, (reserve.address, user), USER_RESERVE)
        for reserve in devnet.aave.reserves.values()
    ]
    rows = devnet.chain.reads(calls, block)
    return [
        Holding(asset, row[0] if row[8] else 0, row[2], row[1])
        for asset, row in zip(devnet.aave.reserves, rows, strict=True)
    ]


def worth(devnet: Devnet, asset: str, units: int) -> float:
    """Units of an asset in USD at the start's prices, good enough to choose the largest."""
    return units / 10.0 ** devnet.tokens[asset].decimals * devnet.start_prices[asset]


def largest(devnet: Devnet, user: str, block: int | str = "latest") -> tuple[Holding, Holding] | None:
    """A borrower's largest collateral and largest debt, or None if one is missing."""
    rows = holdings(devnet, user, block)
    collateral = max(rows, key=lambda row: worth(devnet, row.asset, row.collateral))
    debt = max(rows, key=lambda row: worth(devnet, row.asset, row.variable + row.stable))
    if collateral.collateral == 0 or debt.variable + debt.stable == 0:
        return None
    return collateral, debt


def liquidations(
    devnet: Devnet,
    rng: random.Random,
    health: dict[str, int],
    *,
    spare: frozenset[str] = frozenset(),
    chance: float = 0.5,
    most: int = 3,
    block: int | str = "latest",
) -> list[Tx]:
    """Liquidations of borrowers below 1, the worst first; each happens with `chance`, at most `most` at once."""
    txs: list[Tx] = []
    below = sorted((factor, user) for user, factor in health.items() if factor < WAD and user not in spare)
    for factor, user in below:
        if len(txs) == most:
            break
        if rng.random() >= chance and factor > 0.96 * WAD:
            continue
        chosen = largest(devnet, user, block)
        if chosen is None:
            continue
        collateral, debt = devnet.tokens[chosen[0].asset], devnet.tokens[chosen[1].asset]
        owed = chosen[1].variable + chosen[1].stable
        amount = MAX_UINT256 if rng.random() < 0.6 else max(1, int(owed * rng.uniform(0.2, 0.5)))
        liquidator = devnet.roles.liquidators[len(txs) % len(devnet.roles.liquidators)]
        txs.append(aave.liquidate(devnet.aave, collateral, debt, user, liquidator, amount, a_token=rng.random() < 0.4))
    return txs


def rescue(devnet: Devnet, user: str, factor: int, *, below: float = 1.06, share: float = 0.12) -> list[Tx]:
    """A repayment of `share` of the largest debt once the health factor is under `below`."""
    if factor >= below * WAD:
        return []
    chosen = largest(devnet, user)
    if chosen is None:
        return []
    debt = devnet.tokens[chosen[1].asset]
    return [aave.repay(devnet.aave, debt, user, int(chosen[1].variable * share))]


def morpho_health(devnet: Devnet, block: int | str = "latest") -> dict[str, tuple[int, int]]:
    """Each Morpho borrower's (health factor as a wad, borrow shares) on the stored indices; no debt: 2**256-1."""
    address = devnet.morpho.address
    calls: list[Call] = []
    for user, (number, _, _) in zip(devnet.roles.morpho_borrowers, MORPHO_PLANS, strict=True):
        market = devnet.morpho.markets[number]
        key = bytes.fromhex(market.id[2:])
        calls += [
            Call(address, "position(bytes32,address)", (key, user), "uint256,uint128,uint128"),
            Call(address, "market(bytes32)", (key,), _MARKET),
            Call(market.oracle, "price()", (), "uint256"),
        ]
    rows = devnet.chain.reads(calls, block)
    factors: dict[str, tuple[int, int]] = {}
    for at, (user, (number, _, _)) in enumerate(zip(devnet.roles.morpho_borrowers, MORPHO_PLANS, strict=True)):
        (_, shares, collateral), totals, (price,) = rows[3 * at : 3 * at + 3]
        if shares == 0:
            factors[user] = (MAX_UINT256, 0)
            continue
        assets = -(-shares * (totals[2] + 1) // (totals[3] + 10**6))
        lltv = devnet.morpho.markets[number].lltv
        factors[user] = (collateral * price // 10**36 * lltv // assets, shares)
    return factors


def morpho_liquidations(devnet: Devnet) -> list[Tx]:
    """Whole positions of Morpho borrowers below 1; each seizes what their debt and the incentive come to."""
    liquidator = devnet.roles.liquidators[2]
    return [
        blue.liquidate(devnet.morpho, devnet.morpho.markets[number], user, liquidator, shares)
        for (user, (factor, shares)), (number, _, _) in zip(morpho_health(devnet).items(), MORPHO_PLANS, strict=True)
        if factor < WAD - WAD // 1000
    ]
