"""Endpoints that lie: what disagrees with a header whose hash was recomputed is found, and put right."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from defiwatch.domain.frames import VerifiedFrame
from defiwatch.engine import run_live

from .model import Devnet
from .proxy import Faults, Proxy
from .runs import at_head, engine, lies, same_chain, watch
from .scenario import Scenario

NO_RECEIPTS = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
"""The root of an empty trie (yellow paper: keccak of the RLP of nothing)."""
SOAK = bool(os.environ.get("DEFIWATCH_SOAK"))

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(120)]

LYING = {
    "altered": Faults(alter_logs=1.0),
    "left out": Faults(truncate_logs=1.0),
    "nothing": Faults(empty_logs=1.0),
    "now and then": Faults(alter_logs=0.2),
    "receipts": Faults(alter_receipts=1.0),
    "forked": Faults(forked_from=0),
}


@pytest.mark.parametrize("lie", sorted(LYING) if SOAK else ["altered", "forked", "receipts"])
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
    assert liar in {frame.source for frame in run.seen.health("untrusted")}
    told = [alert for alert in run.seen.alerts if alert.kind == "source.untrusted"]
    assert [alert.subject.id for alert in told if alert.state == "raised"].count(liar) == 1
    graded = run.seen.grades()
    assert {graded.get(block.header.hash) for block in run.seen.stack()} == {"consistent"}


def test_without_receipts_the_bloom_and_a_second_endpoint_tell(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    without = frozenset({"eth_getBlockReceipts"})
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(2)]
        for proxy in proxies:
            proxy.set(without=without)
        lie = Faults(without=without, truncate_logs=1.0)
        run = asyncio.run(lies(devnet, scenario, "consistent", proxies, lie, 6))
        liar = proxies[0].ws_url
    assert liar in {frame.source for frame in run.seen.health("untrusted")}
    graded = run.seen.grades()
    # That a block has no receipts at all is in its header.
    empty = {block.header.hash for block in run.seen.stack() if block.header.receipts_root == NO_RECEIPTS}
    assert {graded[block_hash] for block_hash in empty} <= {"consistent"}
    assert {grade for block_hash, grade in graded.items() if block_hash not in empty} <= {"single", "untrusted"}
    assert list(graded.values()).count("untrusted") <= 3
    for ours, theirs in zip(run.seen.stack(), run.clean.stack(), strict=True):
        # A log that was left out at the end and has a twin in its block contradicts neither bloom nor numbering.
        assert ours.logs == theirs.logs or graded[ours.header.hash] == "untrusted"


def test_a_lone_endpoint_that_lies_is_told(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    with Proxy(node.http_url, node.ws_url) as proxy:
        seen = engine(devnet, [proxy.http_url], 'trust = "consistent"')

        async def run() -> None:
            stop = asyncio.Event()
            task = asyncio.create_task(run_live(seen.engine, lookback=2_000, duration=None, once=False, stop=stop))
            await at_head(seen, devnet)
            proxy.set(alter_receipts=1.0)
            steps = scenario.steps()
            async with asyncio.timeout(20):
                while proxy.http_url not in {a.subject.id for a in seen.alerts if a.kind == "source.untrusted"}:
                    await asyncio.to_thread(next(steps).run)
                    await asyncio.sleep(0.1)
            stop.set()
            await task

        asyncio.run(run())
    graded = [frame for frame in seen.frames if isinstance(frame, VerifiedFrame)]
    assert {frame.trust for frame in graded} == {"consistent", "untrusted"}


def test_quorum_leaves_the_endpoint_that_is_alone_with_its_chain(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(3)]
        run = asyncio.run(lies(devnet, scenario, "quorum", proxies, Faults(forked_from=node.height() + 8), 6))
        liar = proxies[0].ws_url
    same_chain(run.seen, run.clean)
    assert liar in {frame.source for frame in run.seen.health("untrusted")}
    graded = run.seen.grades()
    assert graded[run.seen.stack()[-1].header.hash] == "quorum"


def test_a_lie_is_put_right_while_no_second_endpoint_answers(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(2)]
        fair = stack.enter_context(Proxy(node.http_url, node.ws_url))
        clean = engine(devnet, [fair.ws_url, fair.http_url])
        seen = engine(devnet, [proxies[0].ws_url, proxies[1].http_url], 'trust = "proof"')

        def story() -> Iterator[None]:
            for number, step in zip(range(20), scenario.steps(), strict=False):
                if number == 6:
                    proxies[0].set(alter_logs=1.0)
                    proxies[1].set(fail=1.0)
                if number == 12:
                    proxies[1].set()
                step.run()
                time.sleep(0.05)
                yield

        asyncio.run(watch([clean, seen], devnet, story()))
        liar = proxies[0].ws_url
    same_chain(seen, clean)
    assert liar in {frame.source for frame in seen.health("untrusted")}


def test_proof_is_told_in_alerts(devnet: Devnet, scenario: Scenario) -> None:
    node = devnet.chain.node
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(2)]
        run = asyncio.run(lies(devnet, scenario, "proof", proxies, Faults(), 30))
    same_chain(run.seen, run.clean)
    graded = run.seen.grades()
    assert {graded.get(block.header.hash) for block in run.seen.stack()} == {"proof"}
    assert run.seen.health("untrusted") == []
    assert "proof" in {alert.trust for alert in run.seen.alerts}
