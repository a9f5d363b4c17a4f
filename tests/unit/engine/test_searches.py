"""Searches through history: gone on with where they were left, and only for what they covered."""

from __future__ import annotations

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.engine.searches import Search, Searches, origin
from defiwatch.protocols.spec import Scan

A, B, C = "0xa", "0xb", "0xc"


def head(number: int) -> BlockRef:
    return BlockRef(1, number, hex(number), 12 * number)


def scan(*addresses: str, start: int = 10) -> Scan:
    return Scan("lender:debt", addresses, (("0x1",),), start)


def test_a_search_goes_on_where_it_was_left() -> None:
    before = Searches()
    (begun,) = before.open([scan(A, B)], head(100), 0)
    assert (begun.addresses, begun.until, origin(begun.key)) == ((A, B), 100, "lender:debt")
    before.note(begun, 61)
    kept = msgspec.json.decode(msgspec.json.encode(before.dump()), type=tuple[Search, ...])
    after = Searches()
    after.load(kept, 3)
    (left,) = after.open([scan(A, B)], head(140), 3)
    assert (left.key, left.until) == (begun.key, 60)
    after.note(left, 70)  # told late: nothing is taken back
    after.note(left, 10)
    assert after.open([scan(A, B)], head(150), 3) == []


def test_what_is_complete_is_left_out_and_what_is_new_is_searched_whole() -> None:
    searches = Searches()
    (begun,) = searches.open([scan(A, B)], head(100), 0)
    searches.note(begun, 50)
    first, second = searches.open([scan(B, C)], head(120), 0)
    assert (first.key, first.addresses, first.until) == (begun.key, (B,), 49)
    assert (second.addresses, second.until) == ((C,), 120)
    assert second.key != first.key
    assert searches.open([scan(B, C)], head(130), 0) == [first, second]


def test_what_opens_again_is_searched_again() -> None:
    searches = Searches()
    (begun,) = searches.open([scan(A)], head(100), 0)
    searches.note(begun, 10)
    assert searches.open([scan(A)], head(101), 0) == []  # searched to its end, and still not all is known
    assert searches.open([], head(102), 0) == []
    (again,) = searches.open([scan(A)], head(200), 0)
    assert again.until == 200


def test_a_book_that_is_begun_anew_forgets_them() -> None:
    searches = Searches()
    (begun,) = searches.open([scan(A)], head(100), 0)
    searches.note(begun, 50)
    (again,) = searches.open([scan(A)], head(99), 1)
    assert again.until == 99
    searches.note(begun, 20)  # of the old book
    assert [search.next for search in searches.dump()] == [99]
    assert searches.open([scan(A)], None, 1) == []
