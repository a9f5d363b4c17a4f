"""Morpho's adaptive rate model, against what its own bytecode answered, and how it is followed from Morpho's events."""

from __future__ import annotations

import math

import pytest

from defiwatch.domain.risk import Market
from defiwatch.domain.units import WAD, YEAR_S
from defiwatch.protocols.morpho_blue import adaptive
from defiwatch.protocols.morpho_blue.shares import Totals
from defiwatch.protocols.morpho_blue.state import TARGETS
from tests.convert import answer, refusal
from tests.unit.protocols.play import Player, at
from tests.unit.protocols.test_morpho_blue import DOLLAR, ID, IRM, MORPHO, born, log

TRUTH = (
    (31_709_791, 0, 1000000000000000000, 12, 7_927_447, 31_709_791),
    (63_419_583_967, 0, 1000000000000000000, 604_800, 10_390_134_096, 24_402_474_747),
    (31_709_791, 1, 1000000000000000000, 3_600, 7_927_447, 31_709_791),
    (63_419_583_967, 1, 1000000000000000000, 0, 15_854_895_991, 63_419_583_967),
    (31_709_791, 500000000000000000, 1000000000000000000, 0, 21_139_860, 31_709_791),
    (63_419_583_967, 500000000000000000, 1000000000000000000, 3_600, 42_226_146_410, 63_258_906_282),
    (31_709_791, 899999999999999999, 1000000000000000000, 3_600, 31_709_791, 31_709_791),
    (63_419_583_967, 899999999999999999, 1000000000000000000, 0, 63_419_583_967, 63_419_583_967),
    (31_709_791, 900000000000000000, 1000000000000000000, 1, 31_709_791, 31_709_791),
    (63_419_583_967, 900000000000000000, 1000000000000000000, 1, 63_419_583_967, 63_419_583_967),
    (31_709_791, 900000000000000001, 1000000000000000000, 12, 31_709_791, 31_709_791),
    (63_419_583_967, 900000000000000001, 1000000000000000000, 3_600, 63_419_583_967, 63_419_583_967),
    (31_709_791, 950000000000000000, 1000000000000000000, 0, 79_274_477, 31_709_791),
    (63_419_583_967, 950000000000000000, 1000000000000000000, 604_800, 158_548_959_917, 63_419_583_967),
    (31_709_791, 1000000000000000000, 1000000000000000000, 3_600, 127_201_920, 31_891_299),
    (63_419_583_967, 1000000000000000000, 1000000000000000000, 1, 253_678_335_868, 63_419_583_967),
    (52_470_925_658, 13190259289615429689329160537, 69039796929984030919119573872, 251, 21_468_305_496, 52_454_479_705),
    (
        39_463_458_733,
        94798213329038540844132903795,
        875211891425852254383243409493,
        1_873_321,
        5_421_086_032,
        2_892_418_769,
    ),
    (42_924_255_839, 32157762235934166903743150207, 83074861718750885100137300195, 93, 24_576_458_385, 42_920_649_003),
    (
        30_479_323_147,
        28627213925335920310490042309,
        185273375183207928138767194840,
        3_341_853,
        3_565_352_898,
        379_322_841,
    ),
    (
        25_614_753_262,
        224740212524551827121079208432,
        473477180286556750071510473757,
        60_293_158,
        4_149_248_413,
        31_709_791,
    ),
    (57_062_553_581, 207067880482410880536881618389, 396193151967903165677608253244, 6, 39_118_383_568, 57_062_325_980),
    (
        59_994_345_605,
        364117579729770037940268521301,
        505458289018040936214560902020,
        143,
        51_012_596_377,
        59_991_630_832,
    ),
    (30_210_794_991, 10496116001804304778541992582, 691762952094586343166327277621, 1, 7_934_682_771, 30_210_747_899),
    (
        10_932_099_567,
        430329001784466038733817177628,
        473223622356109310037117137604,
        481_682,
        14_514_324_564,
        11_741_174_978,
    ),
    (28_637_101_237, 117696878015744117911872387628, 123240282865839484777034384917, 2, 75_905_169_911, 28_637_151_198),
    (
        52_145_901_714,
        361674308160109114501069989590,
        376379614625894871204488142601,
        1_490,
        147_568_936_889,
        52_221_013_923,
    ),
    (
        22_751_236_865,
        275963941401169873876766710992,
        303904748642708734754131819391,
        275,
        28_253_421_153,
        22_752_036_475,
    ),
    (29_760_244_163, 750505236291032303661003755454, 787100564280786852743101800716, 4, 77_531_066_952, 29_760_345_149),
)
"""(rate at target, borrowed, supplied, seconds), and what `borrowRate` made of it: its event's mean rate, and the rate
at target after it. AdaptiveCurveIrm of morpho-blue-irm@10be222, solc 0.8.19, on a local chain."""


