"""The second endpoint of `proof` and `quorum`, polled: late by habit, stuck, on another fork, without receipts."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from defiwatch.collectors.chain import ChainCollector
from defiwatch.domain.frames import Frame, HealthFrame, VerifiedFrame
from tests.unit.collectors.fake_node import FakeNode
from tests.unit.collectors.line import Line, chain_of
from tests.unit.collectors.made_up_chain import MadeUpChain
from tests.unit.collectors.virtual import Endpoint, opener, play

BLOCK = 12.0


class Pair:
    """A chain followed by an endpoint that announces its heads, and a witness over HTTP; blocks are due evenly."""

    def __init__(self, trust: str) -> None:
        self.chain = MadeUpChain(20, hashed=True)
        self.serving, self.witness = (Endpoint(FakeNode(self.chain), announces=one) for one in (True, False))
        self.line = Line(self.chain)
        self.changes: list[tuple[float, HealthFrame]] = []
        self._settings = msgspec.structs.replace(
            chain_of(self.serving.url, self.witness.url, block_time=BLOCK), trust=trust
        )

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        async def emit(frame: Frame) -> None:
            if isinstance(frame, HealthFrame):
                self.changes.append((asyncio.get_running_loop().time(), frame))
            await self.line.emit(frame)

        collector = ChainCollector(
            self._settings,
            self.line,
            emit,
            lookback=5,
            open_rpc=opener(self.serving, self.witness),
            wall=lambda: 0.0,
        )
        task = asyncio.create_task(collector.run())
        try:
            await self.line.until(lambda: self.line.tip == self.chain.head.hash, seconds=600.0)
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def mined(self, late_by: float = 0.0) -> None:
        """One more block, which the witness has so much later; the rest of the block's time passes."""
        self.chain.mine()
        self.witness.node.lag += 1
        await self.serving.node.announce()
        if late_by < BLOCK:
            await asyncio.sleep(late_by)
            self.witness.node.lag = 0
            await asyncio.sleep(BLOCK - late_by)
        else:
            await asyncio.sleep(BLOCK)

    def grades(self) -> dict[str, str]:
        """By hash, the last."""
        return {frame.hash: frame.trust for frame in self.line.frames if isinstance(frame, VerifiedFrame)}

    @property
    def asked(self) -> Counter[str]:
        """What the witness was asked so far."""
        return self.witness.node.asked.copy()


def told(trust: str, story: Callable[[Pair], AsyncIterator[None]]) -> Pair:
    pair = Pair(trust)

    async def run() -> None:
        async with pair.following():
            async for _ in story(pair):
                pass

    play(run())
    return pair


@pytest.mark.parametrize("trust", ["proof", "quorum"])
def test_a_witness_that_is_late_by_habit_is_asked_later_and_once(trust: str) -> None:
    spent: Counter[str] = Counter()

    async def story(pair: Pair) -> AsyncIterator[None]:
        for number in range(60):
            if number == 20:
                spent.subtract(pair.asked)
            await pair.mined(late_by=0.4)
            yield
        spent.update(pair.asked)

    pair = told(trust, story)
    assert spent.total() <= 1.3 * 40
    assert set(list(pair.grades().values())[-40:]) == {trust}


@pytest.mark.parametrize("trust", ["proof", "quorum"])
def test_a_witness_that_is_stuck_is_behind_within_two_block_times(trust: str) -> None:
    stuck_at = 0.0

    async def story(pair: Pair) -> AsyncIterator[None]:
        nonlocal stuck_at
        for _ in range(5):
            await pair.mined()
            yield
        stuck_at = asyncio.get_running_loop().time()
        before = pair.asked
        for _ in range(20):
            await pair.mined(late_by=BLOCK)
            yield
        # Once that is known, after three blocks, a block takes one question as before.
        assert (pair.asked - before).total() <= 20 + 3 * 7
        pair.witness.node.lag = 0
        for _ in range(6):
            await pair.mined()
            yield

    pair = told(trust, story)
    states = [(at, frame.state) for at, frame in pair.changes if frame.source == pair.witness.url and at > stuck_at]
    assert [state for _, state in states] == ["behind", "live"]
    assert states[0][0] - stuck_at <= 2.1 * BLOCK
    lasting = list(pair.grades().values())
    assert lasting[:5] == [trust] * 5 == lasting[-5:]
    assert set(lasting) == {trust}  # those in between were checked again


def test_a_witness_without_receipts_shows_the_header_instead() -> None:
    spent: Counter[str] = Counter()

    async def story(pair: Pair) -> AsyncIterator[None]:
        pair.witness.node.receipts = False
        for number in range(20):
            if number == 5:
                spent.subtract(pair.asked)
            await pair.mined()
            yield
        spent.update(pair.asked)

    pair = told("proof", story)
    assert +spent == {"eth_getBlockByNumber": 15}
    assert set(list(pair.grades().values())[-20:]) == {"proof"}


def test_a_witness_on_another_fork_proves_nothing() -> None:
    async def story(pair: Pair) -> AsyncIterator[None]:
        await pair.mined()
        yield
        other = MadeUpChain(21, hashed=True)
        other.blocks, other.canonical = dict(pair.chain.blocks), list(pair.chain.canonical)
        pair.witness.node.chain = other
        for _ in range(6):
            pair.chain.mine()
            other.mine(salt=7)
            await pair.serving.node.announce()
            await asyncio.sleep(BLOCK)
            yield

    pair = told("proof", story)
    assert set(list(pair.grades().values())[-6:]) == {"consistent"}
    assert not [frame for _, frame in pair.changes if frame.state == "untrusted"]
