"""Chainlink feeds: answers, proxies, phases, and an aggregator that is replaced."""

from __future__ import annotations

from typing import Any

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import PricePushed
from defiwatch.domain.frames import RawLog
from defiwatch.domain.risk import Feed
from defiwatch.errors import ConfigError, ReadError
from defiwatch.protocols.chainlink import (
    AGGREGATOR,
    ANSWER_UPDATED,
    BOUNDS_AFTER_S,
    DESCRIPTION,
    LATEST_ROUND_DATA,
    MAX_ANSWER,
    MIN_ANSWER,
    NEW_ROUND,
    OCR1_TRANSMISSION,
    OCR2_TRANSMISSION,
    RECHECK_S,
    Chainlink,
    pair_of,
)
from defiwatch.protocols.erc20 import DECIMALS
from tests.convert import answer, refusal
from tests.unit.protocols.play import Player, at, raw

PROXY = "0x" + "aa" * 20
OTHER = "0x" + "bb" * 20
AGG = "0x" + "01" * 20
NEW = "0x" + "02" * 20
SOMEONE = "0x" + "99" * 20
PHASE4 = 4 << 64


def pushed(price: int, round_id: int, time: int, address: str = AGG) -> RawLog:
    topics: list[tuple[str, Any]] = [("int256", price), ("uint256", round_id)]
    return raw(ANSWER_UPDATED.topic0, address, topics, [("uint256", time)], index=9)


def ocr2(price: int, round_id: int) -> RawLog:
    kinds = ("int192", "address", "uint32", "int192[]", "bytes", "int192", "bytes32", "uint40")
    values = (price, SOMEONE, 5, (price - 1, price, price + 1), "0x0102", 3, "0x" + "cd" * 32, 77)
    return raw(OCR2_TRANSMISSION.topic0, AGG, [("uint32", round_id)], list(zip(kinds, values, strict=True)))


def ocr1(price: int, round_id: int) -> RawLog:
    kinds = ("int192", "address", "int192[]", "bytes", "bytes32")
    values = (price, SOMEONE, (price,), "0x01", "0x" + "cd" * 32)
    return raw(OCR1_TRANSMISSION.topic0, AGG, [("uint32", round_id)], list(zip(kinds, values, strict=True)))


def latest(round_id: int, price: int, time: int, proxy: str = PROXY) -> Any:
    return answer(LATEST_ROUND_DATA, proxy, round_id, price, time, time, round_id)


def player(*feeds: str, **more: Any) -> Player:
    return Player(Deployment(chain="x", protocol="chainlink", feeds=feeds or (PROXY,), **more))


def ready(*feeds: str) -> Player:
    it = player(*feeds)
    it.block(at(1))
    for proxy in feeds or (PROXY,):
        it.read(
            [
                answer(AGGREGATOR, proxy, AGG),
                answer(DECIMALS, proxy, 8),
                answer(DESCRIPTION, proxy, "ETH / USD"),
                latest(PHASE4 | 10, 3000_00000000, 5, proxy),
            ]
        )
    return it


def feed_of(it: Player) -> Feed:
    (feed,) = it.instance.feeds(it.book)
    return feed


def test_signatures() -> None:
    assert ANSWER_UPDATED.topic0 == "0x0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f"
    assert NEW_ROUND.topic0 == "0x0109fc6f55cf40689f02fbaad7af7fe7bbac8a3d2186600afc7d3e10cac60271"
    assert OCR1_TRANSMISSION.topic0 == "0xf6a97944f31ea060dfde0566e4167c1a1082551e64b60ecb14d599a9d023d451"
    assert OCR2_TRANSMISSION.topic0 == "0xc797025feeeaf2cd924c99e9205acb8ec04d5cad21c41ce637a38fb6dee6016a"
    assert (LATEST_ROUND_DATA.selector, AGGREGATOR.selector) == ("0xfeaf968c", "0x245a7bfc")


def test_it_asks_at_the_start_and_then_now_and_then() -> None:
    it = player()
    it.block(at(1))
    assert it.instance.filter(it.book).addresses == frozenset()
    assert it.wants() == [(PROXY, q.selector) for q in (AGGREGATOR, DECIMALS, DESCRIPTION, LATEST_ROUND_DATA)]
    it = ready()
    assert it.instance.filter(it.book).addresses == frozenset({AGG})
    assert it.instance.filter(it.book) is it.instance.filter(it.book)
    assert it.wants(at(2)) == it.wants(at(2, 12 + RECHECK_S - 1)) == []
    assert it.wants(at(2, 12 + RECHECK_S)) == [(PROXY, AGGREGATOR.selector), (PROXY, LATEST_ROUND_DATA.selector)]


