"""Live: the configured collectors, all emitting into one engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from defiwatch.collectors.chain import ChainCollector, Progress
from defiwatch.collectors.quotes import collectors
from defiwatch.collectors.seam import Emit
from defiwatch.collectors.supervise import supervise
from defiwatch.collectors.ticker import Ticker
from defiwatch.config import Chain
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import Frame, RawLog
from defiwatch.engine.core import Engine
from defiwatch.errors import ConfigError, SourceError
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import LogFilter, Scan

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
    notice and, unless `once`, tried again. ConfigError if no chain is configured.
    """
    chains = [chain for chain in engine.config.chains if chain.rpc]
    if not chains:
        raise ConfigError('no chain has an endpoint: add `rpc = ["wss://…"]` to one of [[chains]]')

    async def emit(frame: Frame) -> None:
        engine.feed(frame)
        await asyncio.sleep(0)

    following = [_ChainRun(engine, chain, emit, lookback, once=once, on_progress=on_progress) for chain in chains]
    beside = [Ticker(emit), *collectors(engine.config.quotes, emit)]
    running = asyncio.create_task(supervise(following, beside, emit, restart=not once))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, timeout=duration, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)
    engine.finish()


class _ChainRun:
    """One chain's collector, made anew at every start. Implements `seam.Collector`."""

    def __init__(
        self, engine: Engine, chain: Chain, emit: Emit, lookback: int, *, once: bool, on_progress: OnProgress | None
    ) -> None:
        self._engine = engine
        self._chain = chain
        self._emit = emit
        self._lookback = lookback
        self._once = once
        self._on_progress = on_progress

    @property
    def name(self) -> str:
        """The chain's name."""
        return self._chain.name

    async def run(self) -> None:
        """Collect until cancelled, or up to the head."""
        line = self._engine.lines[self._chain.chain_id]
        collector = ChainCollector(
            self._chain,
            line,
            self._emit,
            lookback=self._lookback,
            on_progress=self._progress,
            until_head=self._once,
            limits=line.limits,
            ahead=_Ahead(self._engine, self._chain.chain_id),
        )
        try:
            await collector.run()
        except SourceError as error:
            if len(self._engine.config.chains) > 1:
                self._engine.notice(f"{self.name}: {error}")
            raise

    def _progress(self, now: Progress) -> None:
        line = self._engine.lines[self._chain.chain_id]
        line.warming = min(1.0, now.done / now.total) if now.total and now.done < now.total else None
        if self._on_progress is not None:
            self._on_progress(now)


class _Ahead:
    """What a chain's scout needs. It searches no history and stands on nothing. Implements `seam.Needs`."""

    def __init__(self, engine: Engine, chain_id: int) -> None:
        self._engine = engine
        self._chain_id = chain_id

    def filters(self) -> Sequence[LogFilter]:
        """The logs that it asks for."""
        return self._engine.scout(self._chain_id).filters()

    def wants(self) -> Sequence[Call]:
        """The reads still open at the head."""
        return self._engine.scout(self._chain_id).wants()

    def scans(self) -> Sequence[Scan]:
        """None: what only history tells is the own line's to find."""
        return ()

    def on_scan(self, scan: Scan, logs: Sequence[RawLog]) -> Sequence[Call]:  # noqa: ARG002 - there are none
        """Nothing."""
        return ()

    def searched(self, scan: Scan, first: int) -> None:
        """Nothing."""

    def blocks(self) -> Sequence[BlockRef]:
        """None: it begins at the head."""
        return ()
