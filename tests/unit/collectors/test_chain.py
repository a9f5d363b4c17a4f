"""The chain collector against an in-process node: what arrives is the chain, whatever the node does meanwhile."""

from __future__ import annotations

import pytest

from defiwatch.collectors.chain import Progress
from defiwatch.config import Chain
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import ReadsFrame
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import LogFilter
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.follow import once, running
from tests.unit.collectors.line import Line, chain_of
from tests.unit.collectors.made_up_chain import SWAP, TOKEN, MadeUpChain


@pytest.mark.parametrize("transport", ["ws", "http"])
async def test_it_looks_back_and_then_follows_the_head(transport: str) -> None:
    chain = MadeUpChain(100)
    line = Line(chain)
    async with FakeNode(chain) as node:
        url = node.ws_url if transport == "ws" else node.http_url
        async with running(chain_of(url), line, lookback=70):
            await line.until(lambda: line.tip == chain.head.hash)
            assert line.stack[0].number == 29
            for _ in range(5):
                await node.mine()
                await line.until(lambda: line.tip == chain.head.hash)
            await node.mine(9)
            await line.until(lambda: line.tip == chain.head.hash)
    assert [ref.hash for ref in line.stack] == [b.hash for b in chain.canonical[29:]]
    assert not line.removed
    assert line.states("127.0.0.1")[0] == "live"


@pytest.mark.parametrize("transport", ["ws", "http"])
async def test_reorgs_by_heads_that_go_back_without_a_word(transport: str) -> None:
    chain = MadeUpChain(60)
    line = Line(chain)
    async with FakeNode(chain) as node:
        url = node.ws_url if transport == "ws" else node.http_url
        async with running(chain_of(url), line):
            await line.until(lambda: line.tip == chain.head.hash)
            for depth, length in ((1, 1), (3, 3), (1, 2), (12, 13), (5, 4), (18, 20)):
                await node.reorg(depth, length)
                await line.until(lambda: line.tip == chain.head.hash)
                assert [r.hash for r in line.stack] == [b.hash for b in chain.canonical[line.stack[0].number :]]
    assert len(line.removed) >= 1 + 3 + 1 + 12


async def test_a_chain_that_goes_back_and_stays_there() -> None:
    chain = MadeUpChain(30)
    line = Line(chain)
    async with FakeNode(chain) as node, running(chain_of(node.http_url, block_time=0.05), line):
        await line.until(lambda: line.tip == chain.head.hash)
        chain.rollback(4)
        await line.until(lambda: line.tip == chain.head.hash)
    assert len(line.removed) == 4


async def test_at_the_head_a_block_costs_little() -> None:
    chain = MadeUpChain(50)
    line = Line(chain, lambda _: [Call(TOKEN, "0x01")])
    async with FakeNode(chain) as node, running(chain_of(node.ws_url, block_time=5.0), line, lookback=5):
        await line.until(lambda: line.tip == chain.head.hash and line.tip in line.answers)
        before = node.asked.total()
        for _ in range(10):
            await node.mine()
            await line.until(lambda: line.tip == chain.head.hash and line.tip in line.answers)
        assert (node.asked.total() - before) / 10 <= 3


async def test_it_goes_on_after_the_blocks_that_the_line_has() -> None:
    chain = MadeUpChain(80)
    line = Line(chain)
    async with FakeNode(chain) as node:
        await once(chain_of(node.http_url), line, lookback=10)
        assert line.tip == chain.head.hash
        chain.mine(40)
        await once(chain_of(node.http_url), line, lookback=10)
        assert not line.removed
        chain.reorg(6, 90)
        await once(chain_of(node.http_url), line, lookback=10)
    assert len(line.removed) == 6
    assert [ref.hash for ref in line.stack] == [b.hash for b in chain.canonical[69:]]


