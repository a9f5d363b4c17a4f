"""Endpoints that fail, lag, limit and lie, at random: no block missed, no event twice, the state of a clean run."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import pytest

from defiwatch.config import parse
from defiwatch.domain.frames import BlockFrame, Frame, HealthFrame, ReadsFrame, RemovedFrame, VerifiedFrame
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import from_hex
from defiwatch.engine import Engine, run_live
from defiwatch.engine.line import Line
from tests.devnet.config import config_toml
from tests.devnet.model import Devnet
from tests.devnet.proxy import FOUL, Faults, Proxy, Weather
from tests.devnet.scenario import Scenario

SOAK = bool(os.environ.get("DEFIWATCH_SOAK"))
SEEDS = range(1, 1 + int(os.environ.get("DEFIWATCH_SEEDS", "1")))

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(600 if SOAK else 280)]

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


def storm(
    scenario: Scenario, proxies: Sequence[Proxy], rng: random.Random, weathers: dict[str, Weather]
) -> Iterator[None]:
    """The story, told under changing weather; fair at the end."""
    steps = scenario.steps()
    for step in steps:
        for proxy in proxies:
            if rng.random() < 0.25:
                calm = rng.random() < 0.4
                proxy.faults = Faults() if calm else weathers[rng.choice(sorted(weathers))](rng)
            if rng.random() < 0.04:
                proxy.kill()
        step.run()
        yield
    for proxy in proxies:
        proxy.set()


PACED = ("scoring.", "state.peg")
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


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_ends_in_the_state_of_a_clean_run(devnet: Devnet, scenario: Scenario, seed: int) -> None:
    node = devnet.chain.node
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=2 * seed + i)) for i in range(2)]
        clean = engine(devnet, [node.ws_url, node.http_url])
        seen = engine(devnet, [proxies[0].ws_url, proxies[1].http_url])
        story = storm(scenario, proxies, random.Random(seed), FOUL)
        asyncio.run(watch([clean, seen], devnet, story))
        struck = sum((proxy.happened for proxy in proxies), start=type(proxies[0].happened)())
    assert sum(struck.values()) > 20, struck
    same_chain(seen, clean)


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
        for number, step in zip(range(after + 30), scenario.steps(), strict=False):
            if number == after:
                proxies[0].faults = lie
            step.run()
            time.sleep(0.05)
            yield

    await watch([clean, seen], devnet, story())
    return Run(seen, clean)


LYING = {
    "altered": Faults(alter_logs=1.0),
    "left out": Faults(truncate_logs=1.0),
    "nothing": Faults(empty_logs=1.0),
    "now and then": Faults(alter_logs=0.2),
    "receipts": Faults(alter_receipts=1.0),
    "forked": Faults(forked_from=0),
}


@pytest.mark.parametrize("lie", sorted(LYING))
def test_what_disagrees_with_the_header_is_found_and_put_right(devnet: Devnet, scenario: Scenario, lie: str) -> None:
    node = devnet.chain.node
    faults = replace(LYING[lie])
    if faults.forked_from is not None:
        faults.forked_from = node.height() + 8
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(2)]
        run = asyncio.run(lies(devnet, scenario, "consistent", proxies, faults, 6))
        assert sum(proxies[0].happened.values()) > 0
        liar = proxies[0].ws_url
    same_chain(run.seen, run.clean)
    assert {frame.source for frame in run.seen.health("untrusted")} >= {liar}
    told = [alert for alert in run.seen.alerts if alert.kind == "source.untrusted"]
    assert [(alert.state, alert.subject.id) for alert in told][:1] == [("raised", liar)]
    graded = {frame.hash: frame.trust for frame in run.seen.frames if isinstance(frame, VerifiedFrame)}
    assert {graded.get(block.header.hash) for block in run.seen.stack()} == {"consistent"}


def test_quorum_leaves_the_endpoint_that_is_alone_with_its_chain(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(3)]
        run = asyncio.run(lies(devnet, scenario, "quorum", proxies, Faults(forked_from=node.height() + 8), 6))
        liar = proxies[0].ws_url
    same_chain(run.seen, run.clean)
    assert liar in {frame.source for frame in run.seen.health("untrusted")}
    graded = {frame.hash: frame.trust for frame in run.seen.frames if isinstance(frame, VerifiedFrame)}
    assert graded[run.seen.stack()[-1].header.hash] == "quorum"


def test_proof_is_told_in_alerts(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(2)]
        run = asyncio.run(lies(devnet, scenario, "proof", proxies, Faults(), 30))
    same_chain(run.seen, run.clean)
    graded = {frame.hash: frame.trust for frame in run.seen.frames if isinstance(frame, VerifiedFrame)}
    assert {graded.get(block.header.hash) for block in run.seen.stack()} == {"proof"}
    assert run.seen.health("untrusted") == []
    assert "proof" in {alert.trust for alert in run.seen.alerts}
