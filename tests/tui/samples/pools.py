"""Sample pools."""

from __future__ import annotations

import math

from defiwatch.domain.view import PoolRow
from tests.tui.samples.world import BLOCK_S, HEAD, START, eth_price, reasons

POOLS: tuple[tuple[str, str, str, float, float, float], ...] = (
    ("WETH/USDC 0.05 %", "uniswap_v3", "ethereum", 1.0, 148e6, 31.2e6),
    ("crvUSD/USDC", "curve_ng", "ethereum", 0.0, 41e6, 6.3e6),
    ("WETH/USDT 0.3 %", "uniswap_v3", "ethereum", 1.0, 61e6, 4.4e6),
    ("PEPE/WETH", "uniswap_v2", "ethereum", -1.0, 9.1e6, 2.2e6),
    ("wstETH/WETH", "balancer_v2", "ethereum", 0.0, 77e6, 1.1e6),
    ("WBTC/WETH 0.05 %", "uniswap_v3", "ethereum", 0.0, 38e6, 3.0e6),
    ("AERO/WETH", "uniswap_v2", "base", -1.0, 3.4e6, 0.4e6),
    ("USDe/USDC", "curve_ng", "ethereum", 0.0, 12e6, 0.2e6),
    ("LUSD/3CRV", "curve_old", "ethereum", 0.0, 4e6, 0.0),
)
_BASES = (1.0, 0.9997, 1.0, 4.81e-9, 1.1913, 17.41, 3.4e-4, 1.0002, 1.0)


def pool(at: int, step: int) -> PoolRow:
    """The pool `at`; the one at 1 is drained in the crash, the one at 8 cannot be told."""
    label, protocol, chain, beta, value, volume = POOLS[at]
    eth = eth_price(step)
    wobble = 1 + 0.002 * math.sin(step / 2.3 + at) * (0.2 if beta == 0 else 1)
    price = _BASES[at] * (eth if beta > 0 else 1.0) * wobble
    crash = max(0.0, min(1.0, (step - 50) / 10.0)) * (1.0 if at < 3 else 0.35)
    drained = at == 1 and step >= 58
    calm = 6.0 + 5.0 * math.sin(step / 5.0 + at * 1.3) ** 2 + 3.0 * (at % 3)
    parts = reasons(
        (
            "price_move",
            0.004 + 0.05 * crash,
            0.003,
            round(calm * 0.5 + 38 * crash, 1),
            f"moved {0.4 + 5 * crash:.1f} % in ten minutes, usual is 0.3 %",
        ),
        (
            "flow",
            1.1 + 6 * crash,
            1.0,
            round(calm * 0.3 + 16 * crash, 1),
            f"{1.1 + 6 * crash:.1f} times the usual one-sided flow",
        ),
        (
            "reserves",
            -0.31 if drained else -0.01,
            0.02,
            round(calm * 0.2 + (34 if drained else 2 * crash), 1),
            "31 % of the value left in three blocks" if drained else "reserves are as usual",
        ),
    )
    return PoolRow(
        key=f"1:{protocol}:0x{at:040x}",
        chain=chain,
        protocol=protocol,
        label=label,
        price=price,
        value_usd=value * (0.69 if drained else 1.0) if at != 6 else None,
        volume_usd_1h=volume * (1 + 3 * crash) if at != 6 else None,
        change_1h=(eth / 2412.0 - 1) * beta if at != 8 else None,
        score=min(100.0, round(math.fsum(part.points for part in parts), 1)) if at != 8 else 0.0,
        reasons=parts if at != 8 else (),
        events=1200 * (9 - at) + step * (4 + 20 * int(crash > 0)),
        block=HEAD + step,
        time=START + step * BLOCK_S - (0 if at < 4 else 24 * at),
        source="Swap and Sync events",
        unknown="" if at != 8 else "its balances were never read",
    )
