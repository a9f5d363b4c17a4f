"""Engines run live beside each other on the devnet, and what they were told compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from defiwatch.config import parse
from defiwatch.domain.frames import BlockFrame, Frame, HealthFrame, ReadsFrame, RemovedFrame, VerifiedFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import from_hex
from defiwatch.engine import Engine, run_live
from defiwatch.engine.line import Line

from .config import config_toml
from .model import Devnet
from .proxy import Faults, Proxy
from .scenario import Scenario

CHAIN = 31337


@dataclass
class Seen:
    """What one engine was told."""

    engine: Engine
    frames: list[Frame] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    @property
    def line(self) -> Line:
        return self.engine.lines[CHAIN]

    def stack(self) -> list[BlockFrame]:
        """The chain that the frames make, held to their promise: linked, each block once, removed newest first."""
        stack: list[BlockFrame] = []
        for frame in self.frames:
            if isinstance(frame, RemovedFrame):
                assert stack.pop().header.hash == frame.hash
            elif isinstance(frame, BlockFrame):
                if stack:
                    assert frame.header.parent_hash == stack[-1].header.hash
                    assert from_hex(frame.header.number) == from_hex(stack[-1].header.number) + 1
                stack.append(frame)
            elif isinstance(frame, ReadsFrame):
                assert frame.block_hash == stack[-1].header.hash
        return stack

    def grades(self) -> dict[str, str]:
        """How far each block was trusted last, by hash."""
        return {frame.hash: frame.trust for frame in self.frames if isinstance(frame, VerifiedFrame)}

    def health(self, state: str) -> list[HealthFrame]:
        return [frame for frame in self.frames if isinstance(frame, HealthFrame) and frame.state == state]


def engine(devnet: Devnet, rpc: Sequence[str], more: str = "", watch: Sequence[str] = ()) -> Seen:
    """An engine on these endpoints. `more`: lines for its chain."""
    text = config_toml(devnet, rpc=rpc, watch=watch)
    config = parse(text.replace("confirmations = 6", f"confirmations = 6\nblock_time = 0.5\n{more}"), "devnet")
    alerts: list[Alert] = []
    frames: list[Frame] = []
    made = Engine(config, on_alert=alerts.append, on_frame=lambda _, frame: frames.append(frame))
    return Seen(made, frames, alerts)


async def at_head(seen: Seen, devnet: Devnet, seconds: float = 60.0) -> None:
    """Wait until the engine stands on the chain's head with all its reads."""
    wanted = str(devnet.chain.node.block()["hash"]).lower()
    async with asyncio.timeout(seconds):
        while (head := seen.line.intake.head) is None or head.hash != wanted or seen.line.wants():
            await asyncio.sleep(0.01)


async def watch(runs: Sequence[Seen], devnet: Devnet, story: Iterator[None]) -> None:
    """Run engines side by side while the story is told."""
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(run_live(one.engine, lookback=2_000, duration=None, once=False, stop=stop)) for one in runs
    ]
    try:
        for one in runs:
            await at_head(one, devnet)
        while await asyncio.to_thread(next, story, False) is None:
            await asyncio.sleep(0)
        for one in runs:
            await at_head(one, devnet)
    finally:
        stop.set()
        await asyncio.gather(*tasks)


PACED = ("scoring.", "state.growth", "state.peg", "state.pushes", "state.course", "reads.refused")
"""Tables that keep when something was judged last. While no endpoint answers reads, nothing can be judged."""


def differing(seen: Seen, clean: Seen) -> list[str]:
    """Where two states differ: table, key and both values."""
    ours, theirs = seen.line.intake.book.tables(), clean.line.intake.book.tables()
    return [
        f"{table} {key}: {mine} is not {other}"
        for table in sorted(ours.keys() | theirs.keys())
        if not table.startswith(PACED)
        for key in sorted(ours.get(table, {}).keys() | theirs.get(table, {}).keys(), key=repr)
        if (mine := ours.get(table, {}).get(key)) != (other := theirs.get(table, {}).get(key))
    ]


def same_chain(seen: Seen, clean: Seen) -> None:
    """Both hold the same blocks with the same logs, and the same state."""
    ours, theirs = seen.stack(), clean.stack()
    assert [b.header.hash for b in ours] == [b.header.hash for b in theirs]
    assert [b.logs for b in ours] == [b.logs for b in theirs]
    assert differing(seen, clean) == []


@dataclass
class Run:
    """The engine that was lied to, and one that was not."""

    seen: Seen
    clean: Seen


async def lies(
    devnet: Devnet, scenario: Scenario, trust: str, proxies: Sequence[Proxy], lie: Faults, after: int
) -> Run:
    """Part of the story; after some steps the first endpoint begins to lie."""
    node = devnet.chain.node
    clean = engine(devnet, [node.ws_url, node.http_url])
    seen = engine(devnet, [proxies[0].ws_url, *(proxy.http_url for proxy in proxies[1:])], f'trust = "{trust}"')

    def story() -> Iterator[None]:
        for number, step in zip(range(after + 20), scenario.steps(), strict=False):
            if number == after:
                proxies[0].faults = lie
            step.run()
            time.sleep(0.05)
            yield

    await watch([clean, seen], devnet, story())
    return Run(seen, clean)
