"""The contracts' own answers at a block, to hold every computed number against. Nothing here is computed twice.

Amounts are in token units, health factors wads, indices and rates rays, prices 8 decimals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import abi
from .chain import Call, tag
from .deploy_aave import liquidate
from .flows import SLOT0
from .keepers import holdings, worth
from .model import Devnet
from .node import RpcError
from .people import ACCOUNT_DATA

WAD = 10**18
RESERVE = (
    "uint256,uint128,uint128,uint128,uint128,uint128,uint40,uint16,address,address,address,address,"
    "uint128,uint128,uint128"
)
_RESERVE_DATA = f"({RESERVE})"


@dataclass(frozen=True, slots=True)
class Account:
    """`getUserAccountData`, with the user's configuration word and eMode category."""

    collateral_base: int
    debt_base: int
    available_borrows_base: int
    liquidation_threshold: int
    ltv: int
    health_factor: int
    configuration: int
    emode: int


@dataclass(frozen=True, slots=True)
class ReserveState:
    """A reserve as stored, its indices at the block's time, and its scaled totals.

    `rates` are (liquidity, variable borrow, stable borrow); `indices` as stored; `normalized` those of now.
    """

    configuration: int
    indices: tuple[int, int]
    rates: tuple[int, int, int]
    last_update: int
    accrued_to_treasury: int
    strategy: str
    normalized: tuple[int, int]
    scaled_supply: int
    scaled_debt: int
    total_stable_debt: int
    cash: int


