"""Endpoints that fail, lag and limit, at random: no block missed, no event twice, the state of a clean run."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from defiwatch.domain.frames import BlockFrame, Frame, RemovedFrame, is_ahead

from .model import Devnet
from .proxy import Proxy
from .runs import Seen, engine, later_story, open_by, replayed, same_chain, watch
from .scenario import Scenario
from .weather import FORK, FOUL, LIES, Faults, Weather, kinds, names

SOAK = bool(os.environ.get("DEFIWATCH_SOAK"))
SEEDS = range(1, 1 + int(os.environ.get("DEFIWATCH_SEEDS", "1")))


class Storm(NamedTuple):
    """A chain's settings, what each of its endpoints may do, and how often its run is stopped for a while."""

    trust: str
    weathers: tuple[dict[str, Weather], ...]
    more: str = ""
    away: int = 0


STORMS = {
    "single": Storm("single", (FOUL, FOUL)),
    "consistent": Storm("consistent", (FOUL | LIES | FORK, FOUL)),
    "proof": Storm("proof", (FOUL | LIES | FORK, FOUL)),
    "proof, the witness lies": Storm("proof", (FOUL, FOUL | LIES | FORK)),
    "quorum": Storm("quorum", (FOUL | FORK, FOUL, FOUL)),
    "head first": Storm("single", (FOUL, FOUL), 'catch_up = "head_first"', away=2),
    "head first, proof": Storm("proof", (FOUL | LIES | FORK, FOUL), 'catch_up = "head_first"', away=2),
    "logs subscribed": Storm("single", (FOUL, FOUL), "subscribe_logs = true"),
}
"""Under `single` a lie cannot be told from the truth."""

PLAYED = [(name, seed) for name in STORMS for seed in SEEDS if SOAK or name == "single"]
"""The gate's form of lies is test_trust.py, of head first test_head_first.py, of logs subscribed test_removals.py."""

CHAIN_TIME = 30 * 60
"""Seconds of the chain's own time that a storm lasts at least."""

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(3600 if SOAK else 280)]


def storm(scenario: Scenario, weathers: Mapping[Proxy, dict[str, Weather]], rng: random.Random) -> Iterator[None]:
    """The story, told under changing weather; fair at the end. Now and then a log is taken back without a reason."""
    for step in scenario.steps():
        for proxy, foul in weathers.items():
            if rng.random() < 0.25:
                calm = rng.random() < 0.4
                proxy.faults = Faults() if calm else foul[rng.choice(sorted(foul))](rng, proxy.height)
            if rng.random() < 0.04:
                proxy.kill()
            if rng.random() < 0.1:
                proxy.take_back([{"address": f"0x{proxy.height:040x}", "topics": [], "data": "0x"}])
        step.run()
        if SOAK:
            time.sleep(rng.uniform(0.0, 0.4))
        yield
    for proxy in weathers:
        proxy.set()


def absences(rng: random.Random) -> list[range]:
    """Steps at which a run stands still: for so long that a scout pays, and again while it makes up for that."""
    first = rng.randrange(5, 40)
    second = first + 30 + rng.randrange(1, 6)
    return [range(first, first + 30), range(second, second + 8)]


def same_as_replayed(seen: Seen, began: Frame) -> None:
    """The frames tell again what was told live, and without those ahead lead to the same state; what was told last of
    each key is what stands."""
    whole, alerts = replayed(seen, [began, *seen.frames])
    assert [alert.id for alert in alerts] == [alert.id for alert in seen.alerts]
    in_order, _ = replayed(seen, [began, *(frame for frame in seen.frames if not is_ahead(frame))])
    assert whole == in_order == seen.line.intake.book.digest()
    assert open_by(seen.alerts) == {row.alert.key for row in seen.engine.snapshot().alerts}


def test_the_storms_hold_every_fault_that_a_proxy_knows() -> None:
    weathers = [weather for one in STORMS.values() for foul in one.weathers for weather in foul.values()]
    assert kinds(weathers) == names() - {"without", "chain_id"}


@pytest.mark.parametrize(("name", "seed"), PLAYED)
def test_a_storm_ends_in_the_state_of_a_clean_run(devnet: Devnet, name: str, seed: int) -> None:
    node = devnet.chain.node
    scenario = later_story(devnet)
    trust, weathers, more, away = STORMS[name]
    rng = random.Random(seed)
    began = node.timestamp()
    with ExitStack() as stack:
        count = len(weathers)
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=count * seed + i)) for i in range(count)]
        fair = stack.enter_context(Proxy(node.http_url, node.ws_url))
        clean = engine(devnet, [fair.ws_url, fair.http_url])
        urls = [proxies[0].ws_url, *(proxy.http_url for proxy in proxies[1:])]
        seen = engine(devnet, urls, f'trust = "{trust}"\n{more}')
        header = seen.engine.header()
        story = storm(scenario, dict(zip(proxies, weathers, strict=True)), rng)
        asyncio.run(watch([clean, seen], devnet, story, absences(rng)[:away]))
        struck: Counter[str] = sum((proxy.happened for proxy in proxies), Counter())
    lasted = node.timestamp() - began
    removed = sum(1 for frame in seen.frames if isinstance(frame, RemovedFrame))
    ahead = sum(1 for frame in seen.frames if isinstance(frame, BlockFrame) and frame.ahead)
    faults = ", ".join(f"{fault} {count}" for fault, count in sorted(struck.items()))
    print(
        f"{name}, seed {seed}: {lasted} s of the chain, {len(seen.stack())} blocks, {ahead} ahead, {removed} removed; "
        f"{faults}"
    )
    assert lasted >= CHAIN_TIME
    assert struck.total() > 20, struck
    same_chain(seen, clean)
    assert (ahead > 0) == ("head_first" in more)
    if ahead:
        assert seen.engine.scouts == {}
        same_as_replayed(seen, header)


def test_a_gap_is_an_alert_until_it_is_closed(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(2)]
        seen = engine(devnet, [proxies[0].ws_url, proxies[1].http_url])

        def story() -> Iterator[None]:
            for number, step in zip(range(60), scenario.steps(), strict=False):
                if number == 10:
                    for proxy in proxies:
                        proxy.set(fail=1.0)
                        proxy.kill()
                step.run()
                yield
            for proxy in proxies:
                proxy.set()
                proxy.kill()

        asyncio.run(watch([seen], devnet, story()))
        seen.stack()
    told = [alert for alert in seen.alerts if alert.kind == "source.gap"]
    assert [alert.state for alert in told] == ["raised", "cleared"]
    assert "are missing" in told[0].title
