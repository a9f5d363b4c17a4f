"""The ledger under storms: whatever is lost, late, doubled or out of order, it ends in the canonical chain."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from defiwatch.collectors.chain.ledger import Ledger
from defiwatch.collectors.chain.ledger.asks import Ask, AskHeader, AskHeaders, AskLatest, AskLogs
from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import BlockFrame, RawLog, RemovedFrame
from defiwatch.domain.units import from_hex
from tests.unit.collectors.made_up_chain import STRANGER, MadeUp, MadeUpChain

BLOCK_TIME = 2.0


def wanted(block: MadeUp) -> tuple[RawLog, ...]:
    return tuple(log for log in block.logs if log.address != STRANGER)


class Consumer:
    """Takes the frames as a line does, and holds the ledger to its promise at every one."""

    def __init__(self, chain: MadeUpChain, own: list[MadeUp]) -> None:
        self.chain = chain
        self.stack = list(own)
        self.first: int | None = own[0].number if own else None
        self.blocks = self.removed = 0

    def feed(self, frame: BlockFrame | RemovedFrame) -> None:
        if isinstance(frame, RemovedFrame):
            gone = self.stack.pop()
            assert (frame.hash, from_hex(frame.number)) == (gone.hash, gone.number)
            self.removed += 1
            return
        block = self.chain.blocks[frame.header.hash]
        if self.stack:
            assert frame.header.parent_hash == self.stack[-1].hash
        elif self.first is None:
            self.first = block.number
        else:
            assert block.number <= self.first
        assert frame.logs == wanted(block)
        self.stack.append(block)
        self.blocks += 1


class Network:
    """Carries questions and notices between the ledger and the chain, badly."""

    def __init__(self, chain: MadeUpChain, ledger: Ledger, rng: random.Random, *, limit: int) -> None:
        self.chain, self.ledger, self.rng, self.limit = chain, ledger, rng, limit
        self.now = 0.0
        self.pending: list[Ask] = []
        self.old: list[Ask] = []
        self.notices: list[MadeUp] = []
        self.asked = 0

    def collect(self) -> None:
        asks = self.ledger.asks(self.now)
        self.asked += len(asks)
        self.pending += asks

    def answer(self, ask: Ask, *, honest: bool = True) -> None:
        ledger, now = self.ledger, self.now
        rng = self.rng
        if not honest and rng.random() < 0.2:
            ledger.on_failure(ask.id, now, too_large=rng.random() < 0.5, delay=rng.choice((0.0, 0.5)))
            return
        if isinstance(ask, AskLatest):
            ledger.on_latest(ask.id, self.chain.head.header, now)
        elif isinstance(ask, AskHeader):
            block = self.chain.blocks.get(ask.hash)
            gone = block is None or (block not in self.chain.canonical and rng.random() < 0.5)
            ledger.on_header(ask.id, None if block is None or gone else block.header, now)
        elif isinstance(ask, AskHeaders):
            if ask.last - ask.first + 1 > self.limit:
                ledger.on_failure(ask.id, now, too_large=True)
                return
            found = [self.chain.at(n) for n in range(ask.first, ask.last + 1)]
            ledger.on_headers(ask.id, [None if b is None else b.header for b in found], now)
        elif isinstance(ask, AskLogs):
            block = self.chain.blocks.get(ask.hash)
            if block is None or (block not in self.chain.canonical and rng.random() < 0.5):
                ledger.on_failure(ask.id, now)
                return
            logs = list(wanted(block))
            if not honest:
                rng.shuffle(logs)
                logs += logs[:1]
            ledger.on_logs(ask.id, logs, now)
        else:
            if ask.last - ask.first + 1 > self.limit:
                ledger.on_failure(ask.id, now, too_large=True)
                return
            found = [self.chain.at(n) for n in range(ask.first, ask.last + 1)]
            ledger.on_range(ask.id, [log for block in found if block is not None for log in wanted(block)], now)

    def storm(self, steps: int, consumer: Consumer, *, deep: int) -> None:
        rng, chain, ledger = self.rng, self.chain, self.ledger
        for _ in range(steps):
            act = rng.random()
            if act < 0.25:
                what = rng.random()
                if what < 0.6:
                    chain.mine(rng.choice((1, 1, 1, 2, 40)))
                elif what < 0.95:
                    depth = rng.randint(1, deep)
                    chain.reorg(depth, max(1, depth + rng.choice((-2, -1, 0, 1, 3))))
                else:
                    chain.rollback(rng.randint(1, 3))
                if rng.random() < 0.8:
                    self.notices.append(chain.head)
            elif act < 0.45 and self.notices:
                notice = rng.choice(self.notices)
                if rng.random() < 0.6:
                    self.notices.remove(notice)
                ledger.on_head(notice.header, self.now)
            elif act < 0.8 and self.pending:
                ask = self.pending.pop(rng.randrange(len(self.pending)))
                if rng.random() < 0.9:
                    self.answer(ask, honest=False)
                    if rng.random() < 0.1:
                        self.old.append(ask)
            elif act < 0.83 and self.old:
                self.answer(self.old.pop(), honest=False)
            elif act < 0.86:
                ledger.on_filter() if rng.random() < 0.5 else ledger.recheck()
            else:
                self.now += rng.choice((0.01, 0.3, 1.0, 5.0))
            self.collect()
            while rng.random() < 0.7 and (frame := ledger.take()) is not None:
                consumer.feed(frame)

    def calm(self, consumer: Consumer) -> None:
        """Everything is answered at once; no notice comes any more: polling alone has to find the end."""
        self.pending.clear()
        for _ in range(4000):
            while (frame := self.ledger.take()) is not None:
                consumer.feed(frame)
            self.collect()
            if not self.pending:
                if self.ledger.at_head and self.ledger.tip == (self.chain.head.number, self.chain.head.hash):
                    return
                self.now = max(self.now + 0.05, self.ledger.wake(self.now))
                continue
            while self.pending:
                self.answer(self.pending.pop(0))
        pytest.fail(f"never reached the head: tip {self.ledger.tip}, head {self.chain.head.number}")


def play(seed: int, *, start: str, steps: int, limit: int, deep: int) -> tuple[Consumer, Network]:
    rng = random.Random(seed)
    chain = MadeUpChain(rng.choice((1, 30, 120)))
    own: list[MadeUp] = []
    if start == "cursor":
        own = list(chain.canonical[-rng.randint(1, 30) :])
        if rng.random() < 0.5:
            chain.reorg(rng.randint(1, min(10, len(chain.canonical))), rng.randint(1, 60))
        else:
            chain.mine(rng.randint(0, 150))
    refs = [BlockRef(1, b.number, b.hash, 0, b.header.parent_hash) for b in own]
    ledger = Ledger(
        1,
        own=refs,
        lookback=rng.choice((0, 5, 70)),
        confirmations=rng.choice((1, 12, 64)),
        depth=64,
        segment=32,
        log_range=16,
        header_batch=20,
        patience=5.0,
        block_time=BLOCK_TIME,
    )
    ledger.pace(rng.choice((0.0, 5.0)), 1.0)
    consumer = Consumer(chain, own)
    network = Network(chain, ledger, rng, limit=limit)
    network.storm(steps, consumer, deep=deep)
    network.calm(consumer)
    return consumer, network


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    start=st.sampled_from(("cold", "cursor")),
    steps=st.integers(0, 300),
    limit=st.sampled_from((1, 3, 7, 1000)),
    deep=st.sampled_from((2, 5, 30)),
)
def test_any_storm_ends_in_the_canonical_chain(seed: int, start: str, steps: int, limit: int, deep: int) -> None:
    consumer, network = play(seed, start=start, steps=steps, limit=limit, deep=deep)
    canonical = network.chain.canonical
    assert [b.hash for b in consumer.stack] == [b.hash for b in canonical[consumer.stack[0].number :]]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 400), limit=st.sampled_from((5, 64, 1000)))
def test_a_calm_catch_up_asks_little(seed: int, length: int, limit: int) -> None:
    """No storm: one block after the other, none removed, and no question asked twice for the same."""
    chain = MadeUpChain(length)
    ledger = Ledger(1, lookback=10_000, confirmations=12, segment=64, log_range=64, header_batch=64)
    consumer = Consumer(chain, [])
    network = Network(chain, ledger, random.Random(seed), limit=limit)
    network.calm(consumer)
    assert [b.number for b in consumer.stack] == list(range(length))
    assert consumer.removed == 0
    if limit == 1000:
        assert network.asked <= 2 * (length // 64 + 1) + 32 + 8
