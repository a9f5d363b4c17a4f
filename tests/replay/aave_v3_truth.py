"""The recordings of newer Aave v3 revisions, and what the contracts themselves answered at every block of them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from defiwatch.config import Deployment
from defiwatch.domain import frames
from defiwatch.domain.frames import BlockFrame, CallResult, Frame, HeaderFrame, RawLog, ReadsFrame, RemovedFrame
from defiwatch.engine.intake import Intake
from defiwatch.protocols.aave_v3 import AaveV3, views
from defiwatch.protocols.abi import Call, encode

CHAIN_ID = 31337
Row = dict[str, Any]


class Recording:
    """One folder: its frames, its truth by block hash, and what its first reads say of tokens."""

    def __init__(self, folder: Path) -> None:
        with gzip.open(folder / "recording.jsonl.gz", "rb") as lines:
            self.frames: list[Frame] = [frames.decode(line) for line in lines]
        with gzip.open(folder / "truth.jsonl.gz", "rb") as lines:
            rows: list[Row] = [msgspec.json.decode(line) for line in lines]
        self.truth = {row["hash"]: row for row in rows}
        header = self.frames[0]
        assert isinstance(header, HeaderFrame)
        self.provider: str = msgspec.json.decode(header.deployments[0])["address"]
        self.answers: dict[tuple[str, str], CallResult] = {}
        self.at_block: dict[tuple[str, str], CallResult] = {}
        """What was answered at a block: by its hash, and the calldata."""
        for frame in self.frames:
            if isinstance(frame, ReadsFrame):
                for call in frame.calls:
                    self.answers.setdefault((call.to, call.data), call)
                    self.at_block[frame.block_hash, call.data] = call

    def line(self) -> tuple[AaveV3, Intake]:
        instance = AaveV3(CHAIN_ID, Deployment(chain="devnet", protocol="aave_v3", address=self.provider))
        return instance, Intake(CHAIN_ID, [instance], journal=512)


def feed(intake: Intake, frame: Frame) -> None:
    if isinstance(frame, BlockFrame):
        intake.on_block(frame)
    elif isinstance(frame, ReadsFrame):
        intake.on_reads(frame)
    elif isinstance(frame, RemovedFrame):
        intake.on_removed(frame)


def settled(recording: Recording, intake: Intake) -> Iterator[Row]:
    """Feed everything; gives the truth of each block once its reads are in."""
    for i, frame in enumerate(recording.frames):
        feed(intake, frame)
        more = i + 1 < len(recording.frames) and isinstance(recording.frames[i + 1], ReadsFrame)
        if isinstance(frame, ReadsFrame) and not more:
            assert intake.head is not None
            yield recording.truth[intake.head.hash]


class Node:
    """Answers any call from the truth of one block, as the chain would have: for starts in mid-life."""

    def __init__(self, recording: Recording, revisions: dict[int, int]) -> None:
        self.recording = recording
        self.revisions = revisions
        self.tokens: dict[str, tuple[str, str]] = {}
        row = next(iter(recording.truth.values()))
        self.pool = "0x" + recording.answers[recording.provider.lower(), views.GET_POOL.selector].result[26:]  # type: ignore[index]
        for symbol, reserve in row["reserves"].items():
            data = recording.answers[self.pool, views.RESERVE_DATA.call(self.pool, reserve["asset"]).data].result
            assert data is not None
            self.tokens["0x" + data[2 + 64 * 8 + 24 : 2 + 64 * 9]] = (symbol, "a")
            self.tokens["0x" + data[2 + 64 * 10 + 24 : 2 + 64 * 11]] = (symbol, "v")

    def answer(self, call: Call, row: Row) -> CallResult:
        """What `call` returns at the block of `row`."""
        value = self._value(call, row)
        if isinstance(value, CallResult):
            return value
        result = value if isinstance(value, str) else "0x" + "".join(f"{word:064x}" for word in value)
        return CallResult(call.to, call.data, result=result)

    def _value(self, call: Call, row: Row) -> tuple[int, ...] | str | CallResult:
        selector, rest = call.data[:10], call.data[10:]
        asset = "0x" + rest[24:64]
        symbol = next((s for s, reserve in row["reserves"].items() if reserve["asset"] == asset), "")
        reserve = row["reserves"].get(symbol, {})
        user = row["users"].get(asset, {"config": "0x0", "emode": 0, "a": {}, "v": {}})
        if call.to in self.tokens:
            token, kind = self.tokens[call.to]
            if selector == views.SCALED_SUPPLY.selector:
                return (int(row["reserves"][token][f"{kind}ScaledTotalSupply"]),)
            if selector == views.SCALED_BALANCE.selector:
                return (int(user[kind].get(token, "0")),)
        if selector == views.POOL_REVISION.selector:
            return (max(rev for block, rev in self.revisions.items() if block <= row["block"]) if row else 0,)
        if selector == views.USER_CONFIGURATION.selector:
            return (int(user["config"], 16),)
        if selector == views.USER_EMODE.selector:
            return (user["emode"],)
        fields = {
            views.RESERVE_DEFICIT.selector: "deficit",
            views.VIRTUAL_BALANCE.selector: "virtualUnderlyingBalance",
            views.GRACE_PERIOD.selector: "gracePeriodUntil",
        }
        if selector in fields:
            return (int(reserve[fields[selector]]),)
        if selector == views.ASSET_PRICE.selector:
            return self.recording.at_block[row["hash"], call.data]
        if selector == views.RESERVE_DATA.selector:
            return self._reserve_data(call, reserve)
        if selector in _CATEGORY:
            return self._category(selector, int(rest, 16), row)
        return self.recording.answers[call.to, call.data]

    def _reserve_data(self, call: Call, reserve: Row) -> str:
        known = self.recording.answers[call.to, call.data].result
        assert known is not None
        words = [int(known[i : i + 64], 16) for i in range(2, len(known), 64)]
        words[0] = int(reserve["configuration"], 16)
        for place, field in (
            (1, "liquidityIndex"),
            (2, "currentLiquidityRate"),
            (3, "variableBorrowIndex"),
            (4, "currentVariableBorrowRate"),
            (6, "lastUpdateTimestamp"),
            (12, "accruedToTreasury"),
        ):
            words[place] = int(reserve[field])
        return "0x" + "".join(f"{word:064x}" for word in words)

    def _category(self, selector: str, number: int, row: Row) -> tuple[int, ...] | str:
        found = row["emodes"].get(str(number), {})
        if selector == views.CATEGORY_LABEL.selector:
            return "0x" + encode(["string"], [f"category {number}" if found else ""])
        return tuple(int(found.get(field, 0)) for field in _CATEGORY[selector])


_CATEGORY = {
    views.CATEGORY_CONFIG.selector: ("ltv", "liquidationThreshold", "liquidationBonus"),
    views.CATEGORY_LABEL.selector: (),
    views.CATEGORY_COLLATERAL.selector: ("collateralBitmap",),
    views.CATEGORY_BORROWABLE.selector: ("borrowableBitmap",),
    views.CATEGORY_LTV_ZERO.selector: ("ltvzeroBitmap",),
    views.CATEGORY_ISOLATED.selector: ("isolated",),
}


def transfers(recording: Recording, tokens: set[str], topic0: str, until: str) -> list[RawLog]:
    """Every Transfer log of the tokens on the way to the block `until`, reorgs undone."""
    kept: list[BlockFrame] = []
    for frame in recording.frames:
        if isinstance(frame, RemovedFrame):
            kept.pop()
        elif isinstance(frame, BlockFrame):
            kept.append(frame)
            if frame.header.hash == until:
                break
    return [log for frame in kept for log in frame.logs if log.address in tokens and log.topics[0] == topic0]
