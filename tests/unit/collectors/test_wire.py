"""Both transports: typed answers, errors told apart, secrets masked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from defiwatch.collectors.wire import HEADER, LOGS, TEXT, HttpRpc, Rpc, WebSocketRpc, connect
from defiwatch.domain.frames import Header, RawLog
from defiwatch.errors import AnswerError, EndpointError, LimitError, NodeError
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.made_up_chain import TOKEN, MadeUpChain

URL = "https://rpc.example.org/v3/0123456789abcdef0123456789abcdef"


def mocked(answer: Callable[[object], httpx.Response]) -> HttpRpc:
    return HttpRpc(URL, transport=httpx.MockTransport(lambda request: answer(json.loads(request.content))))


def result(value: object, number: int = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "result": value}


def _always(response: httpx.Response, _: httpx.Request) -> httpx.Response:
    return response


async def test_a_header_and_logs_come_typed() -> None:
    raw = {
        "address": TOKEN,
        "topics": ["0x01"],
        "data": "0x",
        "blockNumber": "0x5",
        "logIndex": "0x0",
        "removed": False,
    }
    rpc = mocked(lambda _: httpx.Response(200, json=result([raw])))
    assert await rpc.call("eth_getLogs", [{}], LOGS) == (
        RawLog(TOKEN, ("0x01",), "0x", block_number="0x5", log_index="0x0"),
    )
    await rpc.close()
    rpc = mocked(lambda _: httpx.Response(200, json=result({"number": "0x1", "timestamp": "0x2", "extra": [1]})))
    assert await rpc.call("eth_getBlockByNumber", ["0x1", False], HEADER) == Header("0x1", "0x2")
    await rpc.close()
    rpc = mocked(lambda _: httpx.Response(200, json=result(None)))
    assert await rpc.call("eth_getBlockByNumber", ["0x9", False], HEADER) is None
    await rpc.close()


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, content=b'{"jsonrpc":"2.0","id":1,"result":[{"addr'),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=result({"number": 5, "timestamp": "0x1"})),
        httpx.Response(200, json={"jsonrpc": "2.0", "id": 1}),
        httpx.Response(400, content=b"what?"),
    ],
)
async def test_nonsense_is_an_answer_error(response: httpx.Response) -> None:
    rpc = mocked(lambda _: response)
    with pytest.raises(AnswerError) as caught:
        await rpc.call("eth_getBlockByNumber", ["latest", False], HEADER)
    assert "0123456789abcdef" not in str(caught.value)
    assert "rpc.example.org" in str(caught.value)
    await rpc.close()


async def test_errors_by_status_and_by_body() -> None:
    limit = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32614, "message": "eth_getLogs is limited to a 5 range"}}
    rpc = mocked(lambda _: httpx.Response(413, json=limit))
    with pytest.raises(LimitError) as caught:
        await rpc.call("eth_getLogs", [{}], LOGS)
    assert caught.value.too_large
    await rpc.close()
    rpc = mocked(lambda _: httpx.Response(429, headers={"retry-after": "3"}, json=limit))
    with pytest.raises(LimitError) as caught:
        await rpc.call("eth_getLogs", [{}], LOGS)
    assert (caught.value.too_large, caught.value.retry_after) == (False, 3.0)
    await rpc.close()


async def test_a_dead_connection_is_an_endpoint_error() -> None:
    def die(_: object) -> httpx.Response:
        raise httpx.ConnectError(f"no route to {URL}")

    rpc = mocked(die)
    with pytest.raises(EndpointError) as caught:
        await rpc.call("eth_chainId", [], TEXT)
    assert "0123456789abcdef" not in str(caught.value)
    await rpc.close()


async def test_a_batch_comes_back_in_the_order_asked() -> None:
    def answer(requests: object) -> httpx.Response:
        assert isinstance(requests, list)
        answers: list[object] = [
            result(item["params"][0], item["id"])
            if item["params"][0] != "bad"
            else {
                "jsonrpc": "2.0",
                "id": item["id"],
                "error": {"code": 3, "message": "execution reverted", "data": "0x08"},
            }
            for item in requests
        ]
        return httpx.Response(200, json=answers[::-1])

    rpc = mocked(answer)
    first, second, third = await rpc.batch([("m", ["a"]), ("m", ["bad"]), ("m", ["c"])], TEXT)
    assert (first, third) == ("a", "c")
    assert isinstance(second, NodeError)
    assert second.answer == {"code": 3, "message": "execution reverted", "data": "0x08"}
    assert rpc.requests == 3
    assert await rpc.batch([], TEXT) == []
    await rpc.close()


async def test_a_batch_that_is_refused_or_incomplete() -> None:
    refusal = {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32000, "message": "batch limit 1 exceeded: 2 requests given"},
    }
    for body, kind in (
        (refusal, LimitError),
        ([refusal], LimitError),
        ([result("a", 1)], AnswerError),
        ("hello", AnswerError),
        ([result("a", 1), {"jsonrpc": "2.0", "id": 2, "error": {"code": 429, "message": "compute units"}}], LimitError),
    ):
        response = httpx.Response(200, json=body)
        rpc = HttpRpc(URL, transport=httpx.MockTransport(partial(_always, response)))
        with pytest.raises(kind):
            await rpc.batch([("m", ["a"]), ("m", ["b"])], TEXT)
        await rpc.close()


@pytest.mark.parametrize("binary", [False, True])
async def test_a_websocket_carries_requests_batches_and_subscriptions(binary: bool) -> None:
    chain = MadeUpChain(5)
    async with FakeNode(chain) as node:
        node.binary = binary
        rpc = await connect(node.ws_url)
        assert isinstance(rpc, WebSocketRpc)
        heads = await rpc.subscribe(["newHeads"], HEADER)
        assert await rpc.call("eth_chainId", [], TEXT) == "0x1"
        many = await asyncio.gather(
            *(rpc.call("eth_getBlockByNumber", [hex(n), False], HEADER) for n in range(5)),
        )
        assert [h.hash for h in many if h] == [b.hash for b in chain.canonical]
        batch = await rpc.batch([("eth_getBlockByNumber", [hex(n), False]) for n in range(3)], HEADER)
        assert [h.hash for h in batch if isinstance(h, Header)] == [b.hash for b in chain.canonical[:3]]
        await node.mine()
        await node.mine()
        first, second = await heads.next(), await heads.next()
        assert first is not None
        assert second is not None
        assert [first.hash, second.hash] == [b.hash for b in chain.canonical[-2:]]
        with pytest.raises(NodeError):
            await rpc.call("eth_nothing", [], TEXT)
        await rpc.unsubscribe(heads)
        await rpc.close()
        with pytest.raises(EndpointError):
            await rpc.call("eth_chainId", [], TEXT)


async def test_a_lost_websocket_tells_everybody_who_waits() -> None:
    async with FakeNode(MadeUpChain(2)) as node:
        rpc = await connect(node.ws_url)
        assert isinstance(rpc, WebSocketRpc)
        heads = await rpc.subscribe(["newHeads"], HEADER)
        node.silent = True
        asking = asyncio.create_task(rpc.call("eth_chainId", [], TEXT))
        listening = asyncio.create_task(heads.next())
        await asyncio.sleep(0.05)
        await node.stop_ws()
        for task in (asking, listening):
            with pytest.raises(EndpointError):
                await task
        await rpc.close()


async def test_an_answer_that_never_comes() -> None:
    async with FakeNode(MadeUpChain(2)) as node:
        node.silent = True
        rpcs: list[Rpc] = [HttpRpc(node.http_url, timeout=0.1), await connect(node.ws_url, timeout=0.1)]
        for rpc in rpcs:
            with pytest.raises(EndpointError, match=r"no answer (in time|within 0\.1 s)"):
                await rpc.call("eth_chainId", [], TEXT)
            await rpc.close()


async def test_nobody_there() -> None:
    for url in ("ws://127.0.0.1:9/0123456789abcdef0123", "http://127.0.0.1:9/0123456789abcdef0123"):
        with pytest.raises(EndpointError) as caught:
            rpc = await connect(url)
            try:
                await rpc.call("eth_chainId", [], TEXT)
            finally:
                await rpc.close()
        assert "0123456789abcdef0123" not in str(caught.value)
