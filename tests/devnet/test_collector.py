"""The chain collector on a real node: through reorgs and a chain that goes back, logs and reads as the node has."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import pytest

from defiwatch.collectors.chain import ChainCollector
from defiwatch.collectors.chain.multicall import MULTICALL3
from defiwatch.commands.check import check
from defiwatch.config import Chain, Config
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, CallResult, Frame, RawLog, ReadsFrame, RemovedFrame
from defiwatch.domain.keccak import selector, topic
from defiwatch.domain.units import from_hex
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import LogFilter, Scan

from .model import Devnet
from .node import RpcError
from .scenario import Scenario

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(120)]

TRANSFER = topic("Transfer(address,address,uint256)")
SUPPLY = selector("totalSupply()")
LONE = "0x" + "0123456789" * 4
REVERTS = "0x" + "ff" * 4


class Listener:
    """Keeps what comes, and holds it to the chain: linked, each removal the newest."""

    def __init__(self, devnet: Devnet, calls: Sequence[Call] = ()) -> None:
        self.devnet = devnet
        self.calls = calls
        self.stack: list[BlockFrame] = []
        self.removed: list[str] = []
        self.reads: dict[str, dict[Call, CallResult]] = {}
        self.scanned: list[RawLog] = []
        self.searched_to: int | None = None
        self.open: list[Scan] = []
        self.arrived = asyncio.Event()
        self.filter = [LogFilter(None, frozenset({TRANSFER}))]

    async def emit(self, frame: Frame) -> None:
        if isinstance(frame, BlockFrame):
            assert not self.stack or frame.header.parent_hash == self.stack[-1].header.hash
            self.stack.append(frame)
        elif isinstance(frame, RemovedFrame):
            assert self.stack.pop().header.hash == frame.hash
            self.removed.append(frame.hash)
        elif isinstance(frame, ReadsFrame):
            assert self.stack[-1].header.hash == frame.block_hash
            self.reads[frame.block_hash] = {Call(one.to, one.data): one for one in frame.calls}
        self.arrived.set()
        await asyncio.sleep(0)

    def filters(self) -> Sequence[LogFilter]:
        return self.filter

    def wants(self) -> Sequence[Call]:
        return () if self.stack[-1].header.hash in self.reads else self.calls

    def scans(self) -> Sequence[Scan]:
        return self.open

    def searched(self, scan: Scan, first: int) -> None:
        self.searched_to = first

    def on_scan(self, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:
        self.scanned += logs
        return ()

    def blocks(self) -> Sequence[BlockRef]:
        return ()

    def at_head(self) -> bool:
        head = self.devnet.chain.node.block("latest")["hash"]
        return bool(self.stack) and self.stack[-1].header.hash == head and (not self.calls or head in self.reads)

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not what():
                self.arrived.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await self.arrived.wait()

    def check(self, devnet: Devnet) -> int:
        """Every block's logs and reads against the node's own; how many logs there were."""
        count = 0
        for frame in self.stack:
            query = {"blockHash": frame.header.hash, "topics": [TRANSFER]}
            theirs = [msgspec.convert(raw, RawLog) for raw in devnet.chain.node.rpc("eth_getLogs", query)]
            assert list(frame.logs) == theirs
            count += len(theirs)
            number = from_hex(frame.header.number)
            assert devnet.chain.node.block(number)["hash"] == frame.header.hash
            for call, answer in self.reads.get(frame.header.hash, {}).items():
                try:
                    expected = devnet.chain.node.rpc("eth_call", {"to": call.to, "data": call.data}, hex(number))
                except RpcError:
                    assert answer.result is None
                    assert answer.error is not None
                else:
                    assert answer.result == expected
        return count


@contextlib.asynccontextmanager
async def collecting(listener: Listener, urls: Sequence[str], lookback: int) -> AsyncIterator[None]:
    chain = Chain(name="devnet", chain_id=31337, rpc=tuple(urls), confirmations=4, block_time=0.05)
    task = asyncio.create_task(ChainCollector(chain, listener, listener.emit, lookback=lookback).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def urls_of(devnet: Devnet, transport: str) -> list[str]:
    node = devnet.chain.node
    return {"ws": [node.ws_url], "http": [node.http_url], "both": [node.http_url, node.ws_url]}[transport]


@pytest.mark.parametrize("transport", ["ws", "http", "both"] if os.environ.get("DEFIWATCH_SOAK") else ["ws", "http"])
async def test_through_the_storys_reorg(devnet: Devnet, scenario: Scenario, transport: str) -> None:
    calls = [Call(token.address, SUPPLY) for token in devnet.tokens.values()]
    calls += [Call(LONE, SUPPLY), Call(devnet.tokens["WETH"].address, REVERTS)]
    steps = scenario.steps()
    for step in steps:
        step.run()
        if step.phase == "crash":
            break
    listener = Listener(devnet, calls)
    async with collecting(listener, urls_of(devnet, transport), lookback=30):
        await listener.until(listener.at_head)
        for step in steps:
            await asyncio.to_thread(step.run)
            await listener.until(listener.at_head)
            if step.phase == "drain":
                break
    assert len(listener.removed) == 3
    assert listener.check(devnet) > 100
    assert all(len(answers) == len(calls) for answers in listener.reads.values())
    assert set(listener.reads) >= {frame.header.hash for frame in listener.stack}


async def test_a_chain_that_goes_back_without_a_successor(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    listener = Listener(devnet)
    async with collecting(listener, [node.ws_url], lookback=5):
        await listener.until(listener.at_head)
        kept = node.snapshot()
        for _ in range(4):
            await asyncio.to_thread(node.mine)
        await listener.until(listener.at_head)
        await asyncio.to_thread(node.revert, kept)
        await listener.until(listener.at_head)
        assert len(listener.removed) == 4
        await asyncio.to_thread(node.reorg, 2)
        await listener.until(listener.at_head)
    assert len(listener.removed) == 6
    listener.check(devnet)


async def test_history_is_searched(devnet: Devnet, scenario: Scenario) -> None:
    weth = devnet.tokens["WETH"].address
    listener = Listener(devnet)
    listener.open = [Scan("transfers", (weth,), ((TRANSFER,),))]
    chain = Chain(name="devnet", chain_id=31337, rpc=(devnet.chain.node.http_url,), confirmations=4, block_time=0.2)
    await ChainCollector(chain, listener, listener.emit, lookback=2, until_head=True).run()
    start = from_hex(listener.stack[0].header.number)
    query = {"fromBlock": "0x0", "toBlock": hex(start), "address": weth, "topics": [TRANSFER]}
    theirs = [msgspec.convert(raw, RawLog) for raw in devnet.chain.node.rpc("eth_getLogs", query)]
    assert theirs
    assert {log.transaction_hash for log in listener.scanned} >= {log.transaction_hash for log in theirs}


async def test_check_on_a_real_node(devnet: Devnet) -> None:
    node = devnet.chain.node
    chain = Chain(name="devnet", chain_id=31337, rpc=(node.ws_url, node.http_url), block_time=1e9)
    report = await check(Config(chains=(chain,)))
    assert report.verdict == "ok"
    for one in report.chains[0].endpoints:
        assert (one.chain_id, one.head, one.error) == (31337, node.height(), "")
        assert (one.multicall, one.pinned_reads, one.proof, one.batch) == (True, True, True, 100)
    assert [one.subscription for one in report.chains[0].endpoints] == [True, None]
    assert MULTICALL3.startswith("0xca11")
