"""Endpoints that fail, lag and limit, at random: no block missed, no event twice, the state of a clean run."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from defiwatch.domain.frames import RemovedFrame

from .model import Devnet
from .proxy import Proxy
from .runs import engine, later_story, same_chain, watch
from .scenario import Scenario
from .weather import FORK, FOUL, LIES, Faults, Weather, kinds, names

SOAK = bool(os.environ.get("DEFIWATCH_SOAK"))
SEEDS = range(1, 1 + int(os.environ.get("DEFIWATCH_SEEDS", "1")))

STORMS: dict[str, tuple[dict[str, Weather], ...]] = {
    "single": (FOUL, FOUL),
    "consistent": (FOUL | LIES | FORK, FOUL),
    "proof": (FOUL | LIES | FORK, FOUL),
    "quorum": (FOUL | FORK, FOUL, FOUL),
}
"""By trust, what each endpoint may do. Under `single` a lie cannot be told from the truth."""

PLAYED = [(trust, seed) for trust in STORMS for seed in SEEDS if SOAK or trust == "single"]
"""The gate's form of lies is test_trust.py."""

CHAIN_TIME = 30 * 60
"""Seconds of the chain's own time that a storm lasts at least."""

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(3600 if SOAK else 280)]


def storm(scenario: Scenario, weathers: Mapping[Proxy, dict[str, Weather]], rng: random.Random) -> Iterator[None]:
    """The story, told under changing weather; fair at the end."""
    for step in scenario.steps():
        for proxy, foul in weathers.items():
            if rng.random() < 0.25:
                calm = rng.random() < 0.4
                proxy.faults = Faults() if calm else foul[rng.choice(sorted(foul))](rng, proxy.height)
            if rng.random() < 0.04:
                proxy.kill()
        step.run()
        if SOAK:
            time.sleep(rng.uniform(0.0, 0.4))
        yield
    for proxy in weathers:
        proxy.set()


def test_the_storms_hold_every_fault_that_a_proxy_knows() -> None:
    weathers = [weather for one in STORMS.values() for foul in one for weather in foul.values()]
    assert kinds(weathers) == names() - {"without", "chain_id"}


@pytest.mark.parametrize(("trust", "seed"), PLAYED)
def test_a_storm_ends_in_the_state_of_a_clean_run(devnet: Devnet, trust: str, seed: int) -> None:
    node = devnet.chain.node
    scenario = later_story(devnet)
    rng = random.Random(seed)
    began = node.timestamp()
    with ExitStack() as stack:
        count = len(STORMS[trust])
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=count * seed + i)) for i in range(count)]
        fair = stack.enter_context(Proxy(node.http_url, node.ws_url))
        clean = engine(devnet, [fair.ws_url, fair.http_url])
        urls = [proxies[0].ws_url, *(proxy.http_url for proxy in proxies[1:])]
        seen = engine(devnet, urls, f'trust = "{trust}"')
        story = storm(scenario, dict(zip(proxies, STORMS[trust], strict=True)), rng)
        asyncio.run(watch([clean, seen], devnet, story))
        struck: Counter[str] = sum((proxy.happened for proxy in proxies), Counter())
    lasted = node.timestamp() - began
    removed = sum(1 for frame in seen.frames if isinstance(frame, RemovedFrame))
    faults = ", ".join(f"{name} {count}" for name, count in sorted(struck.items()))
    print(f"{trust}, seed {seed}: {lasted} s of the chain, {len(seen.stack())} blocks, {removed} removed; {faults}")
    assert lasted >= CHAIN_TIME
    assert struck.total() > 20, struck
    same_chain(seen, clean)


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
