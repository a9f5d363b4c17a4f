"""Real recorded blocks and receipts: what is in them, counted and as values."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from defiwatch.config import Deployment
from defiwatch.domain.events import Event, Swapped
from defiwatch.domain.frames import BlockFrame, ReadsFrame
from defiwatch.domain.keccak import topic
from defiwatch.domain.units import from_hex
from defiwatch.protocols.chainlink import AnswerUpdated, Ocr1Transmission
from defiwatch.protocols.erc20 import Approval, Transfer
from defiwatch.protocols.registry import PROTOCOLS, decode_any, decoders
from defiwatch.protocols.uniswap_v2 import V2Mint, V2Swap, V2Sync, get_amount_out
from tests import convert
from tests.unit.protocols.play import Player

pytestmark = pytest.mark.data


def decoded(blocks: list[BlockFrame]) -> list[tuple[BlockFrame, Event]]:
    found = ((block, decode_any(log)) for block in blocks for log in block.logs)
    return [(block, event) for block, event in found if event is not None]


def counts(events: list[tuple[BlockFrame, Event]]) -> dict[str, int]:
    return Counter(type(event).__name__ for _, event in events)


def test_two_ethereum_blocks_event_by_event(data_folder: Path) -> None:
    blocks = convert.etl_blocks(data_folder / "eth_blocks_17173049_17173050")
    assert [(from_hex(b.header.number), len(b.logs)) for b in blocks] == [(17173049, 271), (17173050, 410)]
    assert blocks[1].header.parent_hash == blocks[0].header.hash
    found = counts(decoded(blocks))
    expected = {
        "V2Swap": 69,
        "V2Sync": 69,
        "V3Swap": 10,
        "AnswerUpdated": 2,
        "Ocr1Transmission": 2,
        "NewRound": 2,
        "Transfer": 282,
        "NftTransfer": 9,
        "WrapDeposit": 30,
        "WrapWithdrawal": 31,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["Approval"] + found.get("NftApproval", 0) == 86


def test_two_ethereum_blocks_transfers_equal_the_sources_own(data_folder: Path) -> None:
    folder = data_folder / "eth_blocks_17173049_17173050"
    ours = [
        (from_hex(block.header.number), event)
        for block, event in decoded(convert.etl_blocks(folder))
        if isinstance(event, Transfer)
    ]
    expected = [
        (
            row["block_number"],
            Transfer(
                address=row["token_address"],
                tx=row["transaction_hash"],
                log_index=row["log_index"],
                sender=row["from_address"],
                recipient=row["to_address"],
                amount=row["value"],
            ),
        )
        for row in convert.lines(folder / "expected_token_transfers.json.gz")
    ]
    nfts = {
        (from_hex(block.header.number), from_hex(log.log_index or "0x0"))
        for block in convert.etl_blocks(folder)
        for log in block.logs
        if len(log.topics) == 4
    }
    assert ours == [item for item in expected if (item[0], item[1].log_index) not in nfts]
    assert len(ours) == 282


def test_two_ethereum_blocks_oracle_answers_are_what_the_oracles_sent(data_folder: Path) -> None:
    events = decoded(convert.etl_blocks(data_folder / "eth_blocks_17173049_17173050"))
    sent = {(e.address, e.aggregator_round_id): e for _, e in events if isinstance(e, Ocr1Transmission)}
    answers = [(block, e) for block, e in events if isinstance(e, AnswerUpdated)]
    assert len(answers) == len(sent) == 2
    for block, told in answers:
        transmission = sent[told.address, told.round_id]
        assert (
            told.current
            == transmission.answer
            == sorted(transmission.observations)[len(transmission.observations) // 2]
        )
        assert told.updated_at == from_hex(block.header.timestamp)


RECEIPTS = {
    "Transfer": 5047,
    "NftTransfer": 22,
    "Approval": 1088,
    "NftApproval": 1,
    "CTokenMint": 1,
    "V2Mint": 16,
    "V2Burn": 3,
    "V2Swap": 69,
    "V2Sync": 72,
    "V3Swap": 103,
    "V3Mint": 10,
    "V3Burn": 13,
    "V3Collect": 14,
    "WrapDeposit": 81,
    "WrapWithdrawal": 71,
}
"""The folder's PROVENANCE.md, shared first topics told apart by the number of topics.

