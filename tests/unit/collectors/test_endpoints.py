"""The endpoints of a chain collector: down, dumb, behind, limited, on another chain; and what is told of them."""

from __future__ import annotations

import asyncio

import pytest

from defiwatch.domain.frames import BlockFrame, HealthFrame
from defiwatch.errors import ConfigError, SourceError, WrongChainError
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.follow import collector, once, running
from tests.unit.collectors.line import Line, chain_of
from tests.unit.collectors.made_up_chain import MadeUpChain


async def test_nothing_reachable_and_no_endpoint() -> None:
    line = Line(MadeUpChain(1))
    with pytest.raises(SourceError, match="no endpoint could be used"):
        await once(chain_of("http://127.0.0.1:9", "ws://127.0.0.1:9"), line)
    assert {frame.state for frame in line.health} == {"down"}
    with pytest.raises(ConfigError, match="no endpoint"):
        collector(chain_of(), line)


async def test_another_chain_is_refused() -> None:
    chain = MadeUpChain(5)
    async with FakeNode(chain, chain_id=5) as node:
        line = Line(chain)
        with pytest.raises(WrongChainError, match="serves chain 5, expected 1"):
            await once(chain_of(node.http_url), line)
        assert line.states("127.0.0.1") == ["untrusted"]
        async with FakeNode(chain) as right:
            line = Line(chain)
            await once(chain_of(node.http_url, right.ws_url), line)
            assert line.tip == chain.head.hash


async def test_failover_when_the_websocket_dies_and_back_again() -> None:
    chain = MadeUpChain(30)
    line = Line(chain)
    async with (
        FakeNode(chain) as first,
        FakeNode(chain) as second,
        running(chain_of(first.ws_url, second.http_url), line),
    ):
        await line.until(lambda: line.tip == chain.head.hash)
        await first.stop_ws()
        for _ in range(3):
            chain.mine()
            await line.until(lambda: line.tip == chain.head.hash)
        assert "down" in line.states(first.ws_url)
        await first.start_ws()
        await line.until(lambda: line.states(first.ws_url)[-1] == "live")
    assert [ref.hash for ref in line.stack] == [b.hash for b in chain.canonical[9:]]


async def test_a_subscription_that_says_nothing_is_noticed() -> None:
    chain = MadeUpChain(30)
    line = Line(chain)
    async with FakeNode(chain) as node:
        node.announces = False
        async with running(chain_of(node.ws_url), line):
            await line.until(lambda: line.tip == chain.head.hash)
            for _ in range(4):
                await node.mine()
                await line.until(lambda: line.tip == chain.head.hash)


async def test_a_websocket_without_subscriptions_is_polled() -> None:
    chain = MadeUpChain(30)
    line = Line(chain)
    async with FakeNode(chain) as node:
        node.subscriptions = False
        async with running(chain_of(node.ws_url), line):
            await line.until(lambda: line.tip == chain.head.hash)
            await node.mine(2)
            await line.until(lambda: line.tip == chain.head.hash)


async def test_an_endpoint_that_falls_behind_is_left() -> None:
    chain = MadeUpChain(30)
    line = Line(chain)
    async with (
        FakeNode(chain) as stuck,
        FakeNode(chain) as good,
        running(chain_of(stuck.ws_url, good.ws_url), line),
    ):
        await line.until(lambda: line.tip == chain.head.hash)
        for _ in range(4):
            chain.mine()
            stuck.lag += 1
            await good.announce()
            await asyncio.sleep(0.05)
        await line.until(lambda: line.tip == chain.head.hash)
        assert {"behind", "silent"} & set(line.states(stuck.ws_url))
    assert not line.removed


async def test_limits_are_waited_out() -> None:
    chain = MadeUpChain(40)
    line = Line(chain)
    async with FakeNode(chain) as node, running(chain_of(node.http_url), line):
        await line.until(lambda: line.tip == chain.head.hash)
        node.refuse = [(429, {"retry-after": "0.2"}, "slow down")] * 3
        chain.mine()
        await line.until(lambda: line.tip == chain.head.hash)
        await line.until(lambda: "limited" in line.states("127.0.0.1"))
        limited = line.states("127.0.0.1").index("limited")
        await line.until(lambda: "live" in line.states("127.0.0.1")[limited:])


async def test_logs_left_out_are_asked_for_again() -> None:
    chain = MadeUpChain(40)
    line = Line(chain)
    async with FakeNode(chain) as node, running(chain_of(node.ws_url), line):
        await line.until(lambda: line.tip == chain.head.hash)
        for _ in range(6):
            node.drop_logs = 1
            await node.mine()
            await line.until(lambda: line.tip == chain.head.hash)


async def test_no_secret_in_any_frame() -> None:
    chain = MadeUpChain(10)
    line = Line(chain)
    key = "0123456789abcdef0123456789abcdef"
    async with FakeNode(chain) as node:
        await once(chain_of(f"{node.http_url}/v3/{key}", f"http://127.0.0.1:9/{key}"), line)
    assert line.health
    assert not any(key in repr(frame) for frame in line.frames)


async def test_a_fault_of_the_line_comes_out() -> None:
    chain = MadeUpChain(10)
    line = Line(chain)

    async def refuse(frame: object) -> None:
        if isinstance(frame, BlockFrame):
            raise ZeroDivisionError

    line.emit = refuse  # type: ignore[method-assign]
    async with FakeNode(chain) as node:
        with pytest.raises(ZeroDivisionError):
            await once(chain_of(node.http_url), line)


async def test_health_frames_name_chain_and_height() -> None:
    chain = MadeUpChain(10)
    line = Line(chain)
    async with FakeNode(chain) as node:
        await once(chain_of(node.http_url), line)
    first = line.health[0]
    assert isinstance(first, HealthFrame)
    assert (first.chain_id, first.state, first.time) == (1, "live", "2023-11-14T22:13:20Z")
