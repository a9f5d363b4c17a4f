"""100,000 positions over 30 assets: ratios against a plain Python loop. Run with --benchmark-only."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

from defiwatch.domain.risk import Leg
from defiwatch.domain.units import BPS, WAD
from defiwatch.state.lending import exact
from defiwatch.state.lending.ladder import STEPS, Column, Matrix

POSITIONS, ASSETS = 100_000, 30
Row: TypeAlias = tuple[int, float, float, float]
"""asset, collateral, weighted collateral, debt"""

pytestmark = pytest.mark.benchmark(group="lending")


def market() -> tuple[Matrix, list[list[Row]], list[list[int]]]:
    """A matrix, the same positions as plain lists, and for each asset who holds it."""
    rng = random.Random(1)
    rows: list[list[Row]] = []
    holders: list[list[int]] = [[] for _ in range(ASSETS)]
    columns: list[list[tuple[int, float, float, float]]] = [[] for _ in range(ASSETS)]
    for i in range(POSITIONS):
        mine: list[Row] = []
        for asset in sorted(rng.sample(range(ASSETS), rng.randint(4, 10))):
            collateral = rng.expovariate(1e-4) if rng.random() < 0.7 else 0.0
            debt = rng.expovariate(1.5e-4) if rng.random() < 0.4 else 0.0
            mine.append((asset, collateral, collateral * 0.8, debt))
            holders[asset].append(i)
            columns[asset].append((i, collateral, collateral * 0.8, debt))
        rows.append(mine)
    made = []
    for column in columns:
        values = np.array([entry[1:] for entry in column])
        index = np.array([entry[0] for entry in column], dtype=np.int64)
        made.append(Column(index, values[:, 0].copy(), values[:, 1].copy(), values[:, 2].copy()))
    keys = [("m", str(i)) for i in range(POSITIONS)]
    return Matrix([str(i) for i in range(ASSETS)], made, keys), rows, holders


def tick_plain(rows: list[list[Row]], holders: list[int], asset: int, factor: float) -> list[float]:
    """The health of everybody who holds the asset, summed up anew at its new price."""
    found = []
    for i in holders:
        weighted = debt = 0.0
        for held, _, k, d in rows[i]:
            part = factor if held == asset else 1.0
            weighted += k * part
            debt += d * part
        found.append(weighted / debt if debt else float("inf"))
    return found


def ladder_plain(rows: list[list[Row]], asset: int) -> list[tuple[float, float, int]]:
    """Every step by summing up everybody at its prices; who was at risk at a smaller fall stays so."""
    found = []
    gone: set[int] = set()
    for step in (0.0, *STEPS):
        for i, mine in enumerate(rows):
            weighted = debt = 0.0
            for held, _, k, d in mine:
                part = 1.0 - step if held == asset else 1.0
                weighted += k * part
                debt += d * part
            if weighted < debt:
                gone.add(i)
        collateral = sum(c for i in gone for _, c, _, _ in rows[i])
        found.append((collateral, sum(d for i in gone for _, _, _, d in rows[i]), len(gone)))
    return found[1:]


def best(work: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest of some runs."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def test_one_assets_tick_is_25_times_a_plain_loop(benchmark: Any) -> None:
    matrix, rows, holders = market()
    plain = best(lambda: tick_plain(rows, holders[3], 3, 0.99), 3)
    told = tick_plain(rows, holders[3], 3, 0.99)
    index, factors = matrix.tick("3", 0.99)
    assert list(index) == holders[3]
    assert factors == pytest.approx(told, rel=1e-9)
    matrix.tick("3", 1 / 0.99)
    fast = best(lambda: matrix.tick("3", 1.0), 30)
    benchmark.extra_info["rows"] = len(holders[3])
    benchmark.extra_info["ratio"] = plain / fast
    benchmark(matrix.tick, "3", 1.0)
    assert plain / fast >= 25


def test_the_ladder_is_100_times_a_plain_loop(benchmark: Any) -> None:
    matrix, rows, _ = market()
    plain_start = time.perf_counter()
    told = ladder_plain(rows, 3)
    plain = time.perf_counter() - plain_start
    rungs = matrix.ladder({"3": 1.0})
    assert [rung.positions for rung in rungs] == [count for _, _, count in told]
    assert [rung.collateral for rung in rungs] == pytest.approx([collateral for collateral, _, _ in told])
    assert [rung.debt for rung in rungs] == pytest.approx([debt for _, debt, _ in told])
    fast = best(lambda: matrix.ladder({"3": 1.0}), 20)
    benchmark.extra_info["ratio"] = plain / fast
    benchmark(matrix.ladder, {"3": 1.0})
    assert plain / fast >= 100


def test_a_correlated_ladder_is_100_times_a_plain_loop(benchmark: Any) -> None:
    """Half of the assets fall together, each by its own part: against one plain pass over a single asset's ladder."""
    matrix, rows, _ = market()
    betas = {str(i): 1.0 - i / 40 for i in range(0, ASSETS, 2)}
    start = time.perf_counter()
    for step in STEPS:
        for mine in rows:
            weighted = debt = 0.0
            for held, _, k, d in mine:
                part = 1.0 - step * betas.get(str(held), 0.0)
                weighted += k * part
                debt += d * part
    plain = time.perf_counter() - start
    fast = best(lambda: matrix.ladder(betas), 10)
    benchmark.extra_info["ratio"] = plain / fast
    benchmark(matrix.ladder, betas)
    assert plain / fast >= 100


def test_the_exact_path_is_under_three_times_its_multiplications(benchmark: Any) -> None:
    """50,000 positions of three legs: health in integers against the bare multiplications and divisions."""
    rng = random.Random(2)
    held = []
    for _ in range(50_000):
        legs = tuple(
            Leg(str(i), "", 18, rng.getrandbits(70), rng.getrandbits(68) if i == 2 else 0, rng.getrandbits(40), 8000)
            for i in range(3)
        )
        held.append(legs)
    flat = [[(leg.collateral, leg.debt, leg.price) for leg in legs] for legs in held]
    unit = 10**18

    def bare() -> None:
        for legs in flat:
            weighted = debt = 0
            for collateral, owed, price in legs:
                weighted += collateral * price // unit * 8000
                debt += -(-owed * price // unit)
            weighted * WAD // (debt * BPS)

    def whole() -> None:
        for legs in held:
            exact.plain(legs)

    ratio = best(whole, 5) / best(bare, 5)
    benchmark.extra_info["ratio"] = ratio
    benchmark(whole)
    assert ratio < 3.0
