"""`evaluate --positions` from files: what is printed, as a table and as JSON that fits the schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner

from defiwatch.cli import cli
from defiwatch.commands.schema import schema
from defiwatch.domain.frames import QuoteFrame
from defiwatch.domain.units import iso
from tests.convert import header_frame, write_recording
from tests.unit.commands.backtest.made_up import HOUR, stands, walk


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    for name, seed in (("before", 1), ("after", 2)):
        quotes = [QuoteFrame("venue", "ETH", "USD", f"{p:.2f}", iso(t)) for t, p in walk(6, HOUR, 1.2, seed)]
        write_recording(folder / f"{name}.jsonl.gz", [header_frame({}), *quotes])
    lines = [
        {
            "account": stand.account,
            "legs": [
                {
                    "symbol": part.symbol,
                    "collateral_base": str(round(part.weighted * 1e9)),
                    "debt_base": str(round(part.debt * 1e8)),
                    "liquidation_threshold": "1000",
                }
                for part in stand.parts
            ],
        }
        for stand in stands(25)
    ]
    (folder / "positions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def evaluate(folder: Path, *arguments: str) -> tuple[int, str, str]:
    found = CliRunner().invoke(cli, ["evaluate", str(folder / "after.jsonl.gz"), *arguments])
    return found.exit_code, found.stdout, found.stderr


def test_json_fits_the_schema_and_is_the_same_at_each_run(files: Path) -> None:
    asked = ("--positions", str(files / "positions.jsonl"), "--tuning", str(files / "before.jsonl.gz"), "--json")
    code, out, _ = evaluate(files, *asked)
    assert code == 0
    found = json.loads(out)
    jsonschema.validate(found, schema("evaluation"))
    assert found["schema"] == "defiwatch.evaluation/1"
    assert [one["part"] for one in found["liquidation"]["recordings"]] == ["tuning", "scored"]
    assert found["liquidation"]["horizons"]["24h"]["n"] > 0
    again = json.loads(evaluate(files, *asked)[1])
    assert msgspec.json.encode(again["liquidation"]) == msgspec.json.encode(found["liquidation"])


def test_the_table_says_what_was_assumed_and_where_it_is_not_better(files: Path) -> None:
    code, out, _ = evaluate(files, "--positions", str(files / "positions.jsonl"))
    assert code == 0
    for words in (
        "P(liquidation), if nothing is done, on recorded prices",
        "halves",
        "rebased to the assets that have prices: USDC → USD (25)",
        "assumed:",
        "1h: not scored: after (one price in 60 min)",
        "24h: ",
        "static threshold, 0 or 1",
        "barrier, continuous",
        "P(24h) from 5%",
        "health factor below 1.1",
    ):
        assert words in out, words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tuning", "{}/before.jsonl.gz"), "--tuning needs --positions"),
        (("--positions", "{}/positions.jsonl", "--calibration"), "--positions excludes"),
        (("--positions", "{}/before.jsonl.gz"), "is not UTF-8 text"),
    ],
)
def test_what_does_not_go_together_is_refused(files: Path, arguments: tuple[str, ...], words: str) -> None:
    found = CliRunner().invoke(
        cli, ["evaluate", str(files / "after.jsonl.gz"), *(text.format(files) for text in arguments)]
    )
    assert found.exit_code != 0
    assert words in found.stderr or words in str(found.exception)
