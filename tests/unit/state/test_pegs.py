"""Runs off the peg, what is usual, and what a pool's share adds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.state.pegs import CEILING, PRIOR_BAND, Peg, balance, band, observe

FLOOR = 0.005
HOUR = 3600.0


def after(*deviations: float, step: float = HOUR, start: float = 1_600_000_000.0) -> Peg:
    peg = None
    for i, deviation in enumerate(deviations):
        peg = observe(peg, deviation, start + i * step, FLOOR)
    assert peg is not None
    return peg


def test_a_new_asset_has_the_prior_band_and_learns_its_own() -> None:
    assert band(after(0.0), FLOOR) == pytest.approx(PRIOR_BAND)
    calm = after(*[0.0004, -0.0004] * 1500)
    assert band(calm, FLOOR) == FLOOR
    restless = after(*[0.006, -0.006] * 1500)
    assert band(restless, FLOOR) == pytest.approx(0.036, rel=0.05)
    assert restless.count == 0


def test_a_depeg_that_lasts_does_not_become_usual() -> None:
    gone = after(*[0.001] * 500, *[-0.3] * 2000)
    assert band(gone, FLOOR) == CEILING
    assert (gone.count, gone.worst) == (2000, -0.3)
    assert gone.span == 1999 * HOUR


def test_a_run_pauses_within_the_band_and_ends_well_inside_it() -> None:
    run = after(*[0.0] * 10, 0.03, 0.03, 0.015)
    assert run.count == 2
    ended = observe(run, 0.004, run.time + HOUR, FLOOR)
    assert (ended.count, ended.span, ended.worst) == (0, 0.0, 0.0)
    lapsed = observe(run, 0.03, run.time + 7 * HOUR, FLOOR)
    assert (lapsed.count, lapsed.since) == (1, lapsed.time)


def test_a_sample_that_is_not_later_changes_nothing() -> None:
    peg = after(0.0, 0.03)
    assert observe(peg, 0.9, peg.time, FLOOR) is peg


def test_an_outflow_is_measured_in_the_pools_own_swings() -> None:
    peg = after(0.0)
    for i in range(200):
        peg = balance(peg, 0.5 + 0.002 * (i % 2), "usdc/usdt", peg.time + HOUR)
        peg = observe(peg, 0.0, peg.time + HOUR, FLOOR)
    assert peg.outflow < 2.0
    peg = balance(peg, 0.58, "usdc/usdt", peg.time + 60.0)
    assert peg.outflow == 10.0
    other = balance(peg, 0.9, "another pool", peg.time + 60.0)
    assert (other.outflow, other.level) == (0.0, 0.9)


@given(st.lists(st.floats(-0.9, 9.0), min_size=1, max_size=60), st.floats(1.0, 90_000.0))
def test_the_band_stays_between_floor_and_ceiling(deviations: list[float], step: float) -> None:
    peg = after(*deviations, step=step)
    assert FLOOR <= band(peg, FLOOR) <= CEILING
    assert peg.count <= peg.samples == len(deviations)
    assert (peg.count == 0) == (peg.worst == 0.0)
