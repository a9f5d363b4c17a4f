"""Client CPU per log of `eth_getLogs` and per websocket message, beside web3.py's AsyncWeb3 in the same run.

pytest tests/bench/test_transport.py --benchmark-only -s
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from defiwatch.collectors.wire import HEADER, LOGS, HttpRpc, WebSocketRpc

LOG_COUNT = 5_000
HEAD_COUNT = 2_000
ROUNDS = 4
LEAST_FOR_LOGS = 20.0
LEAST_FOR_MESSAGES = 12.0


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[str, str]]:
    """A node's HTTP and websocket URLs."""
    program = Path(__file__).with_name("canned_node.py")
    with subprocess.Popen(
        [sys.executable, str(program), str(LOG_COUNT), str(HEAD_COUNT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        http, ws = process.stdout.readline().split()
        yield f"http://127.0.0.1:{http}", f"ws://127.0.0.1:{ws}"
        process.stdin.close()


async def our_logs(url: str) -> float:
    rpc = HttpRpc(url)
    await rpc.call("eth_getLogs", [{}], LOGS)
    started = time.process_time()
    logs = await rpc.call("eth_getLogs", [{}], LOGS)
    spent = time.process_time() - started
    assert len(logs) == LOG_COUNT
    await rpc.close()
    return spent / LOG_COUNT


async def their_logs(url: str) -> float:
    from web3 import AsyncHTTPProvider, AsyncWeb3

    web3 = AsyncWeb3(AsyncHTTPProvider(url))
    await web3.eth.get_logs({})
    started = time.process_time()
    logs = await web3.eth.get_logs({})
    spent = time.process_time() - started
    assert len(logs) == LOG_COUNT
    await web3.provider.disconnect()
    return spent / LOG_COUNT


async def our_messages(url: str) -> float:
    rpc = WebSocketRpc(url)
    await rpc.open()
    started = time.process_time()
    heads = await rpc.subscribe(["newHeads"], HEADER)
    last = None
    for _ in range(HEAD_COUNT):
        last = await heads.next()
    spent = time.process_time() - started
    assert last is not None
    assert int(last.number, 16) == HEAD_COUNT
    await rpc.close()
    return spent / HEAD_COUNT


async def their_messages(url: str) -> float:
    from web3 import AsyncWeb3, WebSocketProvider

    async with AsyncWeb3(WebSocketProvider(url, subscription_response_queue_size=HEAD_COUNT + 1)) as web3:
        started = time.process_time()
        await web3.eth.subscribe("newHeads")
        count = 0
        async for message in web3.socket.process_subscriptions():
            count += 1
            if count == HEAD_COUNT:
                assert message["result"]["number"] == HEAD_COUNT
                break
        spent = time.process_time() - started
    return spent / HEAD_COUNT


Measure = Callable[[str], Awaitable[float]]


def compared(ours: Measure, theirs: Measure, url: str, what: str) -> float:
    """How many times less ours takes; the best of several rounds each, taken in turns."""

    async def rounds() -> tuple[float, float]:
        pairs = [(await ours(url), await theirs(url)) for _ in range(ROUNDS)]
        return min(mine for mine, _ in pairs), min(other for _, other in pairs)

    mine, other = asyncio.run(rounds())
    print(f"\n{what}: {1e6 * mine:.2f} us, AsyncWeb3 {1e6 * other:.2f} us: {other / mine:.1f} times less")
    return other / mine


def test_logs(benchmark, node: tuple[str, str]) -> None:  # type: ignore[no-untyped-def]  # it ships no types
    ratio = benchmark.pedantic(compared, args=(our_logs, their_logs, node[0], "a log"), rounds=1)
    benchmark.extra_info["times_less"] = round(ratio, 1)
    assert ratio >= LEAST_FOR_LOGS


def test_messages(benchmark, node: tuple[str, str]) -> None:  # type: ignore[no-untyped-def]
    ratio = benchmark.pedantic(compared, args=(our_messages, their_messages, node[1], "a message"), rounds=1)
    benchmark.extra_info["times_less"] = round(ratio, 1)
    assert ratio >= LEAST_FOR_MESSAGES