async def test_a_reorg_beyond_what_is_kept_is_told() -> None:
    chain = MadeUpChain(80)
    line = Line(chain)
    async with FakeNode(chain) as node:
        config = Chain(name="made-up", chain_id=1, rpc=(node.http_url,), confirmations=4, block_time=0.05, journal=8)
        async with running(config, line, lookback=8):
            await line.until(lambda: line.tip == chain.head.hash)
            line.stack = line.stack[-8:]
            chain.reorg(20, 22)
            await line.until(lambda: line.tip == chain.head.hash)
            await line.until(lambda: any("oldest that is kept" in (f.detail or "") for f in line.health))


async def test_start_at_names_the_last_block_taken() -> None:
    chain = MadeUpChain(50)
    async with FakeNode(chain) as node:
        for known in (chain.canonical[40].hash, ""):
            line = Line(chain)
            await once(chain_of(node.http_url), line, start_at=BlockRef(1, 40, known, 0))
            assert [ref.number for ref in line.stack] == list(range(41, 50))


async def test_ranges_and_batches_shrink_until_the_node_takes_them() -> None:
    chain = MadeUpChain(200)
    line = Line(chain)
    async with FakeNode(chain) as node:
        node.max_range, node.max_batch = 7, 3
        await once(chain_of(node.http_url), line, lookback=190)
    assert [ref.hash for ref in line.stack] == [b.hash for b in chain.canonical[9:]]


async def test_progress_is_told() -> None:
    chain = MadeUpChain(101)
    line = Line(chain)
    told: list[Progress] = []
    async with FakeNode(chain) as node:
        await once(chain_of(node.http_url), line, lookback=100, on_progress=told.append)
    assert told[-1] == Progress("made-up", "blocks", 101, 101)
    assert [p.done for p in told] == sorted(p.done for p in told)


async def test_watched_addresses_and_topics_are_the_question() -> None:
    chain = MadeUpChain(40)
    line = Line(chain)
    line.filter = [LogFilter(frozenset({TOKEN}), frozenset({SWAP}))]
    line.wanted_logs = lambda block: tuple(log for log in block.logs if log.address == TOKEN)
    async with FakeNode(chain) as node:
        await once(chain_of(node.http_url), line)
        assert all(f["address"] == [TOKEN] and f["topics"] == [[SWAP]] for f in node.filters)
    line = Line(chain)
    line.filter = [LogFilter(None, frozenset({SWAP}))]
    line.wanted_logs = lambda block: tuple(log for log in block.logs if log.topics[0] == SWAP)
    async with FakeNode(chain) as node:
        await once(chain_of(node.http_url), line)
        assert all("address" not in f and f["topics"] == [[SWAP]] for f in node.filters)
    line = Line(chain)
    line.filter = []
    line.wanted_logs = lambda _: ()
    async with FakeNode(chain) as node:
        await once(chain_of(node.http_url), line)
        assert not node.asked["eth_getLogs"]


async def test_a_filter_that_grows_counts_from_the_next_block() -> None:
    chain = MadeUpChain(90)
    line = Line(chain, lambda number: [Call(TOKEN, "0x01")] if number == 30 else [])
    narrow, wide = [LogFilter(frozenset({TOKEN}), frozenset({SWAP}))], line.filter
    line.filter = narrow
    everything = line.wanted_logs

    def wanted(block: object) -> tuple[object, ...]:
        logs = everything(block)  # type: ignore[arg-type]
        number = block.number  # type: ignore[attr-defined]
        return tuple(log for log in logs if number > 30 or log.address == TOKEN)

    line.wanted_logs = wanted  # type: ignore[assignment]
    emit = line.emit

    async def learn(frame: object) -> None:
        await emit(frame)  # type: ignore[arg-type]
        if isinstance(frame, ReadsFrame):
            line.filter = wide

    line.emit = learn  # type: ignore[method-assign]
    async with FakeNode(chain) as node:
        await once(chain_of(node.http_url), line, lookback=70)
    assert len(line.stack) == 71
