"""How fast logs become events, beside web3.py on the same logs in the same run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from defiwatch.domain.events import Event
from defiwatch.domain.frames import RawLog
from defiwatch.protocols.registry import decode_any
from tests import convert

pytestmark = pytest.mark.data

WEB3_SAMPLE = 300
"""Logs that web3.py decodes: enough to time it."""

_PARSE = msgspec.json.Decoder(tuple[RawLog, ...]).decode


def _abi(name: str, *params: tuple[str, str, bool]) -> dict[str, Any]:
    inputs = [{"name": label, "type": kind, "indexed": indexed} for kind, label, indexed in params]
    return {"type": "event", "name": name, "anonymous": False, "inputs": inputs}


EVENTS = [
    _abi(
        "Swap",
        ("address", "sender", True),
        ("address", "recipient", True),
        ("int256", "amount0", False),
        ("int256", "amount1", False),
        ("uint160", "sqrtPriceX96", False),
        ("uint128", "liquidity", False),
        ("int24", "tick", False),
    )
]


def reply(data_folder: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """The pool's swaps as the body of an `eth_getLogs` answer, and as JSON objects."""
    rows = [
        {"blockHash": "0x" + "00" * 32, **row}
        for row in convert.lines(data_folder / "uniswap_v3_usdc_weth_20240105" / "logs.jsonl.gz")
        if row["topics"][0].startswith("0xc42079f9")
    ]
    return msgspec.json.encode(rows), rows


def ours(body: bytes) -> list[Event | None]:
    return [decode_any(log) for log in _PARSE(body)]


def theirs(rows: list[dict[str, Any]]) -> list[Any]:
    """web3.py's way: `get_logs` over a provider that answers from memory, then `process_log`."""
    from web3 import Web3
    from web3.providers.base import BaseProvider

    body = json.dumps(rows)

    class Canned(BaseProvider):
        def make_request(self, method: Any, params: Any) -> Any:
            return {"jsonrpc": "2.0", "id": 1, "result": json.loads(body)}

    w3 = Web3(Canned(), middleware=None)
    contract = w3.eth.contract(address=Web3.to_checksum_address(convert.USDC_WETH_POOL), abi=EVENTS)
    swap = contract.events.Swap()
    return [swap.process_log(log) for log in w3.eth.get_logs({"fromBlock": 0, "toBlock": "latest"})]


def test_decode_beside_web3(data_folder: Path, benchmark: BenchmarkFixture) -> None:
    body, rows = reply(data_folder)
    theirs(rows[:5])
    start = time.perf_counter()
    slow = theirs(rows[:WEB3_SAMPLE])
    per_log_theirs = (time.perf_counter() - start) / WEB3_SAMPLE
    fast = benchmark(ours, body)
    assert len(fast) == len(rows)
    for mine, other in zip(fast, slow, strict=False):
        assert (mine.amount0, mine.sqrt_price_x96, mine.tick) == (
            other["args"]["amount0"],
            other["args"]["sqrtPriceX96"],
            other["args"]["tick"],
        )
    per_log_ours = benchmark.stats["median"] / len(rows) if benchmark.stats else float("nan")
    ratio = per_log_theirs / per_log_ours
    benchmark.extra_info.update(
        {
            "logs": len(rows),
            "us_per_log": round(per_log_ours * 1e6, 3),
            "web3_us_per_log": round(per_log_theirs * 1e6, 1),
            "times_faster_than_web3": round(ratio, 1),
        }
    )
    print(
        f"\ndecode: {per_log_ours * 1e6:.2f} µs a log, web3.py {per_log_theirs * 1e6:.0f} µs, {ratio:.0f} times faster"
    )


def test_decode_mixed_blocks(data_folder: Path, benchmark: BenchmarkFixture) -> None:
    """Two whole Ethereum blocks: most logs are of events that are known, some are not."""
    blocks = convert.etl_blocks(data_folder / "eth_blocks_17173049_17173050")
    body = msgspec.json.encode([log for block in blocks for log in block.logs])
    events = benchmark(ours, body)
    assert len(events) == 681
    benchmark.extra_info["decoded"] = sum(event is not None for event in events)
