"""The positions of a backtest: what is read, what becomes of assets without a price, and who is left out."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from defiwatch.commands.backtest.snapshot import Part, Rebased, Stand, parse_snapshot, read_snapshot, stands_for
from defiwatch.commands.shapes import position_line
from defiwatch.errors import UsageError
from tests.unit.commands.backtest.made_up import stand
from tests.unit.state.lending.made_up import USDC, WETH, leg, position


def test_a_line_of_positions_json_is_a_position() -> None:
    shown = position(leg(WETH, collateral=10, threshold=8000, price=2000), leg(USDC, debt=5000, price=1))
    line = msgspec.json.encode(position_line(shown)).decode()
    (found,) = parse_snapshot(line, "made up")
    factor = sum(part.weighted for part in found.parts) / sum(part.debt for part in found.parts)
    assert factor == pytest.approx(shown.health_factor / 1e18)
    assert [part.symbol for part in found.parts] == [one.symbol for one in shown.legs]


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "{}",
        '{"account":"0x1","legs":[{"symbol":"WETH","collateral_base":"much","liquidation_threshold":"8000"}]}',
        '{"account":"0x1","legs":[{"symbol":"WETH","collateral_base":-1.0,"liquidation_threshold":"8000"}]}',
    ],
)
def test_what_is_no_position_is_refused_with_its_line(line: str) -> None:
    good = json.dumps({"account": "0x1", "legs": []})
    with pytest.raises(UsageError, match="made up:3: expected a position"):
        parse_snapshot(f"{good}\n\n{line}\n", "made up")


def test_no_position_and_no_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UsageError, match="holds no position"):
        read_snapshot(tmp_path / "empty")
    with pytest.raises(UsageError, match="cannot be read"):
        read_snapshot(tmp_path / "absent")


@pytest.mark.parametrize(
    ("symbol", "priced", "expected"),
    [
        ("WETH", ("ETH", "USD"), "ETH"),
        ("wstETH", ("ETH", "STETH", "USD"), "ETH"),
        ("sUSD", ("ETH", "SUSD", "USD"), "SUSD"),
        ("sUSD", ("ETH", "USD"), "USD"),
        ("WETH", ("BTC", "USD"), "BTC"),
        ("stETH", ("BTC", "USD"), "BTC"),
        ("WBTC", ("BTC", "ETH", "USD"), "BTC"),
        ("LINK", ("BTC", "ETH", "USD"), "ETH"),
        ("LINK", ("SOL", "USD"), "SOL"),
    ],
)
def test_what_an_asset_becomes(symbol: str, priced: tuple[str, ...], expected: str) -> None:
    assert stands_for(symbol, priced) == expected


def test_nothing_that_moves_is_priced() -> None:
    with pytest.raises(UsageError, match="LINK"):
        stands_for("LINK", ("USDC", "USD"))


def test_who_is_left_out_and_what_is_moved_is_counted() -> None:
    found = Rebased(
        [
            stand("a", 1.2),
            stand("b", 1.2, collateral="stETH"),
            stand("c", 1.2, collateral="stETH", debt="WETH"),
            stand("d", 0.9),
            stand("e", 3.5),
            Stand("f", (Part("WETH", 10.0, 0.0),)),
        ],
        ("BTC", "USDC"),
    )
    assert found.accounts == ("a", "b")
    assert found.assets == ("BTC", "USDC", "USD")
    assert found.moved == {"WETH → BTC": 1, "stETH → BTC": 1}
    assert sorted(found.left_out.values()) == [1, 1, 1, 1]
    assert (found.weighted.sum(axis=1) / found.debt.sum(axis=1)).tolist() == pytest.approx([1.2, 1.2])
