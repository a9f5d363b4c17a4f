"""Callers and miners of a node take turns.

anvil 1.7.1 answers an `eth_call` at its newest block from the state of the next one if that is mined meanwhile, also
when the block was named by its hash: of 2,268 blocks read so while others were mined, 828 answered so at least once.
A real node does not; whoever compares runs at blocks that come as fast as here has to keep the two apart.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_TURNS: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def turn(http_url: str) -> threading.Lock:
    """What one holds while it mines on that node, or makes calls to it."""
    return _TURNS[http_url]


@asynccontextmanager
async def calling(http_url: str) -> AsyncIterator[None]:
    """The turn of a caller, awaited."""
    lock = turn(http_url)
    while not lock.acquire(blocking=False):
        await asyncio.sleep(0.002)
    try:
        yield
    finally:
        lock.release()
