"""`oracle.stale` and `oracle.deviation`: judged by the feed's own habits, and mildly while these are not known."""

from __future__ import annotations

import msgspec
import pytest

from defiwatch.domain.risk import Feed
from defiwatch.scoring.oracles import assess_feed_deviation, assess_sequencer, assess_stale, deviation_limit
from defiwatch.state.oracles import DAY_S, Habit

NOW = 1_700_000_000
LEARNT = Habit(band=0.005, heartbeat=3600.0, band_learnt=True, heartbeat_learnt=True)
NEW = Habit(band=0.005, heartbeat=DAY_S, band_learnt=False, heartbeat_learnt=False)


def feed(age: float = 10.0, **more: object) -> Feed:
    plain = Feed(
        chain_id=1,
        protocol="chainlink",
        address="0x" + "fe" * 20,
        base="ETH",
        quote="USD",
        answer=2000 * 10**8,
        decimals=8,
        updated_at=round(NOW - age),
        round_id=50,
        answered_in_round=50,
    )
    return msgspec.structs.replace(plain, **more)


@pytest.mark.parametrize(
    ("habit", "age", "moved", "severity"),
    [
        (LEARNT, 3600, None, None),
        (LEARNT, 3900, None, None),
        (LEARNT, 3901, 0.001, "warning"),
        (LEARNT, 3901, 0.006, "critical"),
        (LEARNT, 7801, None, "critical"),
        (NEW, 3901, 0.05, None),
        (NEW, DAY_S + 4000, None, None),
        (NEW, DAY_S + 4400, None, "info"),
        (NEW, 3 * DAY_S + 1, None, "warning"),
    ],
)
def test_age_by_the_feeds_own_heartbeat(habit: Habit, age: float, moved: float | None, severity: str | None) -> None:
    found = assess_stale(feed(age), habit, NOW, moved=moved, at=None)
    assert found.severity == severity
    assert ("not learnt" in found.reasons[0].text) == (habit is NEW)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"answer": 0}, "answer"),
        ({"answer": -5}, "answer"),
        ({"answered_in_round": 49}, "round"),
        ({"answer": 10**8, "min_answer": 10**8}, "bound"),
        ({"max_answer": 2000 * 10**8}, "bound"),
    ],
)
def test_what_is_no_price_is_critical_however_young(more: dict[str, int], name: str) -> None:
    found = assess_stale(feed(**more), LEARNT, NOW, moved=None, at=None)
    assert found.severity == "critical"
    assert found.reasons[0].name == name


def test_bounds_that_say_nothing_are_left_alone() -> None:
    """Aggregators whose least answer is 1 unit have none."""
    assert assess_stale(feed(min_answer=1, max_answer=2**95), LEARNT, NOW, moved=None, at=None).severity is None


@pytest.mark.parametrize(
    ("habit", "gap", "lasting", "severity"),
    [
        (LEARNT, 0.009, 900.0, None),
        (LEARNT, 0.011, 30.0, None),
        (LEARNT, 0.011, 60.0, "warning"),
        (LEARNT, 0.011, 600.0, "critical"),
        (LEARNT, 0.021, 60.0, "critical"),
        (NEW, 0.011, 600.0, None),
        (NEW, 0.031, 60.0, "warning"),
        (NEW, 0.061, 600.0, "warning"),
        (NEW, 0.13, 60.0, "critical"),
    ],
)
def test_deviation_beyond_band_and_buffer(habit: Habit, gap: float, lasting: float, severity: str | None) -> None:
    found = assess_feed_deviation(feed(), habit, 2000.0, gap, lasting, firm=True, at=None)
    assert found.severity == severity


def test_limits_by_kind_and_by_who_says_so() -> None:
    stable = feed(base="USDC")
    narrow = msgspec.structs.replace(LEARNT, band=0.0025)
    assert deviation_limit(stable, narrow, firm=True) == pytest.approx(0.005)
    assert deviation_limit(feed(), LEARNT, firm=True) == pytest.approx(0.01)
    assert deviation_limit(feed(), LEARNT, firm=False) == pytest.approx(0.02)
    assert deviation_limit(feed(), NEW, firm=True) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("answer", "since", "severity"), [(0, 5000, None), (0, 3600, None), (0, 3599, "warning"), (1, 10, "critical")]
)
def test_the_sequencer_and_its_grace(answer: int, since: int, severity: str | None) -> None:
    status = feed(base="L2 Sequencer Uptime", quote="", answer=answer, sequencer=True, started_at=NOW - since)
    assert assess_sequencer(status, NOW, at=None).severity == severity
