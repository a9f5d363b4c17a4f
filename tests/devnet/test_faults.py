"""Endpoints that fail, lag and limit, at random: no block missed, no event twice, the state of a clean run."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from .model import Devnet
from .proxy import FOUL, LIES, Faults, Proxy, Weather
from .runs import engine, same_chain, watch
from .scenario import Scenario

SOAK = bool(os.environ.get("DEFIWATCH_SOAK"))
SEEDS = range(1, 1 + int(os.environ.get("DEFIWATCH_SEEDS", "1")))

STORMS = [("single", seed) for seed in SEEDS] + [("consistent", seed) for seed in SEEDS if SOAK]
"""Under `single` a lie cannot be told from the truth; the gate's form of lies is test_trust.py."""

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(280)]


def storm(scenario: Scenario, weathers: Mapping[Proxy, dict[str, Weather]], rng: random.Random) -> Iterator[None]:
    """The story, told under changing weather; fair at the end."""
    steps = scenario.steps()
    for step in steps:
        for proxy, foul in weathers.items():
            if rng.random() < 0.25:
                calm = rng.random() < 0.4
                proxy.faults = Faults() if calm else foul[rng.choice(sorted(foul))](rng)
            if rng.random() < 0.04:
                proxy.kill()
        step.run()
        yield
    for proxy in weathers:
        proxy.set()


@pytest.mark.parametrize(("trust", "seed"), STORMS)
def test_a_storm_ends_in_the_state_of_a_clean_run(devnet: Devnet, scenario: Scenario, trust: str, seed: int) -> None:
    node = devnet.chain.node
    rng = random.Random(seed)
    with ExitStack() as stack:
        first, second = (stack.enter_context(Proxy(node.http_url, node.ws_url, seed=2 * seed + i)) for i in range(2))
        clean = engine(devnet, [node.ws_url, node.http_url])
        seen = engine(devnet, [first.ws_url, second.http_url], f'trust = "{trust}"')
        if trust == "single":
            story = storm(scenario, {first: FOUL, second: FOUL}, rng)
        else:
            story = storm(scenario, {first: FOUL | LIES, second: FOUL}, rng)
        asyncio.run(watch([clean, seen], devnet, story))
        struck = first.happened + second.happened
    assert sum(struck.values()) > 20, struck
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


def test_no_watched_wallet_is_sent_anywhere(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    wallets = [user.lower() for user in devnet.roles.borrowers]
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(2)]
        seen = engine(devnet, [proxies[0].ws_url, proxies[1].http_url], 'trust = "proof"', watch=wallets)

        def story() -> Iterator[None]:
            for number, step in zip(range(100), scenario.steps(), strict=False):
                if number == 60:
                    proxies[0].kill()
                step.run()
                yield

        asyncio.run(watch([seen], devnet, story()))
        sent = b"".join(body.lower() for proxy in proxies for body in proxy.bodies)
    assert len(sent) > 100_000
    held = {position.account for position in seen.line.positions()}
    assert held & set(wallets)
    assert [wallet for wallet in wallets if wallet[2:].encode() in sent] == []
