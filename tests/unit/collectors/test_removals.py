"""A log that is taken back is a hint: the chain is looked at anew at once, and nothing else is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from defiwatch.collectors.chain import ChainCollector
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.line import FILTER, Line, chain_of
from tests.unit.collectors.made_up_chain import OTHER, SWAP, SYNC, TOKEN, MadeUpChain
from tests.unit.collectors.virtual import Endpoint, opener, play

BLOCK_TIME = 60.0


def seen(
    story: Callable[[MadeUpChain, Line, FakeNode], Awaitable[None]], *, subscribe: bool = True, announces: bool = True
) -> tuple[MadeUpChain, Line, FakeNode]:
    """A chain that is followed from its head on, by one endpoint that announces no head any more."""
    chain = MadeUpChain(30)
    line = Line(chain)
    endpoint = Endpoint(FakeNode(chain), announces=announces)
    settings = msgspec.structs.replace(chain_of(endpoint.url, block_time=BLOCK_TIME), subscribe_logs=subscribe)

    async def run() -> None:
        collector = ChainCollector(settings, line, line.emit, lookback=5, open_rpc=opener(endpoint))
        task = asyncio.create_task(collector.run())
        await line.until(lambda: line.tip == chain.head.hash, seconds=3600.0)
        await asyncio.sleep(1.0)
        await story(chain, line, endpoint.node)
        task.cancel()
        outcome = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(outcome[0], asyncio.CancelledError)

    play(run())
    return chain, line, endpoint.node


async def taken_back(chain: MadeUpChain, line: Line, node: FakeNode) -> None:
    """A reorg of which no head tells; the logs of the block that went do."""
    gone = chain.canonical[-2:]
    chain.reorg(2, 2)
    await node.tell_logs([log for block in gone for log in block.logs], removed=True)
    await asyncio.sleep(2.0)


def test_a_log_that_is_taken_back_shows_a_reorg_at_once() -> None:
    chain, line, node = seen(taken_back)
    assert line.tip == chain.head.hash
    assert len(line.removed) == 2
    assert len(node.log_filters) == 1


def test_what_is_subscribed_to_is_what_is_watched() -> None:
    _, _, node = seen(taken_back)
    ((_, wanted),) = node.log_filters.values()
    assert wanted == {"address": sorted((TOKEN, OTHER)), "topics": [sorted((SWAP, SYNC))]}


def test_it_is_off_unless_it_is_wanted_and_then_the_next_poll_shows_it() -> None:
    chain, line, node = seen(taken_back, subscribe=False)
    assert line.tip != chain.head.hash
    assert node.log_filters == {}


def test_logs_that_stand_and_nonsense_lead_to_nothing() -> None:
    async def story(chain: MadeUpChain, line: Line, node: FakeNode) -> None:
        before = node.asked.total()
        await node.tell_logs(chain.head.logs)
        for name, (connection, _) in node.log_filters.items():
            note = {"subscription": name, "result": {"no": "log"}}
            await node._send(connection, {"jsonrpc": "2.0", "method": "eth_subscription", "params": note})
        await asyncio.sleep(5.0)
        assert node.asked.total() == before
        await taken_back(chain, line, node)

    chain, line, _ = seen(story)
    assert line.tip == chain.head.hash


def test_a_log_that_is_taken_back_for_nothing_removes_nothing() -> None:
    async def story(chain: MadeUpChain, line: Line, node: FakeNode) -> None:
        await node.tell_logs(chain.canonical[-2].logs, removed=True)
        await asyncio.sleep(5.0)

    chain, line, _ = seen(story)
    assert line.tip == chain.head.hash
    assert line.removed == []


def test_an_endpoint_over_http_is_only_asked() -> None:
    async def story(chain: MadeUpChain, line: Line, node: FakeNode) -> None:
        chain.reorg(1, 2)
        await line.until(lambda: line.tip == chain.head.hash, seconds=3600.0)

    _, _, node = seen(story, announces=False)
    assert node.asked["eth_subscribe"] == 0


def test_a_filter_that_changes_is_subscribed_anew_but_not_often() -> None:
    async def story(chain: MadeUpChain, line: Line, node: FakeNode) -> None:
        for turn in range(1, 6):
            only = FILTER if turn % 2 == 0 else msgspec.structs.replace(FILTER, addresses=frozenset({TOKEN}))
            line.filter = [only]
            line.wanted_logs = lambda block, only=only: tuple(  # type: ignore[misc]
                log for log in block.logs if log.address in (only.addresses or ())
            )
            await node.mine()
            await line.until(lambda: line.tip == chain.head.hash)
            await asyncio.sleep(20.0)

    _, _, node = seen(story)
    assert 2 <= node.asked["eth_subscribe"] - 1 <= 3
    assert len(node.log_filters) == 1


@pytest.mark.parametrize("announces", [True, False])
def test_a_node_without_such_subscriptions_is_left_in_peace(announces: bool) -> None:
    chain = MadeUpChain(30)
    line = Line(chain)
    endpoint = Endpoint(FakeNode(chain), announces=announces)
    endpoint.node.subscriptions = False
    settings = msgspec.structs.replace(chain_of(endpoint.url, block_time=BLOCK_TIME), subscribe_logs=True)

    async def run() -> None:
        task = asyncio.create_task(
            ChainCollector(settings, line, line.emit, lookback=5, open_rpc=opener(endpoint)).run()
        )
        await line.until(lambda: line.tip == chain.head.hash, seconds=3600.0)
        await asyncio.sleep(5.0)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    play(run())
    assert endpoint.node.asked["eth_subscribe"] <= 2
