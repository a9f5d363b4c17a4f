"""Uniswap v4: pools by id at one address, keys from the past, hooks and moving fees said and read."""

from __future__ import annotations

from typing import Any

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import LiquidityMoved, Swapped
from defiwatch.domain.frames import CallResult, RawLog
from defiwatch.domain.risk import Pool
from defiwatch.errors import ConfigError
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.uniswap_v4 import POOLS, V4Key
from defiwatch.protocols.uniswap_v4.events import INITIALIZE, MODIFY_LIQUIDITY, PROTOCOL_FEE_UPDATED, SWAP
from defiwatch.protocols.uniswap_v4.state import (
    ASK_KEY,
    DYNAMIC_FEE,
    EXTSLOAD,
    liquidity_slot,
    pool_id,
    slot0,
    slot0_slot,
    swap_fee,
    tick_liquidity,
)
from tests.convert import token_answers
from tests.unit.protocols.play import Player, at, raw

MANAGER = "0x" + "44" * 20
USDC, WETH, HOOK = "0x" + "01" * 20, "0x" + "02" * 20, "0x" + "0c" * 20
ZERO = "0x" + "00" * 20
WHO = "0x" + "99" * 20
E18 = 10**18
Q96 = 2**96
PLAIN = V4Key(USDC, WETH, 500, 10, ZERO)
HOOKED = V4Key(USDC, WETH, DYNAMIC_FEE, 60, HOOK)


def player(*pools: str) -> Player:
    return Player(Deployment(chain="x", protocol="uniswap_v4", address=MANAGER, pools=pools))


def begin(key: V4Key, sqrt_price: int = Q96, tick: int = 0) -> RawLog:
    topics = [("bytes32", pool_id(key)), ("address", key.currency0), ("address", key.currency1)]
    data: list[tuple[str, Any]] = [("uint24", key.fee), ("int24", key.tick_spacing), ("address", key.hooks)]
    return raw(INITIALIZE.topic0, MANAGER, topics, [*data, ("uint160", sqrt_price), ("int24", tick)])


def modify(key: V4Key, lower: int, upper: int, delta: int) -> RawLog:
    topics = [("bytes32", pool_id(key)), ("address", WHO)]
    data = [("int24", lower), ("int24", upper), ("int256", delta), ("bytes32", "0x" + "00" * 32)]
    return raw(MODIFY_LIQUIDITY.topic0, MANAGER, topics, data)


def trade(key: V4Key, amount0: int, amount1: int, sqrt_price: int, liquidity: int, tick: int, fee: int) -> RawLog:
    topics = [("bytes32", pool_id(key)), ("address", WHO)]
    data = [("int128", amount0), ("int128", amount1), ("uint160", sqrt_price), ("uint128", liquidity)]
    return raw(SWAP.topic0, MANAGER, topics, [*data, ("int24", tick), ("uint24", fee)])


def pool_of(it: Player, key: V4Key) -> Pool:
    pool = it.instance.pool(it.book, pool_id(key))
    assert pool is not None
    return pool


def slot_answer(slot: str, value: int) -> CallResult:
    return CallResult(to=MANAGER, data=EXTSLOAD.call(MANAGER, slot).data, result=f"0x{value:064x}")


def test_an_id_is_the_hash_of_the_key() -> None:
    """Mainnet's pool of ETH and USDC at 0.05 %, spacing 10, no hook, under the id by which receipts know it."""
    key = V4Key(ZERO, "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", 500, 10, ZERO)
    assert pool_id(key) == "0x21c67e77068de97969ba93d4aab21826d33ca12bb9f565d8496e8fda8a82ca27"


def test_words_of_the_manager() -> None:
    assert slot0(Q96 | (2**24 - 139) << 160 | 0x123456 << 184 | 3000 << 208) == (Q96, -139, 0x123456, 3000)
    assert tick_liquidity((2**128 - 7) << 128 | 9).net == -7
    assert tick_liquidity(7 << 128 | 9).gross == 9
    assert swap_fee(3000, 1000 | 500 << 12, zero_for_one=True) == 3997
    assert swap_fee(3000, 1000 | 500 << 12, zero_for_one=False) == 3499


def test_signs_are_turned_round() -> None:
    """The swapper's deltas: it paid 10 of token 0, so the pool received them."""
    it = player()
    it.block(at(1), begin(PLAIN), modify(PLAIN, -600, 600, E18))
    it.read([*token_answers(USDC, "USDC", "USD Coin", 6), *token_answers(WETH, "WETH", "Wrapped Ether", 18)])
    (fact,) = it.block(at(2), trade(PLAIN, -10, 9, Q96 - 5, E18, -1, 500))
    assert isinstance(fact, Swapped)
    assert (fact.amount0, fact.amount1, fact.fee_ppm) == (10, -9, 500)
    assert (fact.token0, fact.token1) == (USDC, WETH)


