"""Balancer v2: its numbers, and what happens where a swap does not come out as the mathematics says."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.config import Deployment
from defiwatch.domain.events import LiquidityMoved, Swapped
from defiwatch.domain.frames import RawLog
from defiwatch.domain.risk import Pool
from defiwatch.errors import ConfigError
from defiwatch.protocols.abi import Call
from defiwatch.protocols.balancer_v2 import POOLS, BalancerState, fixed, stable
from defiwatch.protocols.balancer_v2 import state as pools
from defiwatch.protocols.balancer_v2.events import (
    POOL_BALANCE_MANAGED,
    PRICE_PROVIDER_SET,
    PRICE_RATE_UPDATED,
    RATE_UPDATED,
    SWAP,
)
from defiwatch.protocols.balancer_v2.state import (
    AMP,
    POOL_TOKENS,
    PRICE_CACHE,
    PROVIDERS,
    RATE,
    RATE_CACHE,
    SCALING,
    SWAP_FEE,
    WEIGHTS,
)
from tests.convert import answer, refusal, token_answers
from tests.unit.protocols.play import Player, at, raw

VAULT = "0x" + "ba" * 20
ADDRESS = "0x" + "b1" * 20
ID = ADDRESS + "0" * 22 + "01"
WETH, USDC = "0x" + "01" * 20, "0x" + "02" * 20
WHO = "0x" + "99" * 20
WRAPPED, TELLER, NOBODY = "0x" + "03" * 20, "0x" + "7e" * 20, "0x" + "0" * 40
E18 = 10**18


@given(st.integers(-41 * E18, 40 * E18))
def test_exp(x: int) -> None:
    assert fixed.exp(x) == pytest.approx(math.exp(x / E18) * E18, rel=1e-12, abs=2)


@given(st.integers(1, 10**45))
def test_ln(x: int) -> None:
    assert fixed.ln(x) / E18 == pytest.approx(math.log(x / E18), rel=1e-9, abs=1e-12)


@given(st.integers(9 * 10**17 + 1, 11 * 10**17 - 1))
def test_ln_near_one(x: int) -> None:
    assert fixed.ln_36(x) / 10**36 == pytest.approx(math.log1p((x - E18) / E18), rel=1e-9, abs=1e-17)


@given(st.integers(10**14, 10**24), st.integers(10**16, 4 * E18))
def test_a_power_is_never_below(x: int, y: int) -> None:
    found = fixed.power_up(x, y)
    assert found >= 0.999999999999 * (x / E18) ** (y / E18) * E18
    assert found == pytest.approx((x / E18) ** (y / E18) * E18, rel=1e-9, abs=3)


def test_powers_out_of_range() -> None:
    assert fixed.power(0, E18) == 0
    assert fixed.power(5, 0) == E18
    for x, y in ((1 << 255, E18), (2 * E18, 1 << 255), (10**40, 20 * E18)):
        with pytest.raises(ValueError, match="out of range"):
            fixed.power(x, y)


@given(st.lists(st.integers(10**6 * E18, 10**7 * E18), min_size=2, max_size=5), st.integers(1, 10**4 * E18))
def test_a_stable_swap_never_lowers_the_invariant(balances: list[int], amount: int) -> None:
    amp = 200_000
    paid = stable.out_given_in(amp, balances, 0, 1, amount)
    after = [balances[0] + amount, balances[1] - paid, *balances[2:]]
    assert stable.invariant(amp, after) >= stable.invariant(amp, balances) - 2
    assert stable.spot(amp, after, 0, 1) <= stable.spot(amp, balances, 0, 1) * (1 + 1e-12)


def test_balances_too_far_apart_have_no_price() -> None:
    """The contract's own iteration does not end there: it would revert, and nothing here falls over."""
    balances = [2_499_999_999_999_999_999_999_999, *[10_000_000_000_000_000_000_000] * 3]
    with pytest.raises(ValueError, match="does not converge"):
        stable.invariant(200_000, balances)
    tokens = tuple(f"0x{n:040x}" for n in range(4))
    state = BalancerState(tokens, tuple(balances), 10**14, amp=200_000, scaling=(E18,) * 4)
    assert pools.spot(state, ID, 0, 1) == 0.0
    assert pools.move_cost(state, ID, 0, 1) == 0


