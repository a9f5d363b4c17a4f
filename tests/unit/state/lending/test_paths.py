"""The path of a price: its source and feed where they are known, its rhythm from the best there is, in words."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Feed
from defiwatch.protocols import sources
from defiwatch.protocols.spec import Book, Instance
from defiwatch.state import oracles
from defiwatch.state.journal import JournaledBook
from defiwatch.state.lending import pushes
from defiwatch.state.lending.insight import Insight
from defiwatch.state.lending.paths import Origins, paths_of, phrase
from defiwatch.state.lending.pushes import Pushes, Rhythm
from defiwatch.state.lending.words import movement, remarks
from tests.unit.protocols.test_sources import answers
from tests.unit.state.lending.made_up import BASE, STETH, USDC, WETH, leg, position

FEED = "0x" + "fe" * 20
SOURCE = "0x" + "50" * 20
MARKET = position().market
NOW = 1_700_100_000.0
FOLLOWED = Feed(1, "chainlink", FEED, "ETH", "USD", 3000 * BASE, 8, int(NOW) - 120, round_id=9)


class Lender(Instance):
    """A market that takes STETH from an adapter and WETH from the feed itself."""

    protocol = "made_up"
    events = ()

    def __init__(self) -> None:
        return

    def filter(self, book: Book) -> None:  # type: ignore[override]
        return

    def on_event(self, book: Book, at: BlockRef, event: object) -> tuple[()]:
        return ()

    def price_sources(self, book: Book) -> Mapping[tuple[str, Address], Address]:
        return {(MARKET, STETH): SOURCE, (MARKET, WETH): FEED}


def book_of(*, rounds: int = 0, asked: bool = True) -> JournaledBook:
    book = JournaledBook(1, depth=4)
    book.open(BlockRef(1, 1, "0x1", int(NOW)))
    if asked:
        for call in answers(
            description="Capped wstETH / stETH(ETH) / USD",
            isCapped=False,
            getRatio=100,
            getSnapshotRatio=102,
            getSnapshotTimestamp=int(NOW),
            BASE_TO_USD_AGGREGATOR=FEED,
        ):
            sources.take(book, call)
    seen: oracles.Pushes | None = None
    for i in range(rounds):
        answer = (3000 + 18 * (i % 2)) * BASE
        seen = oracles.pushed(
            seen, msgspec.structs.replace(FOLLOWED, round_id=i + 1, answer=answer, updated_at=720 * i + 1)
        )
    if seen is not None:
        book.put(oracles.PUSHES, ("chainlink", FEED), seen)
    return book


def test_an_adapter_beats_as_the_feed_behind_it() -> None:
    book = book_of(rounds=40)
    origins = Origins(book, [Lender()], [FOLLOWED], NOW)
    it = position(leg(STETH, 10, threshold=9300), leg(WETH, debt=10))
    capped, plain = paths_of(it, origins)
    assert (capped.kind, capped.source, capped.feed, capped.age) == ("ratio_cap", SOURCE, FEED, 120.0)
    assert capped.headroom == pytest.approx(0.02)
    assert capped.rhythm == plain.rhythm
    assert (capped.rhythm.origin, capped.rhythm.count, capped.rhythm.interval) == ("feed", 40, 720.0)
    assert phrase(capped) == (
        "wstETH: capped ratio 0x5050…5050 (Capped wstETH / stETH(ETH) / USD), behind it feed 0xfefe…fefe,"
        " pushed 2 min ago, pushes every ~12 min, band 0.6 % (learnt from 40 pushes), 2.00% below its cap"
    )
    assert origins.assets("made_up", MARKET) == [WETH, STETH]


def test_without_a_followed_feed_the_market_s_own_price_teaches_and_else_the_usual_stands() -> None:
    book = book_of(asked=False)
    it = position(leg(STETH, 10, threshold=9300), leg(WETH, debt=10), leg(USDC, 1))
    told = [phrase(path) for path in paths_of(it, Origins(book, [Lender()], [], NOW))]
    assert told[0] == "wstETH: source 0x5050…5050, pushes every ~60 min, band 0.5 % (usual; not learnt yet)"
    assert told[2].startswith("USDC: its source is not known, pushes every ~24.0 h, band 0.25 %")
    book.put(pushes.PUSHES, ("made_up", MARKET, STETH), Pushes(NOW, 1.0, 41, 3600.0, 0.005, 30, 900.0, 2.5e-5))
    own = Origins(book, [Lender()], [], NOW).rhythm("made_up", MARKET, STETH, "wstETH")
    assert own == Rhythm(900.0, 2.5e-5, 0.005, None, "price", 41, band_learnt=True)
    first = paths_of(it, Origins(book, [Lender()], [], NOW))[0]
    assert phrase(first).endswith("pushes every ~15 min, band 0.5 % (learnt from 41 changes of its price)")


def test_a_cap_that_holds_is_said() -> None:
    book = book_of()
    sources.take(book, answers(isCapped=True)[1])
    it = position(leg(STETH, 10, threshold=9300), leg(WETH, debt=10))
    assert phrase(paths_of(it, Origins(book, [Lender()], [], NOW))[0]).endswith(", CAPPED now")


def test_what_p_rests_on_and_why_there_is_none() -> None:
    assert list(movement({"24h": 0.1}, (0.7, 86_400.0), "", 1800.0)) == [
        "volatility of collateral against debt 70.0% a year (watched 24.0 h)"
    ]
    assert list(movement({}, (0.7, 600.0), "WETH 9 rounds", 1800.0)) == [
        "volatility of collateral against debt 70.0% a year (watched 10 min; WETH 9 rounds)",
        "P(liquidated) is told once the ratio was watched 30 min",
    ]
    assert list(movement({}, None, "P(liquidated) cannot be told: X", 1800.0)) == ["P(liquidated) cannot be told: X"]
    assert list(movement({}, None, "", 1800.0)) == [
        "P(liquidated) is not told: its prices were not watched yet, 30 min are needed"
    ]
    assert list(remarks(Insight((), {}, carry_s=86_400.0 * 9))) == ["interest alone liquidates it in 9 d"]
    assert list(remarks(Insight((), {}, carry_s=1e12))) == []
