"""Uniswap v3: price, liquidity, balances and ticks of a pool, kept from events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.config import Deployment
from defiwatch.domain.events import LiquidityMoved, Swapped
from defiwatch.domain.frames import RawLog
from defiwatch.domain.risk import Pool
from defiwatch.errors import ConfigError
from defiwatch.protocols.erc20 import BALANCE_OF, DECIMALS, NAME, SYMBOL
from defiwatch.protocols.ticks import TICKS, Tick, spot_price
from defiwatch.protocols.uniswap_v3 import UniswapV3
from defiwatch.protocols.uniswap_v3.events import (
    BURN,
    COLLECT,
    COLLECT_PROTOCOL,
    FLASH,
    INITIALIZE,
    MINT,
    POOL_CREATED,
    SWAP,
)
from defiwatch.protocols.uniswap_v3.quotes import TICK_BITMAP
from defiwatch.protocols.uniswap_v3.state import FEE, LIQUIDITY, SLOT0, TICK_SPACING, TOKEN0, TOKEN1
from tests.convert import answer, refusal, token_answers
from tests.unit.protocols.play import Player, at, near, raw

POOL = "0x" + "aa" * 20
FACTORY = "0x" + "fa" * 20
USDC = "0x" + "01" * 20
WETH = "0x" + "02" * 20
SOMEONE = "0x" + "99" * 20
ETHER = 10**18
Q96 = 2**96


def typed(kinds: str, *values: Any) -> list[tuple[str, Any]]:
    return list(zip(kinds.split(), values, strict=True))


def swap(amount0: int, amount1: int, sqrt_price: int, liquidity: int, tick: int) -> RawLog:
    data = typed("int256 int256 uint160 uint128 int24", amount0, amount1, sqrt_price, liquidity, tick)
    return raw(SWAP.topic0, POOL, typed("address address", SOMEONE, SOMEONE), data, index=3)


def mint(lower: int, upper: int, liquidity: int, amount0: int, amount1: int) -> RawLog:
    data = typed("address uint128 uint256 uint256", SOMEONE, liquidity, amount0, amount1)
    return raw(MINT.topic0, POOL, typed("address int24 int24", SOMEONE, lower, upper), data)


def burn(lower: int, upper: int, liquidity: int, amount0: int, amount1: int) -> RawLog:
    data = typed("uint128 uint256 uint256", liquidity, amount0, amount1)
    return raw(BURN.topic0, POOL, typed("address int24 int24", SOMEONE, lower, upper), data)


def collect(amount0: int, amount1: int) -> RawLog:
    data = typed("address uint128 uint128", SOMEONE, amount0, amount1)
    return raw(COLLECT.topic0, POOL, typed("address int24 int24", SOMEONE, -10, 10), data)


def initialize(sqrt_price: int, tick: int) -> RawLog:
    return raw(INITIALIZE.topic0, POOL, [], typed("uint160 int24", sqrt_price, tick))


def player(**more: Any) -> Player:
    return Player(Deployment(chain="x", protocol="uniswap_v3", pools=(POOL,), **more))


def pool_of(it: Player) -> Pool:
    pool = it.instance.pool(it.book, POOL)
    assert pool is not None
    return pool


def ready() -> Player:
    """1 USDC = 1/2500 WETH at block 1, 10,000,000 USDC and 4,000 WETH inside, 10**15 of liquidity active."""
    it = player()
    it.block(at(1))
    sqrt_price = 50_000_000 * Q96 // 2500  # sqrt(10**12 / 2500) = 20000
    assert (
        it.read(
            [
                answer(TOKEN0, POOL, USDC),
                answer(TOKEN1, POOL, WETH),
                answer(FEE, POOL, 500),
                answer(TICK_SPACING, POOL, 10),
                answer(SLOT0, POOL, sqrt_price, 198_080),
                answer(LIQUIDITY, POOL, 10**15),
            ]
        )
        == [True] * 6
    )
    it.read(
        [answer(BALANCE_OF, USDC, 10_000_000 * 10**6, args=[POOL]), answer(BALANCE_OF, WETH, 4000 * ETHER, args=[POOL])]
    )
    it.read([*token_answers(USDC, "USDC", "USD Coin", 6), *token_answers(WETH, "WETH", "Wrapped Ether", 18)])
    return it


def test_signatures() -> None:
    assert SWAP.topic0 == "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
    assert MINT.topic0 == "0x7a53080ba414158be7ec69b987b5fb7d07dee101fe85488f0853ae16239d0bde"
    assert BURN.topic0 == "0x0c396cd989a39f4459b5fa1aed6a9a8dcdbc45908acfd67e028cd568da98982c"
    assert COLLECT.topic0 == "0x70935338e69775456a85ddef226c395fb668b63fa0115f5f20610b388e6ca9c0"
    assert POOL_CREATED.topic0 == "0x783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118"
    assert (SLOT0.selector, LIQUIDITY.selector) == ("0x3850c7bd", "0x1a686502")


def test_it_wants_the_pool_then_its_balances_and_tokens_then_its_ticks() -> None:
    it = player()
    it.block(at(1))
    questions = (TOKEN0, TOKEN1, FEE, TICK_SPACING, SLOT0, LIQUIDITY)
    assert it.wants() == [(POOL, question.selector) for question in questions]
    it.read([answer(TOKEN0, POOL, USDC), answer(TOKEN1, POOL, WETH), answer(FEE, POOL, 500)])
    it.read([answer(TICK_SPACING, POOL, 10), answer(SLOT0, POOL, Q96, 0), answer(LIQUIDITY, POOL, 1)])
    balances = [BALANCE_OF.call(token, POOL) for token in (USDC, WETH)]
    assert it.wants() == [(call.to, call.data) for call in balances] + [
        (token, question.selector) for token in (USDC, WETH) for question in (SYMBOL, DECIMALS, NAME)
    ]
    assert {data[:10] for _, data in ready().wants()} == {TICK_BITMAP.selector}


def test_answers_for_others_are_not_taken() -> None:
    it = ready()
    foreign = [
        answer(TOKEN0, SOMEONE, USDC),
        answer(BALANCE_OF, USDC, 5, args=[SOMEONE]),
        answer(BALANCE_OF, SOMEONE, 5, args=[POOL]),
        answer(DECIMALS, SOMEONE, 5),
    ]
    before = it.book.digest()
    assert it.read(foreign) == [False] * 4
    assert it.book.digest() == before


def test_the_pool_as_it_stands() -> None:
    pool = pool_of(ready())
    assert pool.label == "USDC/WETH 0.05%"
    assert pool.price == near(1 / 2500, rel=1e-12)
    assert (pool.reserves, pool.liquidity, pool.unknown) == ((10_000_000 * 10**6, 4000 * ETHER), 10**15, "")
    assert (pool.block, pool.time, pool.fee_ppm) == (1, 12, 500)


def test_a_swap_moves_price_liquidity_and_balances() -> None:
    it = ready()
    facts = it.block(at(2), swap(-2500 * 10**6, ETHER, 40_000 * Q96 // 2, 2 * 10**15, 198_079))
    assert facts == [
        Swapped(
            pool=POOL,
            protocol="uniswap_v3",
            token0=USDC,
            token1=WETH,
            amount0=-2500 * 10**6,
            amount1=ETHER,
            price=near(1 / 2500),
            fee_ppm=500,
            tx="0x" + "11" * 32,
            log_index=3,
        )
    ]
    pool = pool_of(it)
    assert (pool.reserves, pool.liquidity, pool.block) == ((9_997_500 * 10**6, 4001 * ETHER), 2 * 10**15, 2)


def test_liquidity_counts_only_while_it_spans_the_price() -> None:
    it = ready()
    it.block(
        at(2), mint(198_080, 198_090, 7, 1, 1), mint(198_090, 198_100, 100, 1, 1), mint(198_070, 198_080, 1000, 1, 1)
    )
    assert pool_of(it).liquidity == 10**15 + 7  # the lower tick counts, the upper does not
    it.block(at(3), burn(198_080, 198_090, 5, 1, 1), burn(198_090, 198_100, 50, 1, 1))
    assert pool_of(it).liquidity == 10**15 + 2


def test_amounts_leave_when_they_are_collected_and_count_once() -> None:
    it = ready()
    out = it.block(at(2), burn(198_000, 198_100, 10**14, 5_000_000 * 10**6, 2000 * ETHER))
    assert out == [
        LiquidityMoved(
            pool=POOL,
            protocol="uniswap_v3",
            amount0=-5_000_000 * 10**6,
            amount1=-2000 * ETHER,
            share=near(-0.5),
            tx="0x" + "11" * 32,
            log_index=0,
        )
    ]
    assert pool_of(it).reserves == (10_000_000 * 10**6, 4000 * ETHER)
    assert it.block(at(3), collect(5_000_001 * 10**6, 2000 * ETHER)) == []
    assert pool_of(it).reserves == (4_999_999 * 10**6, 2000 * ETHER)


def test_a_burn_of_nothing_is_no_fact() -> None:
    assert ready().block(at(2), burn(198_000, 198_100, 0, 0, 0)) == []


def test_added_liquidity_is_a_share_of_what_is_there_then() -> None:
    it = ready()
    (fact,) = it.block(at(2), mint(198_000, 198_100, 10**14, 10_000_000 * 10**6, 4000 * ETHER))
    assert isinstance(fact, LiquidityMoved)
    assert (fact.amount0, fact.share) == (10_000_000 * 10**6, near(0.5))


def test_flash_fees_stay_and_protocol_fees_go() -> None:
    it = ready()
    two = typed("address address", SOMEONE, SOMEONE)
    flash = raw(FLASH.topic0, POOL, two, typed("uint256 uint256 uint256 uint256", 10**12, 0, 500, 7))
    fees = raw(COLLECT_PROTOCOL.topic0, POOL, two, typed("uint128 uint128", 100, 2))
    assert it.block(at(2), flash, fees) == []
    assert pool_of(it).reserves == (10_000_000 * 10**6 + 400, 4000 * ETHER + 5)


def test_a_pool_seen_only_through_events() -> None:
    it = player()
    facts = it.block(at(2), mint(-10, 10, 5, 1, 1), swap(1, -1, Q96 * 3, 1000, 21_973), mint(21_970, 21_980, 500, 1, 1))
    assert [f.share for f in facts if isinstance(f, LiquidityMoved)] == [0.0, near(1 / 3)]
    pool = pool_of(it)
    assert (pool.price, pool.liquidity, pool.reserves, pool.label) == (9.0, 1500, (0, 0), "0xaaaa…aaaa")
    assert pool.unknown == "tokens not read, amounts and price in the tokens' smallest units; balances not read"


def test_a_pool_of_which_nothing_is_known() -> None:
    pool = pool_of(player(label="my pool"))
    assert (pool.label, pool.price, pool.liquidity) == ("my pool", 0.0, 0)
    assert pool.unknown.endswith("price, liquidity, balances not read")


def test_a_pool_seen_from_its_first_block_has_all_its_ticks() -> None:
    it = Player(Deployment(chain="x", protocol="uniswap_v3", factory=FACTORY))
    created = raw(
        POOL_CREATED.topic0,
        FACTORY,
        typed("address address uint24", USDC, WETH, 3000),
        typed("int24 address", 60, POOL),
    )
    it.block(at(1), created, initialize(Q96, 0), mint(-60, 60, 100, 1, 1), mint(-120, 60, 30, 1, 1))
    it.block(at(2), burn(-60, 60, 100, 1, 1))
    assert dict(it.book.items(TICKS)) == {(POOL, -120): Tick(30, 30), (POOL, 60): Tick(30, -30)}
    pool = pool_of(it)
    assert (pool.liquidity, pool.price, pool.fee_ppm, pool.tokens) == (30, 1.0, 3000, (USDC, WETH))
    it.book.undo()
    assert it.book.get(TICKS, (POOL, 60)) == Tick(130, -130)
    it.book.undo()
    assert list(it.instance.pools(it.book)) == []


def test_ticks_of_a_pool_that_was_there_before_stay_untold() -> None:
    it = ready()
    it.block(at(2), burn(-60, 60, 100, 1, 1))
    assert list(it.book.items(TICKS)) == []


def test_answers_older_than_the_last_event_do_not_count() -> None:
    it = player()
    it.read([answer(TOKEN0, POOL, USDC), answer(TOKEN1, POOL, WETH)], at(1))
    it.block(at(5), swap(1, -1, Q96, 1000, 0))
    it.read([answer(LIQUIDITY, POOL, 7), answer(SLOT0, POOL, 5, 5)], at(4))
    it.read([answer(BALANCE_OF, USDC, 5, args=[POOL])], at(4))
    pool = pool_of(it)
    assert (pool.liquidity, pool.reserves, pool.price) == (1000, (0, 0), 1.0)
    assert (USDC, BALANCE_OF.call(USDC, POOL).data) in it.wants(at(5))


def test_refusals_are_kept_from_the_same_block() -> None:
    it = player()
    it.block(at(1))
    questions = (TOKEN0, TOKEN1, FEE, TICK_SPACING, SLOT0, LIQUIDITY)
    it.read([refusal(question, POOL) for question in questions])
    assert it.wants(at(1)) == []
    assert len(it.wants(at(100))) == 6


@given(
    st.integers(4295128739, 1461446703485210103287273052203988822378723970342), st.integers(0, 77), st.integers(0, 77)
)
def test_the_spot_price_is_finite_and_turns_with_its_decimals(sqrt_price: int, decimals0: int, decimals1: int) -> None:
    price = spot_price(sqrt_price, decimals0, decimals1)
    assert 0 <= price < float("inf")
    if 1e-290 < price < 1e290:
        assert spot_price(sqrt_price, 0, 0) * 10.0 ** (decimals0 - decimals1) == near(price, rel=1e-9)


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        (Deployment(chain="x", protocol="uniswap_v3"), "pools = "),
        (Deployment(chain="x", protocol="uniswap_v3", pools=("0x" + "12" * 32,)), "expected an address in pools"),
    ],
)
def test_a_deployment_that_cannot_be(deployment: Deployment, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        UniswapV3(1, deployment)
