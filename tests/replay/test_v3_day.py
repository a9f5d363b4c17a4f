"""Twelve calm hours of the busiest v3 pool: next to no false alarm, and every 5 % move spliced in is seen at once."""

from __future__ import annotations

import math
import random
from pathlib import Path

import msgspec
import pytest

from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, RawLog
from defiwatch.domain.keccak import topic
from defiwatch.domain.risk import Alert
from defiwatch.engine.core import Engine
from defiwatch.protocols import abi
from tests.convert import USDC_WETH_POOL, v3_recording

pytestmark = pytest.mark.data

FOLDER = "uniswap_v3_usdc_weth_20240105"
SWAP = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
FIELDS = ("int256", "int256", "uint160", "uint128", "int24")
SWAPS = 2842
SPLICES = 20
AFTER_S = 7200
Q96 = 2**96


@pytest.fixture(scope="module")
def day(data_folder: Path) -> list[Frame]:
    return v3_recording(data_folder / FOLDER)


def replay(frames: list[Frame]) -> tuple[Engine, list[Alert], list[float]]:
    """The engine, its alerts, and the price of WETH in USDC after every block once the tokens are known."""
    engine, alerts, prices = Engine(Config(), mode="replay"), [], []
    for frame in frames:
        alerts += engine.feed(frame)
        if isinstance(frame, BlockFrame):
            intake = engine.lines[1].intake
            pool = intake.instances[0].pool(intake.book, USDC_WETH_POOL)
            if pool is not None and pool.decimals == (6, 18):
                prices.append(1 / pool.price)
    return engine, alerts + engine.finish(), prices


def moved(log: RawLog, factor: float, draw: random.Random, *, sized: bool) -> tuple[RawLog, RawLog]:
    """Two swaps after `log`: the price times `factor`, and back. `sized`: with the amounts that such a move takes of
    the liquidity at hand (v3-core SqrtPriceMath); else with those of `log`."""
    amount0, amount1, root, liquidity, tick = abi.decode(FIELDS, log.data)
    there = int(root * math.sqrt(factor))
    if sized:
        amount0 = liquidity * Q96 // there - liquidity * Q96 // root
        amount1 = liquidity * (there - root) // Q96
    new_tick = tick + round(math.log(factor) / math.log(1.0001))

    def swap(*values: int) -> RawLog:
        tx = f"0x{draw.getrandbits(256):064x}"
        return msgspec.structs.replace(log, data="0x" + abi.encode(FIELDS, values), transaction_hash=tx)

    return swap(amount0, amount1, there, liquidity, new_tick), swap(-amount0, -amount1, root, liquidity, tick)


def spliced(frames: list[Frame], seed: int, *, sized: bool, returns: bool) -> tuple[list[Frame], list[int]]:
    """The day with `SPLICES` moves of 5 %, up or down, at seeded places; also the numbers of their blocks.

    `returns`: a second swap brings the price back at once; else the pool's own next trade does.
    """
    draw = random.Random(seed)
    blocks = [frame for frame in frames if isinstance(frame, BlockFrame)]
    begin = int(blocks[0].header.timestamp, 16) + AFTER_S
    places = [
        (block.header.number, i)
        for block in blocks
        if int(block.header.timestamp, 16) >= begin
        for i, log in enumerate(block.logs)
        if log.topics[0] == SWAP
    ]
    chosen = set(draw.sample(places, SPLICES))
    result: list[Frame] = []
    for frame in frames:
        if isinstance(frame, BlockFrame):
            logs: list[RawLog] = []
            for i, log in enumerate(frame.logs):
                logs.append(log)
                if (frame.header.number, i) in chosen:
                    there, back = moved(log, draw.choice((1.05, 1 / 1.05)), draw, sized=sized)
                    logs += [there, back] if returns else [there]
            frame = msgspec.structs.replace(frame, logs=tuple(logs))
        result.append(frame)
    return result, sorted({int(number, 16) for number, _ in chosen})


def raised(alerts: list[Alert]) -> list[int]:
    """The blocks in which an anomaly of the pool was raised."""
    return [alert.evidence.block or 0 for alert in alerts if (alert.kind, alert.state) == ("pool.anomaly", "raised")]


def test_the_calm_day_raises_next_to_nothing(day: list[Frame]) -> None:
    engine, alerts, prices = replay(day)
    assert len(raised(alerts)) <= 2
    assert [alert.kind for alert in alerts if alert.kind != "pool.anomaly"] == []
    assert all(2190 < price < 2290 for price in prices)
    assert len(prices) > 1800
    rows = {row.name: row for row in engine.lines[1].judge.models.report()}
    assert SWAPS - 30 < rows["pool tails"].events <= SWAPS, "all but the first and the unconfirmed"


def test_what_is_raised_clears(day: list[Frame]) -> None:
    engine, alerts, _ = replay(day)
    assert [alert.state for alert in alerts] == ["raised", "cleared"] * len(raised(alerts))
    assert engine.lines[1].judge.alerts.standing() == ()


@pytest.mark.parametrize(
    ("seed", "sized", "returns"), [(1, True, True), (2, False, True), (3, False, False), (4, True, False)]
)
def test_every_five_percent_move_is_raised_in_its_block(
    day: list[Frame], seed: int, sized: bool, returns: bool
) -> None:
    frames, blocks = spliced(day, seed, sized=sized, returns=returns)
    _, alerts, _ = replay(frames)
    told = raised(alerts)
    assert set(blocks) <= set(told)
    assert len(told) <= len(blocks) + 2
    for alert in alerts:
        if alert.state == "raised" and alert.evidence.block in blocks:
            assert alert.severity == "critical"
            assert alert.reasons[0].name in ("move", "block_move", "size")
            assert abs(sum(reason.points for reason in alert.reasons) - alert.score) <= 0.5


def test_two_replays_tell_the_same(day: list[Frame]) -> None:
    frames, _ = spliced(day, 5, sized=True, returns=True)
    assert msgspec.json.encode(replay(frames)[1]) == msgspec.json.encode(replay(frames)[1])


def test_the_running_record_is_honest(day: list[Frame]) -> None:
    """Of all values about 1 % lie beyond their 1 % line, told before they were learnt."""
    engine, _, _ = replay(day)
    rows = {row.name: row for row in engine.lines[1].judge.models.report()}
    assert rows["pool tails"].events > 2800
    assert rows["pool tails"].value == pytest.approx(0.01, abs=0.007)
