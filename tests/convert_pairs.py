"""Recordings of exchange pairs from rows of trades."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from defiwatch.domain.frames import (
    Frame,
    Header,
    ReadsFrame,
)
from defiwatch.domain.keccak import topic
from defiwatch.domain.units import from_iso
from defiwatch.protocols import abi
from tests.convert import Json, answer, block_frames, header_frame

PAIR_SWAP = topic("Swap(address,uint256,uint256,uint256,uint256,address)")
PAIR_SYNC = topic("Sync(uint112,uint112)")

_Trade: TypeAlias = tuple[float, float, int]
"""(amount in, amount out, 0 if token 0 came in else 1)."""


def _reserves(first: _Trade, second: _Trade) -> tuple[float, float] | None:
    """A v2 pair's reserves before two trades in a row, from their amounts alone; None where they are not proven.

    A trade at the pair's own price says 997·in·(reserve out - out) = 1000·out·reserve in: two are two linear equations.
    """
    rows = []
    moved = (0.0, 0.0)
    for amount_in, amount_out, side in (first, second):
        factors = (-1000.0 * amount_out, 997.0 * amount_in)
        whole = 997.0 * amount_in * amount_out
        of0, of1 = factors if side == 0 else factors[::-1]
        rows.append((of0, of1, whole - of0 * moved[0] - of1 * moved[1]))
        moved = (amount_in, -amount_out) if side == 0 else (-amount_out, amount_in)
    (a, b, e), (c, d, f) = rows
    below = a * d - b * c
    if abs(below) <= 1e-9 * max(abs(a * d), abs(b * c)):
        return None
    found = ((e * d - b * f) / below, (a * f - e * c) / below)
    return found if min(found) > 0.0 else None


def _expected(reserves: tuple[float, float], trade: _Trade) -> float:
    """What a pair with these reserves pays."""
    amount_in, _, side = trade
    return 997.0 * amount_in * reserves[1 - side] / (1000.0 * reserves[side] + 997.0 * amount_in)


def pair_recording(path: Path, *, least: int = 8) -> list[Frame]:
    """The decoded v2 swaps of `mainnet_swaps_june2021` as a recording: of every pair with `least` trades, those whose
    reserves two trades in a row prove, from there until one is not paid what they say, to 1e-6 (liquidity came or went,
    which the source does not tell).

    The source has no times: 13 s a block from 2021-06-14 12:00 on. Its amounts are floats, so the integers here are
    theirs rounded.
    """
    trades: dict[str, list[tuple[int, int, str, str, _Trade]]] = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["abi_name"] != "UniswapV2Pair" or row["error"]:
                continue
            tokens = tuple(sorted((row["token_in_address"], row["token_out_address"])))
            side = tokens.index(row["token_in_address"])
            trade = (float(row["token_in_amount"]), float(row["token_out_amount"]), side)
            where = (int(row["block_number"]), int(float(row["transaction_position"] or 0)))
            trades.setdefault(row["contract_address"], []).append(
                (*where, row["transaction_hash"], ":".join(tokens), trade)
            )
    logs: list[tuple[int, int, Json]] = []
    tokens_of: dict[str, tuple[str, str]] = {}
    for pair, rows in sorted(trades.items()):
        rows.sort(key=lambda row: row[:2])
        if len(rows) < least or len({row[3] for row in rows}) != 1:
            continue
        made = _pair_logs(pair, rows)
        if len(made) >= least:
            logs += made
            token0, token1 = rows[0][3].split(":")
            tokens_of[pair] = (token0, token1)
    blocks: dict[int, list[Json]] = {}
    for number, _, log in sorted(logs, key=lambda item: item[:2]):
        blocks.setdefault(number, []).append(log)
    deployment = {"chain": "ethereum", "protocol": "uniswap_v2", "pools": sorted(tokens_of)}
    frames: list[Frame] = [header_frame({1: "ethereum"}, [deployment])]
    begin = min(blocks)
    for number in range(begin, max(blocks) + 1):
        time = int(from_iso("2021-06-14T12:00:00Z")) + 13 * (number - begin)
        found = [{**log, "logIndex": hex(i)} for i, log in enumerate(blocks.get(number, ()))]
        frames += block_frames(found, 1, {number: Header(number=hex(number), timestamp=hex(time), hash="")})
        if number == begin:
            calls = [
                answer(abi.function(f"token{i}()", "address"), pair, tokens[i])
                for pair, tokens in sorted(tokens_of.items())
                for i in (0, 1)
            ]
            frames.append(ReadsFrame(1, hex(number), tuple(calls)))
    return frames


def _pair_logs(pair: str, rows: Sequence[tuple[int, int, str, str, _Trade]]) -> list[tuple[int, int, Json]]:
    """A Sync and a Swap for each trade at which the pair's reserves are proven."""
    found: list[tuple[int, int, Json]] = []
    known: tuple[float, float] | None = None
    nobody = "0x" + "00" * 32
    for i, (number, position, tx, _, trade) in enumerate(rows):
        if known is not None and abs(_expected(known, trade) / trade[1] - 1.0) > 1e-6:
            break
        if known is None and i + 2 < len(rows):
            known = _reserves(trade, rows[i + 1][4])
            if known is not None:
                later = _after(_after(known, trade), rows[i + 1][4])
                if abs(_expected(later, rows[i + 2][4]) / rows[i + 2][4][1] - 1.0) > 1e-6:
                    known = None
        if known is None:
            continue
        known = _after(known, trade)
        amount_in, amount_out, side = round(trade[0]), round(trade[1]), trade[2]
        amounts = (amount_in, 0, 0, amount_out) if side == 0 else (0, amount_in, amount_out, 0)
        common = {"address": pair, "blockNumber": hex(number), "transactionHash": tx}
        sync = "0x" + abi.encode(("uint112", "uint112"), (round(known[0]), round(known[1])))
        swap = "0x" + abi.encode(("uint256",) * 4, amounts)
        found.append((number, position, {**common, "topics": [PAIR_SYNC], "data": sync}))
        found.append((number, position, {**common, "topics": [PAIR_SWAP, nobody, nobody], "data": swap}))
    return found


def _after(reserves: tuple[float, float], trade: _Trade) -> tuple[float, float]:
    amount_in, amount_out, side = trade
    came = (amount_in, -amount_out) if side == 0 else (-amount_out, amount_in)
    return (reserves[0] + came[0], reserves[1] + came[1])