@dataclass(frozen=True, slots=True)
class Scaled:
    """A user's scaled aToken and variable debt balances, and the stable debt with its interest."""

    a_token: int
    variable_debt: int
    stable_debt: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What a maximal `liquidationCall` by a funded liquidator would do, by `eth_call`."""

    collateral: str
    debt: str
    succeeds: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything at one block. Keys: user addresses, asset symbols, pool addresses."""

    number: int
    hash: str
    timestamp: int
    accounts: dict[str, Account]
    reserves: dict[str, ReserveState]
    scaled: dict[tuple[str, str], Scaled]
    prices: dict[str, int]
    pairs: dict[str, tuple[int, int, int]]
    pools: dict[str, tuple[int, int, int]]
    rounds: dict[str, tuple[int, int, int]]
    probes: dict[str, Probe]

    def rows(self) -> dict[str, Any]:
        """Everything but the block's hash: equal on two runs of the same story."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "hash"}


def truth(devnet: Devnet, block: int | str = "latest", *, probe: bool = True) -> Truth:
    """Ask the contracts about everything at `block` (height or tag); about 0.1 s.

    probe   also try to liquidate everyone who has debt and is below 1.05
    """
    header = devnet.chain.node.block(block)
    number = int(header["number"], 16)
    users = devnet.roles.borrowers
    accounts = _accounts(devnet, number)
    below = [user for user in users if probe and accounts[user].health_factor < WAD + WAD // 20]
    assets = list(devnet.tokens)
    oracle = devnet.aave.oracle
    prices = devnet.chain.reads(
        [Call(oracle, "getAssetPrice(address)", (devnet.tokens[asset].address,), "uint256") for asset in assets],
        number,
    )
    pairs = devnet.chain.reads(
        [Call(pair.address, "getReserves()", (), "uint112,uint112,uint32") for pair in devnet.v2.pairs],
        number,
    )
    slots = devnet.chain.reads([Call(pool.address, "slot0()", (), SLOT0) for pool in devnet.v3.pools], number)
    liquidity = devnet.chain.reads(
        [Call(pool.address, "liquidity()", (), "uint128") for pool in devnet.v3.pools], number
    )
    rounds = devnet.chain.reads(
        [
            Call(feed.proxy, "latestRoundData()", (), "uint80,int256,uint256,uint256,uint80")
            for feed in devnet.feeds.values()
        ],
        number,
    )
    return Truth(
        number=number,
        hash=header["hash"],
        timestamp=int(header["timestamp"], 16),
        accounts=accounts,
        reserves=_reserves(devnet, number),
        scaled=_scaled(devnet, number),
        prices={asset: row[0] for asset, row in zip(assets, prices, strict=True)},
        pairs={pair.address: (row[0], row[1], row[2]) for pair, row in zip(devnet.v2.pairs, pairs, strict=True)},
        pools={
            pool.address: (slot[0], slot[1], row[0])
            for pool, slot, row in zip(devnet.v3.pools, slots, liquidity, strict=True)
        },
        rounds={asset: (row[0], row[1], row[3]) for asset, row in zip(devnet.feeds, rounds, strict=True)},
        probes={user: found for user in below if (found := probe_liquidation(devnet, user, number)) is not None},
    )


def _accounts(devnet: Devnet, number: int) -> dict[str, Account]:
    pool, users = devnet.aave.pool, devnet.roles.borrowers
    calls = [
        call
        for user in users
        for call in (
            Call(pool, "getUserAccountData(address)", (user,), ACCOUNT_DATA),
            Call(pool, "getUserConfiguration(address)", (user,), "uint256"),
            Call(pool, "getUserEMode(address)", (user,), "uint256"),
        )
    ]
    rows = devnet.chain.reads(calls, number)
    return {user: Account(*rows[3 * at], *rows[3 * at + 1], *rows[3 * at + 2]) for at, user in enumerate(users)}


def _reserves(devnet: Devnet, number: int) -> dict[str, ReserveState]:
    market = devnet.aave
    calls: list[Call] = []
    for reserve in market.reserves.values():
        calls += [
            Call(market.pool, "getReserveData(address)", (reserve.address,), _RESERVE_DATA),
            Call(market.pool, "getReserveNormalizedIncome(address)", (reserve.address,), "uint256"),
            Call(market.pool, "getReserveNormalizedVariableDebt(address)", (reserve.address,), "uint256"),
            Call(reserve.a_token, "scaledTotalSupply()", (), "uint256"),
            Call(reserve.variable_debt, "scaledTotalSupply()", (), "uint256"),
            Call(reserve.stable_debt, "totalSupply()", (), "uint256"),
            Call(reserve.address, "balanceOf(address)", (reserve.a_token,), "uint256"),
        ]
    rows = devnet.chain.reads(calls, number)
    states: dict[str, ReserveState] = {}
    for at, asset in enumerate(market.reserves):
        (data,), (income,), (debt,), (supply,), (owed,), (stable,), (cash,) = rows[7 * at : 7 * at + 7]
        states[asset] = ReserveState(
            configuration=data[0],
            indices=(data[1], data[3]),
            rates=(data[2], data[4], data[5]),
            last_update=data[6],
            accrued_to_treasury=data[12],
            strategy=data[11],
            normalized=(income, debt),
            scaled_supply=supply,
            scaled_debt=owed,
            total_stable_debt=stable,
            cash=cash,
        )
    return states


def _scaled(devnet: Devnet, number: int) -> dict[tuple[str, str], Scaled]:
    calls: list[Call] = []
    keys = [(user, asset) for user in devnet.roles.borrowers for asset in devnet.aave.reserves]
    for user, asset in keys:
        reserve = devnet.aave.reserves[asset]
        calls += [
            Call(reserve.a_token, "scaledBalanceOf(address)", (user,), "uint256"),
            Call(reserve.variable_debt, "scaledBalanceOf(address)", (user,), "uint256"),
            Call(reserve.stable_debt, "balanceOf(address)", (user,), "uint256"),
        ]
    rows = devnet.chain.reads(calls, number)
    return {key: Scaled(rows[3 * at][0], rows[3 * at + 1][0], rows[3 * at + 2][0]) for at, key in enumerate(keys)}


def probe_liquidation(devnet: Devnet, user: str, block: int | str = "latest") -> Probe | None:
    """Try a maximal liquidation of the largest collateral for the largest debt; None if the user lacks either."""
    rows = holdings(devnet, user, block)
    collateral = max(rows, key=lambda row: worth(devnet, row.asset, row.collateral))
    debt = max(rows, key=lambda row: worth(devnet, row.asset, row.variable + row.stable))
    if collateral.collateral == 0 or debt.variable + debt.stable == 0:
        return None
    pair = (devnet.tokens[collateral.asset], devnet.tokens[debt.asset])
    tx = liquidate(devnet.aave, *pair, user, devnet.roles.probe, abi.MAX_UINT256, a_token=False)
    request = {"from": tx.sender, "to": tx.to, "data": tx.data, "gas": hex(tx.gas)}
    try:
        devnet.chain.node.rpc("eth_call", request, tag(block))
    except RpcError as error:
        return Probe(collateral.asset, debt.asset, False, abi.revert_reason(error.data) or error.message)
    return Probe(collateral.asset, debt.asset, True, "")
