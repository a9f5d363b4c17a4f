"""The market's price of every asset, block by block, in USD: a calm, a crash, a loss of a peg, a recovery."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

BETA = {"WETH": 1.0, "wstETH": 1.0, "WBTC": 0.75, "LINK": 1.2}
"""How far each falls when WETH falls, as a power of WETH's factor."""
IDIOSYNCRATIC = {"WETH": 0.0, "wstETH": 0.00004, "WBTC": 0.0004, "LINK": 0.0006}
STABLES = ("USDC", "USDT", "DAI")
BOTTOM = 0.62
REBOUND = 0.74
OFF_PEG = 0.965
BACK_ON_PEG = 0.9985
STAKING_YIELD = 0.03


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the story: its name and how many blocks it takes."""

    name: str
    blocks: int


PHASES = (
    Phase("calm", 70),
    Phase("crash", 46),
    Phase("reorg", 8),
    Phase("drain", 8),
    Phase("depeg", 16),
    Phase("recovery", 26),
)
TOTAL = sum(phase.blocks for phase in PHASES)


def phase_at(index: int) -> tuple[str, int, int]:
    """(phase, block within it, blocks of it) of the block `index`, counted from the first calm one."""
    left = index
    for phase in PHASES:
        if left < phase.blocks:
            return phase.name, left, phase.blocks
        left -= phase.blocks
    raise IndexError(f"the story has {TOTAL} blocks, asked for block {index}")


def path(seed: int, start: dict[str, float], interval: int) -> list[dict[str, float]]:
    """Prices (USD) at each of the `TOTAL` blocks, `interval` seconds apart. The same seed gives the same path."""
    rng = random.Random(f"prices:{seed}")
    weth = _weth_factors(rng)
    usdt = _usdt(rng)
    drift = dict.fromkeys(BETA, 0.0)
    rows: list[dict[str, float]] = []
    for index in range(TOTAL):
        row: dict[str, float] = {}
        for asset, beta in BETA.items():
            drift[asset] = 0.97 * drift[asset] + rng.gauss(0.0, 1.0) * IDIOSYNCRATIC[asset]
            row[asset] = start[asset] * weth[index] ** beta * math.exp(drift[asset])
        row["wstETH"] *= 1.0 + STAKING_YIELD * index * interval / (365 * 86_400)
        row["USDC"] = start["USDC"] * (1.0 + rng.gauss(0.0, 0.0001))
        row["DAI"] = start["DAI"] * (1.0 + rng.gauss(0.0, 0.0002))
        row["USDT"] = start["USDT"] * usdt[index]
        rows.append(row)
    return rows


def _weth_factors(rng: random.Random) -> list[float]:
    factors: list[float] = []
    level, anchor = 0.0, 0.0  # logarithms
    for index in range(TOTAL):
        phase, at, blocks = phase_at(index)
        if phase == "crash":
            # Most steps are near the mean, so that a position is seen on its way down, not only below.
            anchor = math.log(BOTTOM) * (at + 1) / blocks
        elif phase == "recovery":
            anchor = math.log(BOTTOM) + (math.log(REBOUND) - math.log(BOTTOM)) * (at + 1) / blocks
        level = anchor + 0.85 * (level - anchor) + rng.gauss(0.0, 0.0012 if phase in ("crash", "recovery") else 0.0006)
        factors.append(math.exp(level))
    factors[0] = 1.0
    return factors


def _usdt(rng: random.Random) -> list[float]:
    values: list[float] = []
    for index in range(TOTAL):
        phase, at, blocks = phase_at(index)
        value = 1.0
        if phase == "depeg":
            value = 1.0 - (1.0 - OFF_PEG) * min(1.0, (at + 1) / (blocks * 0.6))
        elif phase == "recovery":
            value = OFF_PEG + (BACK_ON_PEG - OFF_PEG) * min(1.0, (at + 1) / (blocks * 0.7))
        values.append(value * (1.0 + rng.gauss(0.0, 0.0001)))
    return values
