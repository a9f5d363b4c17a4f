"""`market.utilisation` and `market.bad_debt`."""

from __future__ import annotations

import msgspec
import pytest

from defiwatch.config import Alerts
from defiwatch.domain.events import BadDebt, BlockRef
from defiwatch.domain.risk import Assessment, Market, Reason
from defiwatch.scoring.markets import assess_bad_debt, assess_utilisation, bad_debt_written_off
from defiwatch.scoring.points import percent
from defiwatch.state.markets import Course, follow, utilisation

AT = BlockRef(1, 100, "0x" + "ab" * 32, 1_700_000_000)
USDC = "0x" + "02" * 20
E6 = 10**6


def market(used: float, **more: object) -> Market:
    whole = 10_000_000 * E6
    borrowed = round(whole * used)
    plain = Market(
        chain_id=1,
        protocol="aave_v3",
        id="0xpool:" + USDC,
        label="USDC",
        asset=USDC,
        symbol="USDC",
        decimals=6,
        supplied=whole,
        borrowed=borrowed,
        cash=whole - borrowed,
        debt_known=borrowed,
        borrow_rate=0.05,
    )
    return msgspec.structs.replace(plain, **more)


def judged(it: Market, course: Course | None = None, usd: float | None = 1.0) -> Assessment:
    found = assess_utilisation(it, course or follow(None, it, AT.time), Alerts(), usd=usd, at=AT)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("used", "severity"), [(0.5, None), (0.9499, None), (0.95, "warning"), (0.994, "warning"), (1.0, "critical")]
)
def test_severity_by_what_is_left(used: float, severity: str | None) -> None:
    assert judged(market(used)).severity == severity


def test_frozen_dust_empty_and_unknown_markets() -> None:
    assert judged(market(1.0, frozen=True)).severity == "info"
    assert judged(market(1.0), usd=1e-5).severity is None
    assert assess_utilisation(market(0.0), follow(None, market(0.0), 0.0), Alerts(), usd=1.0, at=AT) is None
    unknown = market(0.9, unknown="reserve not read")
    assert assess_utilisation(unknown, follow(None, unknown, 0.0), Alerts(), usd=1.0, at=AT) is None
    assert utilisation(market(0.0, cash=0)) == 0.0


def ramp(start: float, per_hour: float, hours: int) -> tuple[Market, Course]:
    course = None
    it = market(start)
    for minute in range(60 * hours + 1):
        it = market(min(start + per_hour * minute / 60, 1.0), borrow_rate=0.05 + 0.001 * minute / 60)
        course = follow(course, it, 1_700_000_000.0 + 60.0 * minute)
    assert course is not None
    return it, course


def test_the_days_to_full_are_told_from_the_trend() -> None:
    it, course = ramp(0.80, 0.01, 8)
    assert course.trend == pytest.approx(0.24, rel=0.01)
    assert course.rate_trend == pytest.approx(0.024, rel=0.01)
    assert course.days_to_full == pytest.approx(0.5, rel=0.02)
    found = judged(it, course)
    assert found.severity == "info"
    assert "all of it in 0.5 days" in next(r.text for r in found.reasons if r.name == "trend")
    assert "+2.40 points a day" in next(r.text for r in found.reasons if r.name == "rate")


class Kinked(msgspec.Struct, frozen=True):
    """4 % at 90 %, 64 % at the end."""

    rise: float = 0.0

    def yearly(self, used: float) -> float:
        used = min(used, 1.0)
        return 0.04 * used / 0.9 if used <= 0.9 else 0.04 + 6.0 * (used - 0.9)

    def ahead(self, used: float, trend: float, days: float) -> float:
        return self.yearly(used + trend * days)

    @property
    def daily(self) -> float:
        return self.rise


def path_of(found: Assessment) -> Reason:
    (reason,) = (reason for reason in found.reasons if reason.name == "rate_path")
    return reason


def test_the_rate_at_100_percent_and_on_the_way_there_is_told() -> None:
    """By the market's own curve at what the trend gives; a fact that does not change the score."""
    it, course = ramp(0.80, 0.005, 8)
    bare = judged(it, course)
    found = judged(msgspec.structs.replace(it, curve=Kinked(), borrow_rate=0.0373), course)
    reason = path_of(found)
    assert course.ahead(1.0) == pytest.approx(0.96, abs=0.001)
    assert (round(reason.value, 12), reason.usual, reason.points) == (0.64, 0.0373, 0.0)
    assert reason.text == (
        "at 100 % utilisation borrowers pay 64.0 % a year; now 3.7 %; if it goes on like this"
        f" {percent(0.04 + 6.0 * (course.ahead(1.0) - 0.9))} in 1 day (96.0 % lent out),"
        " 64.0 % in 7 days (100 % lent out)"
    )
    assert found.score == bare.score
    assert (
        path_of(bare).text
        == "what borrowers pay at 100 % utilisation is unknown: its rate model is not one that is known"
    )
    climbing = path_of(judged(market(0.5, curve=Kinked(0.147))))
    assert "borrowers pay 64.0 % a year, 14.7 % more after each day there; now" in climbing.text
    _, falling = ramp(0.9, -0.01, 8)
    assert "if it goes on" not in path_of(judged(market(0.82, curve=Kinked()), falling)).text
    young = judged(market(0.5, curve=Kinked()))
    assert path_of(young).text == "at 100 % utilisation borrowers pay 64.0 % a year; now 5.0 %"


def test_a_falling_or_young_market_has_no_day() -> None:
    _, falling = ramp(0.9, -0.01, 8)
    assert falling.days_to_full is None
    _, young = ramp(0.9, 0.5, 0)
    assert (young.known, young.trend, young.days_to_full) == (False, 0.0, None)


@pytest.mark.parametrize(("share", "severity"), [(1e-5, None), (1e-4, "info"), (1e-3, "warning"), (1e-2, "critical")])
def test_bad_debt_by_its_share(share: float, severity: str | None) -> None:
    it = market(0.5, bad_debt=round(10_000_000 * E6 * share))
    found = assess_bad_debt(it, usd=1.0, at=AT)
    assert found is not None
    assert found.severity == severity
    assert assess_bad_debt(market(0.5), usd=1.0, at=AT) is None


def test_debt_written_off_is_told_once_with_its_transaction() -> None:
    fact = BadDebt("aave_v3", "0xpool", "0xuser", USDC, 200_000 * E6, "0x" + "aa" * 32, 7)
    found = bad_debt_written_off(fact, market(0.5), usd=1.0, at=AT)
    assert (found.once, found.severity, found.evidence.tx, found.evidence.log_index) == (True, "critical", fact.tx, 7)
    assert "200,000 USDC ($200.0k) were written off: 2.0 %" in found.title
    nobody = bad_debt_written_off(fact, None, usd=None, at=AT)
    assert nobody.severity == "info"
