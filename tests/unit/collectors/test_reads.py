"""Reads of a chain collector: of their very block, round by round, and what history leads to."""

from __future__ import annotations

import asyncio

import pytest

from defiwatch.domain.units import from_hex
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import Scan
from tests.unit.collectors.fake_node import REVERT_DATA, FakeNode, RefusalError, word
from tests.unit.collectors.follow import collector, once, running
from tests.unit.collectors.line import Line, chain_of
from tests.unit.collectors.made_up_chain import SWAP, TOKEN, MadeUp, MadeUpChain


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


@pytest.mark.parametrize(("code", "message"), [(-32000, "header not found"), (-32001, "Resource not found")])
@pytest.mark.parametrize("multicall", [True, False])
async def test_a_block_that_a_node_lost_is_no_answer_and_no_limit(
    code: int, message: str, multicall: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = MadeUpChain(10)
    line = Line(chain, lambda _: [Call(TOKEN, f"0x{i:08x}") for i in range(30)])
    async with FakeNode(chain) as node:
        node.multicall = multicall
        whole = node._call
        lost = 3

        def forgetful(call: dict[str, str], where: object) -> str:
            nonlocal lost
            if lost:
                lost -= 1
                raise RefusalError(code, message)
            return whole(call, where)

        monkeypatch.setattr(node, "_call", forgetful)
        one = collector(chain_of(node.http_url), line, until_head=True, lookback=0)
        async with asyncio.timeout(20):
            await one.run()
        assert (one._follower.reads.chunk, one._follower.reads.batch) == (250, 50)
    assert len(line.answers[line.tip]) == 30
    check_answers(line, chain, line.tip)
