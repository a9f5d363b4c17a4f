"""`price.depeg` and `pool.imbalance`: distance and time make a severity, and the parts add up."""

from __future__ import annotations

import math

import msgspec
import pytest

from defiwatch.config import Alerts
from defiwatch.domain.risk import Assessment, Pool
from defiwatch.scoring.pegs import assess_imbalance, assess_peg
from defiwatch.state.pegs import Peg, observe

SETTINGS = Alerts()
START = 1_600_000_000.0
USDC, USDT = "0x" + "02" * 20, "0x" + "03" * 20


def judged(peg: Peg) -> Assessment:
    return assess_peg("USDC", "USDC", peg, SETTINGS, chain_id=0)


def after(deviation: float, seconds: float, step: float = 60.0) -> Peg:
    """A month of calm by the hour, then `deviation` for `seconds`."""
    peg = None
    for i in range(700):
        peg = observe(peg, 0.0003, START + 3600.0 * i, SETTINGS.depeg)
    assert peg is not None
    begin = peg.time + 60.0
    for i in range(int(seconds // step) + 1):
        peg = observe(peg, deviation, begin + step * i, SETTINGS.depeg)
    return peg


@pytest.mark.parametrize(
    ("deviation", "seconds", "severity"),
    [
        (-0.003, 90_000, None),
        (-0.008, 0, None),
        (-0.008, 60, None),
        (-0.008, 120, "info"),
        (-0.008, 1740, "info"),
        (-0.008, 1800, "warning"),
        (-0.02, 120, "warning"),
        (0.008, 7200, "critical"),
        (-0.12, 60, None),
        (-0.12, 240, "warning"),
        (-0.12, 300, "critical"),
    ],
)
def test_severity_follows_from_distance_and_time(deviation: float, seconds: float, severity: str | None) -> None:
    assert judged(after(deviation, seconds)).severity == severity


def test_the_parts_add_up_and_say_what_they_are() -> None:
    found = judged(after(-0.02, 3600))
    assert found.score == pytest.approx(math.fsum(reason.points for reason in found.reasons), abs=0.5)
    assert {reason.name for reason in found.reasons} == {"price", "lasting"}
    assert found.title == "USDC: 0.9800 USD, 2.0 % below its peg"
    assert "one source says so" in found.reasons[0].text + found.reasons[1].text


def test_it_clears_with_the_first_sample_that_is_back() -> None:
    gone = after(-0.02, 7200)
    assert judged(gone).severity == "critical"
    back = judged(observe(gone, 0.0, gone.time + 60.0, SETTINGS.depeg))
    assert (back.severity, back.score) == (None, 0.0)


def test_a_flooded_pool_makes_a_small_depeg_a_warning() -> None:
    early = after(-0.008, 300)
    flooded = msgspec.structs.replace(early, share=0.8, level=0.7, swing=1e-4, pool="USDC/USDT")
    found = judged(flooded)
    assert (judged(early).severity, found.severity) == ("info", "warning")
    assert {reason.name for reason in found.reasons} == {"price", "lasting", "share", "outflow"}
    assert found.score > judged(early).score


def pool(*held: float, share: float | None = None) -> Pool:
    return Pool(
        chain_id=1,
        protocol="curve",
        id="0x" + "aa" * 20,
        label="USDC/USDT",
        tokens=(USDC, USDT),
        symbols=("USDC", "USDT"),
        decimals=(6, 18),
        reserves=tuple(round(amount * 10**d) for amount, d in zip(held, (6, 18), strict=True)),
        fee_ppm=400,
        price=1.0,
        share=max(held) / sum(held) if share is None else share,
    )


@pytest.mark.parametrize(
    ("held", "severity"),
    [((50, 50), None), ((31, 69), None), ((30, 70), "info"), ((75, 25), "warning"), ((20, 80), "critical")],
)
def test_imbalance_is_told_by_share(held: tuple[float, float], severity: str | None) -> None:
    found = assess_imbalance(pool(*held), SETTINGS)
    assert found is not None
    assert found.severity == severity
    assert found.title.endswith("USDC" if held[0] > held[1] else "USDT") or held[0] == held[1]


def test_a_pool_not_meant_to_be_balanced_is_left_alone() -> None:
    assert assess_imbalance(pool(10, 90, share=0.0), SETTINGS) is None
