"""Oracle kinds from what sources answer, caps, learnt bands, and the dual health factor."""

from __future__ import annotations

import random

import pytest

from defiwatch.domain.frames import CallResult
from defiwatch.state.lending import oracles
from defiwatch.state.lending.oracles import Pushes, pushed, source_of
from tests.convert import answer, refusal
from tests.unit.state.lending.made_up import BASE, STETH, USDC, WETH, leg, position

SOURCE = "0x" + "50" * 20
FEED = "0x" + "fe" * 20
EVERY = {question.selector: question for question in oracles.QUESTIONS}


def answers(**told: object) -> list[CallResult]:
    """What a source answers; everything else it refuses."""
    by_name = {question.signature[: question.signature.index("(")]: question for question in oracles.QUESTIONS}
    return [
        answer(question, SOURCE, told[name]) if name in told else refusal(question, SOURCE)
        for name, question in by_name.items()
    ]


def test_every_question_is_asked() -> None:
    assert [call.data for call in oracles.source_calls(SOURCE)] == list(EVERY)


def test_kinds() -> None:
    plain = source_of(WETH, SOURCE, answers(description="ETH / USD", aggregator=FEED))
    assert (plain.kind, plain.feed, plain.description, plain.capped) == ("feed", SOURCE, "ETH / USD", None)
    svr = source_of(WETH, SOURCE, answers(description="ETH / USD SVR", aggregator=FEED))
    assert svr.kind == "svr"
    stable = source_of(
        USDC,
        SOURCE,
        answers(description="Capped USDC / USD", getPriceCap=104 * 10**6, ASSET_TO_USD_AGGREGATOR=FEED, isCapped=False),
    )
    assert (stable.kind, stable.feed, stable.capped) == ("price_cap", FEED, False)
    assert stable.headroom(0.0, 10**8) == pytest.approx(0.04)
    assert stable.headroom(0.0) is None
    rate = source_of(STETH, SOURCE, answers(description="wstETH / ETH / USD", getRatio=12 * 10**17))
    assert rate.kind == "rate"
    assert source_of(WETH, SOURCE, answers(description="Fixed GHO / USD")).kind == "fixed"
    nothing = source_of(WETH, SOURCE, answers())
    assert (nothing.kind, nothing.feed, nothing.headroom(1.0)) == ("unknown", "", None)


def test_a_growing_cap() -> None:
    """Snapshot 1.17, growth 9.68 % a year: half a year on the cap stands at 1.2266."""
    growth = int(1.17e18 * 0.0968 / 31_536_000)
    told = answers(
        description="Capped wstETH / stETH(ETH) / USD",
        isCapped=False,
        getRatio=12 * 10**17,
        getSnapshotRatio=117 * 10**16,
        getSnapshotTimestamp=1_700_000_000,
        getMaxRatioGrowthPerSecond=growth,
        getMaxYearlyGrowthRatePercent=968,
        BASE_TO_USD_AGGREGATOR=FEED,
    )
    source = source_of(STETH, SOURCE, told)
    assert (source.kind, source.feed, source.growth_yearly) == ("ratio_cap", FEED, 968)
    later = 1_700_000_000 + 31_536_000 / 2
    assert source.most(later) / 1e18 == pytest.approx(1.226628, rel=1e-6)
    assert source.headroom(later) == pytest.approx(1.226628 / 1.2 - 1, rel=1e-5)
    assert source.headroom(1_700_000_000) == pytest.approx(1.17 / 1.2 - 1)
    assert source.most(0) / 1e18 == pytest.approx(1.17)
    assert oracles.yearly(growth, 117 * 10**16) == pytest.approx(0.0968, rel=1e-6)


def test_answers_of_others_and_malformed_ones_do_not_count() -> None:
    other = [answer(oracles.RATIO, FEED, 5)]
    short = [CallResult(to=SOURCE, data=oracles.RATIO.selector, result="0x12345678")]
    unasked = [answer(oracles.SVR_PRIMARY, SOURCE, FEED)]
    assert source_of(WETH, SOURCE, [*other, *short, *unasked]).kind == "unknown"


def test_band_and_heartbeat_are_learnt_from_pushes() -> None:
    """A feed with a band of 0.5 % and a heartbeat of an hour, pushed by a keeper that looks every 12 s."""
    rng = random.Random(2)
    learnt, told, price, last = Pushes(), 0.0, 3000.0, 0.0
    for i in range(40_000):
        now = 12.0 * i
        price *= 1 + 0.00025 * rng.gauss(0, 1)
        if told == 0.0 or abs(price / told - 1) >= 0.005 or now - last >= 3600:
            learnt = pushed(learnt, now, price)
            told, last = price, now
    assert learnt.heartbeat == 3600
    assert learnt.band == pytest.approx(0.005, rel=0.05)
    assert learnt.band_count > 20
    assert 600 < learnt.push_s <= 3600


def test_pushes_that_say_nothing() -> None:
    first = pushed(Pushes(), 10.0, 5.0)
    assert (first.count, first.heartbeat, first.push_s) == (1, 0.0, 0.0)
    assert pushed(first, 10.0, 6.0) is first
    assert pushed(first, 20.0, 0.0) is first
    second = pushed(first, 20.0, 5.0)
    assert (second.heartbeat, second.interval, second.band) == (10.0, 10.0, 0.0)


def test_the_dual_health_factor_names_what_each_oracle_sees() -> None:
    """A discount of 5 % on an LST: its oracle never reads the market, so the protocol will not see it."""
    it = position(leg(STETH, 10, threshold=9300), leg(WETH, debt=10))
    prices = {STETH: 3325.0 * BASE, WETH: 3000.0 * BASE}
    blind = oracles.dual(it, prices, {STETH: "ratio_cap", WETH: "feed"})
    assert blind.protocol == pytest.approx(1.085)
    assert blind.market == pytest.approx(1.085 * 0.95)
    assert blind.coming == pytest.approx(1.085)
    assert [(item.symbol, item.kind, item.seen) for item in blind.legs] == [
        ("wstETH", "ratio_cap", False),
        ("WETH", "feed", True),
    ]
    assert blind.legs[0].deviation == pytest.approx(-0.05)
    seen = oracles.dual(it, prices, {STETH: "feed", WETH: "feed"})
    assert seen.coming == seen.market
    missing = oracles.dual(it, {STETH: 3325.0 * BASE}, {})
    assert (missing.market, missing.coming) == (None, None)


def test_how_wrong_the_oracle_may_be() -> None:
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    assert oracles.sentence(it) == "liquidated if the oracle of WETH is 20.0 % too high"
    short = position(leg(USDC, 30_000), leg(WETH, debt=7.9))
    assert oracles.sentence(short) == "liquidated if the oracle of USDC is 1.3 % too high"
    under = position(leg(WETH, 10), leg(USDC, debt=25_000))
    assert oracles.sentence(under) == "liquidatable now; not so if the oracle of USDC is 4.0 % wrong"
    assert oracles.sentence(position(leg(WETH, 10))) == ""