def test_the_feed_as_it_stands() -> None:
    feed = feed_of(ready())
    assert (feed.base, feed.quote, feed.answer, feed.decimals, feed.unknown) == ("ETH", "USD", 3000_00000000, 8, "")
    assert (feed.round_id, feed.updated_at, feed.block, feed.address) == (PHASE4 | 10, 5, 1, PROXY)


def test_an_answer_becomes_a_fact_in_the_proxys_round() -> None:
    it = ready()
    started = raw(NEW_ROUND.topic0, AGG, [("uint256", 11), ("address", SOMEONE)], [("uint256", 20)])
    facts = it.block(at(2), started, pushed(2990_00000000, 11, 24))
    assert facts == [
        PricePushed(
            feed=PROXY,
            protocol="chainlink",
            base="ETH",
            quote="USD",
            answer=2990_00000000,
            decimals=8,
            round_id=PHASE4 | 11,
            updated_at=24,
            tx="0x" + "11" * 32,
            log_index=9,
        )
    ]
    assert feed_of(it).answer == 2990_00000000


@pytest.mark.parametrize("transmission", [ocr1, ocr2])
def test_one_answer_told_by_two_events_counts_once(transmission: Any) -> None:
    it = ready()
    facts = it.block(at(2), transmission(-7, 11), pushed(-7, 11, 24))
    assert [(f.answer, f.updated_at) for f in facts if isinstance(f, PricePushed)] == [(-7, 24)]
    assert "not positive" in feed_of(it).unknown


def test_a_round_that_is_answered_again_counts_again_and_an_older_one_does_not() -> None:
    it = ready()
    facts = it.block(at(2), pushed(5, 11, 24), pushed(6, 11, 24), pushed(7, 9, 24))
    assert [f.answer for f in facts if isinstance(f, PricePushed)] == [5, 6]


def test_two_proxies_of_one_aggregator_both_hear_it() -> None:
    it = ready(PROXY, OTHER)
    facts = it.block(at(2), pushed(5, 11, 24))
    assert [f.feed for f in facts if isinstance(f, PricePushed)] == [PROXY, OTHER]


def test_a_replaced_aggregator_is_followed() -> None:
    it = ready()
    it.block(at(60, 5000))
    it.read([answer(AGGREGATOR, PROXY, NEW)])
    assert it.instance.filter(it.book).addresses == frozenset({NEW})
    assert it.wants() == [(PROXY, LATEST_ROUND_DATA.selector)]
    it.read([latest((5 << 64) | 1, 2000, 4990)])
    assert it.wants() == []
    assert it.book.take_notices() == ["chainlink: the feed 0xaaaa…aaaa answers from another aggregator, 0x0202…0202"]
    assert it.block(at(61, 5012), pushed(1, 11, 5012, AGG)) == []
    (fact,) = it.block(at(62, 5024), pushed(2001, 2, 5024, NEW))
    assert isinstance(fact, PricePushed)
    assert fact.round_id == (5 << 64) | 2
    for _ in range(3):
        it.book.undo()
    assert it.instance.filter(it.book).addresses == frozenset({AGG})
    assert feed_of(it).round_id == PHASE4 | 10


def test_a_read_heals_what_no_event_told() -> None:
    it = ready()
    it.block(at(60, 5000))
    it.read([answer(AGGREGATOR, PROXY, AGG), latest(PHASE4 | 12, 2500_00000000, 4000)])
    assert feed_of(it).answer == 2500_00000000
    assert it.book.take_notices() == [
        "chainlink: the feed 0xaaaa…aaaa had moved on without an event; its answer was read again"
    ]


def test_a_read_that_agrees_is_not_worth_a_word() -> None:
    it = ready()
    it.block(at(60, 5000), pushed(5, 11, 5000))
    it.read([answer(AGGREGATOR, PROXY, AGG), latest(PHASE4 | 11, 5, 5000)])
    assert it.book.take_notices() == []
    assert feed_of(it).answer == 5


def test_an_aggregator_may_be_named_itself() -> None:
    it = player()
    it.block(at(1))
    it.read([answer(DECIMALS, PROXY, 8), refusal(AGGREGATOR, PROXY), answer(DESCRIPTION, PROXY, "BTC/USD")])
    it.read([latest(3, 60_000, 5)])
    assert it.instance.filter(it.book).addresses == frozenset({PROXY})
    (fact,) = it.block(at(2), pushed(60_001, 4, 24, PROXY))
    assert isinstance(fact, PricePushed)
    assert (fact.round_id, fact.base) == (4, "BTC")


