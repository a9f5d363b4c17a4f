"""`vault.share_price`: a fall, a jump without yield, and ordinary growth that raises nothing."""

from __future__ import annotations

import msgspec
import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Assessment, Vault
from defiwatch.scoring.vaults import assess_vault
from defiwatch.state.vaults import Growth, grown

AT = BlockRef(1, 100, "0x" + "ab" * 32, 1_700_000_000)
PLAIN = Vault(1, "erc4626", "0xv", "yvUSDC", "0xa", "USDC", 6, 1_050_000, 2_100 * 10**6, 2_000 * 10**18, 300 * 10**6)


def follow(prices: list[int], step: int = 60) -> tuple[Vault, Growth]:
    growth = None
    vault = PLAIN
    for i, price in enumerate(prices):
        vault = msgspec.structs.replace(PLAIN, share_price=price, block=1 + 5 * i, time=1_700_000_000 + step * i)
        growth = grown(growth, vault)
    assert growth is not None
    return vault, growth


def judged(prices: list[int], step: int = 60) -> Assessment:
    vault, growth = follow(prices, step)
    found = assess_vault(vault, growth, usd=1.0, at=AT)
    assert found is not None
    return found


CALM = [10**12 + 10**4 * i for i in range(300)]
"""A growth of 0.5 % a year, by the minute."""


def test_ordinary_growth_raises_nothing_and_is_learnt() -> None:
    assert judged(CALM).severity is None
    _, growth = follow(CALM)
    assert growth.yearly == pytest.approx(0.00526, rel=0.02)


@pytest.mark.parametrize(
    ("factor", "severity"),
    [
        (1.0, None),
        (1 - 1e-6, None),
        (1 - 1e-4, "info"),
        (0.99, "warning"),
        (0.9, "critical"),
        (1.006, "warning"),
        (1.2, "critical"),
    ],
)
def test_a_fall_and_a_jump(factor: float, severity: str | None) -> None:
    found = judged([*CALM, round(CALM[-1] * factor)])
    assert found.severity == severity
    if severity:
        assert found.reasons[-1].name == "withdrawable"
        assert "300 USDC ($300) lie in the vault, 14.3 % of all" in found.reasons[-1].text


def test_a_loss_stands_until_it_is_made_good() -> None:
    lost = round(CALM[-1] * 0.99)
    assert judged([*CALM, lost, lost + 1, lost + 2]).severity == "warning"
    assert judged([*CALM, lost, CALM[-1]]).severity == "warning"  # a jump of one per cent now
    assert judged([*CALM, lost, CALM[-1], CALM[-1] + 1]).severity is None


def test_a_weekly_harvest_at_its_usual_size_is_no_jump() -> None:
    week = 7 * 86_400
    steps = [round(10**12 * 1.006**i) for i in range(30)]
    assert judged(steps, week).severity is None


def test_an_empty_or_unread_vault_is_not_judged() -> None:
    _, growth = follow(CALM)
    assert assess_vault(msgspec.structs.replace(PLAIN, shares=0), growth, usd=None, at=AT) is None
    assert assess_vault(msgspec.structs.replace(PLAIN, unknown="asset not read"), growth, usd=None, at=AT) is None