def weighted() -> Player:
    """80/20 WETH/USDC with 100 WETH and 50,000 USDC: a WETH is worth 2,000 USDC."""
    it = Player(Deployment(chain="x", protocol="balancer_v2", address=VAULT, pools=(ID,)))
    it.block(at(1))
    it.read(
        [
            answer(POOL_TOKENS, VAULT, [WETH, USDC], [100 * E18, 50_000 * 10**6], 1, args=[ID]),
            answer(SWAP_FEE, ADDRESS, 10**15),
            answer(WEIGHTS, ADDRESS, [8 * 10**17, 2 * 10**17]),
            refusal(AMP, ADDRESS),
            answer(SCALING, ADDRESS, [E18, 10**30]),
            *token_answers(WETH, "WETH", "Wrapped Ether", 18),
            *token_answers(USDC, "USDC", "USD Coin", 6),
        ]
    )
    assert it.wants() == []
    return it


def state_of(it: Player) -> BalancerState:
    state = it.book.get(POOLS, ID)
    assert state is not None
    return state


def asked(call: Call) -> tuple[str, str]:
    """A read as the player lists it."""
    return call.to, call.data


def pool_of(it: Player) -> Pool:
    pool = it.instance.pool(it.book, ID)
    assert pool is not None
    return pool


def swap(sell: str, buy: str, amount_in: int, amount_out: int) -> RawLog:
    topics = [("bytes32", ID), ("address", sell), ("address", buy)]
    return raw(SWAP.topic0, VAULT, topics, [("uint256", amount_in), ("uint256", amount_out)])


def test_a_pool_as_it_stands() -> None:
    pool = pool_of(weighted())
    assert pool.price == pytest.approx(2000.0)
    assert (pool.label, pool.fee_ppm, pool.reserves) == ("WETH/USDC 0.1%", 1000, (100 * E18, 50_000 * 10**6))
    assert (pool.share, pool.unknown) == (0.0, "")
    # Selling g of WETH: (1 + g/100)^(1 + 4) is 1/0.98 where there is no fee.
    assert pool.depth[0] / E18 == pytest.approx(100 * (0.98**-0.2 - 1), rel=2e-3)


def test_a_swap_that_comes_out() -> None:
    it = weighted()
    out = pools.amount_out(state_of(it), ID, 0, 1, E18)
    (fact,) = it.block(at(2), swap(WETH, USDC, E18, out))
    assert isinstance(fact, Swapped)
    assert (fact.token0, fact.amount0, fact.amount1) == (WETH, E18, -out)
    state = state_of(it)
    assert state.balances == (101 * E18, 50_000 * 10**6 - out)
    assert (state.shortcuts, state.mismatches, it.wants()) == (True, 0, [])
    cost = pools.amount_in(state, ID, 1, 0, E18)
    it.block(at(3), swap(USDC, WETH, cost, E18))
    assert state_of(it).mismatches == 0


def test_a_swap_that_does_not_is_counted_and_read_anew() -> None:
    it = weighted()
    it.block(at(2), swap(WETH, USDC, E18, 1_000 * 10**6))
    assert (state_of(it).mismatches, state_of(it).stale) == (1, True)
    (call,) = it.wants()
    assert call == (VAULT, POOL_TOKENS.call(VAULT, ID).data)
    it.read([answer(POOL_TOKENS, VAULT, [WETH, USDC], [101 * E18, 49_000 * 10**6], 1, args=[ID])])
    assert (state_of(it).stale, state_of(it).checks, it.wants()) == (False, 1, [])


