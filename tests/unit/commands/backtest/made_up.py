"""Walks of prices and positions to test the backtest on; everything from a seed."""

from __future__ import annotations

import math
import random

from defiwatch.commands.backtest.market import Prices
from defiwatch.commands.backtest.snapshot import Part, Stand

START = 1_600_000_000 // 86_400 * 86_400
MINUTE = 60.0
HOUR = 3600.0
DAY = 86_400.0


def walk(days: float, step_s: float, sigma: float, seed: int, price: float = 2000.0) -> list[tuple[float, float]]:
    """(time, price) of a random walk of volatility `sigma` a year."""
    draw, rows = random.Random(seed), []
    for i in range(int(days * DAY / step_s)):
        rows.append((START + i * step_s, price))
        price *= math.exp(sigma * math.sqrt(step_s / (365.25 * DAY)) * draw.gauss(0.0, 1.0))
    return rows


def prices(days: float, *, step_s: float = HOUR, sigma: float = 0.8, seed: int = 1, name: str = "walk") -> Prices:
    """A recording of ether alone."""
    return Prices(name, {"ETH": walk(days, step_s, sigma, seed)})


def stand(account: str, factor: float, collateral: str = "WETH", debt: str = "USDC") -> Stand:
    """100 owed, and collateral that gives the factor."""
    return Stand(account, (Part(collateral, 100.0 * factor, 0.0), Part(debt, 0.0, 100.0)))


def stands(n: int, seed: int = 3) -> list[Stand]:
    """Factors from 1.003 to 2, more near 1."""
    draw = random.Random(seed)
    return [stand(f"0x{i:03x}", 1.003 + draw.random() ** 3) for i in range(n)]
