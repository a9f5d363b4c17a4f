"""An endpoint that answers well and leaves all logs out: once another shows them, it is told and left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from defiwatch.collectors.chain import ChainCollector
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import HealthFrame
from defiwatch.domain.units import from_hex
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.line import Line, chain_of
from tests.unit.collectors.made_up_chain import MadeUpChain
from tests.unit.collectors.virtual import Endpoint, mine, opener, play

BLOCK_TIME = 12.0
Told = list[tuple[float, str, str, str]]
"""When, who, in which state, why."""


def followed(
    story: Callable[[MadeUpChain, Line, list[Endpoint]], Awaitable[None]], *, length: int = 30, kept: int = 0
) -> tuple[MadeUpChain, Line, list[Endpoint], Told]:
    """Two endpoints over one chain; the line has the blocks below `kept` already, if it has any."""
    chain = MadeUpChain(length)
    line = Line(chain)
    line.stack = [
        BlockRef(1, b.number, b.hash, from_hex(b.header.timestamp), b.header.parent_hash)
        for b in chain.canonical[max(0, kept - 8) : kept]
    ]
    endpoints = [Endpoint(FakeNode(chain), announces=announces) for announces in (True, False)]
    for one in endpoints:
        one.node.announces = one.announces
    told: Told = []
    settings = chain_of(*(one.url for one in endpoints), block_time=BLOCK_TIME)
    emit = line.emit

    async def noted(frame: object) -> None:
        if isinstance(frame, HealthFrame):
            told.append((asyncio.get_running_loop().time(), frame.source, frame.state, frame.detail or ""))
        await emit(frame)  # type: ignore[arg-type]

    async def run() -> None:
        task = asyncio.create_task(ChainCollector(settings, line, noted, lookback=5, open_rpc=opener(*endpoints)).run())
        try:
            await story(chain, line, endpoints)
        finally:
            if task.done():
                task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    play(run())
    return chain, line, endpoints, told


async def caught_up(line: Line, chain: MadeUpChain) -> None:
    await line.until(lambda: line.tip == chain.head.hash, seconds=3600.0)


def test_who_leaves_all_logs_out_at_the_head_is_told_once_and_left() -> None:
    async def story(chain: MadeUpChain, line: Line, endpoints: list[Endpoint]) -> None:
        await caught_up(line, chain)
        endpoints[0].node.drop_logs = 10**6
        await mine([one.node for one in endpoints], 8, BLOCK_TIME)
        await caught_up(line, chain)

    _, _, endpoints, told = followed(story)
    wrong = [(source, detail) for _, source, state, detail in told if state == "untrusted"]
    assert [source for source, _ in wrong] == [endpoints[0].url]
    assert "it gave no logs" in wrong[0][1]
    # Nothing more is asked of it for five minutes.
    left = next(at for at, _, state, _ in told if state == "untrusted")
    assert not [at for at, _ in endpoints[0].times if left < at < left + 250.0]


def test_it_is_tried_again_and_then_trusted_again() -> None:
    async def story(chain: MadeUpChain, line: Line, endpoints: list[Endpoint]) -> None:
        await caught_up(line, chain)
        endpoints[0].node.drop_logs = 10**6
        await mine([one.node for one in endpoints], 3, BLOCK_TIME)
        endpoints[0].node.drop_logs = 0
        await mine([one.node for one in endpoints], 40, BLOCK_TIME)
        await caught_up(line, chain)

    _, _, endpoints, told = followed(story)
    states = [state for _, source, state, _ in told if source == endpoints[0].url]
    assert states[-2:] == ["untrusted", "live"]


def test_who_leaves_them_out_of_a_range_is_told_too() -> None:
    async def story(chain: MadeUpChain, line: Line, endpoints: list[Endpoint]) -> None:
        endpoints[0].node.drop_logs = 10**6
        await caught_up(line, chain)

    _, line, endpoints, told = followed(story, length=300, kept=100)
    assert [source for _, source, state, _ in told if state == "untrusted"] == [endpoints[0].url]
    assert line.stack[-1].number == 299


def test_one_that_was_only_late_is_not_wrong() -> None:
    """A node that has the block's header before its logs: asked again, it has them."""

    async def story(chain: MadeUpChain, line: Line, endpoints: list[Endpoint]) -> None:
        await caught_up(line, chain)
        for _ in range(6):
            endpoints[0].node.drop_logs = 1
            await mine([one.node for one in endpoints], 1, BLOCK_TIME)
            await caught_up(line, chain)
            await asyncio.sleep(1.0)

    _, _, endpoints, told = followed(story)
    assert [state for _, _, state, _ in told if state == "untrusted"] == []
    assert endpoints[0].node.drop_logs == 0


def test_a_lone_endpoint_is_told_by_the_chains_name() -> None:
    """Nobody else showed them: it cannot be told whether the bloom's sign was a chance."""

    async def story(chain: MadeUpChain, line: Line, endpoints: list[Endpoint]) -> None:
        await caught_up(line, chain)
        line.wanted_logs = lambda _: ()
        for one in endpoints:
            one.node.drop_logs = 10**6
        await mine([one.node for one in endpoints], 2, BLOCK_TIME)
        await caught_up(line, chain)

    _, _, _, told = followed(story)
    assert {source for _, source, state, _ in told if state == "untrusted"} == {"made-up"}
