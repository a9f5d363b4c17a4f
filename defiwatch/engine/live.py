"""Live: the configured collectors, each a task, all emitting into one engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from defiwatch.collectors.chain import ChainCollector, Progress
from defiwatch.collectors.quotes import collect_quotes
from defiwatch.collectors.ticker import tick
from defiwatch.config import Chain
from defiwatch.domain.frames import Frame
from defiwatch.engine.core import Engine
from defiwatch.errors import ConfigError, SourceError

OnProgress = Callable[[Progress], None]


async def run_live(
    engine: Engine,
    *,
    lookback: int,
    duration: float | None,
    once: bool,
    stop: asyncio.Event,
    on_progress: OnProgress | None = None,
) -> None:
    """Collect until `stop` is set, for `duration` seconds, or up to the head (`once`).

    SourceError if no endpoint of any chain could ever be reached; a chain that fails while another runs is told as a
    notice. ConfigError if no chain is configured.
    """
    chains = [chain for chain in engine.config.chains if chain.rpc]
    if not chains:
        raise ConfigError('no chain has an endpoint: add `rpc = ["wss://…"]` to one of [[chains]]')

    async def emit(frame: Frame) -> None:
        engine.feed(frame)
        await asyncio.sleep(0)

    running = {
        asyncio.create_task(
            _chain(engine, chain, emit, lookback=lookback, once=once, on_progress=on_progress), name=chain.name
        )
        for chain in chains
    }
    beside = [asyncio.create_task(tick(emit)), asyncio.create_task(stop.wait())]
    if engine.config.quotes.enabled():
        beside.append(asyncio.create_task(_quotes(engine, emit), name="quotes"))
    deadline = None if duration is None else asyncio.get_running_loop().time() + duration
    faults: list[SourceError] = []
    try:
        while running and not stop.is_set():
            left = None if deadline is None else deadline - asyncio.get_running_loop().time()
            if left is not None and left <= 0:
                break
            done, _ = await asyncio.wait({*running, *beside}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in done & running:
                running.discard(task)
                try:
                    task.result()
                except SourceError as error:
                    faults.append(error)
                    if running:
                        engine.notice(f"{task.get_name()}: {error}")
            for task in done & set(beside):
                if not stop.is_set():
                    task.result()
        if len(faults) == len(chains):
            raise faults[0]
    finally:
        for task in (*running, *beside):
            task.cancel()
        for task in (*running, *beside):
            with contextlib.suppress(asyncio.CancelledError, SourceError):
                await task
    engine.finish()


async def _chain(
    engine: Engine,
    chain: Chain,
    emit: Callable[[Frame], Awaitable[None]],
    *,
    lookback: int,
    once: bool,
    on_progress: OnProgress | None,
) -> None:
    line = engine.lines[chain.chain_id]

    def progress(now: Progress) -> None:
        line.warming = min(1.0, now.done / now.total) if now.total and now.done < now.total else None
        if on_progress is not None:
            on_progress(now)

    collector = ChainCollector(
        chain, line, emit, lookback=lookback, on_progress=progress, until_head=once, limits=line.limits
    )
    await collector.run()


async def _quotes(engine: Engine, emit: Callable[[Frame], Awaitable[None]]) -> None:
    """The price venues. They are beside the chains: without them the run goes on."""
    try:
        await collect_quotes(engine.config.quotes, emit)
    except* SourceError as group:
        for error in group.exceptions:
            engine.notice(f"quotes: {error}")
    await asyncio.Event().wait()
