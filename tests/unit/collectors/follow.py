"""A chain collector on a made-up chain, for as long as a test needs it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from defiwatch.collectors.chain import ChainCollector
from defiwatch.config import Chain
from tests.unit.collectors.line import Line


def collector(chain: Chain, line: Line, **settings: object) -> ChainCollector:
    settings.setdefault("lookback", 20)
    settings.setdefault("timeout", 2.0)
    return ChainCollector(chain, line, line.emit, wall=lambda: 1_700_000_000.0, **settings)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def running(chain: Chain, line: Line, **settings: object) -> AsyncIterator[ChainCollector]:
    one = collector(chain, line, **settings)
    task = asyncio.create_task(one.run())
    try:
        yield one
        assert not task.done() or task.result() is None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def once(chain: Chain, line: Line, **settings: object) -> None:
    async with asyncio.timeout(20):
        await collector(chain, line, until_head=True, **settings).run()
