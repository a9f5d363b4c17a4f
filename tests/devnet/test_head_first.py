"""After a time away, head first on a real chain: the head at once, the gap in order, the state of a run in order."""

from __future__ import annotations

import asyncio

import pytest

from defiwatch.domain.frames import BlockFrame, Frame, is_ahead
from defiwatch.domain.units import from_hex
from defiwatch.engine import run_live

from .model import Devnet
from .runs import Seen, at_head, engine, open_by, replayed
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

    whole, alerts = replayed(seen, [*first, *seen.frames])
    assert [alert.id for alert in alerts] == [alert.id for alert in seen.alerts]
    in_order, _ = replayed(seen, [*first, *(frame for frame in seen.frames if not is_ahead(frame))])
    assert whole == in_order == seen.line.intake.book.digest()
    assert open_by(seen.alerts) == {row.alert.key for row in seen.engine.snapshot().alerts}
