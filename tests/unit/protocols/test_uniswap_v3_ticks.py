"""A v3 pool's ticks: read in rounds around the price, kept by events, compared with the contract, healed."""

from __future__ import annotations

from typing import Any

import pytest

from defiwatch.domain.frames import CallResult
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.concentrated.prices import sqrt_price_at
from defiwatch.protocols.erc20 import BALANCE_OF
from defiwatch.protocols.ticks import TICKS, Tick
from defiwatch.protocols.uniswap_v3 import POOLS, quotes
from defiwatch.protocols.uniswap_v3.events import PANCAKE_SWAP
from defiwatch.protocols.uniswap_v3.quotes import TICK, TICK_BITMAP
from defiwatch.protocols.uniswap_v3.state import FEE, LIQUIDITY, SLOT0, TICK_SPACING, TOKEN0, TOKEN1
from tests.convert import answer, refusal, token_answers
from tests.unit.protocols.play import Player, at, raw
from tests.unit.protocols.test_uniswap_v3 import (
    POOL,
    SOMEONE,
    USDC,
    WETH,
    burn,
    initialize,
    mint,
    player,
    pool_of,
    swap,
    typed,
)

E18 = 10**18
Q96 = 2**96


def state_answers(
    sqrt_price: int, tick: int, liquidity: int, balances: tuple[int, int] = (10**20, 10**20)
) -> list[CallResult]:
    return [
        answer(TOKEN0, POOL, USDC),
        answer(TOKEN1, POOL, WETH),
        answer(FEE, POOL, 500),
        answer(TICK_SPACING, POOL, 10),
        answer(SLOT0, POOL, sqrt_price, tick),
        answer(LIQUIDITY, POOL, liquidity),
        answer(BALANCE_OF, USDC, balances[0], args=[POOL]),
        answer(BALANCE_OF, WETH, balances[1], args=[POOL]),
        *token_answers(USDC, "USDC", "USD Coin", 6),
        *token_answers(WETH, "WETH", "Wrapped Ether", 18),
    ]


CONTRACT: dict[int, tuple[int, int]] = {-600: (E18, E18), -10: (5, 5), 20: (5, -5), 600: (E18, -E18)}


def asked(it: Player) -> list[CallResult]:
    """The answers of a contract with the ticks of CONTRACT to everything that is wanted."""
    answers: list[CallResult] = []
    for to, data in it.wants():
        assert to == POOL
        call = CallResult(to=to, data=data)
        if TICK_BITMAP.matches(call):
            (word,) = TICK_BITMAP.arguments(call)
            places = [table.place(tick, 10) for tick in CONTRACT]
            answers.append(
                answer(TICK_BITMAP, to, sum(1 << bit for at_word, bit in places if at_word == word), args=[word])
            )
        else:
            (tick,) = TICK.arguments(call)
            answers.append(answer(TICK, to, *CONTRACT[tick], args=[tick]))
    return answers


def known() -> Player:
    """A pool in mid-life at price 1, with its ticks read."""
    it = player()
    it.block(at(1))
    it.read(state_answers(Q96, 0, E18 + 5))
    while it.wants():
        it.read(asked(it))
    return it


def test_ticks_are_read_around_the_price_in_two_rounds() -> None:
    it = player()
    it.block(at(1))
    it.read(state_answers(Q96, 0, E18 + 5))
    words = asked(it)
    assert [TICK_BITMAP.arguments(call)[0] for call in words] == [0, -1, 1]
    assert pool_of(it).depth == (0, 0)
    it.read(words)
    ticks = asked(it)
    assert sorted(TICK.arguments(call)[0] for call in ticks) == [-600, -10, 20, 600]
    it.read(ticks)
    assert it.wants() == []
    assert {tick: (entry.gross, entry.net) for tick, entry in quotes.known_ticks(it.book, POOL).items()} == CONTRACT
    sell, buy = pool_of(it).depth
    # L/√P·(1/√0.98 − 1) of token 0 and L·√P·(√1.02 − 1) of token 1, and the fee above it.
    assert sell == pytest.approx(E18 * (0.98**-0.5 - 1) / 0.9995, rel=1e-9)
    assert buy == pytest.approx(E18 * (1.02**0.5 - 1) / 0.9995, rel=1e-9)


def test_events_between_a_word_and_its_ticks() -> None:
    """A tick not read yet takes no event: its read, at a later block, has it in it."""
    it = player()
    it.block(at(1))
    it.read(state_answers(Q96, 0, E18 + 5))
    it.read(asked(it))
    it.block(at(2), mint(-600, 600, 7, 1, 1))
    assert it.book.get(TICKS, (POOL, -600)) is None
    it.read([answer(TICK, POOL, E18 + 7, E18 + 7, args=[-600]), answer(TICK, POOL, E18 + 7, -E18 - 7, args=[600])])
    it.block(at(3), burn(-600, 600, 7, 1, 1))
    assert it.book.get(TICKS, (POOL, -600)) == Tick(E18, E18)


