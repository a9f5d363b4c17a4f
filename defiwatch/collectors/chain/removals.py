"""Logs that a node takes back (`removed: true`), by a subscription: a hint that the chain is another one now.

Nothing else is taken from it: what the logs are is asked by block hash. Providers bill what they send, so it is opened
only where the user wants it (`subscribe_logs`), and only for the addresses that are watched.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from defiwatch.collectors.chain.filters import Query, Wanted
from defiwatch.collectors.wire import LOG, Rpc, Subscription, WebSocketRpc
from defiwatch.domain.frames import RawLog
from defiwatch.errors import AnswerError, EndpointError

_LEAST_S = 60.0
"""Seconds between two openings: what is watched changes often while it is being found."""


class Removals:
    """Calls `hint` when a log was taken back by the endpoint that serves."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint
        self._rpc: Rpc | None = None
        self._queries: Sequence[Query] = ()
        self._opened_at = float("-inf")
        self._opened: list[tuple[WebSocketRpc, Subscription[RawLog]]] = []
        self._task: asyncio.Task[None] | None = None

    def follow(self, rpc: Rpc | None, wanted: Wanted) -> None:
        """Listen to that endpoint, for what is wanted now; where it is no websocket, to none."""
        queries = tuple(query for query in wanted.queries if query.addresses)
        if rpc is self._rpc and queries == self._queries:
            return
        now = asyncio.get_running_loop().time()
        if rpc is self._rpc and now - self._opened_at < _LEAST_S:
            return
        self._end()
        stale, self._opened = self._opened, []
        self._rpc, self._queries, self._opened_at = rpc, queries, now
        listens = isinstance(rpc, WebSocketRpc) and queries
        if listens or stale:
            self._task = asyncio.create_task(self._listen(rpc, queries, stale), name="removed logs")

    async def close(self) -> None:
        """Listen no more."""
        task = self._task
        self._end()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def raise_faults(self) -> None:
        """A fault of ours comes out here."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = None

    async def _listen(
        self, rpc: Rpc | None, queries: Sequence[Query], stale: Sequence[tuple[WebSocketRpc, Subscription[RawLog]]]
    ) -> None:
        """Until the connection is gone, or told to end. A node that has no such subscription is left in peace."""
        for before, subscription in stale:
            with contextlib.suppress(EndpointError):
                await before.unsubscribe(subscription)
        if not isinstance(rpc, WebSocketRpc):
            return
        with contextlib.suppress(EndpointError):
            for query in queries:
                self._opened.append((rpc, await rpc.subscribe(["logs", query.params()], LOG)))
            await asyncio.gather(*(self._each(subscription) for _, subscription in self._opened))

    async def _each(self, subscription: Subscription[RawLog]) -> None:
        while True:
            try:
                log = await subscription.next()
            except AnswerError:
                continue
            if log.removed:
                self._hint()
