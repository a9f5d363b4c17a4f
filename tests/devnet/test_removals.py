"""A reorg that no head tells of, shown by the logs that it took back."""

from __future__ import annotations

import asyncio

import pytest

from defiwatch.collectors.chain import ChainCollector
from defiwatch.config import Chain
from defiwatch.domain.keccak import topic
from defiwatch.protocols.spec import LogFilter

from .model import Devnet
from .proxy import Proxy
from .scenario import Scenario
from .test_collector import Listener

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(120)]

TRANSFER = topic("Transfer(address,address,uint256)")


@pytest.mark.parametrize("subscribe", [True, False])
async def test_logs_that_are_taken_back_show_a_reorg(devnet: Devnet, scenario: Scenario, subscribe: bool) -> None:
    node = devnet.chain.node
    listener = Listener(devnet)
    listener.filter = [LogFilter(frozenset({devnet.tokens["WETH"].address.lower()}), frozenset({TRANSFER}))]
    with Proxy(node.http_url, node.ws_url) as proxy:
        proxy.set(drop_note=1.0)
        chain = Chain(
            name="devnet",
            chain_id=31337,
            rpc=(proxy.ws_url,),
            confirmations=4,
            block_time=600.0,
            subscribe_logs=subscribe,
        )
        task = asyncio.create_task(ChainCollector(chain, listener, listener.emit, lookback=5).run())
        await listener.until(listener.at_head)
        await listener.until(lambda: proxy.asked["eth_subscribe"] == 1 + subscribe)
        await asyncio.to_thread(node.reorg, 2)
        proxy.take_back([{"address": listener.devnet.tokens["WETH"].address, "topics": [TRANSFER], "data": "0x"}])
        if subscribe:
            await listener.until(listener.at_head)
        else:
            await asyncio.sleep(1.0)
            assert not listener.at_head()
        assert len(listener.removed) == 2 * subscribe
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
