"""JSON-RPC 2.0 messages, and the shapes of the answers that are asked for.

A shape decodes an answer straight into its type: the reply to `eth_getLogs` becomes `RawLog`s in one pass.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from defiwatch.collectors.wire.faults import Fault
from defiwatch.domain.frames import Header, RawLog

T = TypeVar("T")


class Answer(msgspec.Struct, Generic[T], frozen=True):
    """One answer. `id` is None where the server could not tell which request it was."""

    id: int | str | None = None
    result: T | msgspec.UnsetType = msgspec.UNSET
    error: Fault | None = None


class Note(msgspec.Struct, frozen=True):
    """What a subscription brings: its id, and the payload not yet decoded."""

    subscription: str
    result: msgspec.Raw


class Message(msgspec.Struct, frozen=True):
    """Anything that comes over a websocket: an answer or a subscription's note."""

    id: int | str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: Fault | None = None
    params: Note | None = None


_LARGE = 1 << 16


class Shape(Generic[T]):
    """A type that answers have, read bare or inside an answer. msgspec's errors come out as they are."""

    __slots__ = ("_answer", "_bare")

    def __init__(self, kind: Any) -> None:
        self._bare: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._answer: msgspec.json.Decoder[Answer[T]] = msgspec.json.Decoder(Answer[kind])

    def bare(self, data: bytes | msgspec.Raw) -> T:
        """The value of some JSON."""
        return _calmly(self._bare.decode, data) if len(data) > _LARGE else self._bare.decode(data)

    def answer(self, data: bytes) -> Answer[T]:
        """The answer that some JSON is."""
        return _calmly(self._answer.decode, data) if len(data) > _LARGE else self._answer.decode(data)


def _calmly(decode: Callable[[bytes | msgspec.Raw], T], data: bytes | msgspec.Raw) -> T:
    """Decode with the garbage collector paused: among thousands of logs it finds nothing, at a third of the cost."""
    if not gc.isenabled():
        return decode(data)
    gc.disable()
    try:
        return decode(data)
    finally:
        gc.enable()


TEXT: Shape[str] = Shape(str)
FLAG: Shape[bool] = Shape(bool)
HEADER: Shape[Header | None] = Shape(Header | None)
LOG: Shape[RawLog] = Shape(RawLog)
LOGS: Shape[tuple[RawLog, ...]] = Shape(tuple[RawLog, ...])
ANY: Shape[Any] = Shape(Any)

ANSWERS = msgspec.json.Decoder(list[Answer[msgspec.Raw]])
"""A batch of answers, payloads not yet decoded; in any order."""

FAULTY = msgspec.json.Decoder(Answer[msgspec.Raw])
"""One answer of unknown content: what a server sends in place of a batch, or with an HTTP error."""

MESSAGE = msgspec.json.Decoder(Message)
MESSAGES = msgspec.json.Decoder(list[Message])

_encode = msgspec.json.Encoder().encode


def request(number: int, method: str, params: Sequence[object]) -> bytes:
    """One request as JSON."""
    return _encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


def requests(first: int, calls: Sequence[tuple[str, Sequence[object]]]) -> bytes:
    """A batch of requests as JSON, numbered from `first`."""
    return _encode(
        [
            {"jsonrpc": "2.0", "id": first + i, "method": method, "params": params}
            for i, (method, params) in enumerate(calls)
        ]
    )
