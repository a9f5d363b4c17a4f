"""The converter: recorded real data (bare logs, receipts, CSV prices) as frames and recordings.

Whatever the source did not give stays away, as a live source may leave it away too: no hash is invented. Reads are
answers that the recorded events themselves prove (a pool's price after its last swap) or that never change (a token's
decimals).
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from defiwatch.domain.frames import (
    RECORDING_SCHEMA,
    BlockFrame,
    CallResult,
    ChainRef,
    Frame,
    Header,
    HeaderFrame,
    QuoteFrame,
    RawLog,
    ReadsFrame,
    decode,
    encode,
)
from defiwatch.domain.keccak import topic
from defiwatch.domain.units import from_hex, from_iso, iso
from defiwatch.protocols import abi

Json: TypeAlias = dict[str, Any]

USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
WETH = "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
USDC_WETH_POOL = "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"


def lines(path: Path) -> Iterator[Json]:
    """The JSON objects of a gzip file of lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def raw_log(item: Mapping[str, Any]) -> RawLog:
    """A log as `eth_getLogs` returns it; keys beyond the format are left out."""
    return msgspec.convert(item, RawLog)


def block_frames(
    logs: Iterable[Mapping[str, Any]], chain_id: int, headers: Mapping[int, Header] | None = None
) -> list[BlockFrame]:
    """Bare logs as blocks in order of number and log index.

    Headers come from `headers`, else from what the logs say of their block; blocks of `headers` without logs are kept.
    """
    known = dict(headers or {})
    found: dict[int, list[RawLog]] = {number: [] for number in known}
    for item in logs:
        log = raw_log(item)
        number = from_hex(log.block_number or "0x0")
        found.setdefault(number, []).append(log)
        if number not in known:
            known[number] = Header(
                number=hex(number), timestamp=log.block_timestamp or "0x0", hash=log.block_hash or ""
            )
    return [
        BlockFrame(
            chain_id, known[number], tuple(sorted(found[number], key=lambda log: from_hex(log.log_index or "0x0")))
        )
        for number in sorted(found)
    ]


def etl_blocks(folder: Path) -> list[BlockFrame]:
    """The two whole Ethereum blocks, from ethereum-etl's own shape (snake_case, decimal numbers)."""
    headers: dict[int, Header] = {}
    for row in lines(folder / "expected_blocks.json.gz"):
        headers[row["number"]] = Header(
            number=hex(row["number"]),
            timestamp=hex(row["timestamp"]),
            hash=row["hash"],
            parent_hash=row["parent_hash"],
            sha3_uncles=row["sha3_uncles"],
            miner=row["miner"],
            state_root=row["state_root"],
            transactions_root=row["transactions_root"],
            receipts_root=row["receipts_root"],
            logs_bloom=row["logs_bloom"],
            difficulty=hex(row["difficulty"]),
            gas_limit=hex(row["gas_limit"]),
            gas_used=hex(row["gas_used"]),
            extra_data=row["extra_data"],
            nonce=row["nonce"],
            base_fee_per_gas=hex(row["base_fee_per_gas"]),
            withdrawals_root=row["withdrawals_root"],
        )
    logs = (
        {
            "address": row["address"],
            "topics": row["topics"],
            "data": row["data"],
            "blockNumber": hex(row["block_number"]),
            "blockHash": row["block_hash"],
            "transactionHash": row["transaction_hash"],
            "transactionIndex": hex(row["transaction_index"]),
            "logIndex": hex(row["log_index"]),
        }
        for row in lines(folder / "expected_logs.json.gz")
    )
    return block_frames(logs, 1, headers)


def receipt_blocks(path: Path) -> dict[int, list[BlockFrame]]:
    """Receipts of many chains as blocks, by chain id; a block without a recorded time has the time 0."""
    logs: dict[int, list[Json]] = {}
    for row in lines(path):
        for log in row["receipt"]["logs"]:
            logs.setdefault(row["chainId"], []).append({"blockTimestamp": row["blockTimestamp"], **log})
    return {chain_id: block_frames(logs[chain_id], chain_id) for chain_id in sorted(logs)}


def answer(function: abi.Function, to: str, *values: Any, args: Sequence[Any] = ()) -> CallResult:
    """A contract's answer to one read, encoded as the contract would."""
    call = function.call(to, *args)
    return CallResult(to=call.to, data=call.data, result="0x" + abi.encode(function.outputs, values))


def refusal(function: abi.Function, to: str, *, args: Sequence[Any] = ()) -> CallResult:
    """A read that reverted without a word."""
    call = function.call(to, *args)
    return CallResult(to=call.to, data=call.data, error="0x")


def reads_at(block: BlockFrame, calls: Iterable[CallResult]) -> ReadsFrame:
    """Answers pinned to a block."""
    return ReadsFrame(block.chain_id, block.header.number, tuple(calls), block_hash=block.header.hash)


