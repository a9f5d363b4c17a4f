"""After a time away, head first on a real chain: the head at once, the gap in order, the state of a run in order."""

from __future__ import annotations

import asyncio

import pytest

from defiwatch.domain.frames import BlockFrame, Frame, decode, encode, is_ahead
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import from_hex
from defiwatch.engine import Engine, run_live

from .model import Devnet
from .runs import Seen, at_head, engine
from .scenario import Scenario

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(120)]


async def run(seen: Seen, devnet: Devnet, lookback: int = 2_000) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(run_live(seen.engine, lookback=lookback, duration=None, once=False, stop=stop))
    try:
        await at_head(seen, devnet)
    finally:
        stop.set()
        await task


def again(seen: Seen, frames: list[Frame]) -> tuple[str, list[Alert]]:
    """Frames through an engine of their own: its state, and what it told."""
    alerts: list[Alert] = []
    replayed = Engine(seen.engine.config, mode="replay", on_alert=alerts.append)
    for frame in frames:
        replayed.feed(decode(encode(frame)))
    return replayed.lines[31337].intake.book.digest(), alerts


def test_after_a_time_away_the_head_comes_first(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    seen = engine(devnet, [node.ws_url, node.http_url], 'catch_up = "head_first"')
    first: list[Frame] = [seen.engine.header()]
    asyncio.run(run(seen, devnet))
    left = node.height()
    for _, step in zip(range(30), scenario.steps(), strict=False):
        step.run()
    for _ in range(60):
        node.mine()
    asyncio.run(run(seen, devnet))

    blocks = [f for f in seen.frames if isinstance(f, BlockFrame) and f.ahead]
    assert blocks
    assert from_hex(blocks[0].header.number) == node.height()
    since = seen.frames.index(blocks[0])
    own = [from_hex(f.header.number) for f in seen.frames if isinstance(f, BlockFrame) and not f.ahead]
    came = [from_hex(f.header.number) for f in seen.frames[:since] if isinstance(f, BlockFrame)]
    assert max(came) < left + 64
    assert own == list(range(own[0], node.height() + 1))
    assert seen.engine.scouts == {}
    gap = [alert.state for alert in seen.alerts if alert.kind == "source.gap"]
    assert gap == ["raised", "cleared"]

    whole, alerts = again(seen, [*first, *seen.frames])
    assert [alert.id for alert in alerts] == [alert.id for alert in seen.alerts]
    in_order, _ = again(seen, [*first, *(frame for frame in seen.frames if not is_ahead(frame))])
    assert whole == in_order == seen.line.intake.book.digest()
