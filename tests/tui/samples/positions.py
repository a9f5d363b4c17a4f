"""Sample positions."""

from __future__ import annotations

import math

from defiwatch.domain.risk import Severity
from defiwatch.domain.view import AssetRow, PositionRow
from tests.tui.samples.world import AAVE, BLOCK_S, HEAD, MORPHO, START, eth_price, reasons

OWNERS: tuple[tuple[str, str, str, bool, float, float, str, str], ...] = (
    ("0x12c4aa5fb5c1b8f4f9b1a3a6d0e6f14f3c02b1ab", "treasury.eth", "aave_v3", True, 200.0, 371_000.0, "WETH", "USDC"),
    (
        "0x9a31f0e1c7a7d84f0cbb37ecb2c5f1a08f0e77d2",
        "0x9a31…77d2",
        "aave_v3",
        False,
        1_840.0,
        3_452_000.0,
        "WETH",
        "USDT",
    ),
    (
        "0x5d4b9e6a1f3c2208be7d51c0a9f8e7d6c5b4a392",
        "0x5d4b…a392",
        "morpho_blue",
        False,
        62.5,
        118_900.0,
        "wstETH",
        "USDC",
    ),
    ("0xf00d3e2b1a09182736455463728190a1b2c3d4e5", "ops-multisig", "aave_v3", True, 410.0, 640_000.0, "WETH", "DAI"),
    ("0x77e0c1d2b3a49586776859403a2b1c0d0e1f2a3b", "0x77e0…2a3b", "aave_v3", False, 33.1, 49_200.0, "WETH", "USDC"),
    (
        "0x31337aabbccddeeff00112233445566778899aab",
        "0x3133…9aab",
        "morpho_blue",
        False,
        905.0,
        1_275_000.0,
        "wstETH",
        "WETH",
    ),
    ("0xc0ffee254729296a45a3885639ac7e10f9d54979", "0xc0ff…4979", "aave_v3", False, 120.0, 148_000.0, "WBTC", "USDC"),
    ("0x8ba1f109551bd432803012645ac136ddd64dba72", "0x8ba1…ba72", "aave_v3", False, 15.7, 18_300.0, "WETH", "GHO"),
    (
        "0x2f0b23f53734252bda2277357e97e1517d6b042a",
        "0x2f0b…042a",
        "aave_v3",
        False,
        5_100.0,
        5_020_000.0,
        "WETH",
        "USDC",
    ),
    ("0xde0b295669a9fd93d5f28d9ec85e40f4cb697bae", "grants", "morpho_blue", True, 88.0, 61_000.0, "wstETH", "USDC"),
    ("0x4e83362442b8d1bec281594cea3050c8eb01311c", "0x4e83…311c", "aave_v3", False, 7.2, 4_100.0, "WETH", "LUSD"),
)

_COIN_PRICES = {"WETH": 1.0, "wstETH": 1.19, "WBTC": 17.4}


def position(at: int, step: int) -> PositionRow:
    """The position of owner `at`; the one at 8 cannot be told, the one at 10 is stale."""
    account, label, protocol, watched, quantity, debt, coin, owed = OWNERS[at]
    price = eth_price(step) * _COIN_PRICES[coin]
    if coin == "WBTC":
        quantity /= 17.4
    threshold = 0.83 if coin == "WETH" else 0.81 if coin == "wstETH" else 0.78
    collateral = quantity * price
    factor = collateral * threshold / debt
    distance = 1 - 1 / factor
    severity: Severity | None = "critical" if factor < 1.03 else "warning" if factor < 1.1 else None
    near = max(0.0, min(1.0, (1.35 - factor) / 0.35))
    p_day = max(0.0, min(0.995, math.exp(-distance * 38.0)))
    parts = reasons(
        (
            "health_factor",
            factor,
            1.6,
            round(62.0 * near, 1),
            f"health factor {factor:.3f}; the warning line is 1.10, usual for this owner is 1.60",
        ),
        (
            "probability",
            p_day,
            0.01,
            round(24.0 * p_day, 1),
            f"liquidated within a day with probability {p_day * 100:.0f} %, if nothing is done",
        ),
        ("volatility", 0.82, 0.54, round(9.0 * near, 1), f"{coin}/{owed} moves 82 % a year now, 54 % as a rule"),
    )
    time = START + step * BLOCK_S
    gone = at == 8
    if gone:
        return PositionRow(
            key=f"1:{protocol}:{AAVE}:{account}",
            chain="ethereum",
            protocol=protocol,
            market=AAVE,
            account=account,
            label=label,
            watched=watched,
            health_factor=None,
            collateral_usd=0.0,
            debt_usd=0.0,
            distance=None,
            nearest="",
            score=0.0,
            severity=None,
            reasons=(),
            assets=(),
            block=HEAD + step,
            time=time,
            source="getUserAccountData",
            trust="single",
            unknown="the price of rsETH reverts",
        )
    return PositionRow(
        key=f"1:{protocol}:{AAVE if protocol == 'aave_v3' else MORPHO}:{account}",
        chain="ethereum",
        protocol=protocol,
        market=AAVE if protocol == "aave_v3" else MORPHO,
        account=account,
        label=label,
        watched=watched,
        health_factor=factor,
        collateral_usd=collateral,
        debt_usd=debt,
        distance=distance,
        nearest=f"{coin} {-distance * 100:+.1f} %",
        score=round(math.fsum(part.points for part in parts), 1),
        severity=severity,
        reasons=parts,
        assets=(
            AssetRow(coin, "0x" + "c" * 40, quantity, 0.0, price, threshold, price / factor, -distance),
            AssetRow(owed, "0x" + "a" * 40, 0.0, debt, 1.0, 0.0, factor, factor - 1),
        ),
        block=HEAD + step,
        time=time if at != 10 else time - 3600 * 5,
        source="events, checked against getUserAccountData",
        trust="proof",
        p_liquidation={"1h": p_day / 6, "24h": p_day, "7d": min(0.999, p_day * 2.1)} if at != 7 else {},
    )
