"""How fast a pool of many ticks is followed, and how much memory ten thousand pools take."""

from __future__ import annotations

import gc
import random
import tracemalloc

from pytest_benchmark.fixture import BenchmarkFixture

from defiwatch.config import Deployment
from defiwatch.domain.events import BlockRef
from defiwatch.protocols import registry
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.concentrated.prices import sqrt_price_at, tick_at
from defiwatch.protocols.concentrated.walk import Curve, Quote, swap
from defiwatch.protocols.erc20 import TOKENS, Token
from defiwatch.protocols.ticks import TICKS, Tick
from defiwatch.protocols.uniswap_v3 import POOLS, UniswapV3, V3State
from defiwatch.protocols.uniswap_v3.events import V3Swap
from defiwatch.state.journal import JournaledBook

SPACING = 10
INITIALISED = 5_000
EVENTS = 2_000
MEMORY_MB = 250
POOLS_KEPT = 10_000
USDC, WETH = "0x" + "01" * 20, "0x" + "02" * 20


def at(number: int) -> BlockRef:
    return BlockRef(1, number, f"0x{number:064x}", 12 * number)


def address(number: int) -> str:
    return f"0x{number:040x}"


def add_pool(book: JournaledBook, pool: str, ticks: int, rng: random.Random, spacing: int = SPACING) -> None:
    """A pool at price 1 with `ticks` initialised ticks around it, every position a neighbour's or wider."""
    half = ticks // 2
    liquidity = 0
    words: dict[int, int] = {}
    open_nets: list[int] = []
    for slot in range(-half, ticks - half):
        if slot < 0:
            net = rng.randrange(10**15, 10**18)
            open_nets.append(net)
            liquidity += net
        else:
            net = -(open_nets.pop() if open_nets else 0) or -1
        book.put(TICKS, (pool, slot * spacing), Tick(abs(net), net))
        words[slot >> 8] = words.get(slot >> 8, 0) | 1 << (slot & 255)
    for word, bits in words.items():
        book.put(table.WORDS, (pool, word), bits)
    book.put(table.WHOLE, pool, spacing)
    state = V3State(USDC, WETH, 500, spacing, sqrt_price_at(0) - 1, -1, liquidity, 10**15, 10**24, 1, 1, 12)
    book.put(POOLS, pool, state)


def instance(pools: tuple[str, ...]) -> UniswapV3:
    made = registry.create(1, Deployment(chain="x", protocol="uniswap_v3", pools=pools))
    assert isinstance(made, UniswapV3)
    return made


def trades(book: JournaledBook, pool: str, count: int) -> list[V3Swap]:
    """Swaps of 0.01 % to 0.5 % of the price either way, as the pool itself would answer them."""
    rng = random.Random(1)
    state = book.get(POOLS, pool)
    assert state is not None
    ticks = table.BookTicks(book, pool)
    curve = Curve(state.sqrt_price_x96, state.tick, state.liquidity, state.fee, state.tick_spacing)
    found: list[V3Swap] = []
    for number in range(count):
        down = rng.random() < 0.5
        away = rng.randrange(1, 50)
        limit = sqrt_price_at(curve.tick - away if down else curve.tick + 1 + away) + rng.randrange(10**18)
        done: Quote = swap(curve, ticks, 10**40, zero_for_one=down, exact_in=True, limit=limit)
        amounts = (done.amount_in, -done.amount_out) if down else (-done.amount_out, done.amount_in)
        found.append(
            V3Swap(pool, "0x" + "11" * 32, number, WETH, WETH, *amounts, done.sqrt_price_x96, done.liquidity, done.tick)
        )
        curve = Curve(done.sqrt_price_x96, done.tick, done.liquidity, curve.fee_ppm, curve.tick_spacing)
    return found


def test_swap_and_depth_of_a_pool_with_5000_ticks(benchmark: BenchmarkFixture) -> None:
    """Each event applied, and the 2 % depth of the pool told anew."""
    pool = address(7)
    book = JournaledBook(1)
    book.open(at(1))
    add_pool(book, pool, INITIALISED, random.Random(2))
    events = trades(book, pool, EVENTS)
    follower = instance((pool,))
    told: list[tuple[int, int]] = []

    def run() -> None:
        book.open(at(2))
        for event in events:
            follower.on_event(book, at(2), event)
            found = follower.pool(book, pool)
            assert found is not None
            told.append(found.depth)

    benchmark.pedantic(run, rounds=3, iterations=1)  # type: ignore[no-untyped-call]
    assert len(set(told)) > EVENTS // 2
    assert min(min(depth) for depth in told) > 0
    assert benchmark.stats is not None
    rate = EVENTS / benchmark.stats.stats.min
    benchmark.extra_info["events_per_s"] = round(rate)
    print(f"\n{rate:,.0f} swaps a second with their depth, {INITIALISED} ticks")


def test_ten_thousand_pools_fit(benchmark: BenchmarkFixture) -> None:
    """Ten thousand pools, ten ticks each, with every pool's depth told: at most 250 MB."""
    rng = random.Random(3)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    book = JournaledBook(1)
    book.open(at(1))
    book.put(TOKENS, USDC, Token("USDC", "USD Coin", 6))
    book.put(TOKENS, WETH, Token("WETH", "Wrapped Ether", 18))
    pools = tuple(address(number + 1) for number in range(POOLS_KEPT))
    for pool in pools:
        add_pool(book, pool, 10, rng, 60)
    follower = instance(pools)
    rows = list(follower.pools(book))
    used = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    tracemalloc.stop()
    assert len(rows) == POOLS_KEPT
    assert all(min(row.depth) > 0 for row in rows)
    print(f"\n{used:,.0f} MB for {POOLS_KEPT:,} pools")
    benchmark.extra_info["megabytes"] = round(used, 1)
    benchmark.pedantic(lambda: list(follower.pools(book)), rounds=3, iterations=1)  # type: ignore[no-untyped-call]
    assert used <= MEMORY_MB


def test_ticks_of_prices(benchmark: BenchmarkFixture) -> None:
    """The tick of a price, which every swap asks for."""
    prices = [sqrt_price_at(tick) + 7 for tick in range(-200_000, 200_000, 97)]
    found = benchmark(lambda: [tick_at(price) for price in prices])
    assert found[0] == -200_000
