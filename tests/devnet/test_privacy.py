"""Which wallets are watched is told to nobody: what is sent is the same, whoever is watched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest

from defiwatch.config import Endpoint, parse
from defiwatch.domain.frames import BlockFrame, Frame, ReadsFrame
from defiwatch.engine import Engine
from defiwatch.protocols.abi import decode

from .chain import MULTICALL3
from .config import config_toml
from .model import Devnet
from .proxy import Proxy
from .runs import at_head, engine, following, slow, watch
from .scenario import Scenario

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(200)]


def requests(proxy: Proxy) -> set[str]:
    """Everything that was asked, each as one line without its number: of reads every call, at whichever block."""
    found: set[str] = set()
    for body in proxy.bodies:
        sent = json.loads(body)
        for one in sent if isinstance(sent, list) else [sent]:
            if one["method"] == "eth_call":
                found |= {json.dumps(["eth_call", *call]).lower() for call in inner(**one["params"][0])}
            else:
                found.add(json.dumps([one["method"], one["params"]]).lower())
    return found


def inner(to: str, data: str) -> list[tuple[str, str]]:
    """The calls that a call is made of."""
    if to != MULTICALL3:
        return [(to, data)]
    (calls,) = decode(("(address,bool,bytes)[]",), "0x" + data[10:])
    return [(target, called) for target, _, called in calls]


def naming(asked: set[str], wallets: list[str]) -> list[str]:
    """The questions that name one of them."""
    return [one for one in sorted(asked) for wallet in wallets if wallet[2:] in one]


@pytest.mark.parametrize("lookback", [2_000, 1])
def test_watching_changes_nothing_that_is_sent(devnet: Devnet, scenario: Scenario, lookback: int) -> None:
    """From the chain's beginning no account is ever asked for; from later on, whoever acts is, watched or not."""
    node = devnet.chain.node
    roles = devnet.roles
    wallets = [user.lower() for user in (*roles.borrowers, roles.lp, roles.drainer)]
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url)) for _ in range(2)]
        runs = [slow(devnet, [one.ws_url], watch=some) for one, some in zip(proxies, (wallets, []), strict=True)]

        async def story() -> None:
            async with following(*runs, lookback=lookback):
                for run in runs:
                    await at_head(run, devnet)
                for _, step in zip(range(16), scenario.steps(), strict=False):
                    await asyncio.to_thread(step.run)
                    for run in runs:
                        await at_head(run, devnet)

        asyncio.run(story())
        every, nobody = (requests(proxy) for proxy in proxies)
    assert len(nobody) > 50
    assert every ^ nobody == set()
    assert bool(naming(nobody, wallets)) == (lookback == 1)
    held = {position.account for position in runs[0].line.positions()}
    assert held & set(wallets)
    same_needs(devnet, runs[1].frames, wallets)


def same_needs(devnet: Devnet, frames: list[Frame], wallets: list[str]) -> None:
    """Fed the same, lines that watch and lines that do not want the same, in the same order, after every frame."""
    rpc = ["wss://one.example", "https://two.example"]
    texts = [config_toml(devnet, rpc=rpc, watch=some) for some in (wallets, [])]
    lines = [Engine(parse(text.replace("[[deployments]]", "[[deployments]]\nscan = true"), "devnet")) for text in texts]
    compared = 0
    for frame in frames:
        wanted = []
        for one in lines:
            one.feed(frame)
            line = one.lines[31337]
            wanted.append((line.filters(), line.wants(), line.scans()))
        assert wanted[0] == wanted[1]
        compared += isinstance(frame, BlockFrame | ReadsFrame) and bool(wanted[0][1])
    assert compared > 10


def test_only_endpoints_that_are_all_private_are_asked_for_watched_wallets(devnet: Devnet) -> None:
    wallets = [user.lower() for user in devnet.roles.borrowers]
    config = parse(config_toml(devnet, rpc=["wss://one.example", "wss://two.example"], watch=wallets), "devnet")

    def told(*private: bool) -> bool:
        """Whether its instances know the wallets."""
        rpc = tuple(Endpoint(url=f"wss://{i}.example", private=one) for i, one in enumerate(private))
        chain = msgspec.structs.replace(config.chains[0], rpc=rpc)
        made = Engine(msgspec.structs.replace(config, chains=(chain,)))
        known = [getattr(one, "_watched", ()) for one in made.lines[31337].intake.instances]
        return any(known)

    assert [told(False), told(True, False), told(True, True)] == [False, False, True]


def test_no_watched_wallet_is_sent_anywhere(devnet: Devnet, scenario: Scenario) -> None:
    """Through a lost connection, under proof, from the chain's beginning on."""
    node = devnet.chain.node
    roles = devnet.roles
    wallets = [user.lower() for user in (*roles.borrowers, roles.lp, roles.drainer)]
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
        named = [line for proxy in proxies for line in naming(requests(proxy), wallets)]
    assert len(sent) > 100_000
    held = {position.account for position in seen.line.positions()}
    assert held & set(wallets)
    assert named == []
    assert [wallet for wallet in wallets if wallet[2:].encode() in sent] == []
