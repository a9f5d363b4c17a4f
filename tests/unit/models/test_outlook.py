"""The outlook: noted at the head, learnt when confirmed, undone by a reorg, kept over a restart."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import WAD
from defiwatch.models.liquidations import FEATURES
from defiwatch.models.outlook import KeptOutlook, Outlook, Scene
from defiwatch.models.outlook import scene as shown
from defiwatch.state.lending.barrier import HORIZONS
from defiwatch.state.lending.pushes import Beat, Rhythm

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


def test_the_corrected_formula_is_told_of_bands_gaps_and_pushes() -> None:
    """What the formula lacks comes with every case: a feed's band beside the distance, jumps, the pause of pushes."""
    outlook, rows = Outlook(), scenes(300)
    rhythms = {f"aave_v3:0xm:{WETH}": Rhythm(720.0, 0.006**2, 0.005, origin="feed", count=90)}
    for scene in rows:
        jumped = {WETH: scene.prices[WETH] * (0.7 if scene.at.number > 290 else 1.0), USDC: 1.0}
        outlook.note(msgspec.structs.replace(scene, prices=jumped, rhythms=rhythms))
        outlook.confirm(scene.at.number)
    assert outlook.fast.gap(position(2000.0, 1.1)) > math.log(2.0)
    assert outlook.slow.gap(msgspec.structs.replace(position(2000.0, 1.1), debt_base=0, legs=())) == 0.0
    cases = outlook.dump().liquidations.open
    last = max((case for case in cases if case.horizon == "1h"), key=lambda case: case.due)
    assert set(last.x) == set(FEATURES)
    assert last.x["push_interval"] == pytest.approx(math.log1p(720 / 3600), rel=0.01)
    assert 0.0 < last.x["oracle_band"] < 10.0
    assert last.x["gap"] > math.log(2.0)
    assert last.x["gap"] == pytest.approx(outlook.fast.gap(position(2000.0, 1.1)))


def test_rarer_pushes_hide_more_crossings() -> None:
    outlook = learnt(scenes(1500))
    probe = position(2000.0, 1.03)
    often, rarely = (outlook.chances(probe, by=Beat(seconds)) for seconds in (60.0, 3600.0))
    assert often["1h"] > rarely["1h"] > 0.0
    assert outlook.chances(probe) == rarely


def test_a_market_that_counts_in_its_loan_has_chances_by_its_own_ratio() -> None:
    """Two markets of the same pair, by oracles of their own: one moves, the other's price is fixed."""
    draw, price = random.Random(5), 2000.0
    outlook = Outlook()

    def of(market: str, price: float, number: int) -> Position:
        it = position(price, 1.05, "a", number)
        loan = msgspec.structs.replace(it.legs[1], price=10**6)
        held = msgspec.structs.replace(it.legs[0], price=int(price * 10**6))
        return msgspec.structs.replace(it, market=market, base="USDC", base_decimals=6, legs=(held, loan))

    for number in range(1, 1000):
        price *= math.exp(0.8 / math.sqrt(31_536_000 / BLOCK_S) * draw.gauss(0.0, 1.0))
        at = BlockRef(1, number, hex(number), BLOCK_S * number)
        rows = [of("moving", price, number), of("fixed", 2000.0, number)]
        outlook.note(shown(at, rows, (), ()))
        outlook.confirm(number)
    moving, fixed = of("moving", price, 1000), of("fixed", 2000.0, 1000)
    assert outlook.slow.of_position(moving) == pytest.approx(0.8, rel=0.2)
    assert outlook.slow.of_position(fixed) == 0.0
    assert 0.05 < outlook.chances(moving)["24h"] < 1.0
    assert outlook.chances(fixed)["24h"] < 1e-4
    assert outlook.chances(of("other", 2000.0, 1000)) == {}
    assert outlook.chances(position(2000.0, 1.05)) == {}
