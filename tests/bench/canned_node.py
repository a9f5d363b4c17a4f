"""A node of one answer, in a process of its own so that its work is not counted: `python canned_node.py LOGS HEADS`.

Prints its HTTP and websocket ports. Every eth_getLogs gets the same LOGS logs; every subscription HEADS heads at once.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys

from websockets.asyncio.server import ServerConnection, serve

BLOCK_HASH = "0x" + "ab" * 32


def log(index: int) -> dict[str, object]:
    return {
        "address": "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640",
        "topics": ["0x" + "c4" * 32, "0x" + "00" * 12 + "e5" * 20, "0x" + "00" * 12 + "3f" * 20],
        "data": "0x" + "0123456789abcdef" * 20,
        "blockNumber": hex(19_000_000 + index // 300),
        "blockHash": BLOCK_HASH,
        "transactionHash": f"0x{index:064x}",
        "transactionIndex": hex(index % 300),
        "logIndex": hex(index % 300),
        "removed": False,
    }


def head(number: int) -> dict[str, object]:
    word = "0x" + "cd" * 32
    return {
        "number": hex(number),
        "hash": f"0x{number:064x}",
        "parentHash": f"0x{number - 1:064x}",
        "timestamp": hex(1_700_000_000 + 12 * number),
        "nonce": "0x0000000000000000",
        "sha3Uncles": word,
        "logsBloom": "0x" + "5a" * 256,
        "transactionsRoot": word,
        "stateRoot": word,
        "receiptsRoot": word,
        "miner": "0x" + "11" * 20,
        "difficulty": "0x0",
        "extraData": "0x",
        "gasLimit": "0x1c9c380",
        "gasUsed": "0xe4e1c0",
        "baseFeePerGas": "0x7",
        "mixHash": word,
        "withdrawalsRoot": word,
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": word,
    }


def cork(connection: ServerConnection, *, on: bool) -> None:
    if hasattr(socket, "TCP_CORK"):
        connection.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, int(on))


async def main(logs: int, heads: int) -> None:
    result = json.dumps([log(i) for i in range(logs)])

    def answer(body: bytes) -> str:
        request = json.loads(body)
        found = {"eth_getLogs": result, "eth_subscribe": '"0x1"', "eth_chainId": '"0x1"'}.get(request["method"], "null")
        return f'{{"jsonrpc":"2.0","id":{json.dumps(request["id"])},"result":{found}}}'

    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                size = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
                text = answer(await reader.readexactly(size)).encode()
                start = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
                writer.write(start.encode() + text)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def websocket(connection: ServerConnection) -> None:
        async for message in connection:
            body = message.encode() if isinstance(message, str) else message
            await connection.send(answer(body))
            if b"eth_subscribe" in body:
                # Many messages to a packet, so that the client's work is counted and not how often it is woken.
                cork(connection, on=True)
                for number in range(1, heads + 1):
                    note = {"subscription": "0x1", "result": head(number)}
                    await connection.send(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": note}))
                cork(connection, on=False)

    http_server = await asyncio.start_server(http, "127.0.0.1", 0)
    async with http_server, serve(websocket, "127.0.0.1", 0, compression=None) as ws_server:
        ports = [http_server.sockets[0].getsockname()[1], next(iter(ws_server.sockets)).getsockname()[1]]
        print(*ports, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
