"""Calibrated tails: what is said to happen once in a hundred does; beyond the data a fitted tail, and it says so."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable

import pytest

from defiwatch.models.calibration import EPISODE_S, Episodes, TailCalibrator

LAWS: dict[str, Callable[[float], float]] = {
    "gaussian": lambda z: max(0.0, z + 1.0),
    "exponential": lambda z: -math.log10(max(1e-300, 0.5 * math.erfc(z / math.sqrt(2.0)))),
    "heavy": lambda z: min(11.9, 0.3 * math.exp(0.7 * z)),
}
"""From a standard normal number to a score."""


def shares(n: int, law: str, memory: float, alphas: tuple[float, ...]) -> dict[float, float]:
    """Of `n` scores, each judged before it was counted: the share below each alpha, divided by it.

    `memory` is the correlation of one score with the next.
    """
    draw = random.Random(1)
    calibrator = TailCalibrator()
    hits = dict.fromkeys(alphas, 0)
    z, fresh, judged = 0.0, math.sqrt(1.0 - memory * memory), 0
    for i in range(n):
        z = memory * z + fresh * draw.gauss(0.0, 1.0)
        score = LAWS[law](z)
        if i >= 2000:
            judged += 1
            tail, _ = calibrator.tail(score)
            for alpha in alphas:
                hits[alpha] += tail < alpha
        calibrator.update(score)
    return {alpha: found / judged / alpha for alpha, found in hits.items()}


WHOLE = [(law, memory) for law in LAWS for memory in (0.0, 0.9, 0.99)]
"""A million events each; the gate runs one of them, the soak all."""


@pytest.mark.parametrize("memory", [0.0, 0.9])
@pytest.mark.parametrize("law", LAWS)
def test_the_share_below_alpha_is_alpha(law: str, memory: float) -> None:
    """The gate's short form: at 0.01 of 60,000 there are 600 expected, and 20 % is five standard errors."""
    for ratio in shares(60_000, law, memory, (0.1, 0.03, 0.01)).values():
        assert ratio == pytest.approx(1.0, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize(("law", "memory"), WHOLE if os.environ.get("DEFIWATCH_SOAK") else WHOLE[4:5])
def test_over_a_million_events(law: str, memory: float) -> None:
    for ratio in shares(1_000_000, law, memory, (0.1, 0.03, 0.01, 0.003, 0.001)).values():
        assert ratio == pytest.approx(1.0, abs=0.2)


def test_beyond_the_data_it_says_so_and_goes_on_falling() -> None:
    """Exponential scores, one power of ten a unit: the fitted tail finds the law where no score was seen."""
    calibrator, draw = TailCalibrator(), random.Random(2)
    for _ in range(20_000):
        calibrator.update(-math.log10(1.0 - draw.random()))
    inside, beyond = calibrator.tail(2.0), calibrator.tail(7.0)
    assert inside[0] == pytest.approx(0.01, rel=0.15)
    assert not inside[1]
    assert beyond[1]
    assert -8.2 < math.log10(beyond[0]) < -5.8
    tails = [calibrator.tail(0.25 * i)[0] for i in range(44)]
    assert tails == sorted(tails, reverse=True)
    assert calibrator.tail(calibrator.get())[0] == pytest.approx(0.01, rel=0.02)


def test_with_no_data_the_prior_speaks_and_says_that_it_does() -> None:
    tail, extrapolated = TailCalibrator().tail(2.0)
    assert tail == pytest.approx(0.01)
    assert extrapolated


def test_it_forgets() -> None:
    calibrator, draw = TailCalibrator(memory=2_000), random.Random(3)
    for scale in (1.0, 3.0):
        for _ in range(10_000):
            calibrator.update(-scale * math.log10(1.0 - draw.random()))
    assert calibrator.tail(6.0)[0] == pytest.approx(0.01, rel=0.4)


def test_kept_and_taken_up_it_goes_on_the_same() -> None:
    one, other, draw = TailCalibrator(memory=500), TailCalibrator(memory=500), random.Random(4)
    values = [draw.expovariate(1.0) for _ in range(9_000)]
    for value in values[:5_000]:
        one.update(value)
    other.take(one.kept())
    for value in values[5_000:]:
        assert one.tail(value) == other.tail(value)
        one.update(value)
        other.update(value)


def test_an_episode_counts_once_with_its_highest_score() -> None:
    episodes = Episodes()
    begin = 100 * EPISODE_S
    assert [episodes.take(("a",), begin + s, score) for s, score in ((0, 1.0), (12, 5.0), (500, 2.0))] == [None] * 3
    assert episodes.take(("b",), begin + 500, 9.0) is None
    assert episodes.take(("a",), begin + EPISODE_S, 0.5) == 5.0
    assert episodes.take(("a",), begin + 5 * EPISODE_S, 0.1) == 0.5