def token_answers(token: str, symbol: str, name: str, decimals: int) -> list[CallResult]:
    """What an ERC-20 says of itself."""
    return [
        answer(abi.function("symbol()", "string"), token, symbol),
        answer(abi.function("decimals()", "uint8"), token, decimals),
        answer(abi.function("name()", "string"), token, name),
    ]


def v3_pool_answers(pool: str, token0: str, token1: str, fee: int, spacing: int, last_swap: RawLog) -> list[CallResult]:
    """What a v3 pool says of itself in the block whose last swap is `last_swap`, which carries price and liquidity."""
    _, _, sqrt_price, liquidity, tick = abi.decode(("int256", "int256", "uint160", "uint128", "int24"), last_swap.data)
    slot0 = abi.function("slot0()", "uint160,int24,uint16,uint16,uint16,uint8,bool")
    return [
        answer(abi.function("token0()", "address"), pool, token0),
        answer(abi.function("token1()", "address"), pool, token1),
        answer(abi.function("fee()", "uint24"), pool, fee),
        answer(abi.function("tickSpacing()", "int24"), pool, spacing),
        answer(slot0, pool, sqrt_price, tick, 0, 1, 1, 0, True),
        answer(abi.function("liquidity()", "uint128"), pool, liquidity),
    ]


def header_frame(chains: Mapping[int, str], deployments: Iterable[Mapping[str, Any]] = ()) -> HeaderFrame:
    """A recording's first line: its chains by id, and the deployments as the configuration writes them."""
    return HeaderFrame(
        schema=RECORDING_SCHEMA,
        chains=tuple(ChainRef(chain_id=number, name=name) for number, name in chains.items()),
        deployments=tuple(msgspec.Raw(msgspec.json.encode(item)) for item in deployments),
    )


def v3_recording(folder: Path, *, with_reads: bool = True) -> list[Frame]:
    """The 12 hours of the USDC/WETH pool as a recording, its reads after the first block as a live run's would be.

    The pool's token balances are in no event and stay unread.
    """
    blocks = block_frames(lines(folder / "logs.jsonl.gz"), 1)
    deployment = {"chain": "ethereum", "protocol": "uniswap_v3", "pools": [USDC_WETH_POOL]}
    frames: list[Frame] = [header_frame({1: "ethereum"}, [deployment])]
    if not with_reads:
        return [*frames, *blocks]
    swap = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
    first = blocks[0]
    last_swap = [log for log in first.logs if log.topics[0] == swap][-1]
    calls = [
        *v3_pool_answers(USDC_WETH_POOL, USDC, WETH, 500, 10, last_swap),
        *token_answers(USDC, "USDC", "USD Coin", 6),
        *token_answers(WETH, "WETH", "Wrapped Ether", 18),
    ]
    return [*frames, first, reads_at(first, calls), *blocks[1:]]


def candle_quotes(path: Path) -> Iterator[QuoteFrame]:
    """Hourly candles (timestamp, venue, coin, o, h, l, c, v) as quotes: each close, at the end of its hour."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield QuoteFrame(row["venue"], row["coin"], "USD", row["c"], iso(from_iso(row["timestamp"]) + 3600.0))


def bar_quotes(path: Path, venue: str, base: str) -> Iterator[QuoteFrame]:
    """Ten-minute bars (`eth_gas_10m_stress_days`) as quotes: each close, at the end of its bar."""
    for bar in json.loads(gzip.decompress(path.read_bytes())):
        yield QuoteFrame(venue, base, "USD", str(bar["price_close"]), iso(from_iso(bar["time_period_end"][:19] + "Z")))


def price_quotes(
    path: Path, venue: str, symbols: Iterable[str] | None = None, quote: str = "USD"
) -> Iterator[QuoteFrame]:
    """A CSV of timestamp_ms, symbol, price (`coingecko_hourly`) as quotes, in the file's order of time."""
    wanted = None if symbols is None else frozenset(symbols)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for stamp, symbol, price in rows:
            if wanted is None or symbol in wanted:
                yield QuoteFrame(venue, symbol, quote, price, iso(int(stamp) / 1000))