def test_the_price_may_leave_the_window() -> None:
    it = known()
    it.block(at(2), swap(0, 5, sqrt_price_at(9000), E18, 9000))
    assert {TICK_BITMAP.arguments(CallResult(to=to, data=data))[0] for to, data in it.wants()} == {2, 4, 3}


def test_a_pool_seen_from_its_start_needs_no_read() -> None:
    it = player()
    it.block(at(1), initialize(Q96, 0), mint(-600, 600, E18, 9, 9))
    it.read([answer(TICK_SPACING, POOL, 10)])
    assert it.book.get(table.WHOLE, POOL) == 10
    it.block(at(2), mint(-20, 30, 5, 1, 1), burn(-20, 30, 5, 1, 1), mint(-6000, 6000, 5, 1, 1))
    assert sorted(quotes.known_ticks(it.book, POOL)) == [-6000, -600, 600, 6000]
    it.read(state_answers(Q96, 0, E18 + 5))
    assert it.wants() == []
    assert min(pool_of(it).depth) > 0


def test_a_comparison_finds_nothing_where_nothing_is() -> None:
    it = known()
    check = it.book.get(table.CHECKS, POOL)
    assert check is not None
    ref = at(check.due)
    it.block(ref)
    wanted = {data[:10] for _, data in it.wants()}
    assert wanted == {spec.selector for spec in (SLOT0, LIQUIDITY, BALANCE_OF, TICK_BITMAP, TICK)}
    it.read(
        [
            *state_answers(Q96, 0, E18 + 5)[4:8],
            answer(TICK_BITMAP, POOL, sum(1 << t // 10 for t in (20, 600)), args=[0]),
            answer(TICK, POOL, 5, -5, args=[20]),
        ]
    )
    assert (pool_of(it).checks, pool_of(it).mismatches, it.wants()) == (1, 0, [])
    assert it.book.notices == {}


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (answer(SLOT0, POOL, Q96 + 1, 0), "price"),
        (answer(LIQUIDITY, POOL, E18), "liquidity"),
        (answer(BALANCE_OF, USDC, 10**20 + 1, args=[POOL]), "balance0"),
        (answer(BALANCE_OF, WETH, 10**20 - 1, args=[POOL]), "balance1"),
        (answer(TICK_BITMAP, POOL, 1 << 2, args=[0]), "word"),
        (answer(TICK, POOL, 6, -6, args=[20]), "tick"),
    ],
)
def test_a_difference_is_counted_told_and_healed(read: CallResult, what: str) -> None:
    it = known()
    it.block(at(9))
    it.read([read])
    assert pool_of(it).mismatches == 1
    assert it.book.notices == {f"uniswap_v3 {POOL}: {what} read is not what events say; the read is taken": 1}
    it.read([read])
    assert pool_of(it).mismatches == 1  # it was taken


def test_a_read_of_before_the_last_change_is_not_compared() -> None:
    it = known()
    it.block(at(9), swap(0, 5, Q96 + 5, E18, 0))
    it.read([answer(TICK, POOL, 6, -6, args=[20]), answer(TICK_BITMAP, POOL, 0, args=[0])], at(8))
    assert it.book.get(TICKS, (POOL, 20)) == Tick(5, -5)
    assert pool_of(it).mismatches == 0


def test_more_out_than_in_reads_the_ticks_again() -> None:
    it = known()
    it.block(at(9), burn(-10, 20, 6, 1, 1))
    assert any("read again" in text for text in it.book.notices)
    assert [TICK_BITMAP.arguments(CallResult(to=to, data=data))[0] for to, data in it.wants()] == [0, -1]


def test_a_refused_word_is_asked_again_later() -> None:
    it = player()
    it.block(at(1))
    it.read(state_answers(Q96, 0, E18))
    it.read([refusal(TICK_BITMAP, POOL, args=[word]) for word in (0, -1, 1)])
    assert it.wants() == []
    it.block(at(60))
    assert len(it.wants()) == 3


def test_pancakes_swap_is_a_swap() -> None:
    it = known()
    data = typed("int256 int256 uint160 uint128 int24 uint128 uint128", 7, -6, Q96 - 9, E18, -1, 3, 0)
    (fact,) = it.block(at(2), raw(PANCAKE_SWAP.topic0, POOL, typed("address address", SOMEONE, SOMEONE), data))
    assert (fact.amount0, fact.amount1) == (7, -6)  # type: ignore[union-attr]
    state = it.book.get(POOLS, POOL)
    assert state is not None
    assert (state.sqrt_price_x96, state.liquidity, state.tick) == (Q96 - 9, E18, -1)


def test_a_reorg_undoes_reads_and_ticks() -> None:
    it = known()
    before: Any = it.book.digest()
    it.block(at(9), mint(-60, 60, 5, 1, 1))
    it.read([answer(TICK, POOL, 6, -6, args=[20])])
    it.book.undo()
    assert it.book.digest() == before