def test_a_feed_of_which_nothing_is_known() -> None:
    feed = feed_of(player(label="ETH / USD"))
    assert (feed.base, feed.quote, feed.answer) == ("ETH", "USD", 0)
    assert feed.unknown == "aggregator not read; decimals not read; no round read"


def test_refusals_and_nonsense() -> None:
    it = player()
    it.block(at(1))
    questions = (AGGREGATOR, DECIMALS, DESCRIPTION, LATEST_ROUND_DATA)
    assert it.read([refusal(question, PROXY) for question in questions]) == [True] * 4
    assert it.wants(at(1)) == []
    assert it.read([answer(DECIMALS, SOMEONE, 8), answer(DECIMALS, AGG, 8)]) == [False, False]
    short = answer(LATEST_ROUND_DATA, PROXY, 1, 2, 3, 4, 5)
    with pytest.raises(ReadError):
        it.read([type(short)(to=short.to, data=short.data, result=(short.result or "")[:100])])


@pytest.mark.parametrize(
    ("description", "pair"),
    [
        ("ETH / USD", ("ETH", "USD")),
        ("wstETH / USD", ("wstETH", "USD")),
        ("LINK/ETH", ("LINK", "ETH")),
        ("Calculated XSUSHI / ETH", ("XSUSHI", "ETH")),
        ("BTC / USD SVR", ("BTC", "USD")),
        ("wstETH-stETH Exchange Rate", ("", "")),
        ("", ("", "")),
        ("/", ("", "")),
    ],
)
def test_what_a_description_names(description: str, pair: tuple[str, str]) -> None:
    assert pair_of(description) == pair


def test_a_hostile_description_is_harmless() -> None:
    it = player()
    it.read([answer(DESCRIPTION, PROXY, "\x1b[31m\u202e[bold]ETH / USD" + "x" * 10_000)], at(1))
    assert feed_of(it).base == "(bold)ETH"
    assert len(feed_of(it).quote) < 64


def test_a_deployment_without_feeds_is_refused() -> None:
    with pytest.raises(ConfigError, match="feeds = "):
        Chainlink(1, Deployment(chain="x", protocol="chainlink"))


def followed(description: str = "ETH / USD", price: int = 2000 * 10**8) -> Player:
    it = player()
    it.block(at(1, 1000))
    it.read(
        [
            answer(AGGREGATOR, PROXY, AGG),
            answer(DECIMALS, PROXY, 8),
            answer(DESCRIPTION, PROXY, description),
            answer(LATEST_ROUND_DATA, PROXY, PHASE4 | 7, price, 900, 990, PHASE4 | 6),
        ]
    )
    return it


def told(it: Player) -> Feed:
    (feed,) = it.instance.feeds(it.book)
    return feed


def test_an_answer_that_was_carried_over_says_so_until_a_new_one_comes() -> None:
    it = followed()
    assert (told(it).round_id - told(it).answered_in_round, told(it).started_at) == (1, 900)
    it.block(at(2, 1010), pushed(2001 * 10**8, 8, 1010))
    assert told(it).answered_in_round == told(it).round_id == PHASE4 | 8


def test_bounds_are_read_once_of_the_aggregator_when_the_start_is_over() -> None:
    it = followed()
    bounds = {(AGG, MIN_ANSWER.selector), (AGG, MAX_ANSWER.selector)}
    it.block(at(2, 1000 + BOUNDS_AFTER_S - 1))
    assert not bounds & set(it.wants())
    it.block(at(3, 1000 + BOUNDS_AFTER_S))
    assert bounds <= set(it.wants())
    it.read([answer(MIN_ANSWER, AGG, 100), refusal(MAX_ANSWER, AGG)])
    assert (told(it).min_answer, told(it).max_answer) == (100, 0)
    assert not bounds & set(it.wants())
    it.block(at(4, 10_000))
    assert not bounds & set(it.wants())
    it.read([answer(AGGREGATOR, PROXY, NEW)])
    assert told(it).min_answer == 0
    it.block(at(5, 10_000 + BOUNDS_AFTER_S))
    assert (NEW, MIN_ANSWER.selector) in it.wants()


def test_a_sequencers_status_is_no_price_and_no_fault() -> None:
    it = followed("L2 Sequencer Uptime Status Feed", 0)
    assert (told(it).sequencer, told(it).unknown, told(it).quote, told(it).started_at) == (True, "", "", 900)
    it.block(at(2, 1010), pushed(1, 8, 1010))
    assert (told(it).answer, told(it).started_at) == (1, 1010)
