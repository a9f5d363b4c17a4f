"""Aave v3 as an instance has it against what the contract says: reserves, accounts, and liquidations by trying them."""

from __future__ import annotations

from defiwatch.config import Deployment
from defiwatch.domain.units import WAD
from defiwatch.protocols.aave_v3 import AaveV3, indices
from defiwatch.protocols.aave_v3.account import AccountData
from defiwatch.protocols.aave_v3.liquidation import LEGACY_CODES

from . import abi
from .chain import tag
from .driver import Driver
from .model import Devnet
from .node import CHAIN_ID, RpcError
from .truth import Truth, truth


class Tally:
    """How much was compared, so that a test cannot pass by comparing nothing."""

    def __init__(self) -> None:
        self.blocks = self.accounts = self.stable = self.emode = self.unreadable = 0
        self.probes: dict[str, int] = {}


def line(devnet: Devnet, from_block: int = 0) -> tuple[AaveV3, Driver]:
    deployment = Deployment(chain="devnet", protocol="aave_v3", address=devnet.aave.provider, from_block=from_block)
    instance = AaveV3(CHAIN_ID, deployment)
    return instance, Driver(devnet.chain, [instance])


def compare(devnet: Devnet, instance: AaveV3, driver: Driver, tally: Tally) -> None:
    """Everything, at the block on top."""
    told = truth(devnet, driver.at.number, probe=False)
    tally.blocks += 1
    compare_reserves(instance, driver, told)
    compare_accounts(instance, driver, told, tally)
    compare_liquidations(devnet, instance, driver, told, tally)


def compare_reserves(instance: AaveV3, driver: Driver, told: Truth) -> None:
    at, book = driver.at, driver.intake.book
    form = instance.ledger(book, at).form
    markets = {market.symbol: market for market in instance.markets(book, at)}
    assert form.name == "3.0"
    for reserve in instance.reserves(book):
        state = told.reserves[reserve.symbol]
        stable = indices.stable_balance(reserve.stable_principal, reserve.stable_rate, reserve.stable_updated, at.time)
        assert (
            reserve.configuration,
            (reserve.liquidity_index, reserve.variable_index),
            (reserve.liquidity_rate, reserve.variable_rate),
            reserve.updated,
            reserve.accrued_to_treasury,
            (indices.income(reserve, at.time), indices.debt(form, reserve, at.time)),
            reserve.supplied,
            reserve.borrowed,
            stable,
            reserve.cash,
        ) == (
            state.configuration,
            state.indices,
            state.rates[:2],
            state.last_update,
            state.accrued_to_treasury,
            state.normalized,
            state.scaled_supply,
            state.scaled_debt,
            state.total_stable_debt,
            state.cash,
        ), f"{reserve.symbol} at block {at.number}"
        assert (reserve.supplied_known, reserve.borrowed_known) == (reserve.supplied, reserve.borrowed)
        assert markets[reserve.symbol].cash == state.cash
        assert markets[reserve.symbol].price == told.prices[reserve.symbol]


def compare_accounts(instance: AaveV3, driver: Driver, told: Truth, tally: Tally) -> None:
    at, book = driver.at, driver.intake.book
    positions = {position.account: position for position in instance.positions(book, at)}
    by_asset = {reserve.symbol: reserve for reserve in instance.reserves(book)}
    for user, account in told.accounts.items():
        ours = instance.account_data(book, at, user)
        assert isinstance(ours, AccountData), f"{user} at block {at.number}: {ours}"
        assert (ours.collateral, ours.debt, ours.available, ours.threshold, ours.ltv, ours.health_factor) == (
            account.collateral_base,
            account.debt_base,
            account.available_borrows_base,
            account.liquidation_threshold,
            account.ltv,
            account.health_factor,
        ), f"{user} at block {at.number}"
        tally.accounts += 1
        tally.emode += account.emode != 0
        known = instance.ledger(book, at).meet(user)
        word = sum(1 << 2 * i + 1 for i in range(128) if known.collateral >> i & 1)
        word |= sum(1 << 2 * h.id for h in known.holdings if h.borrowed or h.stable)
        assert (word, known.emode) == (account.configuration, account.emode)
        for symbol, reserve in by_asset.items():
            held, scaled = known.holding(reserve.id), told.scaled[user, symbol]
            stable = indices.stable_balance(held.stable, held.stable_rate, held.stable_updated, at.time)
            assert (held.supplied, held.borrowed, stable) == (
                scaled.a_token,
                scaled.variable_debt,
                scaled.stable_debt,
            ), f"{symbol} of {user} at block {at.number}"
            tally.stable += stable != 0
        if known.holdings:
            assert positions[user].health_factor == account.health_factor
            assert positions[user].unknown == ""
        else:
            assert user not in positions


def compare_liquidations(
    devnet: Devnet, instance: AaveV3, driver: Driver, told: Truth, tally: Tally, below: int = WAD + WAD // 20
) -> None:
    """Whether a call succeeds, and why not, against an eth_call: every pair of everyone below 1.05."""
    at, book = driver.at, driver.intake.book
    for user, account in told.accounts.items():
        if account.health_factor >= below:
            continue
        position = instance.position(book, at, user)
        assert position is not None
        for collateral in (leg for leg in position.legs if leg.collateral):
            for debt in (leg for leg in position.legs if leg.debt):
                ours = instance.probe_liquidation(book, at, user, collateral.asset, debt.asset)
                theirs = probe(devnet, user, collateral.asset, debt.asset, at.number)
                assert ours == theirs, f"{user} {collateral.symbol}/{debt.symbol} at block {at.number}"
                tally.probes[ours] = tally.probes.get(ours, 0) + 1


def probe(devnet: Devnet, user: str, collateral: str, debt: str, block: int) -> str:
    signature = "liquidationCall(address,address,address,uint256,bool)"
    data = abi.encode(signature, collateral, debt, user, abi.MAX_UINT256, False)
    request = {"from": devnet.roles.probe, "to": devnet.aave.pool, "data": data, "gas": hex(30_000_000)}
    try:
        devnet.chain.node.rpc("eth_call", request, tag(block))
    except RpcError as error:
        reason = abi.revert_reason(error.data) or error.message
        return LEGACY_CODES.get(reason, reason)
    return "ok"