Of the 17 Mint(address,uint256,uint256) it says "1 a v2 pair's, 16 cTokens'"; the logs themselves say that 1 has no
indexed parameter (cDAI at 0x5d3a…3643, with Compound's AccrueInterest beside it) and 16 have one. Those 16 have one
shape and three kinds of owner, which only the address tells: `test_mints_of_one_shape_are_told_apart_by_their_owner`.
"""


def test_receipts_of_ten_chains(data_folder: Path) -> None:
    by_chain = convert.receipt_blocks(data_folder / "rotki_receipts" / "receipts.jsonl.gz")
    assert sorted(by_chain) == [1, 10, 56, 100, 137, 143, 999, 8453, 42161, 534352]
    assert sum(len(block.logs) for blocks in by_chain.values() for block in blocks) == 10167
    found = counts([item for blocks in by_chain.values() for item in decoded(blocks)])
    assert {name: found[name] for name in RECEIPTS} == RECEIPTS


def test_mints_of_one_shape_are_told_apart_by_their_owner(data_folder: Path) -> None:
    """A pair emits Sync beside it, Uniswap's with uint112, Solidly's with uint256; Aave v2's tokens emit none."""
    found: Counter[str] = Counter()
    for row in convert.lines(data_folder / "rotki_receipts" / "receipts.jsonl.gz"):
        logs = [convert.raw_log(item) for item in row["receipt"]["logs"]]
        for log in logs:
            if not isinstance(decode_any(log), V2Mint):
                continue
            beside = {other.topics[0] for other in logs if other.address == log.address and other.topics}
            if topic("Sync(uint112,uint112)") in beside:
                found["uniswap_v2"] += 1
            elif topic("Sync(uint256,uint256)") in beside:
                found["solidly"] += 1
            else:
                found["aave_v2"] += 1
    assert found == {"uniswap_v2": 5, "solidly": 5, "aave_v2": 6}


def test_every_log_of_an_event_that_is_known_decodes_or_is_told_apart(data_folder: Path) -> None:
    """Of the logs whose first topic is known none is left over: each fits exactly one event."""
    by_chain = convert.receipt_blocks(data_folder / "rotki_receipts" / "receipts.jsonl.gz")
    table = decoders()
    odd: list[tuple[int, str, int, int]] = []
    for chain_id, blocks in by_chain.items():
        for block in blocks:
            for log in block.logs:
                if not log.topics or log.topics[0] not in table:
                    continue
                fitting = [spec for spec in table[log.topics[0]] if spec.fits(log)]
                if len({spec.type for spec in fitting}) != 1:
                    odd.append((chain_id, log.topics[0], len(log.topics), len(log.data)))
    assert odd == []


def test_the_receipts_hold_what_every_followed_protocol_emits(data_folder: Path) -> None:
    """A decoder that no recorded log meets would be untested: what is missing is listed here."""
    by_chain = convert.receipt_blocks(data_folder / "rotki_receipts" / "receipts.jsonl.gz")
    met = {log.topics[0] for blocks in by_chain.values() for block in blocks for log in block.logs if log.topics}
    swap = topic("Swap(address,uint256,uint256,uint256,uint256,address)")
    assert swap in met
    own = {spec.name: {event.topic0 for event in spec.events} for spec in PROTOCOLS}
    assert own["erc20"] <= met
    assert len(own["uniswap_v2"] & met) >= 4
    assert len(own["uniswap_v3"] & met) >= 4


def test_twelve_hours_of_the_busiest_pool_stay_between_2190_and_2290(data_folder: Path) -> None:
    frames = convert.v3_recording(data_folder / "uniswap_v3_usdc_weth_20240105")
    player = Player(Deployment(chain="ethereum", protocol="uniswap_v3", pools=(convert.USDC_WETH_POOL,)))
    prices: list[float] = []
    swaps = 0
    for frame in frames:
        if not isinstance(frame, BlockFrame | ReadsFrame):
            continue
        facts = player.frame(frame)
        swaps += sum(isinstance(fact, Swapped) for fact in facts)
        pool = player.instance.pool(player.book, convert.USDC_WETH_POOL)
        if isinstance(frame, BlockFrame) and pool is not None and pool.symbols == ("USDC", "WETH"):
            prices.append(1 / pool.price)
            assert all(fact.price == pool.price for fact in facts[-1:] if isinstance(fact, Swapped))
    assert swaps == 2842
    assert len(prices) == 1911  # all blocks but the first, whose reads come after it
    assert 2190 < min(prices) < max(prices) < 2290
    assert max(prices) - min(prices) > 10


def test_the_pool_replays_without_any_read(data_folder: Path) -> None:
    """A bare-log recording: the price is raw, and the pool says so."""
    frames = convert.v3_recording(data_folder / "uniswap_v3_usdc_weth_20240105", with_reads=False)
    player = Player(Deployment(chain="ethereum", protocol="uniswap_v3", pools=(convert.USDC_WETH_POOL,)))
    for frame in frames:
        if isinstance(frame, BlockFrame):
            player.frame(frame)
    pool = player.instance.pool(player.book, convert.USDC_WETH_POOL)
    assert pool is not None
    assert 2190 < 1e12 / pool.price < 2290
    assert pool.label == "0x88e6…5640"
    assert pool.unknown.startswith("tokens not read")


def test_liquidity_after_each_mint_and_burn_is_what_the_next_swap_says(data_folder: Path) -> None:
    """The pool's own word: active liquidity kept from Mint and Burn equals what a swap that crosses no tick states."""
    frames = convert.v3_recording(data_folder / "uniswap_v3_usdc_weth_20240105")
    player = Player(Deployment(chain="ethereum", protocol="uniswap_v3", pools=(convert.USDC_WETH_POOL,)))
    checked = moved = 0
    pending = False
    before: tuple[int, int] | None = None
    swap = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
    for block in frames:
        if not isinstance(block, BlockFrame):
            continue
        for log in block.logs:
            one = BlockFrame(1, block.header, (log,))
            player.frame(one)
            pool = player.instance.pool(player.book, convert.USDC_WETH_POOL)
            assert pool is not None
            tick = int(log.data[-64:], 16) if log.topics[0] == swap else None
            if tick is None:
                moved += before is not None and before[0] != pool.liquidity
                pending = pending or (before is not None and before[0] != pool.liquidity)
            elif pending and before is not None and tick // 10 == before[1] // 10:
                checked += 1
                assert before[0] == pool.liquidity
                pending = False
            else:
                pending = False
            before = (pool.liquidity, tick if tick is not None else (before[1] if before else 0))
    assert moved >= 10
    assert checked >= 5


def test_approvals_carry_the_limit_that_was_given(data_folder: Path) -> None:
    by_chain = convert.receipt_blocks(data_folder / "rotki_receipts" / "receipts.jsonl.gz")
    amounts = [event.amount for _, event in decoded(by_chain[1]) if isinstance(event, Approval)]
    assert 2**256 - 1 in amounts
    assert min(amounts) == 0


def test_a_recording_comes_back_as_it_was_written(data_folder: Path, tmp_path: Path) -> None:
    frames = convert.v3_recording(data_folder / "uniswap_v3_usdc_weth_20240105")[:50]
    path = tmp_path / "pool.jsonl.gz"
    convert.write_recording(path, frames)
    first = path.read_bytes()
    assert convert.read_recording(path) == frames
    convert.write_recording(path, frames)
    assert path.read_bytes() == first


def test_csv_prices_become_quotes(data_folder: Path) -> None:
    quotes = list(convert.price_quotes(data_folder / "coingecko_hourly" / "prices.csv.gz", "coingecko", ["UST"]))
    assert len(quotes) == 2870
    assert (quotes[0].time[:19], quotes[0].base, quotes[0].quote) == ("2021-12-02T03:00:23", "UST", "USD")
    klines = list(
        convert.kline_quotes(
            data_folder / "binance_1m_incidents" / "busd_2023.BUSDUSDT.1m.csv.gz", "binance", "BUSD", "USDT"
        )
    )
    assert len(klines) == 23040
    assert (klines[0].time, klines[0].price) == ("2023-02-13T00:01:00Z", "0.9998")


def test_pairs_never_paid_more_than_the_formula_says(data_folder: Path) -> None:
    """Mainnet's own swaps: no pair paid more than `get_amount_out` of its reserves, and most paid just that."""
    exact = met = 0
    reserves: dict[str, tuple[int, int]] = {}
    after: dict[str, tuple[int, int]] = {}
    for _, event in decoded(convert.etl_blocks(data_folder / "eth_blocks_17173049_17173050")):
        if isinstance(event, V2Sync):
            reserves[event.address] = after.get(event.address, (0, 0))
            after[event.address] = (event.reserve0, event.reserve1)
        elif isinstance(event, V2Swap) and all(reserves[event.address]):
            held = reserves[event.address]
            paid, got = (event.amount0_in, event.amount1_in), (event.amount0_out, event.amount1_out)
            if 0 in paid and 0 in got:
                side = 0 if paid[0] else 1
                limit = get_amount_out(paid[side], held[side], held[1 - side])
                assert got[1 - side] <= limit
                met += 1
                exact += got[1 - side] == limit
                assert after[event.address][side] == held[side] + paid[side]
    assert (met, exact) == (31, 28)
