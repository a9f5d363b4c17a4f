"""Bad ticks move nothing, crashes are believed; pricing one asset anew gives what a whole solution gives."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.domain.frames import QuoteFrame
from defiwatch.domain.units import iso
from defiwatch.state.prices import PriceBook
from tests.unit.state.test_prices import NOW, feed, pool


def at(base: str, price: float, time: float, venue: str = "coinbase", counted: str = "USD") -> QuoteFrame:
    return QuoteFrame(venue=venue, base=base, quote=counted, price=str(price), time=iso(time))


def told(it: PriceBook, prices: list[float], base: str = "USDC", venue: str = "coinbase") -> list[bool]:
    """A quote a minute from now on."""
    return [it.on_quote(at(base, price, NOW + 60 * i, venue), NOW + 60 * i) for i, price in enumerate(prices)]


def test_a_bad_tick_moves_nothing_and_is_counted() -> None:
    it = PriceBook(0)
    assert told(it, [1.0, 1.0, 0.094, 0.094, 0.999]) == [True, True, False, False, True]
    assert (it.usd("USDC"), it.bad_ticks) == (0.999, 2)


def test_a_crash_that_lasts_is_believed_with_the_next_tick_or_the_one_after() -> None:
    it = PriceBook(0)
    assert told(it, [1.0, 1.0, 0.7, 0.69]) == [True, True, False, True]
    assert (it.usd("USDC"), it.bad_ticks) == (0.69, 0)
    it = PriceBook(0)
    assert told(it, [1.0, 1.0, 0.3, 0.29, 0.28]) == [True, True, False, False, True]


def test_a_crash_that_another_venue_sees_too_is_believed_at_once() -> None:
    it = PriceBook(0)
    told(it, [1.0, 1.0, 0.7, 0.7])
    it.on_quote(at("USDC", 1.0, NOW + 100, "kraken"), NOW + 100)
    it.on_quote(at("USDC", 1.0, NOW + 110, "kraken"), NOW + 110)
    assert it.on_quote(at("USDC", 0.7, NOW + 190, "kraken"), NOW + 190)
    assert it.usd("USDC") == 0.7


def test_what_was_silent_for_long_may_come_back_anywhere() -> None:
    it = PriceBook(0)
    told(it, [1.0, 1.0])
    assert it.on_quote(at("USDC", 0.5, NOW + 86_400), NOW + 86_400)


def test_what_venues_count_in_is_assumed_to_hold_before_what_they_price() -> None:
    it = PriceBook(0)
    it.on_quote(at("USDC", 1.05, NOW, "binance", "USDT"), NOW)
    it.on_quote(at("BTC", 30_000.0, NOW, "binance", "USDT"), NOW)
    assert (it.usd("USDC"), it.usd("BTC")) == (1.05, 30_000.0)


def timeless(it: PriceBook) -> list[object]:
    """All prices; those assumed without the time at which they were."""
    return [msgspec.structs.replace(p, time=0.0) if p.kind == "assumed" else p for p in it.prices()]


moments = st.lists(
    st.tuples(
        st.sampled_from(["ETH", "BTC", "USDC", "LINK"]),
        st.sampled_from(["USD", "USD", "USDT", "ETH"]),
        st.sampled_from(["a", "b"]),
        st.floats(0.9, 1.1),
        st.floats(0.0, 400.0),
    ).filter(lambda item: item[0] != item[1]),
    max_size=40,
)


@given(moments, st.booleans())
def test_pricing_one_asset_anew_gives_what_a_whole_solution_gives(
    items: list[tuple[str, str, str, float, float]], chain: bool
) -> None:
    step, whole = PriceBook(1), PriceBook(1)
    if chain:
        for it in (step, whole):
            it.refresh([feed("ETH", 1.0)], [pool("WETH/USDC", 1.0), pool("LINK/WETH", 1.0)], NOW)
    now = NOW
    for base, counted, venue, price, gap in items:
        now += gap
        frame = at(base, price, now, venue, counted)
        assert step.on_quote(frame, now) == whole.on_quote(frame, now)
        whole._solved = None
        assert timeless(step) == timeless(whole)
        assert step.deviations() == whole.deviations()
        assert step.deviations(base) == tuple(d for d in whole.deviations() if d.asset == base)
