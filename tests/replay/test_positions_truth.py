"""`positions --all --each-block --json` of the recorded chains: every truth is in its lines, and is right."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from defiwatch.collectors.recording import RecordingReader
from defiwatch.commands.positions import run
from defiwatch.commands.schema import schema
from defiwatch.config import Config
from defiwatch.domain.ids import MARKET
from defiwatch.engine import Engine
from defiwatch.engine.lending import Lending
from defiwatch.state.lending import exact

pytestmark = [pytest.mark.data, pytest.mark.timeout(300)]

Row = dict[str, Any]


def rows(path: Path) -> list[Row]:
    with gzip.open(path, "rb") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(params=["rev11", "rev8to9"])
def folder(request: pytest.FixtureRequest, data_folder: Path) -> Path:
    return data_folder / "aave_v3_revisions" / str(request.param)


@pytest.fixture
def lines(folder: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> list[Row]:
    recording = folder / "recording.jsonl.gz"
    assert run(Config(), tmp_path, (), recording=recording, each_block=True, as_json=True) == 0
    return [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]


def test_every_truth_is_in_the_lines(folder: Path, lines: list[Row]) -> None:
    ours = {(line["block_hash"], line["account"]): line for line in lines}
    assert len(ours) == len(lines)
    counted: Counter[str] = Counter()
    for row in rows(folder / "truth.jsonl.gz"):
        symbol = {reserve["asset"]: name for name, reserve in row["reserves"].items()}
        for user, truth in row["users"].items():
            line = ours.get((row["hash"], user))
            if line is None:
                assert not truth["a"] and not truth["v"]
                continue
            compare_account(line, truth, counted)
            compare_legs(line, row, truth, symbol, counted)
        for probe in row["liquidation_probes"]:
            compare_probe(ours[row["hash"], probe["user"]], probe, counted)
    assert counted["accounts"] > 9_000
    assert counted["legs"] > 20_000
    assert counted["probes"] > 900
    assert counted["unreadable"] > 50
    assert counted["liquidations"] > 100


def compare_account(line: Row, truth: Row, counted: Counter[str]) -> None:
    account = truth["account"]
    counted["accounts"] += 1
    if account is None:
        counted["unreadable"] += 1
        assert line["health_factor"] is None
        assert "reverts" in line["unknown"]
        return
    assert (
        line["collateral_base"],
        line["debt_base"],
        line["available_borrows_base"],
        line["liquidation_threshold"],
        line["ltv"],
        line["health_factor"],
    ) == tuple(
        account[field]
        for field in (
            "totalCollateralBase",
            "totalDebtBase",
            "availableBorrowsBase",
            "currentLiquidationThreshold",
            "ltv",
            "healthFactor",
        )
    )


def compare_legs(line: Row, row: Row, truth: Row, symbol: dict[str, str], counted: Counter[str]) -> None:
    held = {symbol[leg["asset"]]: leg for leg in line["legs"]}
    assert set(held) == set(truth["a"]) | set(truth["v"])
    for name, leg in held.items():
        reserve = row["reserves"][name]
        counted["legs"] += 1
        assert (
            leg["scaled_collateral"],
            leg["scaled_debt"],
            leg["liquidity_index"],
            leg["debt_index"],
            leg["stored_liquidity_index"],
            leg["stored_debt_index"],
            leg["scaled_total_collateral"],
            leg["scaled_total_debt"],
            leg["deficit"],
        ) == (
            truth["a"].get(name, "0"),
            truth["v"].get(name, "0"),
            reserve["normalizedIncome"],
            reserve["normalizedDebt"],
            reserve["liquidityIndex"],
            reserve["variableBorrowIndex"],
            reserve["aScaledTotalSupply"],
            reserve["vScaledTotalSupply"],
            reserve["deficit"],
        )


def compare_probe(line: Row, probe: Row, counted: Counter[str]) -> None:
    counted["probes"] += 1
    found = [
        one["outcome"]
        for one in line["probes"]
        if (one["collateral_symbol"], one["debt_symbol"]) == (probe["collateral"], probe["debt"])
    ]
    assert found == ["ok" if probe["ok"] else probe["error"] or probe["selector"]]
    counted["liquidations"] += probe["ok"]


def test_lines_hold_what_else_is_promised(lines: list[Row]) -> None:
    validator = jsonschema.Draft202012Validator(schema("position"))
    counted: Counter[str] = Counter()
    for line in lines[::40]:
        validator.validate(line)
    for line in lines:
        owing = line["health_factor"] is not None and line["debt_base"] != "0"
        chances = list(line["p_liquidation"].values())
        assert chances == sorted(chances)
        counted["chances"] += bool(chances)
        counted["shock"] += line["common_shock"] is not None
        assert (line["common_shock"] is not None) == owing
        for step in line["safe"]:
            counted[step["action"]] += 1
            assert step["possible"] == (step["why"] == "")
            counted["impossible"] += not step["possible"]
        if line["take"] is not None:
            counted["take"] += 1
            assert line["take"]["outcome"] == "ok"
    for what in ("chances", "shock", "repay", "supply", "repay_from_supply", "impossible"):
        assert counted[what] > 1_000, counted
    assert counted["take"] > 20, counted


def test_a_supposed_fall_is_what_the_legs_say(folder: Path) -> None:
    """By two ways: the protocol's whole path on moved prices, and the revision's formula on moved legs. The book is not
    touched, and repaying what a remedy names makes it safe."""
    engine = Engine(Config(), mode="replay")
    line, compared, cured = None, 0, 0
    for number, frame in enumerate(RecordingReader(folder / "recording.jsonl.gz", print)):
        engine.feed(frame)
        line = next((one for chain_id, one in engine.lines.items() if chain_id != MARKET), None)
        if number % 75 or line is None or line.intake.head is None or line.intake.wants():
            continue
        lending = Lending.of(line, 1.5)
        assert lending is not None
        digest = line.intake.book.digest()
        for position in line.positions():
            desk = lending.desks.of(position)
            if position.unknown or not position.debt_base or desk is None:
                continue
            shocks = {leg.asset: move for leg in position.legs for move in (-0.2,) if leg.symbol in ("WETH", "WBTC")}
            after, _ = lending.suppose(position, shocks, {})
            moved = exact.shocked(position.legs, shocks)
            assert after.health_factor == desk.health_of(position)(moved)
            assert [leg.price for leg in after.legs] == [leg.price for leg in moved]
            compared += bool(shocks)
            insight = lending.insight(position)
            assert insight is not None
            for one in insight.remedies:
                if one.action == "repay" and one.amount:
                    repaid, _ = lending.suppose(position, {}, {one.asset: one.amount + 1})
                    # A repayment burns whole scaled units: the debt left may be a unit more than owed less paid.
                    assert repaid.health_factor >= one.target * (1 - 1e-9)
                    cured += 1
        assert line.intake.book.digest() == digest
    assert compared > 40
    assert cured > 10
