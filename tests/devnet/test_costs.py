"""What following a real chain costs, what reads made now and then are of, and what is kept of endpoints' limits.

The block time is set to minutes, so that nothing is asked for the passing of time alone: every count is exact.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import ReadsFrame
from defiwatch.engine import Keeper

from .model import Devnet
from .proxy import Proxy
from .runs import Seen, at_head, following, slow
from .scenario import INTERVAL, Scenario
from .truth import truth

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(120)]


async def graded(seen: Seen) -> None:
    """Wait until the head's check is done."""
    head = seen.line.intake.head
    async with asyncio.timeout(30):
        while head is not None and head.hash not in seen.grades():
            await asyncio.sleep(0.01)


LOGS, HEADER, RECEIPTS = "eth_getLogs", "eth_getBlockByNumber", "eth_getBlockReceipts"


class Grade(NamedTuple):
    """One way to follow the chain, and its questions a block beside the reads.

    kinds      its endpoints: w announces its heads, h is polled
    announced  to those that announce, together: the one that serves is among them
    polled     to each that is polled
    more       requests a block that it may take beyond `single`
    """

    trust: str
    kinds: str
    announced: dict[str, int]
    polled: dict[str, int]
    more: int
    quorum: int = 2


GRADES = {
    "single": Grade("single", "wh", {LOGS: 1}, {}, 0),
    "consistent": Grade("consistent", "wh", {LOGS: 1, RECEIPTS: 1}, {}, 1),
    "proof": Grade("proof", "wh", {LOGS: 1}, {RECEIPTS: 1}, 1),
    "proof, announced": Grade("proof", "ww", {LOGS: 1, RECEIPTS: 1}, {}, 1),
    "quorum": Grade("quorum", "wh", {LOGS: 1}, {HEADER: 1}, 1),
    "quorum, announced": Grade("quorum", "ww", {LOGS: 1}, {}, 0),
    "quorum of three": Grade("quorum", "wwh", {LOGS: 1}, {HEADER: 1}, 2, quorum=3),
}
PLAYED = sorted(GRADES) if os.environ.get("DEFIWATCH_SOAK") else ["proof", "single"]


def test_what_a_block_costs(devnet: Devnet, scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    # However slow the machine, an announcement is waited for.
    monkeypatch.setattr("defiwatch.collectors.chain.agreement._LONGEST_HEARING", 30.0)
    node = devnet.chain.node
    blocks = 12
    with ExitStack() as stack:
        runs: dict[str, tuple[Seen, list[Proxy]]] = {}
        for name in PLAYED:
            grade = GRADES[name]
            proxies = [stack.enter_context(Proxy(node.http_url, node.ws_url, seed=i)) for i in range(len(grade.kinds))]
            urls = [
                proxy.ws_url if kind == "w" else proxy.http_url
                for proxy, kind in zip(proxies, grade.kinds, strict=True)
            ]
            more = f'trust = "{grade.trust}"\nquorum = {grade.quorum}'
            runs[name] = slow(devnet, urls, more), proxies

        async def run() -> dict[str, list[Counter[str]]]:
            async with following(*(seen for seen, _ in runs.values())):
                for seen, _ in runs.values():
                    await at_head(seen, devnet)
                steps = scenario.steps()
                before: dict[str, list[Counter[str]]] = {}
                for number in range(3 + blocks):
                    if number == 3:
                        before = {name: [one.asked.copy() for one in proxies] for name, (_, proxies) in runs.items()}
                    await asyncio.to_thread(next(steps).run)
                    for name, (seen, _) in runs.items():
                        await at_head(seen, devnet)
                        if GRADES[name].trust != "single":
                            await graded(seen)
                return {
                    name: [proxy.asked - was for proxy, was in zip(proxies, before[name], strict=True)]
                    for name, (_, proxies) in runs.items()
                }

        asked = asyncio.run(run())
    alone = sum(one.total() - one["eth_call"] for one in asked["single"])
    for name, spent in asked.items():
        grade = GRADES[name]
        reads = sum(one.pop("eth_call", 0) for one in spent)
        assert blocks <= reads <= 1.25 * blocks
        announced = sum((one for one, kind in zip(spent, grade.kinds, strict=True) if kind == "w"), Counter())
        assert announced == {method: blocks * count for method, count in grade.announced.items()}, name
        for one, kind in zip(spent, grade.kinds, strict=True):
            assert kind == "w" or one == {method: blocks * count for method, count in grade.polled.items()}, name
        assert sum(one.total() for one in spent) - alone <= grade.more * blocks, name
        if grade.trust != "single":
            assert set(list(runs[name][0].grades().values())[-blocks:]) == {grade.trust}, name


def test_reads_made_now_and_then_are_exact_at_their_block_and_say_so(devnet: Devnet, scenario: Scenario) -> None:
    seen = slow(devnet, [devnet.chain.node.ws_url], f'reads = "{3 * INTERVAL}s"')
    exact = later = 0

    def compared(head: BlockRef) -> int:
        """The positions at a block that was read: the contract's own, at that block's prices."""
        ours = {p.account: p for p in seen.line.positions() if p.protocol == "aave_v3"}
        accounts = truth(devnet, head.number, probe=False).accounts
        for user, theirs in accounts.items():
            mine = ours[user.lower()]
            assert (mine.block, mine.health_factor, mine.collateral_base, mine.debt_base) == (
                head.number,
                theirs.health_factor,
                theirs.collateral_base,
                theirs.debt_base,
            )
            assert mine.prices_block in (head.number, -1)
        return len(accounts)

    async def run() -> None:
        nonlocal exact, later
        async with following(seen):
            await at_head(seen, devnet)
            steps = scenario.steps()
            read = seen.line.intake.head
            assert read is not None
            for _ in range(14):
                await asyncio.to_thread(next(steps).run)
                wanted = devnet.chain.node.block()["hash"].lower()
                async with asyncio.timeout(30):
                    while (head := seen.line.intake.head) is None or head.hash != wanted:
                        await asyncio.sleep(0.01)
                if head.time - read.time >= 3 * INTERVAL:
                    await at_head(seen, devnet)
                    read = head
                    exact += await asyncio.to_thread(compared, head)
                else:
                    found = [p for p in seen.line.positions() if p.protocol == "aave_v3" and p.prices_block >= 0]
                    assert found
                    assert {p.prices_block for p in found} == {read.number}
                    assert {p.block for p in found} == {head.number}
                    later += len(found)

    asyncio.run(run())
    assert exact > 100
    assert later > 100
    asked = {frame.block_hash for frame in seen.frames if isinstance(frame, ReadsFrame)}
    assert len(asked) <= len(seen.stack())


def test_limits_are_learnt_and_outlive_a_restart(devnet: Devnet, scenario: Scenario, tmp_path: Path) -> None:
    node = devnet.chain.node

    def once(proxy: Proxy) -> Counter[str]:
        """One run, from a cold start or from what is kept; what it was refused."""
        before = proxy.happened.copy()
        seen = slow(devnet, [proxy.http_url])
        keeper = Keeper(seen.engine, tmp_path)
        keeper.open()
        for _ in range(40):
            node.mine()

        async def run() -> None:
            async with following(seen):
                await at_head(seen, devnet)

        asyncio.run(run())
        keeper.save()
        keeper.close()
        return proxy.happened - before

    with Proxy(node.http_url, node.ws_url) as proxy:
        proxy.set(max_range=6, max_batch=5)
        first, second = once(proxy), once(proxy)
    assert first["max_range"] >= 3
    assert first["max_batch"] >= 2
    assert second == Counter()
