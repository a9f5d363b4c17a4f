"""Features of a plain series, on numbers that can be worked out by hand."""

from __future__ import annotations

import math

import pytest

from defiwatch.features import FEATURES
from defiwatch.features.series import SeriesTrace, begun, followed, series_values


def after(values: list[float], step: float = 300.0) -> SeriesTrace:
    trace = begun(values[0])
    for i, value in enumerate(values[1:], start=1):
        trace = followed(trace, step * i, value)
    return trace


def test_every_feature_is_listed() -> None:
    assert set(series_values(begun(1.0), 0.0, 2.0)) == set(FEATURES["series"])


def test_a_new_range_is_measured_in_widths_of_the_old() -> None:
    trace = after([0.0, 10.0, 5.0])
    assert series_values(trace, 900.0, 12.0)["range"] == pytest.approx(0.2)
    assert series_values(trace, 900.0, -5.0)["range"] == pytest.approx(0.5)
    assert series_values(trace, 900.0, 7.0)["range"] == 0.0


def test_the_hour_of_the_day_has_a_mean_of_its_own() -> None:
    """Ten at noon and one else, over four days: ten is far at midnight and usual at noon."""
    values = [10.0 if (i // 12) % 24 == 12 else 1.0 for i in range(4 * 288)]
    trace = after(values)
    noon, night = 4 * 86_400.0 + 12 * 3600.0, 4 * 86_400.0 + 60.0
    assert series_values(trace, noon, 10.0)["hour"] < 0.01
    assert series_values(trace, night, 10.0)["hour"] > 5.0
    assert series_values(trace, noon, 1.0)["hour"] > 5.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_left_aside(value: float) -> None:
    trace = after([1.0, 2.0])
    assert followed(trace, 600.0, value) == trace


def test_scale_and_unit_do_not_matter() -> None:
    values = [1.0 + 0.1 * math.sin(i) for i in range(300)]
    small, large = after(values), after([1e6 * value for value in values])
    for value in (1.05, 1.5, 0.2):
        one, other = series_values(small, 9e4, value), series_values(large, 9e4, 1e6 * value)
        assert one == pytest.approx(other, rel=1e-6)
