"""The chain collector against an in-process node: what arrives is the chain, whatever the node does meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from defiwatch.collectors.chain import ChainCollector, Progress
from defiwatch.config import Chain
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, HealthFrame, ReadsFrame
from defiwatch.domain.units import from_hex
from defiwatch.errors import ConfigError, SourceError, WrongChainError
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import LogFilter, Scan
from tests.unit.collectors.fake_node import REVERT_DATA, FakeNode, RefusalError, word
from tests.unit.collectors.line import Line, chain_of
from tests.unit.collectors.made_up_chain import SWAP, TOKEN, MadeUp, MadeUpChain


def collector(chain: Chain, line: Line, **settings: object) -> ChainCollector:
    settings.setdefault("lookback", 20)
    settings.setdefault("timeout", 2.0)
    return ChainCollector(chain, line, line.emit, wall=lambda: 1_700_000_000.0, **settings)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def running(chain: Chain, line: Line, **settings: object) -> AsyncIterator[ChainCollector]:
    one = collector(chain, line, **settings)
    task = asyncio.create_task(one.run())
    try:
        yield one
        assert not task.done() or task.result() is None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def once(chain: Chain, line: Line, **settings: object) -> None:
    async with asyncio.timeout(20):
        await collector(chain, line, until_head=True, **settings).run()


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


# -- reads ---------------------------------------------------------------------------------------------------------


def some_calls(number: int) -> list[Call]:
    return [Call(TOKEN, f"0x{i:08x}") for i in range(7)] + [Call(TOKEN, "0xdead0001"), Call(TOKEN, "0xbad00001")]


def check_answers(line: Line, chain: MadeUpChain, block_hash: str) -> None:
    block = chain.blocks[block_hash]
    for call, answer in line.answers[block_hash].items():
        if call.data.startswith("0xdead"):
            data = answer.error["data"] if isinstance(answer.error, dict) else answer.error
            assert (answer.result, data) == (None, REVERT_DATA)
        elif call.data.startswith("0xbad0"):
            assert answer.result is None
            assert answer.error is not None
        else:
            assert answer.result == word(call.to, call.data, block)


@pytest.mark.parametrize("multicall", [True, False])
@pytest.mark.parametrize("block_objects", [True, False])
async def test_reads_are_of_their_block_and_every_round_is_one_frame(multicall: bool, block_objects: bool) -> None:
    chain = MadeUpChain(30)
    line = Line(chain, some_calls)
    line.rounds = 3
    async with FakeNode(chain) as node:
        node.multicall, node.block_objects = multicall, block_objects
        await once(chain_of(node.http_url), line, lookback=4)
    assert set(line.answers) == {ref.hash for ref in line.stack}
    for ref in line.stack:
        assert len(line.answers[ref.hash]) == 27
        check_answers(line, chain, ref.hash)
        assert len([frame for frame in line.reads if frame.block_hash == ref.hash]) == 3


async def test_one_frame_a_round_however_the_reads_were_cut() -> None:
    chain = MadeUpChain(10)
    line = Line(chain, lambda _: [Call(TOKEN, f"0x{i:08x}") for i in range(900)])
    async with FakeNode(chain) as node:
        node.max_calls, node.max_batch = 40, 10
        await once(chain_of(node.http_url), line, lookback=1)
        assert node.asked["eth_call"] < 120
    for frame in line.reads:
        assert len(frame.calls) == 900
        assert [c.data for c in frame.calls] == [f"0x{i:08x}00" for i in range(900)]
    check_answers(line, chain, line.tip)


async def test_gas_that_runs_out_inside_a_multicall_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls whose turn came after the gas was gone fail without a word; asked by themselves they answer."""
    chain = MadeUpChain(10)
    line = Line(chain, lambda _: [Call(TOKEN, f"0x{i:08x}") for i in range(30)])
    async with FakeNode(chain) as node:
        plain, whole = node._contract, node._call
        spent = 0

        def fresh(call: dict[str, str], where: object) -> str:
            nonlocal spent
            spent = 0
            return whole(call, where)

        def starved(to: str, data: str, block: MadeUp) -> str:
            nonlocal spent
            spent += 1
            if spent > 20:
                raise RefusalError(-32000, "out of gas")
            return plain(to, data, block)

        monkeypatch.setattr(node, "_call", fresh)
        monkeypatch.setattr(node, "_contract", starved)
        await once(chain_of(node.http_url), line, lookback=0)
    assert len(line.answers[line.tip]) == 30
    check_answers(line, chain, line.tip)


async def test_old_blocks_are_not_read_where_the_state_is_gone() -> None:
    chain = MadeUpChain(200)
    line = Line(chain, lambda _: [Call(TOKEN, "0x01")])
    async with FakeNode(chain) as node:
        node.oldest_state = 170
        await once(chain_of(node.http_url), line, lookback=150)
        assert node.asked["eth_call"] < 60
    numbers = [from_hex(frame.block) for frame in line.reads]
    assert numbers
    assert min(numbers) >= 170
    assert numbers[-1] == 199
    assert numbers == list(range(numbers[0], 200))


async def test_reads_are_coalesced_by_block_time() -> None:
    chain = MadeUpChain(60)
    line = Line(chain, lambda _: [Call(TOKEN, "0x01")])
    async with FakeNode(chain) as node:
        await once(chain_of(node.http_url, reads="48s"), line, lookback=40)
    numbers = [from_hex(frame.block) for frame in line.reads]
    assert numbers[:4] == [19, 23, 27, 31]
    assert numbers[-1] == 59


async def test_history_is_searched_and_leads_to_reads() -> None:
    chain = MadeUpChain(120)
    line = Line(chain)
    line.open_scans = [Scan("holders", (TOKEN,), ((SWAP,),), from_block=10)]
    line.scan_calls = lambda logs: [Call(TOKEN, log.block_hash or "") for log in logs]
    async with FakeNode(chain) as node:
        node.max_range = 9
        await once(chain_of(node.http_url), line, lookback=20)
    expected = {log.transaction_hash for b in chain.canonical[10:100] for log in b.logs if log.address == TOKEN}
    assert {log.transaction_hash for log in line.scanned} >= expected
    assert {c.data for f in line.reads for c in f.calls} >= {
        b.hash for b in chain.canonical[10:100] if any(log.address == TOKEN for log in b.logs)
    }


async def test_a_piece_of_history_is_searched_once_its_reads_are_answered() -> None:
    chain = MadeUpChain(60)
    line = Line(chain)
    line.open_scans = [Scan("holders", (TOKEN,), ((SWAP,),), from_block=10)]
    line.scan_calls = lambda logs: [Call(TOKEN, log.block_hash or "") for log in logs]
    async with FakeNode(chain) as node:
        node.oldest_state = 10**9
        async with running(chain_of(node.http_url), line, lookback=20):
            await line.until(lambda: bool(line.scanned))
            assert (line.searched_to, line.reads) == (None, [])
            node.oldest_state = 0
            await line.until(lambda: line.searched_to == 10)
    expected = {b.hash for b in chain.canonical[10:40] if any(log.address == TOKEN for log in b.logs)}
    assert {c.data for f in line.reads for c in f.calls} >= expected


# -- endpoints -----------------------------------------------------------------------------------------------------


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
        await line.until(lambda: line.states("127.0.0.1")[-1] == "live")
    assert "limited" in line.states("127.0.0.1")


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
