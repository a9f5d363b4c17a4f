from __future__ import annotations

import json

import jsonschema
import msgspec
import pytest

from defiwatch.commands.schema import schema
from defiwatch.commands.shapes import ProofLine, SafeStep, position_line, term
from defiwatch.domain.risk import Leg, Position

WETH, USDC = "0x" + "1" * 40, "0x" + "2" * 40

POSITION = Position(
    chain_id=1,
    protocol="aave_v3",
    market="0x" + "c" * 40,
    account="0x" + "b" * 40,
    block=23_000_001,
    block_hash="0x" + "e" * 64,
    time=1_773_144_000,
    health_factor=1_037_837_828_333_533_228,
    collateral_base=483_247_200_000,
    debt_base=382_188_132_800,
    liquidation_threshold=8208,
    legs=(
        Leg(WETH, "WETH", 18, 2 * 10**18, 0, 241_211_000_000, 8300, collateral_base=482_422_000_000),
        Leg(USDC, "USDC", 6, 0, 3_821_881_328, 100_000_000, 7800, debt_base=382_188_132_800),
    ),
    liquidation_prices={USDC: 103_783_782, WETH: 232_416_000_000},
)


def plain(line: object) -> dict[str, object]:
    decoded = json.loads(msgspec.json.encode(line))
    assert isinstance(decoded, dict)
    return decoded


def test_a_position_as_the_contract_has_it() -> None:
    line = plain(position_line(POSITION, p_liquidation={"1h": 0.01, "24h": 0.2, "7d": 0.5}))
    jsonschema.validate(line, schema("position"))
    shown = {
        "schema": "defiwatch.position/1",
        "chain_id": 1,
        "protocol": "aave_v3",
        "market": "0x" + "c" * 40,
        "account": "0x" + "b" * 40,
        "block": 23_000_001,
        "block_hash": "0x" + "e" * 64,
        "health_factor": "1037837828333533228",
        "collateral_base": "483247200000",
        "debt_base": "382188132800",
        "liquidation_threshold": "8208",
        "liquidation_prices": {WETH: "232416000000", USDC: "103783782"},
        "p_liquidation": {"1h": 0.01, "24h": 0.2, "7d": 0.5},
        "safe": [],
        "trust": "single",
    }
    assert {name: line[name] for name in shown} == shown
    assert list(line)[: len(shown)] == list(shown), "in the contract's own order"
    legs = line["legs"]
    assert isinstance(legs, list)
    assert (legs[0]["collateral"], legs[1]["debt"]) == (str(2 * 10**18), "3821881328")


def test_the_same_position_prints_the_same_whatever_the_order() -> None:
    turned = msgspec.structs.replace(
        POSITION, liquidation_prices=dict(reversed(list(POSITION.liquidation_prices.items())))
    )
    assert msgspec.json.encode(position_line(turned)) == msgspec.json.encode(position_line(POSITION))


def test_uint256_survives() -> None:
    largest = 2**256 - 1
    line = plain(position_line(msgspec.structs.replace(POSITION, health_factor=largest, debt_base=0)))
    assert line["health_factor"] == str(largest)
    jsonschema.validate(line, schema("position"))


def test_what_is_unknown_is_no_zero() -> None:
    unknown = msgspec.structs.replace(POSITION, health_factor=0, unknown="the price of WETH reverts")
    line = plain(position_line(unknown))
    assert (line["health_factor"], line["unknown"]) == (None, "the price of WETH reverts")
    jsonschema.validate(line, schema("position"))


def test_what_would_make_it_safe() -> None:
    steps = (
        SafeStep("repay", USDC, "USDC", "150000000", str(12 * 10**17)),
        SafeStep("supply", WETH, "WETH", "1", str(12 * 10**17), possible=False, why="supply cap reached"),
    )
    line = plain(position_line(POSITION, safe=steps, trust="proof"))
    jsonschema.validate(line, schema("position"))
    safe = line["safe"]
    assert isinstance(safe, list)
    assert safe[1]["why"] == "supply cap reached"


def test_a_proof() -> None:
    terms = (term("debt_base", 10, 12), term("health_factor", 2**255, 2**255))
    proof = ProofLine(
        chain_id=1,
        protocol="aave_v3",
        market=POSITION.market,
        account=POSITION.account,
        block=POSITION.block,
        block_hash=POSITION.block_hash,
        equal=False,
        terms=terms,
    )
    line = plain(proof)
    jsonschema.validate(line, schema("proof"))
    assert line["terms"] == [
        {"name": "debt_base", "ours": "10", "contract": "12", "difference": "-2"},
        {"name": "health_factor", "ours": str(2**255), "contract": str(2**255), "difference": "0"},
    ]


@pytest.mark.parametrize("bad", ["1.5", "-1", "0x10", "", "01"])
def test_the_schema_refuses_what_is_no_uint256(bad: str) -> None:
    line = plain(position_line(POSITION))
    line["debt_base"] = bad
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(line, schema("position"))
