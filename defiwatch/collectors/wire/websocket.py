"""JSON-RPC over one websocket: requests by id, subscriptions beside them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from defiwatch import __version__
from defiwatch.collectors.wire.faults import refused, scrub
from defiwatch.collectors.wire.messages import MESSAGE, MESSAGES, TEXT, Answer, Message, Note, Shape, request, requests
from defiwatch.collectors.wire.rpc import Question, Rpc
from defiwatch.errors import AnswerError, EndpointError, NodeError

T = TypeVar("T")

_MAX_MESSAGE = 256 * 1024 * 1024
_KEPT_NOTES = 256


class Subscription(Generic[T]):
    """What a subscription brings, in order. When nobody takes them, the oldest notes beyond 256 are dropped."""

    def __init__(self, shape: Shape[T]) -> None:
        self.id = ""
        self.shape = shape
        self._notes: deque[msgspec.Raw] = deque(maxlen=_KEPT_NOTES)
        self._arrived = asyncio.Event()
        self._ended: EndpointError | None = None

    def put(self, note: msgspec.Raw) -> None:
        """Take one note from the connection."""
        self._notes.append(note)
        self._arrived.set()

    def end(self, error: EndpointError) -> None:
        """The connection is gone: whoever waits gets `error` after what came before."""
        self._ended = error
        self._arrived.set()

    async def next(self) -> T:
        """The next note. EndpointError once the connection is gone, AnswerError for one that does not fit."""
        while not self._notes:
            if self._ended is not None:
                raise self._ended
            self._arrived.clear()
            await self._arrived.wait()
        note = self._notes.popleft()
        try:
            return self.shape.bare(note)
        except msgspec.MsgspecError as error:
            raise AnswerError(f"subscription {self.id}: {error}") from error


class WebSocketRpc(Rpc):
    """An endpoint over a websocket. `open` first. `timeout` in seconds, for opening and for each answer.

    Once the connection is lost every call raises EndpointError: open a new one.
    """

    def __init__(self, url: str, *, timeout: float = 20.0) -> None:
        super().__init__(url)
        self._timeout = timeout
        self._number = 0
        self._connection: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._opening: dict[int, Subscription[object]] = {}
        self._subscriptions: dict[str, Subscription[object]] = {}
        self._early: deque[tuple[str, msgspec.Raw]] = deque(maxlen=_KEPT_NOTES)
        self._lost = EndpointError(f"{self.name}: not connected")

    async def open(self) -> None:
        """Connect. EndpointError if that fails."""
        try:
            self._connection = await connect(
                self.url,
                open_timeout=self._timeout,
                close_timeout=1.0,
                max_size=_MAX_MESSAGE,
                max_queue=256,
                compression=None,
                user_agent_header=f"defiwatch/{__version__}",
            )
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, EOFError) as error:
            words = scrub(str(error), self.url) or type(error).__name__
            raise EndpointError(f"{self.name}: cannot connect: {words}") from error
        self._reader = asyncio.create_task(self._read(self._connection), name=f"websocket {self.name}")

    async def call(self, method: str, params: Sequence[object], shape: Shape[T]) -> T:
        """Ask one question."""
        self._number += 1
        number = self._number
        await self._spend(1)
        (message,) = await self._ask(request(number, method, params), [number], method)
        return self._decoded(self._value(_answer(message), method), method, shape)

    async def batch(self, questions: Sequence[Question], shape: Shape[T]) -> list[T | NodeError]:
        """Ask many at once."""
        if not questions:
            return []
        first = self._number + 1
        self._number += len(questions)
        await self._spend(len(questions))
        numbers = list(range(first, first + len(questions)))
        messages = await self._ask(requests(first, questions), numbers, f"batch of {len(questions)}")
        return self._each([_answer(message) for message in messages], first, questions, shape)

    async def subscribe(self, what: Sequence[object], shape: Shape[T]) -> Subscription[T]:
        """`eth_subscribe` with the parameters `what`, e.g. ["newHeads"]. NodeError where the node has none."""
        subscription: Subscription[T] = Subscription(shape)
        self._number += 1
        number = self._number
        await self._spend(1)
        # Registered by the reader itself: the first note may follow the answer in the same packet.
        self._opening[number] = subscription  # type: ignore[assignment]  # one dict for every note's type
        try:
            (message,) = await self._ask(request(number, "eth_subscribe", what), [number], "eth_subscribe")
        finally:
            self._opening.pop(number, None)
        subscription.id = self._decoded(self._value(_answer(message), "eth_subscribe"), "eth_subscribe", TEXT)
        return subscription

    async def unsubscribe(self, subscription: Subscription[T]) -> None:
        """End a subscription."""
        self._subscriptions.pop(subscription.id, None)
        self._number += 1
        number = self._number
        await self._spend(1)
        await self._ask(request(number, "eth_unsubscribe", [subscription.id]), [number], "eth_unsubscribe")

    async def close(self) -> None:
        """Close the connection; whoever waits for an answer gets EndpointError."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
        connection, self._connection = self._connection, None
        self._drop(EndpointError(f"{self.name}: the connection was closed"))
        if connection is not None:
            await connection.close()

    async def _ask(self, content: bytes, numbers: Sequence[int], what: str) -> list[Message]:
        connection = self._connection
        if connection is None:
            raise self._lost
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in numbers]
        self._waiting.update(zip(numbers, futures, strict=True))
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                await connection.send(content, text=True)
                messages = await asyncio.gather(*futures)
        except TimeoutError as error:
            raise EndpointError(f"{self.name}: {what}: no answer within {self._timeout:g} s") from error
        except ConnectionClosed as error:
            raise EndpointError(f"{self.name}: {what}: {scrub(str(error), self.url)}") from error
        finally:
            for number, future in zip(numbers, futures, strict=True):
                self._waiting.pop(number, None)
                if future.done() and not future.cancelled():
                    future.exception()
        self._timed(time.perf_counter() - started)
        return messages

    async def _read(self, connection: ClientConnection) -> None:
        """Hand every message to whoever waits for it, until the connection ends."""
        try:
            while True:
                self._take(await connection.recv(decode=False))
        except ConnectionClosed as error:
            self._drop(EndpointError(f"{self.name}: connection lost: {scrub(str(error), self.url)}"))

    def _take(self, data: bytes) -> None:
        try:
            messages = MESSAGES.decode(data) if data[:1] == b"[" else (MESSAGE.decode(data),)
        except msgspec.MsgspecError as error:
            # Without a readable id nobody can be told but all who wait.
            self._fail(AnswerError(f"{self.name}: a message that is no JSON-RPC: {error}"))
            return
        for message in messages:
            if message.params is not None:
                self._note(message.params)
            elif isinstance(message.id, int):
                self._settle(message.id, message)
            elif message.error is not None:
                self._fail(refused(message.error, self.url, "request"))

    def _note(self, note: Note) -> None:
        subscription = self._subscriptions.get(note.subscription)
        if subscription is not None:
            subscription.put(note.result)
        elif self._opening:
            self._early.append((note.subscription, note.result))

    def _settle(self, number: int, message: Message) -> None:
        opening = self._opening.get(number)
        if opening is not None and isinstance(message.result, msgspec.Raw):
            name = bytes(message.result).strip(b'" ').decode("utf-8", "replace")
            self._subscriptions[name] = opening
            for early, note in self._early:
                if early == name:
                    opening.put(note)
            self._early.clear()
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_result(message)

    def _fail(self, error: EndpointError) -> None:
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(error)

    def _drop(self, error: EndpointError) -> None:
        """The connection is gone: tell everybody."""
        self._lost = error
        self._connection = None
        self._fail(error)
        for subscription in self._subscriptions.values():
            subscription.end(error)
        self._subscriptions.clear()


def _answer(message: Message) -> Answer[msgspec.Raw]:
    return Answer(message.id, message.result, message.error)
