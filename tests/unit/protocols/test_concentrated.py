"""Ticks, prices and the walk over them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.domain.frames import RawLog
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.concentrated.prices import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    moved,
    sqrt_price_at,
    tick_at,
)
from defiwatch.protocols.concentrated.steps import amount0_between, amount1_between, amounts_for, swap_step
from defiwatch.protocols.concentrated.walk import Curve, Ticks, cost_to, depth, impact, quote, swap
from defiwatch.protocols.ticks import TICKS, Tick
from defiwatch.protocols.uniswap_v3.events import SWAP
from defiwatch.state.journal import JournaledBook
from tests.convert import lines
from tests.unit.protocols.play import at

Q96 = 2**96
E18 = 10**18
POOL = "0x" + "aa" * 20


def test_the_ends_of_the_scale() -> None:
    assert sqrt_price_at(MIN_TICK) == MIN_SQRT_PRICE
    assert sqrt_price_at(MAX_TICK) == MAX_SQRT_PRICE
    assert sqrt_price_at(0) == Q96
    assert tick_at(MIN_SQRT_PRICE) == MIN_TICK
    assert tick_at(MAX_SQRT_PRICE - 1) == MAX_TICK - 1
    for beyond in (MIN_TICK - 1, MAX_TICK + 1):
        with pytest.raises(ValueError, match="beyond"):
            sqrt_price_at(beyond)
    for beyond in (MIN_SQRT_PRICE - 1, MAX_SQRT_PRICE):
        with pytest.raises(ValueError, match="off the scale"):
            tick_at(beyond)


@pytest.mark.parametrize(
    ("tick", "price"),
    [
        # as the contracts' library gives them; tests/devnet asks a contract for thousands more
        (50, 79426470787362580746886972461),
        (-50, 79030349367926598376800521322),
        (100, 79625275426524748796330556128),
        (250, 80224679980005306637834519095),
        (-500, 77272108795590369356373805297),
        (1000, 83290069058676223003182343270),
        (-2500, 69919044979842180277688105136),
        (3000, 92049301871182272007977902845),
        (50000, 965075977353221155028623082916),
        (-150000, 43836292794701720435367485),
        (250000, 21246587762933397357449903968194344),
        (-500000, 1101692437043807371),
        (738203, 847134979253254120489401328389043031315994541),
    ],
)
def test_prices_of_ticks(tick: int, price: int) -> None:
    assert sqrt_price_at(tick) == price


@given(st.integers(MIN_TICK, MAX_TICK - 1))
def test_a_tick_begins_at_its_price(tick: int) -> None:
    price = sqrt_price_at(tick)
    assert tick_at(price) == tick
    assert price == MIN_SQRT_PRICE or tick_at(price - 1) == tick - 1
    assert price / Q96 == pytest.approx(1.0001 ** (tick / 2), rel=1e-9)


@pytest.mark.data
def test_ticks_of_real_prices(data_folder: Path) -> None:
    folder = data_folder / "uniswap_v3_usdc_weth_20240105"
    swaps = 0
    for path in sorted(folder.glob("*.jsonl.gz")):
        for item in lines(path):
            log = RawLog(item["address"], tuple(item["topics"]), item["data"])
            if SWAP.fits(log):
                event = SWAP.decode(log)
                # A swap that stops on an initialised tick from above stands one lower than its price.
                assert event.tick in (tick_at(event.sqrt_price_x96), tick_at(event.sqrt_price_x96) - 1)
                swaps += event.tick == tick_at(event.sqrt_price_x96)
    assert swaps > 1000


def test_amounts_of_a_position() -> None:
    """One position around the price 1 of 10**18 liquidity from tick -600 to 600, on all three sides of it."""
    inside0, inside1 = amounts_for(Q96, -600, 600, E18)
    assert inside0 == inside1 == pytest.approx(E18 * (1 - 1.0001**-300), rel=1e-12)
    below0, below1 = amounts_for(sqrt_price_at(-601), -600, 600, E18)
    assert below1 == 0
    assert below0 == amount0_between(sqrt_price_at(-600), sqrt_price_at(600), E18, up=False)
    above0, above1 = amounts_for(sqrt_price_at(600), -600, 600, E18)
    assert above0 == 0
    assert above1 == amount1_between(sqrt_price_at(-600), sqrt_price_at(600), E18, up=False)
    assert amounts_for(Q96, -600, 600, E18, up=True) == (inside0 + 1, inside1 + 1)


def test_a_step_of_the_contracts_own_suite() -> None:
    """v3-core@d8b1c63 test/SwapMath.spec.ts: exact amounts, with prices 1 → 1.01 and 2 ether of liquidity."""
    price, liquidity = Q96, 2 * E18
    target = math.isqrt(101 * Q96 * Q96 // 100)
    after, paid, out, fee = swap_step(price, target, liquidity, E18, 600, exact_in=True)
    assert (after, paid, out, fee) == (target, 9975124224178055, 9925619580021728, 5988667735148)
    after, paid, out, fee = swap_step(price, target, liquidity, E18, 600, exact_in=False)
    assert (after, paid, out, fee) == (target, 9975124224178055, 9925619580021728, 5988667735148)
    target = math.isqrt(1000 * Q96 * Q96 // 100)
    after, paid, out, fee = swap_step(price, target, liquidity, E18, 600, exact_in=True)
    assert (paid, out, fee) == (999400000000000000, 666399946655997866, 600000000000000)
    target = math.isqrt(10000 * Q96 * Q96 // 100)
    after, paid, out, fee = swap_step(price, target, liquidity, E18, 600, exact_in=False)
    assert (paid, out, fee) == (2000000000000000000, 1000000000000000000, 1200720432259356)


def pool(nets: dict[int, int], spacing: int = 10, fee: int = 500) -> tuple[Curve, Ticks]:
    """A pool at price 1 whose liquidity is what the ticks below it sum to."""
    liquidity = sum(net for tick, net in nets.items() if tick <= 0)
    return Curve(Q96, 0, liquidity, fee, spacing), Ticks(nets, spacing)


positions = st.lists(
    st.tuples(st.integers(-300, 299), st.integers(1, 200), st.integers(1, 10**24)), min_size=1, max_size=12
)


def nets_of(rows: list[tuple[int, int, int]], spacing: int) -> dict[int, int]:
    nets: dict[int, int] = {}
    for lower, width, liquidity in rows:
        for tick, net in ((lower * spacing, liquidity), ((lower + width) * spacing, -liquidity)):
            nets[tick] = nets.get(tick, 0) + net
    return nets


@given(positions, st.integers(1, 10**26), st.booleans(), st.booleans(), st.sampled_from([1, 10, 60]))
def test_a_walk_keeps_its_promises(
    rows: list[tuple[int, int, int]], amount: int, zero_for_one: bool, exact_in: bool, spacing: int
) -> None:
    """Nothing for free: the way back never pays more than the way there cost; liquidity is what the ticks sum to."""
    nets = nets_of(rows, spacing)
    curve, ticks = pool(nets, spacing)
    there = swap(curve, ticks, amount, zero_for_one=zero_for_one, exact_in=exact_in)
    assert there.known
    assert there.liquidity == sum(net for tick, net in nets.items() if tick <= there.tick)
    assert (there.amount_in if exact_in else there.amount_out) == amount if there.filled else True
    if there.amount_out:
        after = Curve(there.sqrt_price_x96, there.tick, there.liquidity, curve.fee_ppm, spacing)
        back = swap(after, ticks, there.amount_out, zero_for_one=not zero_for_one, exact_in=True)
        assert back.amount_out <= there.amount_in


@given(positions, st.integers(1, 500))
def test_depth_is_what_the_walk_needs(rows: list[tuple[int, int, int]], bps: int) -> None:
    curve, ticks = pool(nets_of(rows, 10))
    found = depth(curve, ticks, bps)
    assert found is not None
    for paid, got, down in ((found.sell_in, found.sell_out, True), (found.buy_in, found.buy_out, False)):
        target = moved(curve.sqrt_price_x96, -bps if down else bps)
        walked = swap(curve, ticks, 10**60, zero_for_one=down, exact_in=True, limit=target)
        assert (walked.amount_out, walked.sqrt_price_x96) == (got, target)
        assert paid - walked.amount_in in (0, 1)
        if paid:
            assert swap(curve, ticks, paid, zero_for_one=down, exact_in=True).sqrt_price_x96 <= target or not down
            short = swap(curve, ticks, paid - 1, zero_for_one=down, exact_in=True) if paid > 1 else None
            assert short is None or (short.sqrt_price_x96 > target if down else short.sqrt_price_x96 < target)


def test_known_words_end_a_walk() -> None:
    """A walk stops where the ticks are not known, says so, and gives what it has up to there."""
    book = JournaledBook(1)
    book.open(at(1))
    assert table.take_word(book, at(1), POOL, 0, 1 << 6, 10)
    curve = Curve(Q96, 0, E18, 500, 10)
    ticks = table.BookTicks(book, POOL)
    first = quote(curve, ticks, zero_for_one=False, amount_in=E18)
    assert (first.known, first.filled) == (False, False)
    assert first.sqrt_price_x96 == sqrt_price_at(60)  # its bit is set, its liquidity was not read yet
    table.take_tick(book, at(1), POOL, 60, 10, Tick(5, -5))
    second = quote(curve, ticks, zero_for_one=False, amount_in=E18)
    assert (second.known, second.crossed, second.sqrt_price_x96) == (False, 1, sqrt_price_at(2550))
    assert not quote(curve, ticks, zero_for_one=True, amount_in=E18).known  # word -1 was never read
    assert cost_to(curve, ticks, moved(Q96, 100)) is not None
    assert depth(curve, ticks) is None


def test_impact() -> None:
    curve, ticks = pool({-6000: E18, 6000: -E18}, fee=0)
    sold = quote(curve, ticks, zero_for_one=True, amount_in=E18 // 100)
    change, worse = impact(curve, sold, zero_for_one=True)
    assert change == pytest.approx(1 - 1 / 1.01**2, rel=1e-9)
    assert worse == pytest.approx(1 - 1 / 1.01, rel=1e-9)
    bought = quote(curve, ticks, zero_for_one=False, amount_in=E18 // 100)
    assert impact(curve, bought, zero_for_one=False)[0] == pytest.approx(1.01**2 - 1, rel=1e-9)


def test_events_keep_ticks_that_were_read() -> None:
    book = JournaledBook(1)
    book.open(at(1))
    table.take_word(book, at(1), POOL, 0, 0b101, 10)
    assert table.open_ticks(book) == [(POOL, 0), (POOL, 20)]
    table.take_tick(book, at(1), POOL, 0, 10, Tick(7, 7))
    book.open(at(2))
    # 0 was read and takes the change; 20 waits for its read; -10 and beyond the word are not known at all.
    assert table.move(book, POOL, 10, 0, 20, 3)
    assert table.move(book, POOL, 10, -10, 30, 4)
    assert book.get(TICKS, (POOL, 0)) == Tick(10, 10)
    assert book.get(TICKS, (POOL, 20)) is None
    assert book.get(TICKS, (POOL, 30)) == Tick(4, -4)
    assert book.get(table.WORDS, (POOL, 0)) == 0b1101
    assert book.get(TICKS, (POOL, -10)) is None
    table.take_tick(book, at(2), POOL, 20, 10, Tick(3, -3))
    # All of it goes: the tick, its bit, and nothing is left open.
    assert table.move(book, POOL, 10, 0, 20, -3)
    assert book.get(TICKS, (POOL, 20)) is None
    assert book.get(table.WORDS, (POOL, 0)) == 0b1001
    assert table.open_ticks(book) == []


def test_a_tick_that_is_gone_before_it_is_read() -> None:
    book = JournaledBook(1)
    book.open(at(1))
    table.take_word(book, at(1), POOL, -1, 1 << 255, 10)
    table.take_tick(book, at(2), POOL, -10, 10, Tick(0, 0))
    assert book.get(table.WORDS, (POOL, -1)) == 0
    assert table.open_ticks(book) == []


def test_what_differs_is_found_and_taken() -> None:
    book = JournaledBook(1)
    book.open(at(1))
    table.begin_whole(book, POOL, 10)
    assert table.move(book, POOL, 10, -20, 20, 5)
    assert table.take_word(book, at(1), POOL, 0, 0b100, 10)
    assert table.take_tick(book, at(1), POOL, 20, 10, Tick(5, -5))
    assert not table.take_tick(book, at(1), POOL, 20, 10, Tick(6, -6))
    assert not table.take_word(book, at(1), POOL, -1, 1, 10)
    assert book.get(TICKS, (POOL, -20)) is None
    assert table.open_ticks(book) == [(POOL, -2560)]


def test_more_out_than_in_reads_again() -> None:
    book = JournaledBook(1)
    book.open(at(1))
    table.begin_whole(book, POOL, 10)
    table.move(book, POOL, 10, -20, 20, 5)
    assert not table.move(book, POOL, 10, -20, 20, -6)
    assert book.get(table.WHOLE, POOL) is None
    assert table.open_words(book, POOL, 0, 10) == [0, -1, 1]


def test_a_reorg_puts_ticks_back() -> None:
    book = JournaledBook(1)
    book.open(at(1))
    table.begin_whole(book, POOL, 60)
    table.move(book, POOL, 60, -60, 60, 5)
    before = book.digest()
    book.open(at(2))
    table.move(book, POOL, 60, -60, 60, -5)
    table.move(book, POOL, 60, -6000, 60, 9)
    assert book.digest() != before
    book.undo()
    assert book.digest() == before
