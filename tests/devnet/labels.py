"""What really happened in a story, from the chain's own logs and answers: the truth that alerts are held against.

A label's span is [from, to], both block times:
    liquidation.warning    the first and last block in which a borrower's health factor was below 1 or a liquidation
                           of it went through (one in the block of the fall itself leaves no factor below 1 behind)
    liquidation.executed   the blocks of a borrower's first and last liquidation
    pool.drain             the blocks of the first and last withdrawal
    price.depeg            the first and last block with the market price 0.5 % or more off the peg
    oracle.deviation       the first and last block of a run of blocks with a feed 3 % or more off the market
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from . import abi, set_pieces

if TYPE_CHECKING:
    from .scenario import Played, Scenario

WAD = 10**18
LIQUIDATION = abi.topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")
MORPHO_LIQUIDATION = abi.topic("Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)")
ANSWER = abi.topic("AnswerUpdated(int256,uint256,uint256)")
DEPEG, DEVIATION = 0.005, 0.03
SAFE, WELL_ABOVE = 1.15, 1.10


def iso(timestamp: int) -> str:
    """Seconds to ISO 8601 in UTC."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Label:
    """One thing that happened; `start` and `end` in seconds."""

    kind: str
    subject: str
    start: int
    end: int

    def as_dict(self) -> dict[str, str]:
        """A line of a labels file."""
        return {"kind": self.kind, "subject": self.subject, "from": iso(self.start), "to": iso(self.end)}


@dataclass(frozen=True, slots=True)
class Liquidation:
    """A `LiquidationCall`: amounts in units, addresses lower-case."""

    block: int
    timestamp: int
    user: str
    collateral: str
    debt: str
    covered: int
    seized: int
    liquidator: str
    receive_a_token: bool


@dataclass(frozen=True, slots=True)
class Labels:
    """The truth of a story.

    phases            phase -> (first block, last block)
    liquidations      on the canonical chain, in order; `removed` those that a reorg took back
    min_health        borrower -> the lowest health factor at the end of a block, wad
    jumped            borrowers that fell from 1.10 or more to below 1 (or into a liquidation) within one block
    never_close       borrowers that always stayed at 1.15 or more
    """

    labels: list[Label]
    phases: dict[str, tuple[int, int]]
    liquidations: list[Liquidation]
    morpho_liquidated: list[str]
    removed: list[Liquidation]
    min_health: dict[str, int]
    jumped: list[str]
    never_close: list[str]
    drained_pool: str
    depegged: str
    orphaned: list[tuple[int, str]]

    @property
    def liquidated(self) -> list[str]:
        """Borrowers liquidated on the canonical chain, in the order of the first time."""
        return list(dict.fromkeys(item.user for item in self.liquidations))


def liquidations_in(played: Played, pool: str) -> list[Liquidation]:
    """The Aave liquidations among a block's logs."""
    found: list[Liquidation] = []
    for receipt in played.receipts:
        for log in receipt.logs:
            if log["address"].lower() != pool or log["topics"][0] != LIQUIDATION:
                continue
            covered, seized, liquidator, a_token = abi.words(log["data"])
            collateral, debt, user = (abi.topic_address(topic) for topic in log["topics"][1:])
            who = "0x" + liquidator.to_bytes(20, "big").hex()
            row = (
                played.number,
                played.timestamp,
                user,
                collateral,
                debt,
                covered,
                seized,
                who,
                bool(a_token),
            )
            found.append(Liquidation(*row))
    return found


def label(story: Scenario) -> Labels:
    """Everything that can be told from the blocks played so far."""
    devnet = story.devnet
    blocks = [story.blocks[number] for number in sorted(story.blocks)]
    pool = devnet.aave.pool
    executed = [item for played in blocks for item in liquidations_in(played, pool)]
    removed = [item for played in story.orphans for item in liquidations_in(played, pool)]
    first_open = story.start_block
    history = {number: row for number, row in sorted(story.health.items()) if number >= first_open}
    min_health = {user: min(row[user] for row in history.values()) for user in devnet.roles.borrowers}
    phases: dict[str, tuple[int, int]] = {}
    for played in blocks:
        low, _ = phases.get(played.phase, (played.number, 0))
        phases[played.phase] = (low, played.number)
    labels = _liquidation_labels(story, history, executed) + _market_labels(story, blocks)
    return Labels(
        labels=sorted(labels, key=lambda item: (item.start, item.kind, item.subject)),
        phases=phases,
        liquidations=executed,
        morpho_liquidated=[
            abi.topic_address(log["topics"][3])
            for played in blocks
            for receipt in played.receipts
            for log in receipt.logs
            if log["topics"][0] == MORPHO_LIQUIDATION
        ],
        removed=removed,
        min_health=min_health,
        jumped=_jumped(history, {(item.block, item.user) for item in executed}),
        never_close=[user for user, lowest in min_health.items() if lowest >= SAFE * WAD],
        drained_pool=set_pieces.drained_pool(devnet).address,
        depegged="USDT",
        orphaned=[(played.number, played.hash) for played in story.orphans],
    )


def _jumped(history: dict[int, dict[str, int]], executed: set[tuple[int, str]]) -> list[str]:
    jumped = [
        user
        for (_, before), (number, after) in pairwise(history.items())
        for user in after
        if before[user] >= WELL_ABOVE * WAD and (after[user] < WAD or (number, user) in executed)
    ]
    return list(dict.fromkeys(jumped))


def _liquidation_labels(
    story: Scenario, history: dict[int, dict[str, int]], executed: list[Liquidation]
) -> list[Label]:
    labels: list[Label] = []
    for user in story.devnet.roles.borrowers:
        below = [story.blocks[number].timestamp for number, row in history.items() if row[user] < WAD]
        times = [item.timestamp for item in executed if item.user == user]
        if below or times:
            labels.append(Label("liquidation.warning", user, min(below + times), max(below + times)))
        if times:
            labels.append(Label("liquidation.executed", user, times[0], times[-1]))
    return labels


def _market_labels(story: Scenario, blocks: list[Played]) -> list[Label]:
    labels: list[Label] = []
    told = [played for played in blocks if played.index is not None]
    off = [played.timestamp for played in told if abs(story.market[played.number]["USDT"] - 1.0) >= DEPEG]
    if off:
        labels.append(Label("price.depeg", "USDT", off[0], off[-1]))
    withdrawals = [played.timestamp for played in told if any("liquidity out of" in words for words in played.what)]
    if withdrawals:
        pool = set_pieces.drained_pool(story.devnet).address
        labels.append(Label("pool.drain", pool, withdrawals[0], withdrawals[-1]))
    return labels + _deviations(story, told)


def _deviations(story: Scenario, told: list[Played]) -> list[Label]:
    answers = dict(story.devnet.start_prices)
    by_aggregator = {feed.aggregator: asset for asset, feed in story.devnet.feeds.items()}
    runs: dict[str, list[list[int]]] = {asset: [[]] for asset in answers}
    for played in told:
        for receipt in played.receipts:
            for log in receipt.logs:
                asset = by_aggregator.get(log["address"].lower())
                if asset is not None and log["topics"][0] == ANSWER:
                    answers[asset] = int(log["topics"][1], 16) / 1e8
        for asset, answer in answers.items():
            if abs(answer / story.market[played.number][asset] - 1.0) >= DEVIATION:
                runs[asset][-1].append(played.timestamp)
            elif runs[asset][-1]:
                runs[asset].append([])
    return [Label("oracle.deviation", asset, run[0], run[-1]) for asset, spans in runs.items() for run in spans if run]
