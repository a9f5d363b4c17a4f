"""An in-process node that speaks JSON-RPC over HTTP and websockets for a made-up chain, and misbehaves on request."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from defiwatch.collectors.chain.multicall import MULTICALL3
from defiwatch.domain.frames import Header, RawLog
from defiwatch.domain.keccak import keccak, selector
from defiwatch.protocols import abi
from tests.unit.collectors.made_up_chain import MadeUp, MadeUpChain

AGGREGATE3 = selector("aggregate3((address,bool,bytes)[])")
REVERT_DATA = "0x08c379a0" + "00" * 32


class RefusalError(Exception):
    """What the node answers as a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


def word(to: str, data: str, block: MadeUp) -> str:
    """What a contract of the made-up chain answers: other for every address, question and block."""
    return "0x" + keccak(f"{to}{data}{block.hash}".encode()).hex()


class FakeNode:
    """Use as an async context manager. `http_url` and `ws_url` then lead to it. Faults are attributes, see below."""

    def __init__(self, chain: MadeUpChain, chain_id: int = 1) -> None:
        self.chain = chain
        self.chain_id = chain_id
        self.asked: Counter[str] = Counter()
        self.filters: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.open = 0
        """Websocket connections right now."""
        # Faults
        self.max_range = 10**9
        self.max_batch = 10**9
        self.max_calls = 10**9
        self.multicall = True
        self.block_objects = True
        self.subscriptions = True
        self.announces = True
        self.receipts = True
        self.binary = False
        self.oldest_state = 0
        self.lag = 0
        """Shows a head that many blocks below the chain's."""
        self.refuse: list[tuple[int, dict[str, str], str]] = []
        """HTTP answers to give before any other: status, headers, body."""
        self.drop_logs = 0
        """So many answers to eth_getLogs come without logs."""
        self.silent = False
        """Takes requests and never answers."""
        self._http: asyncio.Server | None = None
        self._ws: Server | None = None
        self._subscribers: dict[str, ServerConnection] = {}
        self.log_filters: dict[str, tuple[ServerConnection, dict[str, Any]]] = {}
        """Subscriptions to logs."""
        self._handlers: set[asyncio.Task[None]] = set()
        self._ws_port = 0

    async def __aenter__(self) -> Self:
        self._http = await asyncio.start_server(self._serve_http, "127.0.0.1", 0)
        await self.start_ws()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_http()
        await self.stop_ws()

    async def start_ws(self) -> None:
        self._ws = await serve(self._serve_ws, "127.0.0.1", self._ws_port, close_timeout=0.1)
        self._ws_port = next(iter(self._ws.sockets)).getsockname()[1]

    async def stop_ws(self) -> None:
        if self._ws is not None:
            self._ws.close()
            await self._ws.wait_closed()
            self._ws = None

    async def stop_http(self) -> None:
        if self._http is not None:
            self._http.close()
            for task in self._handlers:
                task.cancel()
            await asyncio.gather(*self._handlers, return_exceptions=True)
            self._http = None

    @property
    def http_url(self) -> str:
        assert self._http is not None
        return f"http://127.0.0.1:{self._http.sockets[0].getsockname()[1]}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self._ws_port}"

    @property
    def head(self) -> MadeUp:
        return self.chain.canonical[max(0, len(self.chain.canonical) - 1 - self.lag)]

    async def announce(self, header: Header | None = None) -> None:
        """Tell every subscriber of a head."""
        shown = json.loads(_json(header or self.head.header))
        for name, connection in list(self._subscribers.items()):
            note = {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": name, "result": shown}}
            with contextlib.suppress(ConnectionClosed):
                await self._send(connection, note)

    async def tell_logs(self, logs: Iterable[RawLog], *, removed: bool = False) -> None:
        """Tell those who subscribed to logs."""
        for log in logs:
            shown = {**json.loads(_json(log)), "removed": removed}
            for name, (connection, wanted) in list(self.log_filters.items()):
                if log.address in wanted["address"] and log.topics[0] in wanted["topics"][0]:
                    note = {"subscription": name, "result": shown}
                    with contextlib.suppress(ConnectionClosed):
                        await self._send(connection, {"jsonrpc": "2.0", "method": "eth_subscription", "params": note})

    async def mine(self, count: int = 1) -> None:
        self.chain.mine(count)
        if self.announces:
            await self.announce()

    async def reorg(self, depth: int, length: int) -> None:
        """As a node does it: the new blocks' heads come one by one, going back in height first."""
        self.chain.reorg(depth, length)
        if self.announces:
            for block in self.chain.canonical[-length:]:
                await self.announce(block.header)

    # -- transports ------------------------------------------------------------------------------------------------

    async def _serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                body = await reader.readexactly(size)
                self.bodies.append(body)
                if self.silent:
                    await asyncio.sleep(3600)
                status, headers, text = self.refuse.pop(0) if self.refuse else (200, {}, self._answer(body))
                lines = [f"HTTP/1.1 {status} X", f"content-length: {len(text.encode())}"]
                lines += [f"{key}: {value}" for key, value in headers.items()]
                writer.write(("\r\n".join(lines) + "\r\n\r\n" + text).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _serve_ws(self, connection: ServerConnection) -> None:
        self.open += 1
        try:
            async for message in connection:
                body = message.encode() if isinstance(message, str) else message
                self.bodies.append(body)
                if self.silent:
                    continue
                await self._send(connection, json.loads(self._answer(body, connection)))
        except ConnectionClosed:
            pass
        finally:
            self.open -= 1
            self._subscribers = {k: c for k, c in self._subscribers.items() if c is not connection}

    async def _send(self, connection: ServerConnection, message: object) -> None:
        text = json.dumps(message)
        await connection.send(text.encode() if self.binary else text)

    # -- answers ---------------------------------------------------------------------------------------------------

    def _answer(self, body: bytes, connection: ServerConnection | None = None) -> str:
        request = json.loads(body)
        if isinstance(request, dict):
            return json.dumps(self._one(request, connection))
        if len(request) > self.max_batch:
            text = f"batch limit {self.max_batch} exceeded: {len(request)} requests given"
            return json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": text}})
        return json.dumps([self._one(item, connection) for item in reversed(request)])

    def _one(self, request: dict[str, Any], connection: ServerConnection | None) -> dict[str, Any]:
        method, params = request["method"], request["params"]
        self.asked[method] += 1
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            answer["result"] = self._result(method, params, connection)
        except RefusalError as refusal:
            answer["error"] = {"code": refusal.code, "message": refusal.message}
            if refusal.data is not None:
                answer["error"]["data"] = refusal.data
        return answer

    def _result(self, method: str, params: list[Any], connection: ServerConnection | None) -> Any:
        if method == "eth_chainId":
            return hex(self.chain_id)
        if method == "eth_blockNumber":
            return hex(self.head.number)
        if method == "eth_getBlockByNumber":
            block = self.head if params[0] == "latest" else self._visible(int(params[0], 16))
            return None if block is None else json.loads(_json(block.header))
        if method == "eth_getBlockByHash":
            found = self.chain.blocks.get(params[0])
            return None if found is None else json.loads(_json(found.header))
        if method == "eth_getLogs":
            return self._logs(params[0])
        if method == "eth_getCode":
            return "0x6001" if self.multicall and params[0] == MULTICALL3 else "0x"
        if method == "eth_call":
            return self._call(params[0], params[1])
        if method == "eth_getBlockReceipts" and self.receipts:
            return self._receipts(params[0])
        if method == "eth_subscribe" and self.subscriptions and connection is not None:
            name = hex(len(self._subscribers) + len(self.log_filters) + 1)
            if params[0] == "logs":
                self.log_filters[name] = (connection, params[1])
            else:
                self._subscribers[name] = connection
            return name
        if method == "eth_unsubscribe":
            return any(kept.pop(params[0], None) is not None for kept in (self._subscribers, self.log_filters))
        raise RefusalError(-32601, f"the method {method} does not exist/is not available")

    def _visible(self, number: int) -> MadeUp | None:
        return self.chain.at(number) if number <= self.head.number else None

    def _receipts(self, where: str) -> Any:
        block = self.chain.blocks.get(where) if len(where) == 66 else self._visible(int(where, 16))
        return None if block is None else json.loads(_json(block.receipts))

    def _logs(self, wanted: dict[str, Any]) -> list[Any]:
        self.filters.append(wanted)
        if "blockHash" in wanted:
            block = self.chain.blocks.get(wanted["blockHash"])
            if block is None:
                raise RefusalError(-32000, "unknown block")
            blocks = [block]
        else:
            first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
            if last - first + 1 > self.max_range:
                raise RefusalError(-32602, f"eth_getLogs is limited to a {self.max_range} range")
            blocks = [block for n in range(first, last + 1) if (block := self._visible(n)) is not None]
        if self.drop_logs:
            self.drop_logs -= 1
            return []
        addresses = wanted.get("address")
        topics = wanted.get("topics")
        return [
            json.loads(_json(log))
            for block in blocks
            for log in block.logs
            if (addresses is None or log.address in addresses)
            and (not topics or topics[0] is None or log.topics[0] in topics[0])
        ]

    def _call(self, call: dict[str, str], where: Any) -> str:
        if isinstance(where, dict):
            if not self.block_objects:
                raise RefusalError(
                    -32602, "invalid argument 1: json: cannot unmarshal object into Go value of type string"
                )
            block = self.chain.blocks.get(where["blockHash"])
        else:
            block = self.head if where == "latest" else self._visible(int(where, 16))
        if block is None:
            raise RefusalError(-32000, "header not found")
        if block.number < self.oldest_state:
            raise RefusalError(-32000, "missing trie node 0123 (path )")
        to, data = call["to"], call["data"]
        if to == MULTICALL3 and data.startswith(AGGREGATE3):
            if not self.multicall:
                return "0x"
            (calls,) = abi.decode(["(address,bool,bytes)[]"], "0x" + data[10:])
            if len(calls) > self.max_calls:
                raise RefusalError(-32000, "out of gas: gas required exceeds allowance")
            found = []
            for inner_to, allowed, inner in calls:
                assert allowed
                try:
                    found.append((True, self._contract(inner_to, inner, block)))
                except RefusalError as refusal:
                    found.append((False, str(refusal.data or "0x")))
            return "0x" + abi.encode(["(bool,bytes)[]"], [found])
        return self._contract(to, data, block)

    def _contract(self, to: str, data: str, block: MadeUp) -> str:
        if data.startswith("0xdead"):
            raise RefusalError(3, "execution reverted: no", REVERT_DATA)
        if data.startswith("0xbad0"):
            raise RefusalError(-32000, "execution reverted")
        return word(to, data, block)


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
