"""Names of strangers cannot do anything to a screen, a log or a reader."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from defiwatch.domain.text import harmless


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("USDC", "USDC"),
        ("  Wrapped\t\nEther ", "Wrapped Ether"),
        ("\x1b[31mUSDC\x1b[0m", "USDC"),
        ("\x1b]0;owned\x07WETH", "WETH"),
        ("\x1b]8;;http://x.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2JDAI", "DAI"),
        ("\x1b", ""),
        ("A\x00B\x08C\x7fD", "ABCD"),
        ("[bold red]USDT[/]", "(bold red)USDT(/)"),
        ("US\u202eCD\u2066", "USCD"),
        ("U\u200bS\u200dD\ufeffC", "USDC"),
        ("\U000e0041\U000e0042tag", "tag"),
        ("\u3164", ""),
        ("\ud800X\udfff", "X"),
        ("\ue000private", "private"),
        ("Z\u0301\u0302\u0303\u0304\u0305", "\u0179\u0302"),
        ("naïve", "naïve"),
        ("stETH-ETH", "stETH-ETH"),
        ("₮USD", "₮USD"),
        ("line\u2028two\u2029three", "line two three"),
        ("日本円", "日本円"),
    ],
)
def test_what_becomes_of(hostile: str, shown: str) -> None:
    assert harmless(hostile, 32) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    assert harmless("A" * 10, 10) == "A" * 10
    assert harmless("A" * 11, 10) == "A" * 9 + "…"
    assert harmless("A B" * 10, 3) == "A…"


def test_megabytes_cost_no_more_than_a_line() -> None:
    start = time.process_time()
    assert len(harmless("\u202e[\x1b[" * 5_000_000, 24)) <= 24
    assert time.process_time() - start < 2.0


@given(st.text(st.characters()), st.integers(1, 40))
def test_always_one_short_line_without_power(text: str, limit: int) -> None:
    line = harmless(text, limit)
    assert len(line) <= limit
    assert not any(unicodedata.category(char)[0] == "C" or unicodedata.category(char) in ("Zl", "Zp") for char in line)
    assert line == line.strip()
    assert "  " not in line
    assert Text.from_markup(line).plain == line
    line.encode()


@given(st.text(st.characters()), st.integers(1, 40))
def test_what_is_harmless_stays_as_it_is(text: str, limit: int) -> None:
    line = harmless(text, limit)
    assert harmless(line, limit) == line
