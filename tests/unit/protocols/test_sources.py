"""What a price source is, from what it answers; and how its answers are kept."""

from __future__ import annotations

import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import CallResult
from defiwatch.protocols import sources
from defiwatch.protocols.erc20 import DECIMALS
from defiwatch.protocols.sources import source_of
from defiwatch.state.journal import JournaledBook
from tests.convert import answer, refusal
from tests.unit.state.lending.made_up import STETH, USDC, WETH

SOURCE = "0x" + "50" * 20
FEED = "0x" + "fe" * 20
OTHER = "0x" + "0f" * 20
EVERY = {question.selector: question for question in sources.QUESTIONS}


def answers(**told: object) -> list[CallResult]:
    """What a source answers; everything else it refuses."""
    by_name = {question.signature[: question.signature.index("(")]: question for question in sources.QUESTIONS}
    return [
        answer(question, SOURCE, told[name]) if name in told else refusal(question, SOURCE)
        for name, question in by_name.items()
    ]


def test_every_question_is_asked() -> None:
    assert [call.data for call in sources.source_calls(SOURCE)] == list(EVERY)


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


def test_answers_of_others_and_malformed_ones_do_not_count() -> None:
    other = [answer(sources.RATIO, FEED, 5)]
    short = [CallResult(to=SOURCE, data=sources.RATIO.selector, result="0x12345678")]
    unasked = [answer(DECIMALS, SOURCE, 8)]
    assert source_of(WETH, SOURCE, [*other, *short, *unasked]).kind == "unknown"


def test_a_quotient_of_feeds() -> None:
    """Morpho's oracles: collateral over loan, by feeds, of which any may be none."""
    nobody = "0x" + "00" * 20
    both = source_of(
        WETH, SOURCE, answers(BASE_FEED_1=FEED, BASE_FEED_2=nobody, QUOTE_FEED_1=OTHER, QUOTE_FEED_2=nobody)
    )
    assert (both.kind, both.over, both.under, both.feed) == ("quotient", (FEED,), (OTHER,), "")
    assert both.feeds == (FEED, OTHER)
    alone = source_of(WETH, SOURCE, answers(BASE_FEED_1=FEED, QUOTE_FEED_1=nobody))
    assert (alone.kind, alone.feed, alone.feeds) == ("quotient", FEED, (FEED,))


def test_each_question_is_asked_once_and_what_moves_again() -> None:
    book = JournaledBook(1, depth=4)
    book.open(BlockRef(1, 1, "0x1", 1))
    assert [call.data for call in sources.unasked(book, [SOURCE])] == list(EVERY)
    assert sources.known(book, STETH, SOURCE) is None
    told = answers(description="Capped wstETH", getRatio=5, getSnapshotRatio=4, BASE_TO_USD_AGGREGATOR=FEED)
    for call in told:
        assert sources.concerns(call)
        sources.take(book, call)
    assert sources.unasked(book, [SOURCE]) == []
    assert {call.data for call in sources.changing(book, [SOURCE])} == {
        sources.RATIO.selector,
        sources.SNAPSHOT_RATIO.selector,
    }
    assert sources.known(book, STETH, SOURCE) == source_of(STETH, SOURCE, told)
    book.undo()
    assert len(sources.unasked(book, [SOURCE])) == len(EVERY)
