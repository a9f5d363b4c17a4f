"""Engines run live beside each other on the devnet, and what they were told compared."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from defiwatch.config import parse
from defiwatch.domain.frames import (
    BlockFrame,
    Frame,
    HealthFrame,
    ReadsFrame,
    RemovedFrame,
    VerifiedFrame,
    decode,
    encode,
)
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import from_hex
from defiwatch.engine import Engine, run_live
from defiwatch.engine.line import Line
from defiwatch.protocols.reads import RETRY_BLOCKS

from .config import config_toml
from .model import Devnet
from .proxy import Faults, Proxy
from .scenario import Scenario

CHAIN = 31337
PATIENCE = 900.0 if os.environ.get("DEFIWATCH_SOAK") else 200.0
"""Seconds of waiting for an engine that ought to arrive, however busy the machine is."""


@dataclass
class Seen:
    """What one engine was told."""

    engine: Engine
    frames: list[Frame] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    pauses: list[int] = field(default_factory=list)
    """How many frames there were when it was stopped for a while."""

    @property
    def line(self) -> Line:
        return self.engine.lines[CHAIN]

    def stack(self) -> list[BlockFrame]:
        """The chain that the frames make, held to their promise: linked, each block once, removed newest first.

        So are those of a scout, of which there are none once the line has come as far.
        """
        own: list[BlockFrame] = []
        scouts: list[BlockFrame] = []
        for place, frame in enumerate(self.frames):
            if place in self.pauses:
                scouts.clear()
            if isinstance(frame, RemovedFrame | BlockFrame | ReadsFrame):
                _stacked(scouts if frame.ahead else own, frame)
            if isinstance(frame, BlockFrame) and not frame.ahead and scouts and _height(own) >= _height(scouts):
                scouts.clear()
        return own

    def grades(self) -> dict[str, str]:
        """How far each block was trusted last, by hash."""
        return {frame.hash: frame.trust for frame in self.frames if isinstance(frame, VerifiedFrame)}

    def health(self, state: str) -> list[HealthFrame]:
        return [frame for frame in self.frames if isinstance(frame, HealthFrame) and frame.state == state]


def _stacked(stack: list[BlockFrame], frame: RemovedFrame | BlockFrame | ReadsFrame) -> None:
    if isinstance(frame, RemovedFrame):
        assert stack.pop().header.hash == frame.hash
    elif isinstance(frame, ReadsFrame):
        assert frame.block_hash == stack[-1].header.hash
    else:
        if stack:
            assert frame.header.parent_hash == stack[-1].header.hash
            assert from_hex(frame.header.number) == from_hex(stack[-1].header.number) + 1
        stack.append(frame)


def _height(stack: list[BlockFrame]) -> int:
    return from_hex(stack[-1].header.number) if stack else -1


def engine(devnet: Devnet, rpc: Sequence[str], more: str = "", watch: Sequence[str] = ()) -> Seen:
    """An engine on these endpoints. `more`: lines for its chain."""
    text = config_toml(devnet, rpc=rpc, watch=watch)
    config = parse(text.replace("confirmations = 6", f"confirmations = 6\nblock_time = 0.5\n{more}"), "devnet")
    alerts: list[Alert] = []
    frames: list[Frame] = []
    made = Engine(config, on_alert=alerts.append, on_frame=lambda _, frame: frames.append(frame))
    return Seen(made, frames, alerts)


SLOW = 600
"""Block time in seconds, as configured: nothing is polled within a test."""


def slow(devnet: Devnet, rpc: Sequence[str], more: str = "", watch: Sequence[str] = ()) -> Seen:
    """An engine on these endpoints, for a chain that is said to be slow."""
    text = config_toml(devnet, rpc=rpc, watch=watch).replace(
        "confirmations = 6", f"confirmations = 6\nblock_time = {SLOW}\n{more}"
    )
    seen = Seen(Engine(parse(text, "devnet")))
    seen.engine.on_alert = seen.alerts.append
    seen.engine.on_frame = lambda _, frame: seen.frames.append(frame)
    return seen


@asynccontextmanager
async def following(*runs: Seen, lookback: int = 2_000) -> AsyncIterator[None]:
    """The engines run."""
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(run_live(one.engine, lookback=lookback, duration=None, once=False, stop=stop))
        for one in runs
    ]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def at_head(seen: Seen, devnet: Devnet, seconds: float = PATIENCE) -> None:
    """Wait until the engine stands on the chain's head with all its reads."""
    block = devnet.chain.node.block()
    wanted = str(block["hash"]).lower()
    try:
        async with asyncio.timeout(seconds):
            while (head := seen.line.intake.head) is None or head.hash != wanted or seen.line.wants():
                await asyncio.sleep(0.01)
    except TimeoutError:
        told = [
            f"{f.source} {f.state} {f.detail or ''} at {f.height}" for f in seen.frames if isinstance(f, HealthFrame)
        ]
        stands = f"at {head}, not {int(block['number'], 16)} {wanted}; {len(seen.line.wants())} reads are open"
        raise AssertionError("\n".join([stands, *told[-12:]])) from None


