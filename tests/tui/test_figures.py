"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from rich.cells import cell_len

from defiwatch.tui import figures


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (382_188.13, "$382.2k"),
        (1_236_000, "$1.24M"),
        (-1_236_000, "-$1.24M"),
        (999.94, "$1.00k"),
        (999_960, "$1.00M"),
        (21.4e9, "$21.4B"),
        (12.44, "$12.4"),
        (0.0, "$0.00"),
        (0.0012, "$1.2e-03"),
        (None, "?"),
        (math.inf, "?"),
        (math.nan, "?"),
    ],
)
def test_money_is_short_and_says_when_it_is_unknown(value: float | None, told: str) -> None:
    assert figures.money(value) == told


@pytest.mark.parametrize("exponent", range(-6, 16))
@pytest.mark.parametrize("digits", [1.0, 9.994, 9.996, 99.94, 99.96, 999.4, 999.96])
def test_money_never_outgrows_its_column(exponent: int, digits: float) -> None:
    assert len(figures.money(digits * 10.0**exponent)) <= 8


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (2412.1134, "2,412.11"),
        (1.00032, "1.00032"),
        (0.99981, "0.99981"),
        (0.0003404449, "0.0003404"),
        (4.8054e-9, "4.805e-09"),
        (0.0, "0"),
        (123_456_789.0, "123,456,789"),
        (None, "?"),
    ],
)
def test_prices_keep_six_digits(value: float | None, told: str) -> None:
    assert figures.price(value) == told


@pytest.mark.parametrize(
    ("factor", "told"), [(1.021, "1.021"), (0.9999999, "0.999"), (1.0, "1.000"), (None, "?"), (1e40, ">99")]
)
def test_a_health_factor_below_one_is_never_shown_as_one(factor: float | None, told: str) -> None:
    assert figures.health(factor) == told


@pytest.mark.parametrize(
    ("part", "told"), [(-0.0211, "-2.1 %"), (0.0211, "+2.1 %"), (-0.0001, "0.0 %"), (1e6, ">9999 %"), (None, "?")]
)
def test_changes_carry_their_sign(part: float | None, told: str) -> None:
    assert figures.change(part) == told


@pytest.mark.parametrize(
    ("p", "told"), [(0.0, "<0.1 %"), (0.031, "3.1 %"), (0.31, "31 %"), (1.0, ">99 %"), (None, "?")]
)
def test_a_probability_is_never_told_as_certain(p: float | None, told: str) -> None:
    assert figures.probability(p) == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(-3, "0s"), (2.9, "2s"), (99, "99s"), (100, "1m"), (5999, "99m"), (6000, "1h"), (9e5, "10d")]
)
def test_ages_have_one_unit(seconds: float, told: str) -> None:
    assert figures.age(seconds) == told


def test_a_time_that_no_calendar_holds_is_unknown() -> None:
    assert figures.day_clock(1e30) == "?"
    assert figures.clock(1_773_144_000.0) == "12:00:00"


def test_sparklines_rise_with_their_values_and_fill_their_width() -> None:
    line = figures.spark([1.0, 2.0, 3.0, 4.0, math.nan, 5.0], 6)
    assert cell_len(line) == 6
    assert line.startswith("   ")
    dots = [(ord(cell) - 0x2800).bit_count() for cell in line.strip()]
    assert dots == sorted(dots)
    assert figures.spark([], 4) == "    "
    assert set(figures.spark([7.0] * 8, 4)) == {"⣀"}
