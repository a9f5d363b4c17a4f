"""Curve: the invariant, exchanges, prices, and a pool followed through its events."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.config import Deployment
from defiwatch.domain.events import Fact, LiquidityMoved, Swapped
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.keccak import topic
from defiwatch.domain.risk import Pool
from defiwatch.errors import ConfigError
from defiwatch.protocols.abi import split_types
from defiwatch.protocols.curve import POOLS, CurveState
from defiwatch.protocols.curve import stableswap as curve
from defiwatch.protocols.curve.stableswap import FEE_DENOMINATOR, PRECISION, Rules
from defiwatch.protocols.curve.state import (
    A_PRECISE,
    ADMIN_FEE,
    BALANCES,
    COINS,
    FEE,
    FUTURE_A,
    FUTURE_A_TIME,
    GET_BALANCES,
    INITIAL_A,
    INITIAL_A_TIME,
    OFFPEG,
    STORED_RATES,
    move_cost,
    price,
)
from tests.convert import answer, refusal, token_answers
from tests.unit.protocols.play import Player, at, raw

POOL = "0x" + "c0" * 20
DAI, USDC = "0x" + "d1" * 20, "0x" + "d2" * 20
WHO = "0x" + "99" * 20
E18 = 10**18
OLD = Rules(amp=200, a_precision=1, fee=4_000_000, admin_fee=5 * 10**9)
MIDDLE = Rules(amp=200_00, a_precision=100, fee=4_000_000, admin_fee=5 * 10**9)
NG = Rules(amp=200_00, a_precision=100, fee=4_000_000, admin_fee=5 * 10**9, offpeg=5 * 10**10, ng=True)
KINDS = pytest.mark.parametrize("rules", [OLD, MIDDLE, NG], ids=["old", "middle", "ng"])


@KINDS
@pytest.mark.parametrize(
    ("amp", "share", "price"),
    [
        (200, 60, 0.998),
        (200, 70, 0.994),
        (200, 80, 0.986),
        (200, 90, 0.943),
        (200, 95, 0.807),
        (2000, 60, 0.9998),
        (2000, 70, 0.999),
        (2000, 80, 0.9985),
        (2000, 90, 0.994),
        (2000, 95, 0.976),
    ],
)
def test_share_leads_price(rules: Rules, amp: int, share: int, price: float) -> None:
    """What an abundant coin is worth in the scarce one: the share says it long before the price does."""
    rules = Rules(amp * rules.a_precision, rules.a_precision, rules.fee, rules.admin_fee, rules.offpeg, rules.ng)
    xp = [(100 - share) * E18 * 10**4, share * E18 * 10**4]
    (found,) = curve.prices(xp, rules, curve.get_d(xp, rules))
    assert found / E18 == pytest.approx(price, abs=6e-4)
    assert curve.largest_share(xp) == pytest.approx(share / 100)


def test_a_balanced_pool_is_worth_its_sum() -> None:
    for rules in (OLD, MIDDLE, NG):
        xp = [10**6 * E18] * 3
        assert curve.get_d(xp, rules) == 3 * 10**6 * E18
        assert curve.prices(xp, rules, curve.get_d(xp, rules)) == [E18, E18]
    assert curve.get_d([0, 0], NG) == 0
    with pytest.raises(ValueError, match="no value"):
        curve.get_d([E18, 0], NG)


def test_d_solves_its_equation() -> None:
    """A·n^n·S + D = A·D·n^n + D^(n+1)/(n^n·P), in whole numbers large enough that rounding does not matter."""
    xp = [3 * 10**6 * E18, 5 * 10**6 * E18, 11 * 10**6 * E18]
    for rules in (OLD, MIDDLE, NG):
        d = curve.get_d(xp, rules)
        # `amp` is A·n^(n-1), as the contracts keep it.
        ann = rules.amp * 3 / rules.a_precision
        left = ann * sum(xp) + d
        right = ann * d + d**4 / (27 * math.prod(xp))
        assert left == pytest.approx(right, rel=1e-12)


near = st.lists(st.integers(10**6 * E18, 10**8 * E18), min_size=2, max_size=4)
balances = st.lists(st.integers(10**4 * E18, 10**8 * E18), min_size=2, max_size=4)


@KINDS
@given(xp=balances, amp=st.integers(10, 5000), size=st.floats(1e-6, 0.9), seed=st.integers(0, 100))
def test_an_exchange_never_lowers_the_invariant(rules: Rules, xp: list[int], amp: int, size: float, seed: int) -> None:
    rules = Rules(amp * rules.a_precision, rules.a_precision, rules.fee, rules.admin_fee, rules.offpeg, rules.ng)
    n = len(xp)
    i, j = seed % n, (seed + 1) % n
    rates = [E18] * n
    dx = int(xp[i] * size)
    after = list(xp)
    try:
        before = curve.get_d(xp, rules)
        done = curve.exchange(xp, rates, rules, i, j, dx)
        after[i] += dx
        after[j] -= done.dy + done.admin
        now = curve.get_d(after, rules)
    except ValueError:
        return  # coins four orders apart: the contract's own Newton does not end there, and it reverts
    assert now >= before - 2  # each D is right to one unit
    assert 0 <= done.dy < xp[j]
    back = curve.exchange(after, rates, rules, j, i, done.dy) if done.dy else None
    assert back is None or back.dy <= dx


@KINDS
@given(xp=near, size=st.integers(1, 10**6 * E18), more=st.integers(1, 10**6 * E18))
def test_more_in_is_more_out(rules: Rules, xp: list[int], size: int, more: int) -> None:
    rates = [E18] * len(xp)
    d = curve.get_d(xp, rules)
    less, more_left = (curve.get_y(0, 1, xp[0] + dx, xp, rules, d) for dx in (size, size + more))
    assert more_left <= less + 1
    if rules.ng:
        return  # its fee may rise faster than what is paid for the last coins of a drained pool
    small, large = (curve.exchange(xp, rates, rules, 0, 1, dx) for dx in (size + E18, size + E18 + more))
    assert large.dy >= small.dy - 2


@given(xp=balances)
def test_y_is_where_it_stands(xp: list[int]) -> None:
    for rules in (OLD, MIDDLE, NG):
        d = curve.get_d(xp, rules)
        assert abs(curve.get_y(0, 1, xp[0], xp, rules, d) - xp[1]) <= 2 + xp[1] // 10**12


def test_a_pool_without_a_price_falls_nowhere() -> None:
    state = CurveState(
        coins=(DAI, USDC),
        coins_done=True,
        balances=(10**40, 1),
        rates=(E18, 10**30),
        ng=True,
        a_precision=100,
        amps=(20_000, 20_000, 0, 0),
        fee=0,
        admin_fee=0,
    )
    for balances in ((10**40, 1), (1, 1), (0, 5), (10**30, 10**3)):
        odd = msgspec.structs.replace(state, balances=balances)
        assert price(odd, 0, 1, 0) >= 0.0
        assert move_cost(odd, 0, 1, 0) >= 0


def test_the_dynamic_fee_rises_off_the_peg() -> None:
    level = curve.dynamic_fee(E18, E18, NG)
    assert level == NG.fee
    assert curve.dynamic_fee(E18, 9 * E18, NG) > 2 * level
    assert curve.dynamic_fee(1, 10**30, NG) <= NG.fee * NG.offpeg // FEE_DENOMINATOR
    assert curve.dynamic_fee(E18, 9 * E18, OLD) == OLD.fee


def test_a_moves_with_time() -> None:
    assert curve.amp_at(100, 200, 1000, 2000, 1000) == 100
    assert curve.amp_at(100, 200, 1000, 2000, 1501) == 150
    assert curve.amp_at(200, 100, 1000, 2000, 1501) == 150
    assert curve.amp_at(200, 100, 1000, 2000, 2000) == 100
    assert curve.amp_at(7, 9, 0, 0, 5) == 9


@given(st.integers(-41 * E18, 130 * E18))
def test_exp(x: int) -> None:
    assert curve.wad_exp(x) == pytest.approx(math.exp(x / E18) * E18, rel=1e-9, abs=2)


def test_exp_at_its_ends() -> None:
    assert curve.wad_exp(-42 * E18) == 0
    assert curve.wad_exp(0) == E18
    with pytest.raises(ValueError, match="out of range"):
        curve.wad_exp(136 * E18)


def test_the_average_follows_the_price() -> None:
    """After ln 2 windows half of the distance is gone; nothing within a block."""
    assert curve.moving_average(2 * E18, E18, 0, 866) == E18
    assert curve.moving_average(2 * E18, E18, 600, 866) == pytest.approx(1.5 * E18, rel=1e-3)
    assert curve.moving_average(2 * E18, E18, 10**6, 866) == 2 * E18
    assert curve.next_average(5 * E18, E18, E18, 12, 866)[0] == 2 * E18


# -- a pool followed -------------------------------------------------------------------------------------------------


def log(signature: str, *topics: Any, data: tuple[Any, ...] = ()) -> RawLog:
    """A pool's log with its indexed arguments first, as Curve's are."""
    kinds = split_types(signature[signature.index("(") + 1 : -1])
    indexed = list(zip(kinds, topics, strict=False))
    return raw(topic(signature), POOL, indexed, list(zip(kinds[len(topics) :], data, strict=True)))


def player() -> Player:
    return Player(Deployment(chain="x", protocol="curve", pools=(POOL,)))


def reads_of_ng(balances: list[int]) -> list[CallResult]:
    return [
        *(answer(COINS, POOL, coin, args=[i]) for i, coin in enumerate((DAI, USDC))),
        refusal(COINS, POOL, args=[2]),
        answer(A_PRECISE, POOL, 20_000),
        answer(INITIAL_A, POOL, 20_000),
        answer(FUTURE_A, POOL, 20_000),
        answer(INITIAL_A_TIME, POOL, 0),
        answer(FUTURE_A_TIME, POOL, 0),
        answer(FEE, POOL, 4_000_000),
        answer(ADMIN_FEE, POOL, 5 * 10**9),
        answer(OFFPEG, POOL, 5 * 10**10),
        answer(STORED_RATES, POOL, [10**18, 10**30]),
        answer(GET_BALANCES, POOL, balances),
        *token_answers(DAI, "DAI", "Dai", 18),
        *token_answers(USDC, "USDC", "USD Coin", 6),
    ]


def ng() -> Player:
    it = player()
    it.block(at(1))
    it.read(reads_of_ng([10**6 * E18, 10**12]))
    assert it.wants() == []
    return it


def state_of(it: Player) -> CurveState:
    state = it.book.get(POOLS, POOL)
    assert state is not None
    return state


def pool_of(it: Player) -> Pool:
    pool = it.instance.pool(it.book, POOL)
    assert pool is not None
    return pool


def exchange(sold: int, dx: int, bought: int, dy: int) -> Any:
    return log("TokenExchange(address,int128,uint256,int128,uint256)", WHO, data=(sold, dx, bought, dy))


def one(facts: list[Fact]) -> Any:
    (fact,) = facts
    return fact


def test_an_exchange_is_done_again() -> None:
    it = ng()
    dx = 10**4 * E18
    done = curve.exchange((10**6 * E18, 10**12), (E18, 10**30), NG, 0, 1, dx)
    fact = one(it.block(at(2), exchange(0, dx, 1, done.dy)))
    assert isinstance(fact, Swapped)
    assert (fact.token0, fact.amount0, fact.amount1) == (DAI, dx, -done.dy)
    assert fact.price == pytest.approx(1.0, abs=1e-3)
    state = state_of(it)
    assert state.balances == (10**6 * E18 + dx, 10**12 - done.dy - done.admin)
    assert done.admin > 0
    assert (state.mismatches, state.stale, it.wants()) == (0, False, [])
    assert pool_of(it).share == pytest.approx(0.505, abs=1e-3)
    sell, buy = pool_of(it).depth
    assert 0 < buy < 10**13
    assert 0 < sell < 10**25


def test_one_that_does_not_come_out_is_counted_and_read_anew() -> None:
    it = ng()
    it.block(at(2), exchange(0, E18, 1, 10**6 + 7))
    state = state_of(it)
    assert (state.mismatches, state.stale) == (1, True)
    assert any("read anew" in text for text in it.book.notices)
    assert {data[:10] for _, data in it.wants()} == {STORED_RATES.selector, GET_BALANCES.selector}
    it.read([answer(STORED_RATES, POOL, [10**18, 10**30]), answer(GET_BALANCES, POOL, [5 * E18, 6 * 10**6])])
    state = state_of(it)
    assert (state.balances, state.stale, it.wants()) == ((5 * E18, 6 * 10**6), False, [])
    assert (pool_of(it).mismatches, pool_of(it).checks) == (1, 1)


def test_liquidity_with_its_fees() -> None:
    it = ng()
    signature = "AddLiquidity(address,uint256[],uint256[],uint256,uint256)"
    fees = [3 * E18, 10**6]
    fact = one(it.block(at(2), log(signature, WHO, data=([10**5 * E18, 10**10], fees, 1, 2))))
    assert isinstance(fact, LiquidityMoved)
    assert (fact.amount0, fact.amount1) == (10**5 * E18, 10**10)
    assert fact.share == pytest.approx(110_000 / 2_110_000, rel=1e-3)
    assert state_of(it).balances == (1_100_000 * E18 - 3 * E18 // 2, 1_010_000 * 10**6 - 10**6 // 2)
    signature = "RemoveLiquidity(address,uint256[],uint256[],uint256)"
    fact = one(it.block(at(3), log(signature, WHO, data=([E18, 10**6], [], 2))))
    assert fact.share < 0
    assert state_of(it).balances[0] == 1_100_000 * E18 - 3 * E18 // 2 - E18
    assert it.wants() == []
    signature = "RemoveLiquidityOne(address,int128,uint256,uint256,uint256)"
    fact = one(it.block(at(4), log(signature, WHO, data=(1, E18, 10**9, 2))))
    assert (fact.amount0, fact.amount1) == (0, -(10**9))
    assert GET_BALANCES.selector in {data[:10] for _, data in it.wants()}


def test_a_and_fees_follow() -> None:
    it = ng()
    it.block(at(2), log("RampA(uint256,uint256,uint256,uint256)", data=(20_000, 40_000, 24, 24 + 86_400)))
    assert state_of(it).amps == (20_000, 40_000, 24, 86_424)
    it.block(at(3), log("StopRampA(uint256,uint256)", data=(20_002, 36)))
    assert state_of(it).amps == (20_002, 20_002, 36, 36)
    it.block(at(4), log("ApplyNewFee(uint256,uint256)", data=(1_000_000, 2 * 10**10)))
    it.block(at(5), log("ApplyNewAdminFee(uint256)", data=(10**9,)))
    assert (state_of(it).fee, state_of(it).offpeg, state_of(it).admin_fee) == (1_000_000, 2 * 10**10, 10**9)
    it.block(at(6), log("NewFee(uint256,uint256)", data=(2_000_000, 3 * 10**9)))
    assert (state_of(it).fee, state_of(it).admin_fee) == (2_000_000, 3 * 10**9)


def test_an_old_pool_says_so_by_what_it_refuses() -> None:
    it = player()
    it.block(at(1))
    it.read([answer(COINS, POOL, DAI, args=[0]), answer(COINS, POOL, USDC, args=[1])])
    it.read([*token_answers(DAI, "DAI", "Dai", 18), *token_answers(USDC, "USDC", "USD Coin", 6)])
    it.read(
        [refusal(COINS, POOL, args=[2]), refusal(A_PRECISE, POOL), refusal(STORED_RATES, POOL), refusal(OFFPEG, POOL)]
    )
    it.read([answer(spec, POOL, 200) for spec in (INITIAL_A, FUTURE_A)])
    it.read([answer(INITIAL_A_TIME, POOL, 0), answer(FUTURE_A_TIME, POOL, 0)])
    it.read([answer(FEE, POOL, 4_000_000), answer(ADMIN_FEE, POOL, 5 * 10**9)])
    assert [data[:10] for _, data in it.wants()] == [BALANCES.selector] * 2
    it.read([answer(BALANCES, POOL, 10**6 * E18, args=[0]), answer(BALANCES, POOL, 10**12, args=[1])])
    assert it.wants() == []
    assert pool_of(it).unknown == ""
    done = curve.exchange((10**6 * E18, 10**12), (E18, 10**30), OLD, 1, 0, 10**9)
    it.block(at(2), exchange(1, 10**9, 0, done.dy))
    assert state_of(it).mismatches == 0
    assert state_of(it).balances == (10**6 * E18 - done.dy - done.admin, 10**12 + 10**9)


def test_a_comparison_that_differs_is_counted() -> None:
    it = ng()
    it.block(at(8000))
    assert {data[:10] for _, data in it.wants()} == {STORED_RATES.selector, GET_BALANCES.selector}
    it.read([answer(STORED_RATES, POOL, [10**18, 10**30]), answer(GET_BALANCES, POOL, [10**6 * E18 + 1, 10**12])])
    assert (pool_of(it).checks, pool_of(it).mismatches, it.wants()) == (1, 1, [])


def test_rates_of_its_coins_own_contracts_are_told() -> None:
    it = ng()
    assert pool_of(it).rates == ()
    it.block(at(8000))
    it.read([answer(STORED_RATES, POOL, [118 * 10**16, 10**30]), answer(GET_BALANCES, POOL, [10**6 * E18, 10**12])])
    assert pool_of(it).rates == (118 * 10**16, 10**18)


def test_a_reorg_takes_it_back() -> None:
    it = ng()
    before = it.book.digest()
    it.block(at(2), exchange(0, E18, 1, 999_000))
    it.book.undo()
    assert it.book.digest() == before


def test_a_two_crypto_trade_is_told() -> None:
    it = ng()
    signature = "TokenExchange(address,uint256,uint256,uint256,uint256)"
    fact = one(it.block(at(2), log(signature, WHO, data=(1, 10**6, 0, E18))))
    assert (fact.amount0, fact.amount1) == (-E18, 10**6)
    assert state_of(it).mismatches == 0


def test_what_it_is_given_is_checked() -> None:
    for pools in ((), ("0x12",)):
        with pytest.raises(ConfigError, match="curve: expected"):
            Player(Deployment(chain="x", protocol="curve", pools=pools))


def test_precision_is_curves() -> None:
    assert (PRECISION, FEE_DENOMINATOR) == (10**18, 10**10)
