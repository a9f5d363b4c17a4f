"""Prices against each other, and silence."""

from __future__ import annotations

import math

import pytest

from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Assessment, Reason
from defiwatch.domain.units import span
from defiwatch.scoring import Quoted, assess_deviation, source_silent
from defiwatch.scoring.points import allot, dollars, number, percent, price, settle

NOW = 1_700_000_000.0
ORACLE = Quoted("chainlink", "oracle", 2350.0, NOW - 1800)
VENUE = Quoted("coinbase", "venue", 2412.11, NOW - 2)
DEX = Quoted("uniswap_v3", "dex", 2411.0, NOW - 600)


def compared(*quotes: Quoted, now: float = NOW) -> Assessment | None:
    return assess_deviation("WETH", quotes, now, Alerts(), chain_id=1, at=BlockRef(1, 7, "0x7", int(now)))


def test_a_venue_off_its_oracle() -> None:
    found = compared(ORACLE, VENUE, DEX)
    assert found is not None
    assert found.severity == "warning"
    assert found.key == "1:price:WETH:deviation"
    assert found.title == "WETH: chainlink 2,350.00, coinbase 2,412.11, 2.6 % apart"
    assert {reason.name for reason in found.reasons} == {"chainlink_coinbase", "uniswap_v3_chainlink"}
    assert math.fsum(reason.points for reason in found.reasons) == pytest.approx(found.score, abs=0.5)
    assert "30 min old" in found.reasons[0].text + found.reasons[1].text


def test_agreement_is_calm_and_the_score_is_half_at_the_threshold() -> None:
    calm = compared(VENUE, DEX)
    assert calm is not None
    assert calm.severity is None
    assert calm.score < 5
    edge = compared(Quoted("a", "oracle", 1.02, NOW), Quoted("b", "dex", 1.0, NOW))
    assert edge is not None
    assert edge.score == pytest.approx(50.0, abs=0.1)
    far = compared(Quoted("a", "oracle", 1.06, NOW), Quoted("b", "dex", 1.0, NOW))
    assert far is not None
    assert far.severity == "critical"


def test_old_quotes_of_venues_do_not_count_and_one_price_is_no_comparison() -> None:
    assert compared(ORACLE, Quoted("coinbase", "venue", 9999.0, NOW - 121)) is None
    assert compared(ORACLE) is None
    assert compared(ORACLE, Quoted("dead", "dex", 0.0, NOW)) is None


def test_the_order_of_the_quotes_does_not_matter() -> None:
    assert compared(ORACLE, VENUE, DEX) == compared(DEX, VENUE, ORACLE)


@pytest.mark.parametrize(("silent", "severity"), [(0.0, None), (59.9, None), (60.0, "warning"), (300.0, "critical")])
def test_silence(silent: float, severity: str | None) -> None:
    found = source_silent("ethereum", 1, silent, Alerts())
    assert found.severity == severity
    assert found.kind == "source.silent"
    assert found.key == "1:source:ethereum:silent"


def test_silence_grows_and_says_why() -> None:
    scores = [source_silent("x", 1, s, Alerts()).score for s in (0, 30, 60, 120, 600, 1e6)]
    assert scores == sorted(scores)
    assert (scores[2], scores[-1]) == (50.0, 100.0)
    assert source_silent("x", 1, 90, Alerts(), detail="HTTP 429").reasons[0].text.endswith("(HTTP 429)")


def test_numbers_as_people_read_them() -> None:
    assert [percent(v) for v in (0.051, -0.021, 2e-4, 5e-6, 1e-12, 0.0, 3.0)] == [
        "5.1 %", "-2.1 %", "0.02 %", "0.0005 %", "0 %", "0 %", "300 %",
    ]  # fmt: skip
    assert percent(5e-7) == "< 0.0001 %"
    assert [dollars(v) for v in (0.5, 950, 12_300, 4.5e6, 2e9)] == ["$0.50", "$950", "$12.3k", "$4.5M", "$2.0B"]
    assert [span(v) for v in (5, 600, 9000, 3 * 86400)] == ["5 s", "10 min", "2.5 h", "3 d"]
    assert [number(v) for v in (0.02134, 5.123, 1234.5, 1e-5)] == ["0.0213", "5.12", "1,234", "1.0e-05"]
    assert [price(v) for v in (2412.114, 0.9987, 1.2345e-5)] == ["2,412.11", "0.9987", "1.234e-05"]


def test_points_are_scaled_to_a_hundred_and_infinities_kept_out() -> None:
    score, reasons = settle(
        [Reason("a", math.inf, 90.0, ""), Reason("b", math.nan, 60.0, ""), Reason("c", 1.0, 0.01, "")]
    )
    assert score == 100.0
    assert [(r.name, r.points) for r in reasons] == [("a", 60.0), ("b", 40.0)]
    assert all(math.isfinite(r.value) for r in reasons)
    assert allot(10.0, {"a": 0.0}) == {}
