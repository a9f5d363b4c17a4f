"""Head first: the newest blocks come at once, marked, while the gap behind them is closed in order beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import msgspec
import pytest

from defiwatch.collectors.chain import ChainCollector
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, Frame, ReadsFrame, RemovedFrame
from defiwatch.domain.units import from_hex
from defiwatch.protocols.abi import Call
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.line import Line, chain_of
from tests.unit.collectors.made_up_chain import TOKEN, MadeUpChain
from tests.unit.collectors.virtual import Endpoint, mine, opener, play

BLOCK_TIME = 2.0
KEPT = 40
Moment: TypeAlias = tuple[float, bool, Frame]
"""When a frame came, whether it was ahead, and the frame."""


class Both:
    """The line that takes all blocks in order, and the scout; each holds the collector to its promises."""

    def __init__(self, chain: MadeUpChain, calls: int = 1) -> None:
        self.chain = chain
        wanted = [Call(TOKEN, f"0x{i:08x}") for i in range(calls)]
        self.own = Line(chain, lambda _: wanted)
        self.ahead = Line(chain, lambda _: wanted)
        self.own.stack = [
            BlockRef(1, b.number, b.hash, from_hex(b.header.timestamp), b.header.parent_hash)
            for b in chain.canonical[KEPT - 8 : KEPT]
        ]
        self.moments: list[Moment] = []

    async def emit(self, frame: Frame) -> None:
        ahead = isinstance(frame, BlockFrame | RemovedFrame | ReadsFrame) and bool(frame.ahead)
        self.moments.append((asyncio.get_running_loop().time(), ahead, frame))
        if isinstance(frame, BlockFrame | RemovedFrame | ReadsFrame) and ahead:
            frame = msgspec.structs.replace(frame, ahead=msgspec.UNSET)
        await (self.ahead if ahead else self.own).emit(frame)

    @property
    def done(self) -> bool:
        return self.own.tip == self.chain.head.hash

    def blocks(self, *, ahead: bool) -> list[tuple[float, int]]:
        """When which height came."""
        return [
            (at, from_hex(frame.header.number))
            for at, marked, frame in self.moments
            if marked == ahead and isinstance(frame, BlockFrame)
        ]

    def check(self) -> None:
        """The own line has every block once; nothing is ahead once it came as far."""
        assert [ref.hash for ref in self.own.stack] == [b.hash for b in self.chain.canonical[KEPT - 8 :]]
        assert not self.own.removed
        shown = -1
        over = False
        for _, ahead, frame in self.moments:
            if ahead:
                assert not over, "the scout went on after it was reached"
                if isinstance(frame, BlockFrame):
                    shown = from_hex(frame.header.number)
            elif isinstance(frame, BlockFrame):
                over = over or (shown >= 0 and from_hex(frame.header.number) >= shown)


@asynccontextmanager
async def following(
    both: Both, *endpoints: Endpoint, catch_up: str = "head_first", budget: str = ""
) -> AsyncIterator[None]:
    chain = msgspec.structs.replace(
        chain_of(*(one.url for one in endpoints), block_time=BLOCK_TIME),
        catch_up=catch_up,
        budget=budget,
    )
    collector = ChainCollector(
        chain,
        both.own,
        both.emit,
        lookback=20,
        wall=lambda: 1_700_000_000.0,
        open_rpc=opener(*endpoints),
        ahead=both.ahead,
    )
    task = asyncio.create_task(collector.run())
    try:
        yield
    finally:
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def lived(
    length: int, blocks: int, *, announces: bool = True, budget: str = "", catch_up: str = "head_first", calls: int = 1
) -> tuple[Both, Endpoint]:
    """A line that stopped at block `KEPT` of a chain of `length`, which grows by `blocks` while the gap is closed."""
    chain = MadeUpChain(length)
    both = Both(chain, calls)
    endpoint = Endpoint(FakeNode(chain), announces=announces)
    endpoint.node.announces = announces

    async def story() -> None:
        async with following(both, endpoint, catch_up=catch_up, budget=budget):
            await mine([endpoint.node], blocks, BLOCK_TIME)
            await both.own.until(lambda: both.done, seconds=100_000.0)

    play(story())
    both.check()
    return both, endpoint


@pytest.mark.parametrize("announces", [True, False])
def test_the_head_comes_at_once_and_is_followed_while_the_gap_is_closed(announces: bool) -> None:
    both, _ = lived(2000, 20, announces=announces)
    ahead, own = both.blocks(ahead=True), both.blocks(ahead=False)
    first_at, first = ahead[0]
    assert first >= 1999
    assert first_at < 2.0
    assert [number for _, number in own if number < 100][:3] == [KEPT, KEPT + 1, KEPT + 2]
    closed_at = next(at for at, number in own if number >= ahead[-1][1])
    # Every block that was mined meanwhile came ahead in its own time, and its reads with it.
    late = 0.5 if announces else BLOCK_TIME + 0.5
    assert closed_at > 10.0
    for at, number in ahead[1:]:
        mined = (number - 1999) * BLOCK_TIME
        assert mined <= at <= mined + late, number
    read = {from_hex(f.block) for _, marked, f in both.moments if marked and isinstance(f, ReadsFrame)}
    assert read >= {number for _, number in ahead[:-1]}


def test_one_budget_for_both_and_the_head_has_its_part() -> None:
    both, endpoint = lived(700, 60, budget="120/min", calls=3)
    assert endpoint.most_within(60.0) <= 120
    ahead, own = both.blocks(ahead=True), both.blocks(ahead=False)
    for at, number in ahead[1:]:
        assert at <= (number - 699) * BLOCK_TIME + 0.5, number
    # The gap is closed with what is left, and that is not little.
    grown = [at for at, number in own if number < 699]
    assert grown == sorted(grown)
    assert max(grown) < 3600.0
    alone, other = lived(700, 60, budget="120/min", calls=3, catch_up="in_order")
    assert other.most_within(60.0) <= 120
    assert alone.blocks(ahead=True) == []
    first_head = next(at for at, number in alone.blocks(ahead=False) if number >= 699)
    assert ahead[0][0] * 20 < first_head


def test_a_refusal_slows_the_gap_for_a_while_and_no_longer() -> None:
    """Ten seconds of refusals at the beginning cost the gap less than a minute."""

    def closed(*, refused: bool) -> float:
        chain = MadeUpChain(700)
        both = Both(chain)
        endpoint = Endpoint(FakeNode(chain), announces=False)
        endpoint.refuses = lambda now, _: (429, {}) if refused and 3.0 <= now < 13.0 else None

        async def story() -> None:
            async with following(both, endpoint):
                await mine([endpoint.node], 20, BLOCK_TIME)
                await both.own.until(lambda: both.done, seconds=100_000.0)

        play(story())
        both.check()
        return max(at for at, number in both.blocks(ahead=False) if number < 700)

    assert closed(refused=True) <= closed(refused=False) + 60.0


def test_it_ends_where_the_own_line_has_come_as_far_while_blocks_go_on_coming() -> None:
    both, _ = lived(KEPT + 150, 60)
    last = both.blocks(ahead=True)[-1][1]
    assert KEPT + 150 <= last < KEPT + 180
    assert both.blocks(ahead=False)[-1][1] == KEPT + 150 + 60 - 1


def test_few_missing_blocks_are_no_gap() -> None:
    both, _ = lived(KEPT + 40, 5)
    assert both.blocks(ahead=True) == []


def test_in_order_is_the_default() -> None:
    assert chain_of("http://node.example").catch_up == "in_order"
    both, _ = lived(600, 5, catch_up="in_order")
    assert both.blocks(ahead=True) == []


def test_a_reorg_of_the_head_while_the_gap_is_closed() -> None:
    chain = MadeUpChain(1500)
    both = Both(chain)
    endpoint = Endpoint(FakeNode(chain), announces=True)

    async def story() -> None:
        async with following(both, endpoint):
            await mine([endpoint.node], 3, BLOCK_TIME)
            await asyncio.sleep(1.0)
            await endpoint.node.reorg(2, 3)
            await mine([endpoint.node], 3, BLOCK_TIME)
            await both.own.until(lambda: both.done, seconds=10_000.0)

    play(story())
    both.check()
    assert len(both.ahead.removed) == 2
    assert both.ahead.stack[-1].hash in {block.hash for block in chain.canonical}


def test_a_second_gap_gets_a_scout_of_its_own() -> None:
    chain = MadeUpChain(400)
    both = Both(chain)
    endpoint = Endpoint(FakeNode(chain))
    starts: list[float] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with following(both, endpoint):
            await both.own.until(lambda: both.done, seconds=10_000.0)
            both.check()
            starts.append(loop.time())
            both.ahead.stack.clear()
            endpoint.refuses = lambda _now, _count: (429, {"retry-after": "5"})
            await mine([endpoint.node], 300, BLOCK_TIME)
            endpoint.refuses = lambda _now, _count: None
            await both.own.until(lambda: both.done, seconds=10_000.0)

    play(story())
    assert [ref.hash for ref in both.own.stack] == [b.hash for b in chain.canonical[KEPT - 8 :]]
    ahead = both.blocks(ahead=True)
    assert {number >= 600 for _, number in ahead} == {True, False}
    assert all(number >= 600 for at, number in ahead if at > starts[0])


def test_up_to_the_head_once_is_in_order() -> None:
    chain = MadeUpChain(800)
    both = Both(chain)
    endpoint = Endpoint(FakeNode(chain))

    async def story() -> None:
        settings = msgspec.structs.replace(chain_of(endpoint.url, block_time=BLOCK_TIME), catch_up="head_first")
        await ChainCollector(
            settings,
            both.own,
            both.emit,
            lookback=20,
            until_head=True,
            open_rpc=opener(endpoint),
            ahead=both.ahead,
        ).run()

    play(story())
    both.check()
    assert both.done
    assert both.blocks(ahead=True) == []


def test_a_fault_of_the_scouts_line_comes_out() -> None:
    chain = MadeUpChain(800)
    both = Both(chain)
    endpoint = Endpoint(FakeNode(chain))

    async def refuse(frame: Frame) -> None:
        raise ZeroDivisionError

    both.ahead.emit = refuse  # type: ignore[method-assign]

    async def story() -> None:
        async with following(both, endpoint):
            await both.own.until(lambda: both.done, seconds=100.0)

    with pytest.raises((ZeroDivisionError, TimeoutError)) as raised:
        play(story())
    assert raised.type is ZeroDivisionError