def kline_quotes(path: Path, venue: str, base: str, quote: str) -> Iterator[QuoteFrame]:
    """One-minute klines (open_time_ms, open, high, low, close, …) as quotes: each close, at the end of its minute."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield QuoteFrame(venue, base, quote, row["close"], iso(int(row["open_time_ms"]) / 1000 + 60))


_STABLES = ("usdc", "usdt", "dai", "fei", "tusd", "susd", "frax", "gusd")


def snapshot_positions(folder: Path) -> Iterator[Json]:
    """`aave_positions_snapshot` as `positions --json` prints positions: its 1,309 accounts, each once (b1 and b2 break
    971 of them down by asset). What no column breaks down is taken for WETH as collateral and for USDC as debt.
    """

    def rows(name: str) -> dict[str, dict[str, str]]:
        with gzip.open(folder / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            return {row["user"]: row for row in csv.DictReader(file)}

    stables = rows("b2")
    for user, row in rows("steth_aave").items():
        whole, owed = float(row["collateral"]), float(row["debt"])
        more = stables.get(user, {})
        held = {"stETH": min(whole, float(row["collateral_steth_calc"] or 0.0))}
        debts = {"WETH": min(owed, float(row["ethdebt"] or 0.0))}
        for name in _STABLES:
            symbol = "sUSD" if name == "susd" else name.upper()
            debts[symbol] = float(more.get(f"{name}_debt") or 0.0)
            units = float(more.get(f"{name}_collateral") or 0.0)
            if units:
                held[symbol] = units / 10 ** int(more[f"{name}_decimals"]) * float(more[f"{name}_price"]) / 1e18
        held["WETH"] = max(0.0, whole - sum(held.values()))
        debts["USDC"] += max(0.0, owed - sum(debts.values()))
        legs = [
            {
                "symbol": symbol,
                "collateral_base": str(int(held.get(symbol, 0.0) * 1e18)),
                "debt_base": str(int(debts.get(symbol, 0.0) * 1e18)),
                "liquidation_threshold": row["threshold"],
            }
            for symbol in sorted(held.keys() | debts.keys())
        ]
        shown = [leg for leg in legs if leg["collateral_base"] != "0" or leg["debt_base"] != "0"]
        yield {"schema": "defiwatch.position/1", "protocol": "aave_v2", "account": user, "legs": shown}


FEEDS = {
    "WETH": ("0x5f4ec3df9cbd43714fe2740f5e3616155c5b8419", "ETH / USD"),
    "WBTC": ("0xf4030086522a5beea4988f8ca5b36dbc97bee88c", "BTC / USD"),
    "LINK": ("0x2c1d072e956affc0d435cb7ac38ef18d24d9127c", "LINK / USD"),
    "AAVE": ("0x547a514d5e3769680ce22b2361c10ea13619e8a9", "AAVE / USD"),
}
"""By symbol: the feed's address and what it says it is."""


def feed_recording(path: Path, *, since: str = "", until: str) -> list[Frame]:
    """The hourly prices of `FEEDS` (`coingecko_hourly`) from `since` and before `until` as pushes of oracle feeds, a
    block for each.

    The prices and their times are recorded; that a feed pushed them is not: a real one follows its market closer.
    """
    decimals = abi.function("decimals()", "uint8")
    description = abi.function("description()", "string")
    pushed = topic("AnswerUpdated(int256,uint256,uint256)")
    rounds = dict.fromkeys(FEEDS, 0)
    deployment = {"chain": "ethereum", "protocol": "chainlink", "feeds": [feed for feed, _ in FEEDS.values()]}
    header = header_frame({1: "ethereum"}, [deployment])
    frames: list[Frame] = [msgspec.structs.replace(header, chains=(ChainRef(1, "ethereum", 1),))]
    wanted = (quote for quote in price_quotes(path, "coingecko", FEEDS) if since <= quote.time < until)
    for number, quote in enumerate(wanted, start=1):
        time = int(from_iso(quote.time))
        rounds[quote.base] += 1
        words = (round(float(quote.price) * 1e8), rounds[quote.base], time)
        log = {
            "address": FEEDS[quote.base][0],
            "topics": [pushed, *(f"0x{word:064x}" for word in words[:2])],
            "data": f"0x{time:064x}",
        }
        frames += block_frames([log], 1, {0: Header(number=hex(number), timestamp=hex(time), hash="")})
        if number == 1:
            calls = [
                call
                for feed, name in FEEDS.values()
                for call in (
                    answer(decimals, feed, 8),
                    answer(description, feed, name),
                    refusal(abi.function("aggregator()", "address"), feed),
                )
            ]
            frames.append(ReadsFrame(1, hex(number), tuple(calls)))
    return frames


def in_time(*streams: Iterable[QuoteFrame]) -> Iterator[QuoteFrame]:
    """Several streams of quotes as one, by time, then by venue and pair."""
    return iter(sorted(itertools.chain(*streams), key=lambda q: (from_iso(q.time), q.venue, q.base, q.quote)))


def write_recording(path: Path, frames: Iterable[Frame]) -> None:
    """Frames as a recording: gzip, one JSON object a line; the same frames give the same bytes."""
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as packed:
        for frame in frames:
            packed.write(encode(frame) + b"\n")


def read_recording(path: Path) -> list[Frame]:
    """A recording's frames, every line of which must be sound."""
    with gzip.open(path, "rb") as packed:
        return [decode(line) for line in io.BufferedReader(packed)]
