"""Aave v3.4, 3.5 and 3.7 on recorded chains: everything that the contracts answered, at every block, is what we say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from defiwatch.domain.events import BlockRef, Liquidated
from defiwatch.domain.frames import BlockFrame, Header, ReadsFrame, RemovedFrame
from defiwatch.engine.intake import Intake
from defiwatch.protocols.aave_v3 import AaveV3, indices
from defiwatch.protocols.aave_v3.account import AccountData
from tests.replay.aave_v3_truth import CHAIN_ID, Node, Recording, Row, feed, settled, transfers

pytestmark = pytest.mark.data

REVISIONS = {"rev11": {0: 11}, "rev8to9": {0: 8, 123: 9}}
ROWS = {"rev11": (304, 9473, 85, 1487), "rev8to9": (311, 9384, 71, 2184)}
"""Blocks, readable and unreadable user rows, liquidation probes, as events.md of each folder counts them."""


@pytest.fixture(scope="module", params=sorted(REVISIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def recording(data_folder: Path, name: str) -> Recording:
    return Recording(data_folder / "aave_v3_revisions" / name)


def head(intake: Intake) -> BlockRef:
    assert intake.head is not None
    return intake.head


def compare_reserves(instance: AaveV3, intake: Intake, row: Row) -> None:
    at = head(intake)
    form = instance.ledger(intake.book, at).form
    ours = {reserve.asset: reserve for reserve in instance.reserves(intake.book)}
    assert len(ours) == len(row["reserves"])
    for symbol, truth in row["reserves"].items():
        reserve = ours[truth["asset"]]
        assert (
            reserve.id,
            reserve.configuration,
            reserve.liquidity_index,
            reserve.liquidity_rate,
            reserve.variable_index,
            reserve.variable_rate,
            reserve.updated,
            reserve.accrued_to_treasury,
            reserve.supplied,
            reserve.borrowed,
            reserve.deficit,
            reserve.cash,
            reserve.grace_until,
            indices.income(reserve, at.time),
            indices.debt(form, reserve, at.time),
        ) == (
            truth["id"],
            int(truth["configuration"], 16),
            int(truth["liquidityIndex"]),
            int(truth["currentLiquidityRate"]),
            int(truth["variableBorrowIndex"]),
            int(truth["currentVariableBorrowRate"]),
            truth["lastUpdateTimestamp"],
            int(truth["accruedToTreasury"]),
            int(truth["aScaledTotalSupply"]),
            int(truth["vScaledTotalSupply"]),
            int(truth["deficit"]),
            int(truth["virtualUnderlyingBalance"]),
            truth["gracePeriodUntil"],
            int(truth["normalizedIncome"]),
            int(truth["normalizedDebt"]),
        ), f"{symbol} at block {at.number}"
        assert (reserve.supplied_known, reserve.borrowed_known) == (reserve.supplied, reserve.borrowed)


def compare_users(instance: AaveV3, intake: Intake, row: Row, counted: Counter[str]) -> None:
    at, book = head(intake), intake.book
    positions = {position.account: position for position in instance.positions(book, at)}
    for user, truth in row["users"].items():
        account = truth["account"]
        ours = instance.account_data(book, at, user)
        position = positions.pop(user, None)
        assert (position is not None) == bool(truth["a"] or truth["v"])
        if account is None:
            counted["unreadable"] += 1
            assert isinstance(ours, str)
            assert "reverts" in ours
            assert position is not None and (position.unknown, position.health_factor) == (ours, 0)
            continue
        counted["readable"] += 1
        assert isinstance(ours, AccountData), f"{user} at block {at.number}: {ours}"
        wanted = tuple(
            int(account[field])
            for field in (
                "totalCollateralBase",
                "totalDebtBase",
                "availableBorrowsBase",
                "currentLiquidationThreshold",
                "ltv",
                "healthFactor",
            )
        )
        assert (ours.collateral, ours.debt, ours.available, ours.threshold, ours.ltv, ours.health_factor) == wanted
        if position is not None:
            assert (
                position.collateral_base,
                position.debt_base,
                position.available_borrows_base,
                position.liquidation_threshold,
                position.ltv,
                position.health_factor,
            ) == wanted
            assert sum(leg.collateral_base for leg in position.legs) == wanted[0]
            assert sum(leg.debt_base for leg in position.legs) == wanted[1]
            assert (position.emode, position.block_hash, position.unknown) == (truth["emode"], row["hash"], "")
    assert positions == {}


def compare_probes(instance: AaveV3, intake: Intake, row: Row, counted: Counter[str]) -> None:
    at = head(intake)
    asset = {symbol: reserve["asset"] for symbol, reserve in row["reserves"].items()}
    for probe in row["liquidation_probes"]:
        wanted = "ok" if probe["ok"] else probe["error"] or probe["selector"]
        ours = instance.probe_liquidation(
            intake.book, at, probe["user"], asset[probe["collateral"]], asset[probe["debt"]]
        )
        assert ours == wanted, f"{probe} at block {at.number}"
        counted[ours] += 1


def test_every_answer_of_the_contracts(recording: Recording, name: str) -> None:
    instance, intake = recording.line()
    counted: Counter[str] = Counter()
    probes: Counter[str] = Counter()
    for row in settled(recording, intake):
        counted["blocks"] += 1
        compare_reserves(instance, intake, row)
        compare_users(instance, intake, row, counted)
        compare_probes(instance, intake, row, probes)
        assert intake.wants() == ()
        assert instance.scans(intake.book) == []
    blocks, readable, unreadable, probed = ROWS[name]
    assert counted == {"blocks": blocks, "readable": readable, "unreadable": unreadable}
    assert probes.total() == probed
    assert probes["ok"] > 100
    assert probes["MustNotLeaveDust"] > 0
    assert instance.market(intake.book).revision == max(REVISIONS[name].values())
    assert intake.book.notices == {}


def test_a_reorg_leaves_no_trace(recording: Recording) -> None:
    """The run that saw orphaned blocks ends in the state of one that never did."""
    _, seen = recording.line()
    for frame in recording.frames:
        feed(seen, frame)
    removed = {frame.hash for frame in recording.frames if isinstance(frame, RemovedFrame)}
    _, clean = recording.line()
    for frame in recording.frames:
        orphaned = (isinstance(frame, BlockFrame) and frame.header.hash in removed) or (
            isinstance(frame, ReadsFrame) and frame.block_hash in removed
        )
        if not orphaned and not isinstance(frame, RemovedFrame):
            feed(clean, frame)
    assert len(removed) == 5
    assert seen.book.digest() == clean.book.digest()


def test_liquidations_are_told(recording: Recording, name: str) -> None:
    instance, intake = recording.line()
    told: list[Liquidated] = []
    for frame in recording.frames:
        if isinstance(frame, BlockFrame):
            for applied in intake.on_block(frame).applied:
                told += [fact for fact in applied.facts if isinstance(fact, Liquidated)]
        else:
            feed(intake, frame)
    assert len(told) == {"rev11": 22, "rev8to9": 29}[name]
    assert {fact.market for fact in told} == {instance.market(intake.book).pool}
    if name == "rev11":
        first = told[0]
        assert first.account == "0xf190480408f4f2e0af52ec03f4749447737d5fd4"
        assert (first.debt_repaid, first.collateral_seized) == (49413879804, 19737409859882700096)


@pytest.mark.parametrize("start", [60, 126, 190])
def test_a_start_in_mid_life(recording: Recording, name: str, start: int) -> None:
    """From one block on: contracts, reserves and categories by reads, accounts by a scan, and then by events alone."""
    node = Node(recording, REVISIONS[name])
    instance, intake = recording.line()
    counted: Counter[str] = Counter()
    probes: Counter[str] = Counter()
    begun = False
    for frame in recording.frames:
        if isinstance(frame, RemovedFrame):
            if begun:
                feed(intake, frame)
            continue
        if not isinstance(frame, BlockFrame) or int(frame.header.number, 16) < start:
            continue
        feed(intake, frame)
        row = recording.truth[frame.header.hash]
        answer(node, intake, row)
        if not begun:
            begun = True
            scans = instance.scans(intake.book)
            assert [scan.key.rsplit(":", 1)[1] for scan in scans] == ["debt", "supply"]
            assert list(instance.positions(intake.book, head(intake))) == []
            for scan in scans:
                (topics,) = scan.topics
                assert topics is not None
                logs = transfers(recording, set(scan.addresses), topics[0], frame.header.hash)
                calls = instance.on_scan(intake.book, scan, logs)
                results = tuple(node.answer(call, row) for call in calls)
                intake.on_reads(ReadsFrame(CHAIN_ID, frame.header.number, results, frame.header.hash))
            answer(node, intake, row)
            assert instance.scans(intake.book) == []
        compare_reserves(instance, intake, row)
        compare_users(instance, intake, row, counted)
        compare_probes(instance, intake, row, probes)
    assert counted["readable"] > 1000
    assert probes.total() > 300


def answer(node: Node, intake: Intake, row: Row) -> None:
    for _ in range(8):
        calls = intake.wants()
        if not calls:
            return
        results = tuple(node.answer(call, row) for call in calls)
        intake.on_reads(ReadsFrame(CHAIN_ID, hex(row["block"]), results, row["hash"]))
    raise AssertionError(f"still wanted: {intake.wants()[:5]}")


def test_accounts_are_found_as_they_act(recording: Recording, name: str) -> None:
    """Without any scan, whoever acts is read at that block and exact from then on; the rest is missing, measurably."""
    node = Node(recording, REVISIONS[name])
    instance, intake = recording.line()
    compared = 0
    for frame in recording.frames:
        if isinstance(frame, RemovedFrame):
            break
        if not isinstance(frame, BlockFrame) or int(frame.header.number, 16) < 60:
            continue
        feed(intake, frame)
        row = recording.truth[frame.header.hash]
        answer(node, intake, row)
        at = head(intake)
        for position in instance.positions(intake.book, at):
            truth = row["users"][position.account]["account"]
            assert position.unknown == ""
            assert position.health_factor == int(truth["healthFactor"])
            assert position.debt_base == int(truth["totalDebtBase"])
            compared += 1
    assert compared > 500
    known = instance.completeness(intake.book)
    assert all(part <= whole for part, whole in known.values())
    assert any(part < whole for part, whole in known.values())
    assert instance.scans(intake.book) != []


def test_what_a_recording_lacks_is_said(recording: Recording) -> None:
    """Without the first reads nothing can be told, and everything that is missing stays wanted."""
    instance, intake = recording.line()
    first = next(i for i, frame in enumerate(recording.frames) if isinstance(frame, ReadsFrame))
    for frame in recording.frames[:first]:
        feed(intake, frame)
    for frame in recording.frames[first + 1 : first + 60]:
        feed(intake, frame)
    assert list(instance.positions(intake.book, head(intake))) == []
    assert len(intake.wants()) > 0


def test_a_block_before_the_market(recording: Recording) -> None:
    instance, intake = recording.line()
    intake.on_block(BlockFrame(CHAIN_ID, Header(number="0x1", timestamp="0x2", hash="0x" + "11" * 32)))
    assert {call.to for call in intake.wants()} == {recording.provider.lower()}
    assert list(instance.positions(intake.book, head(intake))) == []
    assert list(instance.markets(intake.book, head(intake))) == []