def later_story(devnet: Devnet) -> Scenario:
    """A story that begins long after everything was deployed.

    A line that begins at block 0 is refused most reads there, and asks again so many blocks later: before the story,
    in fair weather, so that what it knows does not depend on which block it could ask at.
    """
    node = devnet.chain.node
    for _ in range(RETRY_BLOCKS + 2):
        node.mine()
    story = Scenario(devnet)
    story.prepare()
    return story


async def watch(runs: Sequence[Seen], devnet: Devnet, story: Iterator[None], absences: Sequence[range] = ()) -> None:
    """Run engines side by side while the story is told.

    The last of them stands still at the steps of `absences`, and some empty blocks are mined at each.
    """
    stop = asyncio.Event()
    *steady, last = runs
    tasks = [asyncio.create_task(_run(one, stop)) for one in steady]
    pause = asyncio.Event()
    tasks.append(asyncio.create_task(_run(last, pause)))
    number = 0
    try:
        for one, running in zip(runs, tasks, strict=True):
            await _arrives(one, devnet, running)
        while await asyncio.to_thread(next, story, False) is None:
            await asyncio.sleep(0)
            number += 1
            away = any(number in one for one in absences)
            if away and not pause.is_set():
                pause.set()
                await tasks[-1]
                last.pauses.append(len(last.frames))
            elif not away and pause.is_set():
                pause = asyncio.Event()
                tasks[-1] = asyncio.create_task(_run(last, pause))
            for _ in range(EMPTY if away else 0):
                await asyncio.to_thread(devnet.chain.node.mine)
        for one, running in zip(runs, tasks, strict=True):
            await _arrives(one, devnet, running)
    finally:
        stop.set()
        pause.set()
        await asyncio.gather(*tasks)


async def _arrives(seen: Seen, devnet: Devnet, running: asyncio.Task[None]) -> None:
    """Wait for the head; a run that ended before is no use waiting for."""
    arriving = asyncio.create_task(at_head(seen, devnet))
    await asyncio.wait({arriving, running}, return_when=asyncio.FIRST_COMPLETED)
    if not arriving.done():
        arriving.cancel()
        await asyncio.gather(arriving, return_exceptions=True)
        running.result()
        raise AssertionError("the run ended of itself")
    arriving.result()


async def _run(one: Seen, stop: asyncio.Event) -> None:
    await run_live(one.engine, lookback=2_000, duration=None, once=False, stop=stop)


EMPTY = 6
"""Blocks that are mined at each step of an absence."""

_WHEN_READ = ("checked_at", "met_at", "read_at")
"""When a read was made, or could be made first: in foul weather later than in fair."""

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
        if (mine := _unpaced(ours.get(table, {}).get(key))) != (other := _unpaced(theirs.get(table, {}).get(key)))
    ]


def _unpaced(value: object) -> object:
    """A value of the book without when it was read."""
    if not isinstance(value, msgspec.Struct):
        return value
    return msgspec.structs.replace(value, **{name: 0 for name in _WHEN_READ if hasattr(value, name)})


def same_chain(seen: Seen, clean: Seen) -> None:
    """Both hold the same blocks with the same logs, and the same state."""
    ours, theirs = seen.stack(), clean.stack()
    assert [b.header.hash for b in ours] == [b.header.hash for b in theirs], _apart(ours, theirs)
    told: dict[str, list[str]] = {}
    for frame in seen.frames:
        if isinstance(frame, VerifiedFrame):
            told.setdefault(frame.hash, []).append(f"{frame.trust} {frame.detail or ''}".strip())
    others = [b.header for b, other in zip(ours, theirs, strict=True) if b.logs != other.logs]
    assert others == [], f"blocks with other logs: {[(one.number, told.get(one.hash)) for one in others[:5]]}"
    applied = [(log.block_hash, log.log_index) for block in ours for log in block.logs]
    assert len(applied) == len(set(applied)), "an event came twice"
    apart = differing(seen, clean)
    assert apart == [], "\n".join(apart[:10])


def _apart(ours: Sequence[BlockFrame], theirs: Sequence[BlockFrame]) -> str:
    """Where two chains of blocks part."""
    ends = [f"{one[-1].header.number if one else 'nothing'}" for one in (ours, theirs)]
    pairs = zip(ours, theirs, strict=False)
    first = next((mine.header.number for mine, other in pairs if mine.header.hash != other.header.hash), "none")
    return f"first other block: {first}; they end at {ends[0]} and {ends[1]}"


def replayed(seen: Seen, frames: Sequence[Frame]) -> tuple[str, list[Alert]]:
    """Frames through an engine of their own: its state, and what it told."""
    alerts: list[Alert] = []
    again = Engine(seen.engine.config, mode="replay", on_alert=alerts.append)
    for frame in frames:
        again.feed(decode(encode(frame)))
    return again.lines[CHAIN].intake.book.digest(), alerts


def open_by(alerts: Sequence[Alert]) -> set[str]:
    """The keys that stand open by what was told of them last."""
    last = {alert.key: alert.state for alert in alerts}
    return {key for key, state in last.items() if state not in ("cleared", "retracted")}


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
    with Proxy(node.http_url, node.ws_url) as fair:
        clean = engine(devnet, [fair.ws_url, fair.http_url])
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
