"""What a chain costs in requests, what a budget allows, and what a refusal for rate leads to. In made-up time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache

import msgspec
import pytest

from defiwatch.collectors.chain import ChainCollector
from defiwatch.commands.needs import needs_of
from defiwatch.config import Chain
from defiwatch.config import Endpoint as Configured
from defiwatch.domain.frames import VerifiedFrame
from defiwatch.protocols.abi import Call
from tests.unit.collectors.fake_node import FakeNode, word
from tests.unit.collectors.line import Line, chain_of
from tests.unit.collectors.made_up_chain import START_TIME, MadeUpChain
from tests.unit.collectors.virtual import Endpoint, mine, opener, play

replace = msgspec.structs.replace

BLOCK = 12.0
CALLS = [Call("0x" + "ee" * 20, f"0x{i:08x}") for i in range(200)]
"""Reads at every block: one Multicall3 call of them stays under 30 million gas."""


@contextlib.asynccontextmanager
async def following(
    chain: Chain, line: Line, *endpoints: Endpoint, lookback: int = 5, limits: MutableMapping[str, int] | None = None
) -> AsyncIterator[None]:
    """The chain is followed, from its head on."""
    collector = ChainCollector(
        chain, line, line.emit, lookback=lookback, open_rpc=opener(*endpoints), wall=lambda: 0.0, limits=limits
    )
    task = asyncio.create_task(collector.run())
    try:
        await line.until(lambda: line.tip == line.chain.head.hash, seconds=3600.0)
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def made(kinds: str, *, hashed: bool = False) -> tuple[MadeUpChain, list[Endpoint]]:
    """A chain and endpoints that show it: w announces its heads, h has to be asked."""
    chain = MadeUpChain(20, hashed=hashed)
    return chain, [Endpoint(FakeNode(chain), announces=kind == "w") for kind in kinds]


@cache
def asked_a_block(kinds: str, trust: str = "single", quorum: int = 2) -> tuple[float, float]:
    """Questions a block beside the reads, and requests for reads a block, over eight minutes of blocks."""
    chain, endpoints = made(kinds, hashed=trust == "proof")
    line = Line(chain, lambda _: CALLS)
    settings = replace(chain_of(*(one.url for one in endpoints), block_time=BLOCK), trust=trust, quorum=quorum)
    nodes = [endpoint.node for endpoint in endpoints]
    blocks = 40

    async def story() -> tuple[float, float]:
        async with following(settings, line, *endpoints):
            await mine(nodes, 10, BLOCK, jitter=2.0)
            before = [node.asked.copy() for node in nodes]
            await mine(nodes, blocks, BLOCK, jitter=2.0)
            spent = [node.asked - was for node, was in zip(nodes, before, strict=True)]
        reads = sum(one["eth_call"] for one in spent)
        return (sum(one.total() for one in spent) - reads) / blocks, reads / blocks

    found = play(story())
    assert line.stack[-1].number >= 20 + blocks
    assert len(line.reads) >= blocks
    graded = {frame.trust for frame in line.frames if isinstance(frame, VerifiedFrame)}
    assert graded == (set() if trust == "single" else {trust})
    return found


@pytest.mark.parametrize("kinds", ["w", "h", "ww", "hh", "whh"])
def test_a_block_costs_at_most_three_requests_and_one_for_its_reads(kinds: str) -> None:
    questions, reads = asked_a_block(kinds)
    assert questions <= 3.0
    assert reads <= 1.05
    foretold = needs_of(chain_of(*kinds, block_time=BLOCK), pushed=kinds.count("w"))
    assert questions + reads == pytest.approx(foretold.single * BLOCK / 60, abs=0.1)


@pytest.mark.parametrize(("kinds", "quorum"), [("ww", 2), ("hh", 2), ("whh", 3)])
def test_quorum_costs_at_most_one_request_for_each_further_endpoint(kinds: str, quorum: int) -> None:
    alone, _ = asked_a_block(kinds)
    agreed, _ = asked_a_block(kinds, "quorum", quorum)
    foretold = needs_of(replace(chain_of(*kinds, block_time=BLOCK), quorum=quorum), pushed=kinds.count("w"))
    assert agreed + 1 == pytest.approx(foretold.quorum * BLOCK / 60, abs=0.1)
    assert agreed - alone <= quorum - 1
    if "h" not in kinds:
        assert agreed - alone <= 0.1  # who announces its heads need not be asked


@pytest.mark.parametrize("kinds", ["ww", "wh", "hh", "whh"])
def test_proof_costs_at_most_one_request_more(kinds: str) -> None:
    alone, _ = asked_a_block(kinds)
    proved, _ = asked_a_block(kinds, "proof")
    foretold = needs_of(chain_of(*kinds, block_time=BLOCK), pushed=kinds.count("w"))
    assert proved + 1 == pytest.approx(foretold.proof * BLOCK / 60, abs=0.1)
    assert proved - alone <= 1


# -- budgets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "text", "lookback"),
    [("wh", "30/min", 200), ("h", "20/min", 100), ("hh", "2/s", 100), ("w", "400/hour", 30)],
)
def test_a_budget_is_kept_in_every_stretch_of_its_window(kinds: str, text: str, lookback: int) -> None:
    limit, window = {"30/min": (30, 60.0), "20/min": (20, 60.0), "2/s": (2, 1.0), "400/hour": (400, 3600.0)}[text]
    chain, endpoints = made(kinds)
    chain.mine(400)
    line = Line(chain, lambda _: CALLS[:20])
    settings = replace(chain_of(*(one.url for one in endpoints), block_time=BLOCK), budget=text)
    nodes = [endpoint.node for endpoint in endpoints]

    async def story() -> None:
        async with following(settings, line, *endpoints, lookback=lookback):
            await mine(nodes, 60, BLOCK, jitter=2.0)
            await line.until(lambda: line.tip == chain.head.hash, seconds=3600.0)

    play(story())
    together = Endpoint(nodes[0])
    together.times = sorted(moment for endpoint in endpoints for moment in endpoint.times)
    assert 0.4 * limit < together.most_within(window) <= limit
    assert [ref.hash for ref in line.stack] == [block.hash for block in chain.canonical[line.stack[0].number :]]
    assert line.stack[-1].number - line.stack[0].number >= lookback + 60


def test_each_endpoint_has_its_own_budget_beside_the_chains() -> None:
    chain, endpoints = made("hh")
    chain.mine(200)
    line = Line(chain, lambda _: CALLS)
    rpc = tuple(Configured(url=one.url, budget=text) for one, text in zip(endpoints, ("10/min", "40/min"), strict=True))
    settings = replace(chain_of(block_time=BLOCK), rpc=rpc, budget="45/min")

    async def story() -> None:
        async with following(settings, line, *endpoints, lookback=150):
            await mine([one.node for one in endpoints], 30, BLOCK)

    play(story())
    assert all(one.most_within(60.0) <= limit for one, limit in zip(endpoints, (10, 40), strict=True))
    together = Endpoint(endpoints[0].node)
    together.times = sorted(moment for endpoint in endpoints for moment in endpoint.times)
    assert together.most_within(60.0) <= 45


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["30", "0.5", "date"])
@pytest.mark.parametrize("kinds", ["h", "hh"])
def test_retry_after_is_obeyed(kinds: str, header: str) -> None:
    chain, endpoints = made(kinds)
    line = Line(chain)
    settings = chain_of(*(one.url for one in endpoints), block_time=BLOCK)
    first = endpoints[0]
    told: list[tuple[float, float]] = []
    """When it refused, and until when."""

    def refuse(now: float, _: int) -> tuple[int, dict[str, str]] | None:
        if not 100.0 <= now < 400.0:
            return None
        if header == "date":
            until = datetime.fromtimestamp(int(START_TIME + now) + 40, UTC)
            told.append((now, until.timestamp() - START_TIME))
            return 429, {"retry-after": format_datetime(until, usegmt=True)}
        told.append((now, now + float(header)))
        return 429, {"retry-after": header}

    first.refuses = refuse

    async def story() -> None:
        async with following(settings, line, *endpoints):
            await mine([one.node for one in endpoints], 50, BLOCK)
            await line.until(lambda: line.tip == chain.head.hash, seconds=3600.0)

    play(story())
    assert len(told) >= 3
    late = [
        (at, asked)
        for at, until in told
        for asked, _ in first.times
        # what was on its way before the refusal was known cannot be called back
        if at + 2 * first.latency < asked < until - 0.001
    ]
    assert late == []
    assert [ref.hash for ref in line.stack] == [block.hash for block in chain.canonical[line.stack[0].number :]]


def test_a_refused_rate_is_learnt_and_remembered() -> None:
    """A node that takes eight questions a second, so no batch of 50: the chain is followed all the same."""

    def once(limits: dict[str, int]) -> tuple[int, dict[str, int]]:
        """How many questions were refused, and what is kept."""
        chain, (endpoint,) = made("h")
        chain.mine(400)
        line = Line(chain, lambda _: CALLS[:3])
        refused = 0

        def refuse(now: float, count: int) -> tuple[int, dict[str, str]] | None:
            nonlocal refused
            if sum(n for at, n in endpoint.times if at > now - 1.0) > 8:
                refused += count
                return 429, {}
            return None

        endpoint.refuses = refuse

        async def story() -> None:
            async with following(chain_of(endpoint.url, block_time=BLOCK), line, endpoint, lookback=350, limits=limits):
                await mine([endpoint.node], 3, BLOCK)

        play(story())
        return refused, limits

    first, kept = once({})
    rates = {name: value for name, value in kept.items() if name.startswith("rate ")}
    assert first > 100
    (rate,) = rates.values()
    assert 4 <= rate <= 8
    assert not any("example" in name for name in kept)
    again, _ = once(kept)
    assert again < first / 2


def test_blocks_that_nobody_could_vouch_for_are_checked_once_somebody_can() -> None:
    chain, endpoints = made("wh")
    line = Line(chain)
    settings = replace(chain_of(*(one.url for one in endpoints), block_time=BLOCK), trust="quorum")
    endpoints[1].refuses = lambda now, _: (502, {}) if 100.0 <= now < 400.0 else None

    async def story() -> None:
        async with following(settings, line, *endpoints):
            await mine([one.node for one in endpoints], 60, BLOCK)
            await line.until(lambda: line.tip == chain.head.hash, seconds=3600.0)
            await asyncio.sleep(BLOCK)

    play(story())
    told: dict[str, list[str]] = {}
    for frame in line.frames:
        if isinstance(frame, VerifiedFrame):
            told.setdefault(frame.hash, []).append(frame.trust)
    assert sum(1 for grades in told.values() if grades == ["single", "quorum"]) > 15
    assert {grades[-1] for grades in told.values()} == {"quorum"}


# -- fast chains -------------------------------------------------------------------------------------------------------


def test_reads_of_a_fast_chain_are_coalesced_and_are_of_their_block() -> None:
    chain = MadeUpChain(40, block_time=0.25)
    endpoint = Endpoint(FakeNode(chain), announces=True)
    line = Line(chain, lambda _: CALLS[:5])
    settings = chain_of(endpoint.url, block_time=0.25, reads="4s")

    async def story() -> None:
        async with following(settings, line, endpoint):
            await mine([endpoint.node], 240, 0.25)
            await line.until(lambda: line.tip == chain.head.hash, seconds=3600.0)

    play(story())
    moments = [int(chain.blocks[frame.block_hash].header.timestamp, 16) for frame in line.reads]
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert len(line.reads) >= 12
    assert set(gaps) == {4}
    for frame in line.reads:
        block = chain.blocks[frame.block_hash]
        assert int(frame.block, 16) == block.number
        assert {one.result for one in frame.calls} == {word(one.to, one.data, block) for one in frame.calls}