def test_a_comparison_is_due_after_a_day() -> None:
    it = weighted()
    it.block(at(7_300))
    assert len(it.wants()) == 1
    it.read([answer(POOL_TOKENS, VAULT, [WETH, USDC], [100 * E18 + 1, 50_000 * 10**6], 1, args=[ID])])
    assert (pool_of(it).checks, pool_of(it).mismatches, it.wants()) == (1, 1, [])


def test_managed_balances_count() -> None:
    it = weighted()
    topics = [("bytes32", ID), ("address", WHO), ("address", WETH)]
    it.block(at(2), raw(POOL_BALANCE_MANAGED.topic0, VAULT, topics, [("int256", -5), ("int256", 7)]))
    assert state_of(it).balances[0] == 100 * E18 + 2


def test_liquidity_less_its_fees() -> None:
    it = weighted()
    event = next(spec for spec in it.instance.events if spec.name == "PoolBalanceChanged")
    topics = [("bytes32", ID), ("address", WHO)]
    data = [("address[]", [WETH, USDC]), ("int256[]", [-10 * E18, -5_000 * 10**6]), ("uint256[]", [E18, 0])]
    (fact,) = it.block(at(2), raw(event.topic0, VAULT, topics, data))
    assert isinstance(fact, LiquidityMoved)
    assert fact.share == pytest.approx(-0.1)
    assert state_of(it).balances == (89 * E18, 45_000 * 10**6)


def test_an_older_pool_is_scaled_by_decimals() -> None:
    it = Player(Deployment(chain="x", protocol="balancer_v2", address=VAULT, pools=(ID,)))
    it.block(at(1))
    it.read([answer(POOL_TOKENS, VAULT, [WETH, USDC], [100 * E18, 50_000 * 10**6], 1, args=[ID])])
    it.read([*token_answers(WETH, "WETH", "Wrapped Ether", 18), *token_answers(USDC, "USDC", "USD Coin", 6)])
    it.read([refusal(SCALING, ADDRESS)])
    assert state_of(it).scaling == (E18, 10**30)


def staked(*, own_token: bool = True, decimals: bool = True) -> Player:
    """A stable pool of WETH and a wrapped token at 1.1 WETH, whose rate somebody tells; block 10, 120 s."""
    it = Player(Deployment(chain="x", protocol="balancer_v2", address=VAULT, pools=(ID,)))
    it.block(at(10))
    tokens = [WETH, WRAPPED, ADDRESS] if own_token else [WETH, WRAPPED]
    rest = [0] if own_token else []
    it.read([answer(POOL_TOKENS, VAULT, tokens, [100 * E18, 100 * E18, *rest], 1, args=[ID])])
    it.read([answer(SWAP_FEE, ADDRESS, 10**14), refusal(WEIGHTS, ADDRESS), answer(AMP, ADDRESS, 50_000, False, 1000)])
    it.read([answer(SCALING, ADDRESS, [E18, 11 * 10**17, *(E18 for _ in rest)])])
    it.read([*token_answers(WETH, "WETH", "Wrapped Ether", 18), *token_answers(ADDRESS, "BPT", "Pool", 18)])
    if decimals:
        it.read(token_answers(WRAPPED, "wX", "Wrapped", 18))
    assert asked(PROVIDERS.call(ADDRESS)) in it.wants()
    it.read([answer(PROVIDERS, ADDRESS, [NOBODY, TELLER, *(NOBODY for _ in rest)])])
    return it


CACHE_CALL, RATE_CALL = asked(RATE_CACHE.call(ADDRESS, WRAPPED)), asked(RATE.call(TELLER))


