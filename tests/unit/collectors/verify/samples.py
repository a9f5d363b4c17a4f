"""Blocks whose hashes are known: recorded from real chains, and one of the devnet's with every transaction type."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec

from defiwatch.collectors.verify import Receipt
from defiwatch.domain.frames import BlockFrame, Header, RawLog
from tests import convert

HERE = Path(__file__).parent
FOLDER = "eth_blocks_17173049_17173050"


def headers() -> dict[str, Header]:
    """Real headers with all their fields, by name."""
    rows = [json.loads(line) for line in (HERE / "headers.jsonl").read_text().splitlines()]
    return {row["name"]: msgspec.convert(row, Header) for row in rows}


def typed() -> tuple[Header, list[Receipt]]:
    """A block of the devnet: legacy, 2930, 1559, a failed one, 7702, 4844 (tests/devnet/make_receipts.py)."""
    block = json.loads((HERE / "types.json").read_text())
    return msgspec.convert(block["header"], Header), msgspec.convert(block["receipts"], list[Receipt])


def real_blocks(data_folder: Path) -> list[tuple[BlockFrame, list[Receipt]]]:
    """The two real blocks of the data folder, whose headers lack the mix hash."""
    folder = data_folder / FOLDER
    rows = list(convert.lines(folder / "expected_transactions.json.gz"))
    return [(frame, _receipts(frame, rows)) for frame in convert.etl_blocks(folder)]


def _receipts(frame: BlockFrame, rows: Iterable[convert.Json]) -> list[Receipt]:
    logs: dict[str | None, list[RawLog]] = {}
    for log in frame.logs:
        logs.setdefault(log.transaction_index, []).append(log)
    own = sorted(
        (row for row in rows if row["block_hash"] == frame.header.hash), key=lambda row: row["transaction_index"]
    )
    return [
        Receipt(
            cumulative_gas_used=hex(row["receipt_cumulative_gas_used"]),
            type=hex(row["transaction_type"]),
            status=hex(row["receipt_status"]),
            transaction_index=hex(row["transaction_index"]),
            transaction_hash=row["hash"],
            logs=tuple(logs.get(hex(row["transaction_index"]), ())),
        )
        for row in own
    ]
