"""The price book: sources, robustness, and which token is which asset."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.domain.frames import QuoteFrame
from defiwatch.domain.ids import NATIVE
from defiwatch.domain.risk import Feed, Leg, Pool, Position
from defiwatch.domain.units import iso
from defiwatch.state.prices import PriceBook
from defiwatch.state.prices.rates import weighted_median

WETH = "0x" + "01" * 20
USDC = "0x" + "02" * 20
USDT = "0x" + "03" * 20
LINK = "0x" + "04" * 20
FAKE = "0x" + "66" * 20
MARKET = "0x" + "ee" * 20
NOW = 1_700_000_000.0
Item: TypeAlias = Feed | Pool | QuoteFrame | Position


def near(value: float) -> Any:
    return pytest.approx(value)


def feed(base: str, price: float, quote: str = "USD", age: float = 10.0) -> Feed:
    return Feed(
        chain_id=1,
        protocol="chainlink",
        address="0x" + "fe" * 20,
        base=base,
        quote=quote,
        answer=round(price * 10**8),
        decimals=8,
        updated_at=int(NOW - age),
    )


TOKENS = {"WETH": (WETH, 18), "USDC": (USDC, 6), "USDT": (USDT, 6), "LINK": (LINK, 18)}


def pool(pair: str, price: float, depth: float = 1_000_000.0, **more: object) -> Pool:
    """A pool "WETH/USDC" with `depth` units of token 1, and as much in token 0."""
    symbols = tuple(pair.split("/"))
    tokens = tuple(TOKENS[symbol][0] for symbol in symbols)
    decimals = tuple(TOKENS[symbol][1] for symbol in symbols)
    plain = Pool(
        chain_id=1,
        protocol="uniswap_v3",
        id="0x" + "aa" * 20,
        label=f"{pair} {depth:g}",
        tokens=tokens,
        symbols=symbols,
        decimals=decimals,
        reserves=(round(depth / price * 10 ** decimals[0]), round(depth * 10 ** decimals[1])),
        fee_ppm=500,
        price=price,
        time=int(NOW - 30),
    )
    return msgspec.structs.replace(plain, **more)


def quote(base: str, price: float | str, venue: str = "coinbase", age: float = 1.0, **more: str) -> QuoteFrame:
    fields = {"quote": "USD", **more}
    return QuoteFrame(venue=venue, base=base, price=str(price), time=iso(NOW - age), **fields)


def position(*legs: tuple[str, str, float], **more: object) -> Position:
    plain = Position(
        chain_id=1,
        protocol="aave_v3",
        market=MARKET,
        account="0x" + "11" * 20,
        block=5,
        block_hash="",
        time=int(NOW),
        health_factor=1,
        collateral_base=0,
        debt_base=0,
        liquidation_threshold=0,
        legs=tuple(Leg(asset, symbol, 18, 1, 0, round(price * 10**8), 8000) for asset, symbol, price in legs),
    )
    return msgspec.structs.replace(plain, **more)


def book(*items: Item, canonical: dict[str, str] | None = None) -> PriceBook:
    it = PriceBook(1, canonical=canonical)
    for item in items:
        if isinstance(item, QuoteFrame):
            assert it.on_quote(item, NOW)
    it.refresh(
        [item for item in items if isinstance(item, Feed)],
        [item for item in items if isinstance(item, Pool)],
        NOW,
        [item for item in items if isinstance(item, Position)],
    )
    return it


def test_a_token_an_asset_and_the_coin_it_wraps_have_one_price() -> None:
    it = book(feed("ETH", 3000.0), pool("WETH/USDC", 3000.0))
    assert it.usd(WETH) == it.usd(WETH.upper().replace("X", "x")) == it.usd("WETH") == it.usd("eth") == 3000.0
    assert it.usd(NATIVE) == 3000.0
    assert it.usd("NOTHING") is None
    assert it.usd(FAKE) is None


def test_every_source_is_told_with_kind_time_and_order() -> None:
    it = book(
        pool("WETH/USDC", 2990.0), feed("USDC", 1.0), feed("ETH", 3000.0), quote("ETH", 3010.0, confidence="3.01")
    )
    told = [(price.kind, price.source, price.price, NOW - price.time) for price in it.sources("ETH")]
    assert told == [
        ("oracle", "chainlink ETH/USD", 3000.0, 10.0),
        ("venue", "coinbase", 3010.0, 1.0),
        ("dex", "uniswap_v3 WETH/USDC 1e+06", 2990.0, 30.0),
    ]
    assert it.sources("ETH")[1].confidence == near(0.001)
    assert it.sources("ETH")[2].depth == 1_000_000.0
    agreed = it.consensus("ETH")
    assert agreed is not None
    assert (agreed.price, agreed.sources, agreed.kind, agreed.symbol) == (3000.0, 3, "oracle", "WETH")
    assert agreed.spread == near(3010 / 2990 - 1)


def test_one_wild_source_moves_nothing() -> None:
    calm: list[Item] = [feed("ETH", 3000.0), quote("ETH", 3001.0), feed("USDC", 1.0)]
    assert book(*calm, pool("WETH/USDC", 9.0)).usd("ETH") == 3000.0
    assert book(*calm, quote("ETH", 1.0, venue="kraken")).usd("ETH") == 3000.0
    assert book(*calm, quote("ETH", 10**9, venue="kraken")).usd("ETH") == 3001.0


def test_a_pool_alone_cannot_outvote_an_oracle() -> None:
    pools = [pool("WETH/USDC", 1500.0, depth=10.0**9 + i) for i in range(5)]
    assert book(feed("ETH", 3000.0), feed("USDC", 1.0), *pools).usd("ETH") == 3000.0


def test_small_pools_do_not_speak_for_all_pools() -> None:
    crowd = [pool("WETH/USDC", 10.0 + i, depth=100.0 + i) for i in range(20)]
    it = book(feed("USDC", 1.0), pool("WETH/USDC", 3000.0, depth=10.0**7), *crowd)
    assert it.usd(WETH) == 3000.0


def test_a_chain_of_pools_leads_to_dollars() -> None:
    it = book(feed("USDC", 1.0), pool("LINK/WETH", 0.005), pool("WETH/USDC", 3000.0))
    assert it.usd(LINK) == near(15.0)
    assert it.usd("LINK") == near(15.0)


def test_a_quote_or_a_feed_in_another_asset_is_turned_into_dollars() -> None:
    it = book(
        feed("ETH", 3000.0), feed("stETH", 0.99, quote="ETH"), quote("BTC", 60_000, quote="USDT"), feed("USDT", 0.9)
    )
    assert it.usd("STETH") == near(2970.0)
    assert it.usd("BTC") == near(54_000.0)


def test_a_stable_is_its_own_price_where_one_exists() -> None:
    it = book(feed("USDC", 0.88), pool("WETH/USDC", 3409.0))
    assert it.usd(WETH) == near(3409.0 * 0.88)
    it = book(feed("USDC", 1.0), pool("USDC/USDT", 1 / 0.95), pool("WETH/USDT", 3000.0))
    assert it.usd(USDT) == near(0.95)
    assert it.usd(WETH) == near(2850.0)


def test_a_stable_of_which_nothing_is_known_is_assumed_and_says_so() -> None:
    it = book(pool("WETH/USDC", 3000.0))
    assert it.usd(WETH) == 3000.0
    (assumed,) = it.sources(USDC)
    assert (assumed.price, assumed.kind, assumed.source) == (1.0, "assumed", "assumed 1 USD")
    assert it.deviations() == ()
    it = book(pool("USDC/USDT", 1 / 0.95))
    assert (it.usd(USDC), it.usd(USDT)) == (1.0, near(0.95))
    assert [price.kind for price in it.sources(USDT)] == ["dex"]


def test_a_fall_of_the_lesser_asset_is_no_news_of_the_greater() -> None:
    it = book(feed("USDC", 1.0), feed("ETH", 3000.0), pool("WETH/USDC", 1500.0))
    assert [(deviation.symbol, deviation.high.kind, deviation.low.kind) for deviation in it.deviations()] == [
        ("WETH", "oracle", "dex")
    ]
    assert it.deviations()[0].relative == near(1.0)
    assert [price.kind for price in it.sources(USDC)] == ["oracle"]


def test_deviations_compare_fresh_sources_only() -> None:
    it = book(feed("ETH", 3000.0), quote("ETH", 2000.0, age=500.0), quote("ETH", 2940.0, venue="kraken"))
    (deviation,) = it.deviations()
    assert (deviation.high.source, deviation.low.source) == ("chainlink ETH/USD", "kraken")
    assert deviation.relative == near(3000 / 2940 - 1)


def test_where_all_is_old_the_newest_stands_and_says_so() -> None:
    it = book(quote("ETH", 2000.0, age=500.0), quote("ETH", 2940.0, venue="kraken", age=400.0))
    agreed = it.consensus("ETH")
    assert agreed is not None
    assert (agreed.price, agreed.fresh, agreed.sources) == (2940.0, False, 1)


def test_a_slow_venue_is_old_by_its_own_measure() -> None:
    it = PriceBook(1)
    for hour in range(5):
        it.on_quote(QuoteFrame("hourly", "ETH", "USD", "3000", iso(NOW + 3600 * hour)), NOW + 3600 * hour)
    it.refresh([], [], NOW + 4 * 3600 + 3 * 3600)
    assert [price.fresh for price in it.sources("ETH")] == [True]
    it.refresh([], [], NOW + 4 * 3600 + 5 * 3600)
    assert [price.fresh for price in it.sources("ETH")] == [False]


def test_an_old_oracle_is_not_counted_while_another_source_lives() -> None:
    it = book(feed("ETH", 3000.0, age=200_000.0), quote("ETH", 2000.0))
    assert it.usd("ETH") == 2000.0


def test_the_same_symbol_at_two_addresses_is_never_confused() -> None:
    fake = pool("USDC/WETH", 1.0, depth=10.0**6, tokens=(FAKE, WETH))
    it = book(feed("ETH", 3000.0), feed("USDC", 1.0), pool("WETH/USDC", 3000.0), fake)
    assert (it.usd("USDC"), it.usd(USDC)) == (1.0, 1.0)
    assert it.usd(FAKE) == near(3000.0)
    assert sorted((agreed.symbol, agreed.asset) for agreed in it.prices()) == [
        ("USDC", FAKE),
        ("USDC", "USDC"),
        ("WETH", "ETH"),
    ]


def test_a_named_address_bears_its_symbol_whatever_comes_first() -> None:
    fake = pool("USDC/WETH", 1.0, tokens=(FAKE, WETH))
    items: list[Item] = [fake, pool("WETH/USDC", 3000.0), feed("ETH", 3000.0), feed("USDC", 1.0)]
    assert book(*items).usd(FAKE) == 1.0
    it = book(*items, canonical={"USDC": USDC})
    assert (it.usd(FAKE), it.usd(USDC)) == (near(3000.0), 1.0)


def test_a_lending_markets_tokens_come_before_those_of_pools() -> None:
    fake = pool("USDC/WETH", 1.0, tokens=(FAKE, WETH))
    it = book(fake, position((USDC, "USDC", 1.0), (WETH, "WETH", 3000.0)))
    assert it.usd(USDC) == 1.0
    assert [price.source for price in it.sources(USDC)] == ["aave_v3 oracle 0xeeee…eeee"]
    assert it.usd(FAKE) == near(3000.0)


@pytest.mark.parametrize("symbol", ["USD", "usd", "EUR", ""])
def test_no_token_is_money_because_it_says_so(symbol: str) -> None:
    hostile = pool("USDC/WETH", 1.0, tokens=(FAKE, WETH), symbols=(symbol, "WETH"))
    it = book(feed("ETH", 3000.0), hostile)
    assert it.usd(FAKE) == near(3000.0)


def test_positions_tell_each_price_once_and_only_in_dollars() -> None:
    it = book(*(position((WETH, "WETH", 3000.0)) for _ in range(3)), position((LINK, "LINK", 15.0), base="WETH"))
    assert len(it.sources("ETH")) == 1
    assert it.usd(LINK) is None


@pytest.mark.parametrize("bad", ["nan", "inf", "-1", "0", "", "one", "1e999"])
def test_what_is_no_price_is_counted_and_left(bad: str) -> None:
    it = PriceBook(1)
    assert not it.on_quote(quote("ETH", bad), NOW)
    assert (it.rejected, it.sources("ETH")) == (1, ())


def test_a_quote_whose_time_or_interval_is_nonsense_is_no_price() -> None:
    it = PriceBook(1)
    assert not it.on_quote(QuoteFrame("v", "ETH", "USD", "1", "yesterday"), NOW)
    assert not it.on_quote(quote("ETH", 5, confidence="-1"), NOW)
    assert not it.on_quote(quote("ETH", 5, confidence="x"), NOW)
    assert (it.rejected, it.sources("ETH")) == (3, ())


def test_an_older_quote_does_not_replace_a_newer() -> None:
    it = PriceBook(1)
    assert it.on_quote(quote("ETH", 3000, age=1), NOW)
    assert not it.on_quote(quote("ETH", 2000, age=2), NOW)
    assert it.usd("ETH") == 3000.0


def test_what_cannot_be_told_is_left_out() -> None:
    it = book(
        feed("ETH", 0.0),
        msgspec.structs.replace(feed("BTC", 1.0), base=""),
        pool("WETH/USDC", 3000.0, raw=True),
        msgspec.structs.replace(pool("WETH/USDC", 3000.0), price=0.0),
        msgspec.structs.replace(pool("WETH/USDC", 3000.0), price=math.inf),
    )
    assert it.prices() == ()


def test_a_refresh_replaces_the_chains_prices_and_keeps_the_venues() -> None:
    it = book(feed("ETH", 3000.0), quote("ETH", 3100.0), pool("WETH/USDC", 3000.0))
    it.refresh([], [], NOW)
    assert [price.source for price in it.sources("ETH")] == ["coinbase"]
    assert it.usd(WETH) is None


items = st.lists(
    st.one_of(
        st.builds(feed, st.sampled_from(["ETH", "USDC", "LINK"]), st.floats(0.5, 2.0), age=st.floats(0, 10**5)),
        st.builds(pool, st.sampled_from(["WETH/USDC", "LINK/WETH", "USDC/USDT", "LINK/USDT"]), st.floats(0.5, 2.0)),
        st.builds(quote, st.sampled_from(["ETH", "USDT"]), st.floats(0.5, 2.0), st.sampled_from(["a", "b", "c"])),
    ),
    max_size=10,
)


@given(items, st.randoms(use_true_random=False))
def test_prices_do_not_depend_on_the_order_of_what_came(told: list[Feed | Pool | QuoteFrame], order: object) -> None:
    latest = {(item.venue, item.base): item for item in told if isinstance(item, QuoteFrame)}
    kept = [item for item in told if not isinstance(item, QuoteFrame)] + list(latest.values())
    shuffled = list(kept)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert book(*kept).prices() == book(*shuffled).prices()


@given(items)
def test_a_consensus_lies_between_its_fresh_sources(told: list[Feed | Pool | QuoteFrame]) -> None:
    latest = {(item.venue, item.base): item for item in told if isinstance(item, QuoteFrame)}
    it = book(*(item for item in told if not isinstance(item, QuoteFrame)), *latest.values())
    for agreed in it.prices():
        prices = [price.price for price in it.sources(agreed.asset)]
        assert min(prices) * (1 - 1e-9) <= agreed.price <= max(prices) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("pairs", "middle"),
    [
        ([(5.0, 1.0)], 5.0),
        ([(1.0, 1.0), (3.0, 1.0)], 2.0),
        ([(1.0, 2.0), (3.0, 1.0)], 1.0),
        ([(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)], 2.0),
        ([(1.0, 1.0), (2.0, 1.0), (100.0, 1.9)], 2.0),
    ],
)
def test_weighted_median(pairs: list[tuple[float, float]], middle: float) -> None:
    assert weighted_median(pairs) == middle
