"""Feeds, markets and transfers of the bundled demo: watched by the models, told where it is right, and the same after a
restart in mid-stream and after a reorg that brought the same blocks back."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import msgspec
import pytest

from defiwatch.collectors.recording import RecordingReader
from defiwatch.commands.demo import bundled
from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, HeaderFrame, ReadsFrame, RemovedFrame
from defiwatch.domain.risk import Alert
from defiwatch.engine.core import Engine
from defiwatch.engine.keeping import Keeper
from defiwatch.models.checkpoint import pack

CHAIN = 31337
KINDS = ("feed", "market", "transfer")


@lru_cache(maxsize=1)
def frames() -> tuple[Frame, ...]:
    with bundled() as path:
        return tuple(RecordingReader(path, lambda _: None))


def played(engine: Engine, part: tuple[Frame, ...]) -> list[Alert]:
    return [alert for frame in part for alert in engine.feed(frame)]


@lru_cache(maxsize=1)
def through() -> tuple[Engine, tuple[Alert, ...]]:
    engine = Engine(Config(), mode="replay")
    return engine, tuple(played(engine, frames()))


def place(of: type[Frame], share: float) -> int:
    """The first frame of a kind after that share of the recording."""
    start = int(share * len(frames()))
    return next(i for i, frame in enumerate(frames()) if i >= start and isinstance(frame, of))


def test_every_kind_of_subject_is_watched() -> None:
    rows = {row.name: row for row in through()[0].lines[CHAIN].judge.models.report()}
    for kind in KINDS:
        assert rows[f"{kind} tails"].events > 100
        assert 0.0 <= (rows[f"{kind} tails"].value or 0.0) < 0.05


def test_what_is_told_of_them_is_right() -> None:
    """The one thing beyond all others: the pool that its provider drained sent the whole of its WBTC away at once."""
    (whale,) = [alert for alert in through()[1] if alert.kind == "flow.whale" and alert.state == "raised"]
    drains = [alert for alert in through()[1] if alert.kind == "pool.drain" and alert.state == "raised"]
    assert whale.evidence.block in {alert.evidence.block for alert in drains}
    assert whale.title.startswith("WBTC: one transfer of 37.8 WBTC")
    assert [alert.kind for alert in through()[1] if alert.kind in ("feed.anomaly", "market.anomaly")] == []


@pytest.mark.parametrize(("of", "share"), [(BlockFrame, 0.4), (ReadsFrame, 0.75)])
def test_a_restart_in_mid_stream_gives_the_same_as_none(tmp_path: Path, of: type[Frame], share: float) -> None:
    """Kept after a block whose reads are still to come too: what its facts showed is not lost."""
    cut = place(of, share) + 1
    before = Engine(Config(), mode="replay")
    told = played(before, frames()[:cut])
    keeper = Keeper(before, tmp_path)
    keeper.save()
    keeper.close()
    after = Engine(Config(), mode="replay")
    after.feed(next(frame for frame in frames() if isinstance(frame, HeaderFrame)))
    again = Keeper(after, tmp_path)
    again.open()
    assert again.resumed, after.notices()
    told += played(after, frames()[cut:])
    again.close()
    assert _learnt(after) == _learnt(through()[0])
    assert [msgspec.json.encode(alert) for alert in told] == [msgspec.json.encode(alert) for alert in through()[1]]


def test_blocks_that_a_reorg_takes_and_brings_back_are_learnt_once() -> None:
    engine, _ = through()
    twice = Engine(Config(), mode="replay")
    last: list[Frame] = []
    reorgs = 0
    for i, frame in enumerate(frames()):
        twice.feed(frame)
        if isinstance(frame, BlockFrame):
            last = [frame]
        elif isinstance(frame, ReadsFrame) and last:
            last.append(frame)
        calm = i + 1 < len(frames()) and isinstance(frames()[i + 1], BlockFrame)
        if i % 20 == 19 and calm and last and isinstance(last[0], BlockFrame) and last[0].header.hash:
            header = last[0].header
            twice.feed(RemovedFrame(chain_id=CHAIN, number=header.number, hash=header.hash or ""))
            for again in last:
                twice.feed(again)
            reorgs += 1
    assert reorgs >= 5
    assert _learnt(twice) == _learnt(engine)


def test_markets_expect_what_their_positions_are_likely_to_owe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held against the rows of the positions; the demo is too short for a volatility that counts, so less is asked."""
    monkeypatch.setattr("defiwatch.models.outlook.KNOWN_S", 60.0)
    engine = Engine(Config(), mode="replay")
    played(engine, frames()[: place(BlockFrame, 0.6)])
    snapshot, owners = engine.snapshot(), engine.lines[CHAIN].judge.outlook.owners
    markets = [row for row in snapshot.markets if row.protocol == "aave_v3" and row.expected_liquidations_usd]
    assert len(markets) >= 2
    for row in markets:
        expected = row.expected_liquidations_usd
        assert 0.0 <= expected["1h"] <= expected["24h"] <= expected["7d"] <= row.borrowed_usd * 1.001
        assert any(name == "expected liquidations" for name, _ in row.facts)
    near = [
        row
        for row in snapshot.positions
        if row.protocol == "aave_v3" and row.health_factor is not None and row.health_factor < 3.0
    ]
    share = owners.share.get()
    for horizon in ("1h", "24h", "7d"):
        told = sum(
            row.debt_usd * (1.0 if (row.health_factor or 0.0) < 1.0 else share * row.p_liquidation.get(horizon, 0.0))
            for row in near
        )
        assert sum(row.expected_liquidations_usd[horizon] for row in markets) == pytest.approx(told, rel=1e-3)
        assert told > 0.0


def _learnt(engine: Engine) -> bytes:
    """What the models know, and what they are yet to learn."""
    line = engine.lines[CHAIN]
    owed = [(at.number, obs) for at, found in line.owed for obs in found]
    models = msgspec.structs.replace(engine.checkpoint(), budget=None, outlooks={})
    return pack(models) + msgspec.json.encode(owed)
