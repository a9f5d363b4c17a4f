"""How prices are pushed: learnt from rounds and from changes, and what it means for a position."""

from __future__ import annotations

import random

import msgspec
import pytest

from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Feed, Position
from defiwatch.state import oracles
from defiwatch.state.journal import JournaledBook
from defiwatch.state.lending import pushes
from defiwatch.state.lending.pushes import Pushes, Rhythm, beat, follow, priced, pushed
from tests.unit.state.lending.made_up import BASE, USDC, WBTC, WETH, leg, position

FEED = Feed(1, "chainlink", "0xfeed", "ETH", "USD", 3000 * BASE, 8, 0)


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


def rounds(n: int, every: int, move: float) -> oracles.Pushes:
    """`n` rounds, one each `every` seconds, up and down by `move`."""
    found: oracles.Pushes | None = None
    for i in range(n):
        answer = round(3000 * BASE * (1.0 + move * (i % 2)))
        found = oracles.pushed(
            found, msgspec.structs.replace(FEED, round_id=i + 1, answer=answer, updated_at=1 + every * i)
        )
    assert found is not None
    return found


def test_a_feed_s_rhythm_counts_every_round_and_forgets_the_old() -> None:
    learnt = pushes.of_feed(FEED, rounds(214, 720, 0.006))
    assert learnt is not None
    assert (learnt.origin, learnt.count, learnt.interval) == ("feed", 214, 720)
    assert learnt.squared == pytest.approx(0.006**2, rel=0.02)
    assert learnt.rate == pytest.approx(0.006**2 / 720, rel=0.02)
    assert pushes.of_feed(FEED, rounds(pushes.ENOUGH, 720, 0.006)) is None


def test_what_is_usual() -> None:
    assert (pushes.usual("WETH").interval, pushes.usual("WETH").band) == (3600.0, 0.005)
    assert (pushes.usual("USDC").interval, pushes.usual("USDC").band) == (86_400.0, 0.0025)


def test_a_market_s_own_price_teaches_too() -> None:
    book = JournaledBook(1, depth=64)
    for i in range(20):
        book.open(at := BlockRef(1, i, hex(i), 600 * i))
        price = 3000.0 * (1.01 if i % 2 else 1.0) * (1.0 + 1e-7 * i)  # an exchange rate creeps along
        follow(book, priced([position(leg(WETH, 1, price=price), leg(USDC, debt=1))]), at)
        follow(book, priced([position(leg(WETH, 1, price=price), leg(USDC, debt=1))]), at)  # told twice, learnt once
    key = ("made_up", position().market, WETH)
    learnt = book.get(pushes.PUSHES, key)
    assert learnt is not None
    assert learnt.count == 20
    rhythm = pushes.of_price(learnt)
    assert rhythm is not None
    assert (rhythm.origin, rhythm.count) == ("price", 20)
    assert rhythm.interval == pytest.approx(600)
    still = book.get(pushes.PUSHES, ("made_up", position().market, USDC))
    assert still is not None
    assert still.count == 1
    book.undo()
    before = book.get(pushes.PUSHES, key)
    assert before is not None
    assert before.count == 19


def test_a_position_beats_as_what_moves_it() -> None:
    """A stable coin that is pushed once a day and hardly moves does not slow what its volatile side tells."""
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))
    rhythms = {
        WETH: Rhythm(720.0, 0.006**2, 0.005, origin="feed", count=90),
        USDC: Rhythm(86_400.0, 0.0001**2, 0.0025, origin="feed", count=90),
    }
    found = beat(it, rhythms)
    assert found.interval == pytest.approx(720.0, rel=0.001)
    assert found.band == pytest.approx(0.0075)
    both = position(leg(WETH, 10), leg(WBTC, 0.5), leg(USDC, debt=20_000))
    mixed = beat(both, {**rhythms, WBTC: Rhythm(3600.0, 0.006**2, 0.005, origin="feed", count=90)})
    assert 720.0 < mixed.interval < 3600.0
    assert beat(it, {}).interval == pytest.approx(pushes.USUAL_S, rel=0.05)
    assert beat(it, {**rhythms, WETH: Rhythm(720.0, 0.006**2)}).band is None


def test_a_market_s_own_unit_is_never_pushed() -> None:
    it = msgspec.structs.replace(position(leg(WETH, 10), leg(USDC, debt=20_000)), base="USDC")
    assert pushes.fixed(it, USDC)
    assert not pushes.fixed(it, WETH)
    assert beat(it, {WETH: Rhythm(300.0, 0.001, 0.01), USDC: Rhythm(1.0, 9.0, 9.0)}) == pushes.Beat(300.0, 0.01)


def test_the_band_beside_the_distance() -> None:
    it = position(leg(WETH, 10), leg(USDC, debt=20_000))  # a factor of 1.2
    assert pushes.share_of_distance(it, 0.01) == pytest.approx(0.01 / 0.18232, rel=1e-4)
    assert pushes.share_of_distance(it, None) == 0.0
    near: Position = position(leg(WETH, 10), leg(USDC, debt=23_999.9))
    assert pushes.share_of_distance(near, 0.01) == 10.0
    assert pushes.share_of_distance(position(leg(WETH, 10), leg(USDC, debt=25_000)), 0.01) == 0.0
