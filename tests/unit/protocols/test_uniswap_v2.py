"""Uniswap v2: reserves, facts and the pair's integer math."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.config import Deployment
from defiwatch.domain.events import LiquidityMoved, Swapped
from defiwatch.domain.frames import RawLog
from defiwatch.domain.keccak import topic
from defiwatch.errors import ConfigError
from defiwatch.protocols.erc20 import DECIMALS, NAME, SYMBOL
from defiwatch.protocols.uniswap_v2 import (
    BURN,
    GET_RESERVES,
    MINT,
    PAIR_CREATED,
    SWAP,
    SYNC,
    TOKEN0,
    TOKEN1,
    UniswapV2,
    get_amount_in,
    get_amount_out,
)
from tests.convert import answer, refusal, token_answers
from tests.unit.protocols.play import Player, at, near, raw

PAIR = "0x" + "aa" * 20
FACTORY = "0x" + "fa" * 20
WETH = "0x" + "01" * 20
USDC = "0x" + "02" * 20
SOMEONE = "0x" + "99" * 20
ETHER = 10**18


def sync(reserve0: int, reserve1: int, address: str = PAIR) -> RawLog:
    return raw(SYNC.topic0, address, [], [("uint112", reserve0), ("uint112", reserve1)])


def swap(in0: int, in1: int, out0: int, out1: int, address: str = PAIR) -> RawLog:
    data = [("uint256", value) for value in (in0, in1, out0, out1)]
    return RawLog(
        address=address,
        topics=(SWAP.topic0, "0x" + SOMEONE[2:].rjust(64, "0"), "0x" + SOMEONE[2:].rjust(64, "0")),
        data=raw("0x", address, [], data).data,
        transaction_hash="0xabc",
        log_index="0x5",
    )


def mint(amount0: int, amount1: int) -> RawLog:
    return raw(MINT.topic0, PAIR, [("address", SOMEONE)], [("uint256", amount0), ("uint256", amount1)])


def burn(amount0: int, amount1: int) -> RawLog:
    topics = [("address", SOMEONE), ("address", SOMEONE)]
    return raw(BURN.topic0, PAIR, topics, [("uint256", amount0), ("uint256", amount1)])


def player(**more: object) -> Player:
    return Player(Deployment(chain="x", protocol="uniswap_v2", pools=(PAIR,), **more))  # type: ignore[arg-type]


def ready(**more: object) -> Player:
    """A pair of 1,000 WETH and 3,000,000 USDC, read at block 1."""
    it = player(**more)
    it.block(at(1))
    it.read([answer(TOKEN0, PAIR, WETH), answer(TOKEN1, PAIR, USDC)])
    it.read([answer(GET_RESERVES, PAIR, 1000 * ETHER, 3_000_000 * 10**6, 7)])
    it.read([*token_answers(WETH, "WETH", "Wrapped Ether", 18), *token_answers(USDC, "USDC", "USD Coin", 6)])
    return it


def test_signatures() -> None:
    assert SWAP.topic0 == "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
    assert SYNC.topic0 == "0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1"
    assert PAIR_CREATED.topic0 == "0x0d3648bd0f6ba80134a33ba9275ac585d9d315f0ad8355cddefde31afa28d0e9"
    assert MINT.topic0 == topic("Mint(address,uint256,uint256)")
    assert GET_RESERVES.selector == "0x0902f1ac"


def test_it_wants_what_it_does_not_know_and_then_nothing() -> None:
    it = player()
    it.block(at(1))
    assert it.wants() == [(PAIR, TOKEN0.selector), (PAIR, TOKEN1.selector), (PAIR, GET_RESERVES.selector)]
    assert it.read([answer(TOKEN0, PAIR, WETH), answer(TOKEN1, PAIR, USDC)]) == [True, True]
    assert it.wants() == [(PAIR, GET_RESERVES.selector)] + [
        (token, question.selector) for token in (WETH, USDC) for question in (SYMBOL, DECIMALS, NAME)
    ]
    it.read([answer(GET_RESERVES, PAIR, 5, 6, 7)])
    it.read([*token_answers(WETH, "WETH", "Wrapped Ether", 18), *token_answers(USDC, "USDC", "USD Coin", 6)])
    assert it.wants() == []
    assert it.read([answer(TOKEN0, SOMEONE, WETH), answer(SYMBOL, SOMEONE, "X")]) == [False, False]


def test_the_pool_as_it_stands() -> None:
    it = ready()
    pool = it.instance.pool(it.book, PAIR)
    assert pool is not None
    assert (pool.label, pool.symbols, pool.decimals) == ("WETH/USDC 0.3%", ("WETH", "USDC"), (18, 6))
    assert (pool.reserves, pool.price, pool.fee_ppm, pool.unknown) == (
        (1000 * ETHER, 3_000_000 * 10**6),
        3000.0,
        3000,
        "",
    )
    assert (pool.block, pool.time) == (1, 7)
    assert list(it.instance.pools(it.book)) == [pool]
    assert it.instance.pool(it.book, SOMEONE) is None


def test_a_swap_is_measured_on_the_reserves_after_it() -> None:
    it = ready()
    paid = get_amount_out(10 * ETHER, 1000 * ETHER, 3_000_000 * 10**6)
    after = (1010 * ETHER, 3_000_000 * 10**6 - paid)
    facts = it.block(at(2), sync(*after), swap(10 * ETHER, 0, 0, paid))
    assert facts == [
        Swapped(
            pool=PAIR,
            protocol="uniswap_v2",
            token0=WETH,
            token1=USDC,
            amount0=10 * ETHER,
            amount1=-paid,
            price=near(after[1] * 10**12 / after[0]),
            fee_ppm=3000,
            tx="0xabc",
            log_index=5,
        )
    ]
    pool = it.instance.pool(it.book, PAIR)
    assert pool is not None
    assert (pool.reserves, pool.block, pool.time) == (after, 2, 24)


def test_liquidity_is_a_share_of_the_larger_side() -> None:
    it = ready()
    added = it.block(at(2), sync(1500 * ETHER, 4_500_000 * 10**6), mint(500 * ETHER, 1_500_000 * 10**6))
    taken = it.block(at(3), sync(300 * ETHER, 900_000 * 10**6), burn(1200 * ETHER, 3_600_000 * 10**6))
    assert [(type(f), f.amount0, f.amount1, f.share) for f in (*added, *taken) if isinstance(f, LiquidityMoved)] == [
        (LiquidityMoved, 500 * ETHER, 1_500_000 * 10**6, near(1 / 3)),
        (LiquidityMoved, -1200 * ETHER, -3_600_000 * 10**6, near(-0.8)),
    ]


def test_a_pair_seen_only_through_events() -> None:
    it = player(label="odd pair")
    facts = it.block(at(2), sync(10, 20), swap(1, 0, 0, 1))
    assert [fact.price for fact in facts if isinstance(fact, Swapped)] == [2.0]
    pool = it.instance.pool(it.book, PAIR)
    assert pool is not None
    assert (pool.label, pool.tokens, pool.decimals, pool.price) == ("odd pair", ("", ""), (0, 0), 2.0)
    assert pool.unknown == "tokens not read, amounts and price in the tokens' smallest units"


def test_a_pair_of_which_nothing_is_known() -> None:
    it = player()
    pool = it.instance.pool(it.book, PAIR)
    assert pool is not None
    assert (pool.label, pool.price, pool.reserves) == ("0xaaaa…aaaa 0.3%", 0.0, (0, 0))
    assert "reserves not read" in pool.unknown


def test_a_refused_read_is_asked_again_later_and_not_at_the_same_block() -> None:
    it = player()
    it.block(at(1))
    assert it.read([refusal(TOKEN0, PAIR), refusal(TOKEN1, PAIR), refusal(GET_RESERVES, PAIR)]) == [True] * 3
    assert it.wants(at(1)) == it.wants(at(2)) == []
    assert len(it.wants(at(60))) == 3
    it.read([answer(TOKEN0, PAIR, WETH)], at(60))
    assert (PAIR, TOKEN0.selector) not in it.wants(at(200))


def test_an_answer_older_than_the_last_event_does_not_count() -> None:
    it = ready()
    it.block(at(5), sync(1, 2))
    it.read([answer(GET_RESERVES, PAIR, 1000, 1000, 7)], at(4))
    pool = it.instance.pool(it.book, PAIR)
    assert pool is not None
    assert pool.reserves == (1, 2)


def test_a_factorys_new_pair_is_followed_and_a_reorg_forgets_it() -> None:
    it = Player(Deployment(chain="x", protocol="uniswap_v2", factory=FACTORY, fee_ppm=2500, label="Fork"))
    it.block(at(1))
    assert it.instance.filter(it.book).addresses == frozenset({FACTORY})
    assert it.instance.filter(it.book) is it.instance.filter(it.book)
    made = raw(
        PAIR_CREATED.topic0, FACTORY, [("address", WETH), ("address", USDC)], [("address", PAIR), ("uint256", 1)]
    )
    it.block(at(2), made, sync(10, 20))
    assert it.instance.filter(it.book).addresses == frozenset({FACTORY, PAIR})
    (pool,) = it.instance.pools(it.book)
    assert (pool.tokens, pool.reserves, pool.fee_ppm) == ((WETH, USDC), (10, 20), 2500)
    assert pool.label == "Fork 0x0101…0101/0x0202…0202 0.25%"
    it.book.undo()
    assert it.instance.filter(it.book).addresses == frozenset({FACTORY})
    assert list(it.instance.pools(it.book)) == []


def test_a_pair_created_by_another_factory_is_not_ours() -> None:
    it = Player(Deployment(chain="x", protocol="uniswap_v2", factory=FACTORY, pools=(PAIR,)))
    foreign = raw(
        PAIR_CREATED.topic0, PAIR, [("address", WETH), ("address", USDC)], [("address", SOMEONE), ("uint256", 1)]
    )
    it.block(at(1), foreign)
    assert [pool.id for pool in it.instance.pools(it.book)] == [PAIR]


amounts = st.integers(1, 2**100)
reserves = st.integers(1, 2**112 - 1)
fees = st.sampled_from([3000, 2500, 500, 10_000, 1])


@given(amounts, reserves, reserves, fees)
def test_a_swap_never_takes_value_out_of_the_pair(paid: int, into: int, out_of: int, fee: int) -> None:
    """The pair's own check (UniswapV2Pair.sol:180-182): the product after fees does not fall; one more and it would."""
    out = get_amount_out(paid, into, out_of, fee)
    assert 0 <= out < out_of

    def allowed(amount: int) -> bool:
        taxed = (into + paid) * 1_000_000 - paid * fee
        return taxed * (out_of - amount) >= into * out_of * 1_000_000

    assert allowed(out)
    assert not allowed(out + 1)


@given(reserves, reserves, fees, st.data())
def test_what_must_be_paid_is_enough(into: int, out_of: int, fee: int, data: st.DataObject) -> None:
    if out_of < 2:
        return
    wanted = data.draw(st.integers(1, out_of - 1))
    assert get_amount_out(get_amount_in(wanted, into, out_of, fee), into, out_of, fee) >= wanted


@pytest.mark.parametrize("bad", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1)])
def test_impossible_amounts_out(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="a swap needs"):
        get_amount_out(*bad)


@pytest.mark.parametrize("bad", [(0, 1, 1), (1, 0, 2), (2, 1, 2), (3, 1, 2)])
def test_impossible_amounts_in(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="a swap needs"):
        get_amount_in(*bad)


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        (Deployment(chain="x", protocol="uniswap_v2"), "pools = "),
        (Deployment(chain="x", protocol="uniswap_v2", pools=("0x" + "12" * 32,)), "expected an address in pools"),
        (Deployment(chain="x", protocol="uniswap_v2", pools=(PAIR,), fee_ppm=1_000_000), "fee_ppm"),
    ],
)
def test_a_deployment_that_cannot_be(deployment: Deployment, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        UniswapV2(1, deployment)
