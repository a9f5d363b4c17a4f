"""Rich sample snapshots: a treasury's screen through a calm market and a crash, by step; nothing is random."""

from __future__ import annotations

import math
from functools import cache

from defiwatch.domain.view import (
    SNAPSHOT_SCHEMA,
    ChainRow,
    MarketRow,
    ModelRow,
    PriceRow,
    Snapshot,
    SourceRow,
)
from tests.tui.samples.alerts import changes, standing_rows
from tests.tui.samples.pools import POOLS, pool
from tests.tui.samples.positions import OWNERS, position
from tests.tui.samples.world import AAVE, BLOCK_S, HEAD, MORPHO, START, STEPS, eth_price

__all__ = ["STEPS", "changes", "story"]


@cache
def story(step: int) -> Snapshot:
    """The whole after `step` blocks of 12 seconds."""
    time = START + step * BLOCK_S
    eth = eth_price(step)
    feed = changes(step)
    used = 0.78 + 0.15 * max(0.0, min(1.0, (step - 50) / 15.0))
    positions = tuple(position(at, step) for at in range(len(OWNERS)))
    at_risk = math.fsum(row.debt_usd for row in positions if row.severity)
    return Snapshot(
        schema=SNAPSHOT_SCHEMA,
        sequence=step,
        time=time + 2.0,
        mode="demo",
        progress=step / STEPS,
        chains=(
            ChainRow("ethereum", 1, HEAD + step, HEAD + step - 12, time, "proof", 81_000 + 412 * step, 1),
            ChainRow(
                "base",
                8453,
                31_400_000 + step * 6,
                31_400_000 + step * 6 - 30,
                time + 1,
                "quorum",
                33_000 + 140 * step,
                0,
                0.62 if step < 30 else None,
            ),
        ),
        pools=tuple(pool(at, step) for at in range(len(POOLS))),
        positions=positions,
        markets=(
            MarketRow(
                f"1:aave_v3:{AAVE}",
                "ethereum",
                "aave_v3",
                "Core",
                21.4e9,
                21.4e9 * used * 0.82,
                used * 0.82,
                61_204,
                at_risk,
                0.0,
                1.0,
                HEAD + step,
                time,
                "events and reads",
                (("close factor", "50 %"), ("oracle", "Chainlink with CAPO"), ("withdrawable", "$4.1B")),
            ),
            MarketRow(
                f"1:aave_v3:{AAVE}:usdc",
                "ethereum",
                "aave_v3",
                "Core USDC",
                4.1e9,
                4.1e9 * used,
                used,
                18_411,
                at_risk * 0.6,
                0.0,
                0.973,
                HEAD + step,
                time,
                "events and reads",
            ),
            MarketRow(
                f"1:morpho_blue:{MORPHO}",
                "ethereum",
                "morpho_blue",
                "wstETH/USDC 86 %",
                310e6,
                310e6 * 0.91,
                0.91,
                412,
                118_900.0,
                1_240.0,
                None,
                HEAD + step,
                time,
                "events and reads",
            ),
        ),
        prices=(
            PriceRow("WETH", eth, "chainlink 0x5f4e…8419", time, 0.0004, "ethereum"),
            PriceRow("WETH", eth * 0.9991, "coinbase", time + 1, -0.0009, ""),
            PriceRow("WETH", eth * 0.9979, "uniswap_v3 WETH/USDC", time, -0.0021, "ethereum"),
            PriceRow("WBTC", eth * 17.4, "chainlink 0xf403…88ba", time - 1800, 0.001, "ethereum"),
            PriceRow("wstETH", eth * 1.19, "capo 0xe1d9…4c07", time, None, "ethereum"),
            PriceRow("USDC", 0.99981, "chainlink 0x8fff…cdf6", time - 9000, -0.0002, "ethereum"),
            PriceRow(
                "crvUSD",
                0.9941 if step >= 58 else 0.9996,
                "curve_ng crvUSD/USDC",
                time,
                -0.0057 if step >= 58 else -0.0003,
                "ethereum",
            ),
        ),
        alerts=standing_rows(feed),
        feed=tuple(reversed(feed))[:50],
        sources=(
            SourceRow(
                "wss://mainnet.infura.io/ws/v3/***", "ethereum", "live", "", HEAD + step, 84.0, 14_000 + step * 3, time
            ),
            SourceRow(
                "https://eth.llamarpc.com",
                "ethereum",
                "limited",
                "429 on eth_getLogs; asks again in 20 s",
                HEAD + step - 1,
                431.0,
                2_210 + step,
                time - 12,
            ),
            SourceRow(
                "https://base.publicnode.com",
                "base",
                "live",
                "",
                31_400_000 + step * 6,
                120.0,
                9_120 + step * 6,
                time + 1,
            ),
            SourceRow("coinbase", "", "live", "", None, 61.0, 8_100 + step * 9, time + 1),
            SourceRow("kraken", "", "silent", "no quote for 3 minutes", None, None, 1_204, time - 190),
        ),
        models=(
            ModelRow(
                "pool anomaly",
                "pool",
                184_211 + 90 * step,
                "alerts a week of budget 3",
                2.0,
                "tail fitted beyond 12,000 blocks: extrapolated",
                41.2,
            ),
            ModelRow(
                "liquidation", "position", 61_204, "Brier score, 1 h", 0.0121, "plain barrier formula: 0.0164", 12.8
            ),
            ModelRow("volatility", "asset", 42_010 + 3 * step, "coverage of 95 %", 0.947, "", 3.1),
            ModelRow("utilisation", "market", 3_120, "mean absolute error", None, "young: learns since 41 blocks", 5.5),
        ),
        events_per_s=812.4 if step < 50 else 2_931.0,
        notices=("2 reads are missing from the recording: their subjects are unknown",) if step < 85 else (),
    )