@pytest.mark.parametrize(("start", "borrowed", "supplied", "seconds", "mean", "end"), TRUTH)
def test_every_rate_is_the_contracts(
    start: int, borrowed: int, supplied: int, seconds: int, mean: int, end: int
) -> None:
    used = adaptive.utilisation(Totals(supply_assets=supplied, borrow_assets=borrowed))
    assert adaptive.step(start, adaptive.off_target(used), seconds) == (mean, end)


def test_the_first_rate_is_four_percent_at_the_target() -> None:
    assert adaptive.step(0, 0, 12) == (adaptive.INITIAL, adaptive.INITIAL)
    curve = adaptive.AdaptiveCurve(adaptive.INITIAL)
    path = {used: round(curve.yearly(used), 6) for used in (0.0, 0.9, 0.95, 1.0)}
    assert path == {0.0: 0.01, 0.9: 0.04, 0.95: 0.1, 1.0: 0.16}
    assert curve.daily == pytest.approx(math.exp(50 / 365) - 1.0)


def test_the_path_adapts_on_the_way() -> None:
    """At the target nothing moves; with all lent out for a day the contract's own step says where it ends."""
    curve = adaptive.AdaptiveCurve(adaptive.INITIAL)
    assert curve.ahead(0.9, 0.0, 7.0) == pytest.approx(0.04, rel=1e-6)
    _, end = adaptive.step(adaptive.INITIAL, WAD, 86_400)
    assert curve.ahead(1.0, 0.0, 1.0) == pytest.approx(4 * end * YEAR_S / WAD, rel=1e-3)
    assert curve.ahead(0.95, 0.05, 1.0) < curve.ahead(1.0, 0.0, 1.0)
    assert curve.ahead(0.95, 5.0, 300.0) == pytest.approx(8.0, rel=1e-6), "four times the most that it may be"


def market(it: Player) -> Market:
    (found,) = it.instance.markets(it.book, it.now)
    return found


def extras(it: Player) -> list[tuple[str, str]]:
    return [(call.to, call.data) for call in it.instance.extras(it.book, it.now)]


def test_one_read_and_then_morphos_own_events() -> None:
    it = born()
    asked = (IRM, adaptive.RATE_AT_TARGET.call(IRM, ID).data)
    assert extras(it) == [asked]
    assert (market(it).curve, market(it).curve_unknown) == (None, "its rate model was not read")
    it.read([answer(adaptive.RATE_AT_TARGET, IRM, adaptive.INITIAL, args=(ID,))])
    assert extras(it) == []
    # Two per cent are lent out: the rate at target falls all the while, and so does what is told.
    off = adaptive.off_target(2 * 10**16)
    curve = market(it).curve
    assert curve is not None
    assert curve.yearly(1.0) == pytest.approx(0.16, rel=1e-6)
    later = at(2, 12 + 86_400)
    mean, end = adaptive.step(adaptive.INITIAL, off, 86_400)
    interest = 20_000 * DOLLAR * mean * 86_400 // WAD
    it.block(later, log("AccrueInterest", mean, interest, 0, index=1))
    held = it.book.get(TARGETS, (MORPHO, ID))
    assert held is not None and held.value == end < adaptive.INITIAL
    curve = market(it).curve
    assert curve is not None and curve.yearly(1.0) == pytest.approx(4 * end * YEAR_S / WAD, rel=1e-9)
    assert extras(it) == []
    # An event whose rate is not what comes out: something was missed, it is read again.
    it.block(at(3, 24 + 86_400), log("AccrueInterest", mean + 1, 1, 0, index=1))
    assert (market(it).curve, extras(it)) == (None, [asked])


def test_another_rate_model_is_said_to_be_unknown() -> None:
    it = born()
    it.read([refusal(adaptive.RATE_AT_TARGET, IRM, args=(ID,))])
    assert extras(it) == []
    assert (market(it).curve, market(it).curve_unknown) == (None, "its rate model is not one that is known")
