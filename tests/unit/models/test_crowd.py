"""Many positions at once have the very chances that each has alone."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import WAD
from defiwatch.models.crowd import Crowd, chances
from defiwatch.models.outlook import Outlook, Scene, by_asset, mark_key
from defiwatch.state.lending.barrier import HORIZONS
from defiwatch.state.lending.pushes import Rhythm, beat

ASSETS = ("0xa", "0xb", "0xc", "0xd")
SIGMAS = (0.8, 0.9, 0.02, 1.5)
THRESHOLD = 8000


def position(collateral: list[int], debt: list[int], prices: list[float], account: str) -> Position:
    legs = tuple(
        Leg(asset, asset, 18, 0, 0, int(price * 10**8), THRESHOLD, collateral_base=c, debt_base=d)
        for asset, price, c, d in zip(ASSETS, prices, collateral, debt, strict=True)
    )
    factor = sum(collateral) * THRESHOLD * WAD // 10_000 // sum(debt)
    return Position(
        1, "aave_v3", "0xm", account, 1, "", 1, factor, sum(collateral), sum(debt), THRESHOLD, legs, base_decimals=8
    )


def drawn(draw: random.Random, prices: list[float], account: str) -> Position:
    collateral = [draw.choice((0, draw.randrange(1, 10**14))) for _ in ASSETS]
    collateral[draw.randrange(4)] += 10**13
    debt = [draw.choice((0, draw.randrange(1, 10**13))) for _ in ASSETS]
    debt[draw.randrange(4)] += 10**12
    wanted = 1.0 + 10 ** draw.uniform(-3.0, 0.2)
    scale = sum(collateral) * THRESHOLD / 10_000 / sum(debt) / wanted
    return position(collateral, [int(d * scale) for d in debt], prices, account)


@pytest.mark.parametrize("taught", [False, True])
def test_as_one_by_one(taught: bool) -> None:
    draw, outlook = random.Random(4), Outlook()
    prices = [2000.0, 30_000.0, 1.0, 5.0]
    rhythms = {
        asset: Rhythm(600.0 * (i + 1), 2.5e-5 * (i + 1), None if i == 3 else 0.005, None)
        for i, asset in enumerate(ASSETS)
    }
    for number in range(1, 1200 if taught else 30):
        prices = [p * math.exp(s / math.sqrt(52_560) * draw.gauss(0, 1)) for p, s in zip(prices, SIGMAS, strict=True)]
        crowd = tuple(drawn(draw, prices, str(i)) for i in range(4)) if taught else ()
        by_key = {mark_key(p, asset): rhythm for p in crowd for asset, rhythm in rhythms.items()}
        at = BlockRef(1, number, hex(number), 600 * number)
        outlook.note(Scene(at, dict(zip(ASSETS, prices, strict=True)), {}, crowd, {}, by_key))
        outlook.confirm(number)
    assert (outlook.liquidations.record("1h")[0] > 50) == taught

    positions = [drawn(draw, prices, str(i)) for i in range(300)]
    weighted = np.array([[leg.collateral_base * 0.8 for leg in p.legs] for p in positions])
    debt = np.array([[float(leg.debt_base) for leg in p.legs] for p in positions])
    found = chances(outlook, Crowd(ASSETS, weighted, debt), rhythms)
    for i, one in enumerate(positions):
        by_key = {mark_key(one, asset): rhythm for asset, rhythm in rhythms.items()}
        alone = outlook.chances(one, by=beat(one, by_asset(one, by_key)))
        assert {name: found[name][i] for name in HORIZONS} == pytest.approx(alone, rel=1e-8, abs=1e-14)


def test_unknown_where_too_little_was_watched_and_certain_below_one() -> None:
    outlook = Outlook()
    crowd = Crowd(ASSETS[:2], np.array([[9.0, 0.0], [20.0, 0.0]]), np.array([[0.0, 10.0], [0.0, 10.0]]))
    rhythms = dict.fromkeys(ASSETS, Rhythm())
    assert all(np.isnan(values).all() for values in chances(outlook, crowd, rhythms).values())
    for number in range(1, 20):
        outlook.note(
            Scene(BlockRef(1, number, hex(number), 600 * number), {"0xa": 2.0 + number % 2, "0xb": 1.0}, {}, (), {})
        )
        outlook.confirm(number)
    told = chances(outlook, crowd, rhythms)
    assert all(values[0] == 1.0 and 0.0 < values[1] < 1.0 for values in told.values())
