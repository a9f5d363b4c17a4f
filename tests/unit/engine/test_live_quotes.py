"""The price venues run beside the chains: what becomes of them ends nothing."""

from __future__ import annotations

import asyncio

import pytest

from defiwatch.collectors.seam import Collector
from defiwatch.config import parse
from defiwatch.engine import Engine, live
from defiwatch.errors import EndpointError
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.made_up_chain import MadeUpChain

CONFIG = """
[[chains]]
name = "one"
chain_id = 5
rpc = ["{url}"]
"""


class Gone:
    name = "coinbase"

    async def run(self) -> None:
        raise EndpointError("coinbase is gone")


async def test_a_venue_that_fails_for_good_is_told_and_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_one_that_fails(*_: object) -> list[Collector]:
        return [Gone()]

    monkeypatch.setattr(live, "collectors", only_one_that_fails)
    stop = asyncio.Event()
    async with FakeNode(MadeUpChain(30), chain_id=5) as node:
        engine = Engine(parse(CONFIG.format(url=node.http_url), "test"))
        task = asyncio.create_task(live.run_live(engine, lookback=5, duration=None, once=False, stop=stop))
        async with asyncio.timeout(20):
            while (head := engine.lines[5].intake.head) is None or head.number < 29 or "coinbase" not in engine.sources:
                await asyncio.sleep(0.01)
        assert not task.done()
        row = engine.sources["coinbase"]
        assert (row.state, row.detail) == ("down", "coinbase is gone")
        stop.set()
        await task
