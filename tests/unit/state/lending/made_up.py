"""Positions made of whole numbers, in base currency with 8 decimals."""

from __future__ import annotations

from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import BPS
from defiwatch.state.lending import exact

WETH, STETH, USDC, WBTC = ("0x" + f"{i:02x}" * 20 for i in (1, 2, 3, 4))
DECIMALS = {WETH: 18, STETH: 18, USDC: 6, WBTC: 8}
SYMBOLS = {WETH: "WETH", STETH: "wstETH", USDC: "USDC", WBTC: "WBTC"}
PRICES = {WETH: 3000.0, STETH: 3500.0, USDC: 1.0, WBTC: 60_000.0}
BASE = 10**8


def leg(
    asset: str,
    collateral: float = 0.0,
    debt: float = 0.0,
    *,
    threshold: int = 8000,
    bonus: int = 10_500,
    price: float = 0.0,
) -> Leg:
    unit = 10 ** DECIMALS[asset]
    quoted = round((price or PRICES[asset]) * BASE)
    held, owed = round(collateral * unit), round(debt * unit)
    return Leg(
        asset=asset,
        symbol=SYMBOLS[asset],
        decimals=DECIMALS[asset],
        collateral=held,
        debt=owed,
        price=quoted,
        liquidation_threshold=threshold if collateral else 0,
        collateral_base=held * quoted // unit,
        debt_base=-(-owed * quoted // unit),
        liquidation_bonus=bonus,
    )


def position(*legs: Leg, account: str = "0x" + "99" * 20, unknown: str = "") -> Position:
    collateral = sum(item.collateral_base for item in legs)
    weighted = sum(item.collateral_base * item.liquidation_threshold for item in legs)
    return Position(
        chain_id=1,
        protocol="made_up",
        market="0x" + "77" * 20,
        account=account,
        block=1,
        block_hash="",
        time=0,
        health_factor=exact.plain(legs),
        collateral_base=collateral,
        debt_base=sum(item.debt_base for item in legs),
        liquidation_threshold=weighted // collateral if collateral else 0,
        legs=legs,
        unknown=unknown,
    )


def weighted(item: Leg) -> float:
    return item.collateral_base * item.liquidation_threshold / BPS
