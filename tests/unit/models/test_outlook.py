"""The outlook: noted at the head, learnt when confirmed, undone by a reorg, kept over a restart."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import WAD
from defiwatch.models.outlook import KeptOutlook, Outlook, Scene
from defiwatch.state.lending.barrier import HORIZONS

WETH, USDC = "0x" + "01" * 20, "0x" + "02" * 20
BLOCK_S = 300


def position(price: float, factor: float, account: str = "a", block: int = 1) -> Position:
    debt = 1000 * 10**8
    collateral = int(debt * factor / 0.8)
    legs = (
        Leg(WETH, "WETH", 18, 10**18, 0, int(price * 10**8), 8000, collateral_base=collateral),
        Leg(USDC, "USDC", 6, 0, 1000 * 10**6, 10**8, 7500, debt_base=debt),
    )
    return Position(
        1, "aave_v3", "0xm", account, block, "", BLOCK_S * block, int(factor * WAD), collateral, debt, 8000, legs
    )


def scenes(n: int, seed: int = 1, first: int = 1) -> list[Scene]:
    draw, price, found = random.Random(seed), 2000.0, []
    for number in range(first, first + n):
        price *= math.exp(0.8 / math.sqrt(31_536_000 / BLOCK_S) * draw.gauss(0.0, 1.0))
        found.append(
            Scene(
                BlockRef(1, number, hex(number), BLOCK_S * number),
                {WETH: price, USDC: 1.0},
                {("utilisation", "USDC"): min(1.0, 0.8 + 0.01 * draw.gauss(0.0, 1.0))},
                tuple(position(price, factor, str(factor), number) for factor in (1.03, 1.1, 1.5)),
                {f"aave_v3:0xm:{USDC}": (0.03, 0.05)},
            )
        )
    return found


def learnt(rows: list[Scene], outlook: Outlook | None = None) -> Outlook:
    outlook = outlook or Outlook()
    for scene in rows:
        outlook.note(scene)
        outlook.confirm(scene.at.number - 6)
    return outlook


def test_chances_are_probabilities_that_grow_with_the_horizon_and_fall_with_the_factor() -> None:
    outlook = learnt(scenes(1500))
    near, far = outlook.chances(position(2000.0, 1.03)), outlook.chances(position(2000.0, 1.5))
    assert tuple(near) == tuple(HORIZONS)
    assert list(near.values()) == sorted(near.values())
    assert all(0.0 <= far[name] < near[name] <= 1.0 for name in HORIZONS)
    assert outlook.chances(msgspec.structs.replace(position(2000.0, 1.2), debt_base=0)) == {}


def test_cases_are_opened_learnt_and_reported() -> None:
    outlook = learnt(scenes(3000))
    n, positives, brier, formula = outlook.liquidations.record("24h")
    assert n > 100
    assert 0 < positives < n
    assert 0.0 < brier < 0.25
    assert formula > 0.0
    names = {row.name for row in outlook.report()}
    assert {"volatility forecast", "utilisation forecast", "P(liquidation) 1h", "P(liquidation) 24h"} <= names
    weth, ratio = outlook.volatility(WETH), outlook.volatility(f"{WETH}/{USDC}")
    assert weth is not None
    assert ratio is not None
    assert weth.value == pytest.approx(0.8, rel=0.4)
    assert ratio == weth


def test_nothing_is_learnt_before_it_is_confirmed_and_a_reorg_leaves_no_trace() -> None:
    rows, orphaned = scenes(400), scenes(3, seed=9, first=398)
    plain, through = Outlook(), Outlook()
    for scene in rows:
        if scene.at.number == 398:
            for lost in orphaned:
                through.note(lost)
            through.undo(398)
        for outlook in (plain, through):
            outlook.note(scene)
            outlook.confirm(scene.at.number - 6)
    assert through.dump() == plain.dump()
    waiting = Outlook()
    for scene in rows:
        waiting.note(scene)
    assert waiting.report() == ()


def test_kept_and_taken_up_it_goes_on_the_same() -> None:
    rows = scenes(1200)
    through, before = Outlook(), Outlook()
    for scene in rows[:700]:
        for outlook in (through, before):
            outlook.note(scene)
            outlook.confirm(scene.at.number)
    after = Outlook()
    after.load(msgspec.json.decode(msgspec.json.encode(before.dump()), type=KeptOutlook))
    for scene in rows[700:]:
        for outlook in (through, after):
            outlook.note(scene)
            outlook.confirm(scene.at.number)
        probe = position(2000.0, 1.05)
        assert after.chances(probe) == through.chances(probe)
    assert msgspec.json.encode(after.dump()) == msgspec.json.encode(through.dump())


def test_debt_grows_into_a_crossing() -> None:
    """Prices stand still; at 3,000 % a year the debt alone crosses a factor of 1.03 within a day."""
    outlook = Outlook()
    for scene in scenes(600):
        still = msgspec.structs.replace(
            scene,
            prices={WETH: 2000.0, USDC: 1.0},
            positions=(position(2000.0, 1.03, "a", scene.at.number),),
            rates={f"aave_v3:0xm:{USDC}": (0.0, 30.0)},
        )
        outlook.note(still)
        outlook.confirm(scene.at.number)
    n, positives, _, _ = outlook.liquidations.record("24h")
    assert n > 5
    assert positives == n
