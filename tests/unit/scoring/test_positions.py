"""Positions: lines, titles, jumps, dust, correlated pairs; liquidations by size and by who is watched."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef, Liquidated
from defiwatch.domain.risk import Assessment, Leg, Position
from defiwatch.domain.units import UINT256_MAX, WAD
from defiwatch.scoring import PositionJudge, assess_position, correlated, liquidation_executed
from defiwatch.scoring.tracks import TRACKS, PositionTrack
from defiwatch.state.journal import JournaledBook

WETH, USDC = "0x" + "e1" * 20, "0x" + "dc" * 20
USER, MARKET = "0x12" + "00" * 18 + "ab", "0x" + "aa" * 20
USD = 10**8


def position(
    factor: float,
    *,
    block: int = 100,
    time: int = 1200,
    debt_usd: float = 10_000.0,
    fall: float = 0.021,
    emode: int = 0,
    threshold: int = 8_000,
    same: bool = False,
    collateral: bool = True,
    unknown: str = "",
    label: str = "",
) -> Position:
    """WETH at $2,000 against USDC, with the factor given (infinite: no debt)."""
    debt = 0 if factor == math.inf else int(debt_usd * USD)
    health = UINT256_MAX if factor == math.inf else int(factor * WAD)
    held = int(debt_usd * 1.5 * USD) if collateral else 0
    return Position(
        chain_id=1,
        protocol="aave_v3",
        market=MARKET,
        account=USER,
        block=block,
        block_hash=f"0x{block:x}",
        time=time,
        health_factor=health,
        collateral_base=held,
        debt_base=debt,
        liquidation_threshold=threshold,
        legs=(
            Leg(WETH, "WETH", 18, 10**18, 0, 2000 * USD, threshold, held, 0, 10_500),
            Leg(WETH if same else USDC, "USDC", 6, 0, debt // 100, USD, 0, 0, debt),
        ),
        liquidation_prices={WETH: int(2000 * USD * (1 - fall))},
        emode=emode,
        unknown=unknown,
        label=label,
    )


def judged(factor: float, track: PositionTrack | None = None, *, watched: bool = False, **more: object) -> Assessment:
    found = assess_position(position(factor, **more), Alerts(), track=track, watched=watched)  # type: ignore[arg-type]  # of `position`
    assert found is not None
    return found


def names(assessment: Assessment) -> list[str]:
    return [reason.name for reason in assessment.reasons]


@pytest.mark.parametrize(
    ("factor", "severity"),
    [(2.0, None), (1.1, None), (1.0999, "warning"), (1.03, "warning"), (1.0299, "critical"), (0.97, "critical")],
)
def test_the_lines(factor: float, severity: str | None) -> None:
    assert judged(factor).severity == severity


def test_title_and_key() -> None:
    found = judged(1.021)
    assert found.title == "0x1200…00ab: health factor 1.021, liquidated if WETH falls 2.1 %"
    assert found.key == f"1:aave_v3:{MARKET}:{USER}:liquidation"
    assert found.kind == "liquidation.warning"
    assert (found.subject.type, found.subject.label) == ("position", "0x1200…00ab")
    assert (found.evidence.block, found.evidence.block_hash) == (100, "0x64")
    assert judged(0.98).title == "0x1200…00ab: health factor 0.980, can be liquidated"
    assert "back at 1 if WETH rises 2.0 %" in [reason.text for reason in judged(0.98, fall=-0.02).reasons]
    assert judged(1.05, label="WETH/USDC 86%").title.startswith("0x1200…00ab WETH/USDC 86%: ")
    assert judged(1.05, fall=-0.03).title.endswith("liquidated if WETH rises 3.0 %")


def test_the_score_rises_as_the_factor_falls() -> None:
    scores = [judged(factor).score for factor in (1.5, 1.25, 1.15, 1.1, 1.06, 1.03, 1.01, 1.0, 0.95, 0.9, 0.5)]
    assert scores == sorted(scores)
    assert scores[0] < 20
    assert 40 < scores[3] < 65
    assert scores[7] > 75


@given(
    factor=st.floats(0.01, 5.0), debt=st.floats(0.01, 1e12), fall=st.floats(0.0001, 0.99), before=st.floats(0.5, 3.0)
)
def test_points_add_up(factor: float, debt: float, fall: float, before: float) -> None:
    track = PositionTrack(factor, 100, 1200, before, 1188, (before - factor) * 10)
    found = judged(factor, track, debt_usd=debt, fall=fall)
    assert 0.0 <= found.score <= 100.0
    assert math.fsum(reason.points for reason in found.reasons) == pytest.approx(found.score, abs=0.5)


def test_dust_is_left_alone_unless_it_is_watched() -> None:
    settings = msgspec.structs.replace(Alerts(), min_debt_usd=50.0)
    dust = position(1.01, debt_usd=49.0)
    left = assess_position(dust, settings)
    assert left is not None
    assert (left.severity, left.score) == (None, 0.0)
    mine = assess_position(dust, settings, watched=True)
    assert mine is not None
    assert mine.severity == "critical"
    assert "watched" in names(mine)
    assert assess_position(position(1.01, debt_usd=51.0), settings).severity == "critical"  # type: ignore[union-attr]  # known


def test_bad_debt_and_no_debt_are_no_liquidations_to_come() -> None:
    assert judged(0.0, collateral=False).severity is None
    assert judged(math.inf).severity is None
    assert judged(math.inf).title == "0x1200…00ab: no debt"


def test_unknown_says_nothing_at_all() -> None:
    assert assess_position(position(0.5, unknown="the price of X reverts"), Alerts()) is None


def test_what_moves_together_has_lines_of_its_own_and_is_never_silent() -> None:
    """A staked-ether loop lives at 1.05 for years; it is told as info, a warning comes at 1.03, critical at 1.009."""
    assert correlated(position(1.05, emode=1, threshold=9_500))
    assert correlated(position(1.05, same=True))
    assert not correlated(position(1.05, emode=1, threshold=8_000))
    assert not correlated(position(1.05))
    levels = {f: judged(f, emode=1, threshold=9_500).severity for f in (1.12, 1.09, 1.05, 1.029, 1.008, 0.99)}
    assert list(levels.values()) == [None, "info", "info", "warning", "critical", "critical"]
    assert judged(1.05, emode=1, threshold=9_500).score < judged(1.05).score


def follow(*factors: float, start: int = 100, every: int = 12) -> list[Assessment]:
    """Judgements of one position, a block each."""
    book, judge, found = JournaledBook(1), PositionJudge(Alerts()), []
    for i, factor in enumerate(factors):
        at = BlockRef(1, start + i, f"0x{start + i:x}", 1200 + every * i)
        book.open(at)
        assessment = judge.assess(book, position(factor, block=at.number, time=at.time))
        assert assessment is not None
        found.append(assessment)
    return found


def test_a_jump_is_named() -> None:
    jumped = follow(1.31, 0.97)[-1]
    (reason,) = [reason for reason in jumped.reasons if reason.name == "jump"]
    assert reason.value == pytest.approx(1.31)
    assert reason.text == "one price update took the factor from 1.310 to 0.970: no warning was possible"
    assert "jump" in names(follow(4.0, 0.97)[-1])


def test_what_was_warned_of_did_not_jump() -> None:
    assert "jump" not in names(follow(1.31, 1.09, 0.97)[-1])
    assert "jump" not in names(follow(1.31, 1.02)[-1])
    assert "jump" not in names(follow(0.97)[-1])
    assert "jump" not in names(follow(1.31, 0.97, 0.96)[-1])


def repaid(*debts: float, watched: bool = False) -> list[bool]:
    """Whether each look, a block after the one before, tells of relief. The factor is 1.02 at a debt of $10,000."""
    book, judge, found = JournaledBook(1), PositionJudge(Alerts()), []
    for number, debt in enumerate(debts, start=100):
        book.open(BlockRef(1, number, f"0x{number:x}", 12 * number))
        factor = 1.02 * 10_000.0 / debt if debt else math.inf
        assessment = judge.assess(
            book, position(factor, debt_usd=debt, block=number, time=12 * number), watched=watched
        )
        assert assessment is not None
        found.append(assessment.relieved)
    return found


def test_what_somebody_repaid_is_told_at_once() -> None:
    """Of a watched wallet always, of others once it is over; what a price or interest does is no relief."""
    assert repaid(10_000.0, 9_800.0, watched=True) == [False, True]
    assert repaid(10_000.0, 9_800.0) == [False, False]
    assert repaid(10_000.0, 5_000.0) == [False, True]
    assert repaid(10_000.0, 0.0) == [False, True]
    assert repaid(10_000.0, 9_999.0, 10_000.0, 10_200.0, watched=True) == [False] * 4
    assert not any(item.relieved for item in follow(1.02, 1.06, 1.31))


def test_looking_twice_at_a_block_keeps_the_past() -> None:
    """Before and after its reads the same block is judged: the jump is from the block before."""
    book, judge = JournaledBook(1), PositionJudge(Alerts())
    for number, factor in ((100, 1.31), (101, 1.31), (101, 0.97)):
        book.open(BlockRef(1, number, f"0x{number:x}", 12 * number))
        found = judge.assess(book, position(factor, block=number, time=12 * number))
    assert found is not None
    assert "jump" in names(found)


def test_a_fall_adds_points_by_the_time_that_is_left() -> None:
    steady, falling, crashing = follow(1.08, 1.08)[-1], follow(1.10, 1.09, 1.08)[-1], follow(1.6, 1.3, 1.08)[-1]
    assert "fall" not in names(steady)
    assert "fall" in names(falling)
    assert steady.score < falling.score < crashing.score


def test_calm_positions_cost_no_writes_and_a_reorg_undoes_tracks() -> None:
    book, judge = JournaledBook(1), PositionJudge(Alerts())
    book.open(BlockRef(1, 1, "0x1", 12))
    judge.assess(book, position(5.0, block=1, time=12))
    before = book.get(TRACKS, ("aave_v3", MARKET, USER))
    digest = book.digest()
    book.open(BlockRef(1, 2, "0x2", 24))
    judge.assess(book, position(5.001, block=2, time=24))
    assert book.get(TRACKS, ("aave_v3", MARKET, USER)) is before
    book.open(BlockRef(1, 3, "0x3", 36))
    judge.assess(book, position(0.9, block=3, time=36))
    assert book.digest() != digest
    book.undo()
    book.undo()
    assert book.digest() == digest
    judge.assess(book, position(math.inf, block=3, time=36))
    assert book.get(TRACKS, ("aave_v3", MARKET, USER)) is None


FACT = Liquidated("aave_v3", MARKET, USER, "0x" + "bb" * 20, WETH, USDC, 2_625 * 10**15, 5_000 * 10**6, "0xtx", 17)
AT = BlockRef(1, 101, "0x65", 1212)


def test_a_liquidation_is_told_once_with_what_it_cost() -> None:
    found = liquidation_executed(FACT, AT, Alerts(), before=position(1.01))
    assert found.once
    assert found.kind == "liquidation.executed"
    assert found.key == f"1:aave_v3:{MARKET}:{USER}:liquidated:0xtx:17"
    assert found.severity == "info"
    assert found.title == "0x1200…00ab: liquidated, 5,000 USDC repaid, 2.625 WETH taken"
    values = {reason.name: reason.value for reason in found.reasons}
    assert values["debt_repaid"] == pytest.approx(5000.0)
    assert values["share_of_debt"] == pytest.approx(0.5)
    assert values["bonus"] == pytest.approx(0.05)
    assert math.fsum(reason.points for reason in found.reasons) == pytest.approx(found.score, abs=0.5)
    assert (found.evidence.block, found.evidence.tx, found.evidence.log_index) == (101, "0xtx", 17)


def test_severity_of_a_liquidation() -> None:
    large = msgspec.structs.replace(FACT, debt_repaid=100_000 * 10**6)
    assert liquidation_executed(large, AT, Alerts(), before=position(1.01, debt_usd=2e5)).severity == "warning"
    assert liquidation_executed(FACT, AT, Alerts(), before=position(1.01), watched=True).severity == "critical"


def test_a_liquidation_in_the_block_of_the_jump_says_so() -> None:
    assert "jump" in names(liquidation_executed(FACT, AT, Alerts(), before=position(1.31)))
    assert "jump" not in names(liquidation_executed(FACT, AT, Alerts(), before=position(1.09)))
    assert "jump" not in names(liquidation_executed(FACT, AT, Alerts()))
    book, judge = JournaledBook(1), PositionJudge(Alerts())
    book.open(BlockRef(1, 100, "0x64", 1200))
    judge.assess(book, position(1.31))
    book.open(AT)
    assert "jump" in names(judge.executed(book, AT, FACT))
    judge.assess(book, position(0.99, block=101, time=1212))
    assert "jump" in names(judge.executed(book, AT, FACT))


def test_a_liquidation_of_the_unknown_is_still_told() -> None:
    found = liquidation_executed(FACT, AT, Alerts())
    assert found.severity == "info"
    assert "units of 0xdcdc…dcdc" in found.title


def test_a_likely_liquidation_is_warned_of_above_the_line() -> None:
    """Probability and factor together: likely and near raises, certain not to happen lowers, far away says nothing."""
    settings = Alerts()
    calm = {"1h": 0.0, "24h": 0.0, "7d": 0.0002}
    likely = {"1h": 0.01, "24h": 0.06, "7d": 0.4}
    almost = {"1h": 0.1, "24h": 0.35, "7d": 0.8}

    def severity(factor: float, chances: dict[str, float] | None) -> str | None:
        found = assess_position(position(factor), settings, chances=chances)
        assert found is not None
        assert math.fsum(reason.points for reason in found.reasons) == pytest.approx(found.score, abs=0.5)
        return found.severity

    assert [severity(1.2, chances) for chances in (None, calm, likely, almost)] == [None, None, "warning", "critical"]
    assert [severity(1.08, chances) for chances in (None, calm, likely, almost)] == [
        "warning",
        "info",
        "warning",
        "critical",
    ]
    assert [severity(1.01, chances) for chances in (None, calm)] == ["critical", "critical"]
    assert [severity(0.99, chances) for chances in (None, calm)] == ["critical", "critical"]
    assert severity(1.31, almost) is None
    found = assess_position(position(1.2), settings, chances=almost)
    assert found is not None
    reason = next(reason for reason in found.reasons if reason.name == "p_liquidation")
    assert (reason.value, reason.points) == (0.35, 12.0)


def test_debt_in_a_token_counts_in_dollars() -> None:
    """A Morpho market counts in its loan token: 0.02 WETH are $40, which is dust; without a price nothing is dust."""
    settings = msgspec.structs.replace(Alerts(), min_debt_usd=50.0)
    small = msgspec.structs.replace(position(1.01, debt_usd=0.02), base="WETH")
    dust = assess_position(small, settings, unit=2_000.0)
    assert dust is not None
    assert dust.severity is None
    told = assess_position(small, settings, unit=3_000.0)
    assert told is not None
    assert told.severity == "critical"
    assert any("$60" in reason.text for reason in told.reasons if reason.name == "debt")
    unknown = assess_position(small, settings, unit=None)
    assert unknown is not None
    assert unknown.severity == "critical"
    assert "debt" not in names(unknown)
