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


_PRINTED: dict[Path, list[Row]] = {}
"""What was printed of each recording, read once."""


@pytest.fixture
def lines(folder: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> list[Row]:
    if folder not in _PRINTED:
        recording = folder / "recording.jsonl.gz"
        assert run(Config(), tmp_path, (), recording=recording, each_block=True, as_json=True) == 0
        _PRINTED[folder] = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    return _PRINTED[folder]


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


def told(
    frames: list[Row], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], *addresses: str
) -> tuple[list[Row], str]:
    """The lines of a recording made of these frames, and the words on stderr."""
    path = tmp_path / "made.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as lines:
        lines.writelines(json.dumps(frame).encode() + b"\n" for frame in frames)
    assert run(Config(), tmp_path, addresses, recording=path, each_block=True, as_json=True) == 0
    out, words = capfdbinary.readouterr()
    return [json.loads(line) for line in out.splitlines()], words.decode()


def factors(folder: Path) -> dict[tuple[str, str], str | None]:
    return {
        (row["hash"], user): truth["account"] and truth["account"]["healthFactor"]
        for row in rows(folder / "truth.jsonl.gz")
        for user, truth in row["users"].items()
    }


def beginning(folder: Path, size: int) -> list[Row]:
    """The first frames, up to the reads of a block."""
    frames = rows(folder / "recording.jsonl.gz")[:size]
    while frames[-1]["frame"] != "reads":
        frames.pop()
    return frames


def number(frame: Row) -> int:
    return int(frame.get("block") or frame["header"]["number"], 16)


def test_a_block_without_reads_is_unknown(
    data_folder: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It tells no factor of older prices; what needs no price, and every other block, is as it was."""
    folder = data_folder / "aave_v3_revisions" / "rev11"
    frames = beginning(folder, 150)
    lost = [frame for frame in frames if frame["frame"] == "reads"][40]
    wanted = factors(folder)
    lines, _ = told([frame for frame in frames if frame is not lost], tmp_path, capfdbinary)
    counted: Counter[str] = Counter()
    for line in lines:
        assert line["doubt"] == ""
        if line["block"] == number(lost) and line["unknown"]:
            assert (line["health_factor"], line["legs"], line["probes"]) == (None, [], [])
            assert line["unknown"].endswith(f"of block {number(lost) - 1}")
            counted["unknown"] += 1
        else:
            assert line["health_factor"] == wanted[line["block_hash"], line["account"]]
            assert line["prices_block"] in (None, line["block"])
            counted["told"] += 1
    assert counted["unknown"] > 10
    assert counted["told"] > 500


def test_a_missing_block_is_told_on_every_line_after_it(
    data_folder: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = data_folder / "aave_v3_revisions" / "rev11"
    frames = beginning(folder, 150)
    lost = [frame for frame in frames if frame["frame"] == "block" and len(frame["logs"]) > 8][-12]
    wanted = factors(folder)
    lines, words = told([frame for frame in frames if frame is not lost], tmp_path, capfdbinary)
    gap = f"blocks {number(lost)} to {number(lost)} are not in the"
    assert gap in words
    assert number(lost) not in {line["block"] for line in lines}
    assert {bool(line["doubt"]) for line in lines} == {True, False}
    for line in lines:
        assert line["doubt"].startswith(gap) is (line["block"] > number(lost))
        if not line["doubt"]:
            assert line["health_factor"] == wanted[line["block_hash"], line["account"]]


def test_as_other_scripts_write_it(
    data_folder: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """An unknown chain, capitals, the least of headers and logs, reads in another order; two of many accounts."""
    folder = data_folder / "aave_v3_revisions" / "rev8to9"
    frames = beginning(folder, 280)
    wanted = factors(folder)
    accounts = sorted(user for user, row in rows(folder / "truth.jsonl.gz")[60]["users"].items() if row["v"])[1:3]
    for frame in frames:
        if "chain_id" in frame:
            frame["chain_id"] = 987_654_321
        if frame["frame"] == "header":
            frame["chains"] = [{"chain_id": 987_654_321, "name": "somewhere"}]
            frame["deployments"][0]["chain"] = "somewhere"
        elif frame["frame"] == "block":
            frame["header"] = {key: frame["header"][key] for key in ("number", "timestamp", "hash")}
            frame["logs"] = [
                {"address": capital(log["address"]), "topics": log["topics"], "data": log["data"]}
                for log in frame["logs"]
            ]
        elif frame["frame"] == "reads":
            del frame["block_hash"]
            frame["calls"] = [{**call, "to": capital(call["to"])} for call in reversed(frame["calls"])]
    lines, words = told(frames, tmp_path, capfdbinary, *(capital(account) for account in accounts))
    assert words == ""
    assert {line["account"] for line in lines} == set(accounts)
    assert len(lines) > 200
    for line in lines:
        assert line["health_factor"] == wanted[line["block_hash"], line["account"]]
    frames[0]["deployments"] = []
    lines, words = told(frames, tmp_path, capfdbinary)
    assert lines == []
    assert "neither the recording's header nor the configuration names a deployment" in words


def capital(address: str) -> str:
    return "0x" + address[2:].upper()


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