def test_only_a_cache_that_is_over_is_read_for() -> None:
    it = staked()
    assert it.wants() == [CACHE_CALL]
    it.read([answer(RATE_CACHE, ADDRESS, 11 * 10**17, 10**18, 60, 150, args=[WRAPPED])])
    it.block(at(12, 150))
    assert it.wants() == []
    it.block(at(13, 151))
    assert it.wants() == [RATE_CALL]
    before = pool_of(it)
    assert it.read([answer(RATE, TELLER, 12 * 10**17)]) == [True]
    assert pools.factors(state_of(it)) == (E18, 12 * 10**17, E18)
    assert pool_of(it).rates == (E18, 12 * 10**17) != before.rates
    assert it.wants() == []
    it.block(at(14, 162))  # a chain with many blocks in a few seconds
    assert it.wants() == []
    it.block(at(15, 163))
    assert it.wants() == [RATE_CALL]
    it.block(at(16, 170), raw(RATE_UPDATED.topic0, ADDRESS, [("uint256", 1)], [("uint256", 13 * 10**17)]))
    assert pools.factors(state_of(it)) == state_of(it).scaling == (E18, 13 * 10**17, E18)
    it.block(at(17, 230))
    assert it.wants() == []
    it.book.undo()
    it.book.undo()
    assert pools.factors(state_of(it)) == (E18, 12 * 10**17, E18)


def test_a_provider_that_refuses_leaves_the_rate_as_it_was() -> None:
    it = staked()
    it.read([answer(RATE_CACHE, ADDRESS, 11 * 10**17, 10**18, 60, 100, args=[WRAPPED])])
    assert it.wants() == [RATE_CALL]
    assert it.read([refusal(RATE, TELLER)]) == [True]
    assert (it.wants(), pools.factors(state_of(it))) == ([], (E18, 11 * 10**17, E18))
    assert it.read([answer(RATE, WHO, 12 * 10**17)]) == [False]


def test_a_rate_needs_the_decimals() -> None:
    it = staked(decimals=False)
    it.read([answer(RATE_CACHE, ADDRESS, 11 * 10**17, 10**18, 60, 100, args=[WRAPPED])])
    assert RATE_CALL not in it.wants()
    it.read(token_answers(WRAPPED, "wX", "Wrapped", 18))
    assert it.wants() == [RATE_CALL]


def test_a_phantom_pool_swaps_at_the_old_rate() -> None:
    it = staked()
    short = answer(PRICE_CACHE, ADDRESS, 11 * 10**17, 60, 100, args=[WRAPPED])
    it.read([msgspec.structs.replace(short, data=CACHE_CALL[1])])
    assert (it.wants(), pools.factors(state_of(it))) == ([], (E18, 11 * 10**17, E18))


def test_a_meta_pool_names_its_caches_otherwise() -> None:
    it = staked(own_token=False)
    it.read([refusal(RATE_CACHE, ADDRESS, args=[WRAPPED])])
    assert it.wants() == [asked(PRICE_CACHE.call(ADDRESS, WRAPPED))]
    it.read([answer(PRICE_CACHE, ADDRESS, 11 * 10**17, 60, 100, args=[WRAPPED])])
    assert it.wants() == [RATE_CALL]
    it.read([answer(RATE, TELLER, 12 * 10**17)])
    assert pools.factors(state_of(it)) == (E18, 12 * 10**17)
    it.block(at(11), raw(PRICE_RATE_UPDATED.topic0, ADDRESS, [("address", WRAPPED)], [("uint256", 13 * 10**17)]))
    assert pools.factors(state_of(it)) == state_of(it).scaling == (E18, 13 * 10**17)
    topics = [("address", WRAPPED), ("address", TELLER)]
    it.block(at(12), raw(PRICE_PROVIDER_SET.topic0, ADDRESS, topics, [("uint256", 600)]))
    it.block(at(13, 744))
    assert it.wants() == []
    it.block(at(14, 745))
    assert it.wants() == [RATE_CALL]


def test_a_pool_without_caches_is_not_asked_again() -> None:
    it = staked(own_token=False)
    it.read([refusal(RATE_CACHE, ADDRESS, args=[WRAPPED]), refusal(PRICE_CACHE, ADDRESS, args=[WRAPPED])])
    it.block(at(200))
    assert it.wants() == []


@pytest.mark.parametrize("given_pools", [(), (ADDRESS,)])
def test_what_it_is_given_is_checked(given_pools: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="balancer_v2: expected"):
        Player(Deployment(chain="x", protocol="balancer_v2", address=VAULT, pools=given_pools))
