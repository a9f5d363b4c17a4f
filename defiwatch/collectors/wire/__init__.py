"""Thin JSON-RPC over HTTP and websockets: bytes in, frames' own types out, every refusal told apart.

The hot path has no web3: an `eth_getLogs` answer becomes `RawLog`s in one pass of msgspec.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from defiwatch.collectors.wire.budget import Budget
from defiwatch.collectors.wire.faults import Fault, refused, refused_http, scrub
from defiwatch.collectors.wire.http import HttpRpc
from defiwatch.collectors.wire.messages import ANY, FLAG, HEADER, LOG, LOGS, TEXT, Shape
from defiwatch.collectors.wire.rate import Rate
from defiwatch.collectors.wire.rpc import Question, Rpc
from defiwatch.collectors.wire.websocket import Subscription, WebSocketRpc

__all__ = [
    "ANY",
    "FLAG",
    "HEADER",
    "LOG",
    "LOGS",
    "TEXT",
    "Budget",
    "Fault",
    "HttpRpc",
    "Question",
    "Rate",
    "Rpc",
    "Shape",
    "Subscription",
    "WebSocketRpc",
    "connect",
    "refused",
    "refused_http",
    "scrub",
]


async def connect(url: str, *, timeout: float = 20.0) -> Rpc:  # noqa: ASYNC109 - the transports' own, kept per request
    """An endpoint ready to be asked, by the URL's scheme. EndpointError if a websocket cannot be opened."""
    if urlsplit(url).scheme in ("ws", "wss"):
        rpc = WebSocketRpc(url, timeout=timeout)
        await rpc.open()
        return rpc
    return HttpRpc(url, timeout=timeout)