def test_a_pool_seen_from_its_start_is_whole() -> None:
    it = player()
    first, second = it.block(at(1), begin(PLAIN), modify(PLAIN, -600, 600, E18), modify(PLAIN, -60, 60, 5))
    assert isinstance(first, LiquidityMoved)
    assert isinstance(second, LiquidityMoved)
    assert first.share == 1.0
    assert second.share == pytest.approx(5e-18)
    assert first.amount0 == first.amount1 > 0
    assert it.book.get(table.WHOLE, pool_id(PLAIN)) == 10
    assert {to for to, _ in it.wants()} == {USDC, WETH}
    pool = pool_of(it, PLAIN)
    assert (pool.liquidity, pool.fee_ppm) == (E18 + 5, 500)
    assert min(pool.depth) > 0
    (out,) = it.block(at(2), modify(PLAIN, -600, 600, -(E18 // 2)))
    assert isinstance(out, LiquidityMoved)
    assert out.share == pytest.approx(-0.5)
    assert out.amount0 < 0
    assert it.block(at(3), modify(PLAIN, -600, 600, 0)) == []


def test_the_protocols_fee_counts_in_its_direction() -> None:
    it = player()
    it.block(at(1), begin(PLAIN), modify(PLAIN, -6000, 6000, E18))
    before = pool_of(it, PLAIN).depth
    it.block(at(2), raw(PROTOCOL_FEE_UPDATED.topic0, MANAGER, [("bytes32", pool_id(PLAIN))], [("uint24", 1000 << 12)]))
    after = pool_of(it, PLAIN).depth
    assert after[0] == before[0]
    assert after[1] == pytest.approx(before[1] * 1.001, rel=1e-5)


def test_a_hook_with_its_own_fee_is_said_and_read() -> None:
    it = player()
    it.block(at(1), begin(HOOKED), modify(HOOKED, -6000, 6000, E18))
    it.read([*token_answers(USDC, "USDC", "USD Coin", 6), *token_answers(WETH, "WETH", "Wrapped Ether", 18)])
    pool = pool_of(it, HOOKED)
    assert pool.label == "USDC/WETH dynamic fee hooked"
    assert "hooked: what 0x0c0c…0c0c adds or takes is not counted" in pool.unknown
    fee_slot = EXTSLOAD.call(MANAGER, slot0_slot(pool_id(HOOKED)))
    assert it.wants() == [(fee_slot.to, fee_slot.data)]
    it.read([slot_answer(slot0_slot(pool_id(HOOKED)), Q96 | 2500 << 208)])
    assert it.wants() == []
    assert pool_of(it, HOOKED).fee_ppm == 2500
    it.block(at(2), trade(HOOKED, -10, 9, Q96 - 5, E18, -1, 2500))
    assert len(it.wants()) == 1
    it.read([slot_answer(slot0_slot(pool_id(HOOKED)), (Q96 - 5) | (2**24 - 1) << 160 | 4400 << 208)])
    assert pool_of(it, HOOKED).fee_ppm == 4400
    assert (it.wants(), pool_of(it, HOOKED).mismatches) == ([], 0)


def test_a_named_pool_asks_the_past_for_its_key() -> None:
    it = player(pool_id(PLAIN))
    it.block(at(9))
    (scan,) = it.instance.scans(it.book)
    assert scan.topics == ((INITIALIZE.topic0,), (pool_id(PLAIN),))
    (call,) = it.instance.on_scan(it.book, scan, [begin(PLAIN), begin(HOOKED)])
    assert ASK_KEY.matches(CallResult(to=call.to, data=call.data))
    assert it.read([CallResult(to=call.to, data=call.data, error="0x7983c051")]) == [True]
    assert it.instance.scans(it.book) == ()
    assert pool_of(it, PLAIN).tokens == (USDC, WETH)
    it.read(
        [slot_answer(slot0_slot(pool_id(PLAIN)), Q96 | 500 << 208), slot_answer(liquidity_slot(pool_id(PLAIN)), E18)]
    )
    it.read([*token_answers(USDC, "USDC", "USD Coin", 6), *token_answers(WETH, "WETH", "Wrapped Ether", 18)])
    assert len(it.wants()) == 3  # the words around the price


def test_a_key_that_is_not_the_pools_is_refused() -> None:
    it = player(pool_id(PLAIN))
    it.block(at(9))
    key = (USDC, WETH, 501, 10, ZERO)
    call = ASK_KEY.call(MANAGER, key, Q96)
    assert it.read([CallResult(to=call.to, data=call.data, error="0x")]) == [False]
    assert it.read([slot_answer("0x" + "12" * 32, 1)]) == [False]


def test_others_pools_are_not_its_business() -> None:
    it = player(pool_id(PLAIN))
    before = it.book.digest()
    assert it.block(at(1), begin(HOOKED), trade(HOOKED, -1, 1, Q96, 1, 0, 1)) == []
    assert it.book.digest() == before
    assert it.book.get(POOLS, pool_id(HOOKED)) is None


def test_a_liquidity_that_differs_is_counted() -> None:
    it = player()
    it.block(at(1), begin(PLAIN), modify(PLAIN, -600, 600, E18))
    check = table.check_of(it.book, pool_id(PLAIN), at(1))
    it.book.put(table.CHECKS, pool_id(PLAIN), check)
    it.block(at(check.due))
    it.wants()
    it.read([slot_answer(liquidity_slot(pool_id(PLAIN)), E18 + 1)])
    assert pool_of(it, PLAIN).mismatches == 1
    assert pool_of(it, PLAIN).liquidity == E18 + 1
    assert len(it.book.notices) == 1


def test_a_reorg_takes_a_pool_back() -> None:
    it = player()
    it.block(at(1))
    before = it.book.digest()
    it.block(at(2), begin(PLAIN), modify(PLAIN, -600, 600, E18), trade(PLAIN, -10, 9, Q96 - 5, E18, -1, 500))
    it.book.undo()
    assert it.book.digest() == before
    assert list(it.instance.pools(it.book)) == []


@pytest.mark.parametrize("wrong", [{"address": ""}, {"pools": ("0x" + "aa" * 20,)}])
def test_what_it_is_given_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="uniswap_v4: expected"):
        Player(Deployment(**{"chain": "x", "protocol": "uniswap_v4", "address": MANAGER, **wrong}))
