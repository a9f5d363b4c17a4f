"""The whole line, live, on a real chain: exact at every block, through a reorg, and again from its recording."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from defiwatch.config import Config, parse
from defiwatch.domain.frames import BlockFrame, Frame, ReadsFrame, RemovedFrame, decode, encode
from defiwatch.domain.risk import Alert
from defiwatch.engine import Engine, run_live
from defiwatch.engine.line import Line
from tests.devnet.config import config_toml
from tests.devnet.model import Devnet
from tests.devnet.scenario import Scenario
from tests.devnet.truth import truth

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(240)]


@dataclass
class Run:
    """What a live run left behind."""

    config: Config
    frames: list[Frame] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    compared: int = 0
    differences: list[str] = field(default_factory=list)
    digest: str = ""
    head: int = 0
    reorgs: int = 0


async def _settled(line: Line, devnet: Devnet) -> None:
    """Wait until the line stands on the chain's head with all its reads."""
    height = devnet.chain.node.height()
    wanted = str(devnet.chain.node.block(height)["hash"]).lower()
    async with asyncio.timeout(20):
        while (head := line.intake.head) is None or head.hash != wanted or line.wants():
            await asyncio.sleep(0.005)


def _compare(run: Run, line: Line, devnet: Devnet) -> None:
    """Every borrower's account data, ours against the contract's, at the head."""
    head = line.intake.head
    assert head is not None
    ours = {p.account: p for p in line.positions() if p.protocol == "aave_v3"}
    for user, theirs in truth(devnet, head.number, probe=False).accounts.items():
        mine = ours.get(user.lower())
        run.compared += 1
        if mine is None:
            if theirs.collateral_base or theirs.debt_base:
                run.differences.append(f"block {head.number} {user}: not on the book")
        elif (mine.health_factor, mine.collateral_base, mine.debt_base) != (
            theirs.health_factor,
            theirs.collateral_base,
            theirs.debt_base,
        ):
            run.differences.append(f"block {head.number} {user}: {mine.health_factor} is not {theirs.health_factor}")


async def _live(devnet: Devnet, scenario: Scenario) -> Run:
    run = Run(parse(config_toml(devnet), "devnet"))
    engine = Engine(run.config, on_alert=run.alerts.append, on_frame=lambda _, frame: run.frames.append(frame))
    run.frames.append(engine.header())
    line = engine.lines[31337]
    stop = asyncio.Event()
    task = asyncio.create_task(run_live(engine, lookback=2_000, duration=None, once=False, stop=stop))
    try:
        await _settled(line, devnet)
        for step in scenario.steps():
            await asyncio.to_thread(step.run)
            await _settled(line, devnet)
            await asyncio.to_thread(_compare, run, line, devnet)
    finally:
        stop.set()
        await task
    head = line.intake.head
    assert head is not None
    run.digest, run.head, run.reorgs = line.intake.book.digest(), head.number, line.intake.reorgs
    return run


@pytest.fixture(scope="module")
def _once() -> dict[str, Run]:
    return {}


@pytest.fixture
def lived(devnet: Devnet, scenario: Scenario, _once: dict[str, Run]) -> Run:
    if "run" not in _once:
        _once["run"] = asyncio.run(_live(devnet, scenario))
    return _once["run"]


def _again(run: Run, frames: list[Frame]) -> tuple[Engine, list[Alert]]:
    engine = Engine(run.config, mode="replay")
    alerts = [alert for frame in frames for alert in engine.feed(decode(encode(frame)))]
    return engine, alerts + engine.finish()


def _canonical(frames: list[Frame]) -> Iterator[Frame]:
    """The frames of a run that never saw the orphaned blocks."""
    orphaned = {frame.hash for frame in frames if isinstance(frame, RemovedFrame)}
    for frame in frames:
        if isinstance(frame, RemovedFrame):
            continue
        if isinstance(frame, BlockFrame) and frame.header.hash in orphaned:
            continue
        if isinstance(frame, ReadsFrame) and frame.block_hash in orphaned:
            continue
        yield frame


def test_every_borrower_at_every_block_equals_the_contract(lived: Run) -> None:
    assert lived.differences == []
    assert lived.compared > 32 * 150


def test_the_reorg_was_seen_and_what_rested_on_it_retracted(lived: Run) -> None:
    removed = [frame for frame in lived.frames if isinstance(frame, RemovedFrame)]
    assert len(removed) == 3
    assert lived.reorgs == 1
    hashes = {frame.hash for frame in removed}
    orphaned = [a for a in lived.alerts if a.evidence.block_hash in hashes and a.state == "raised"]
    retracted = {a.key for a in lived.alerts if a.state == "retracted"}
    assert any(alert.kind == "liquidation.executed" for alert in orphaned)
    assert {alert.key for alert in orphaned} <= retracted


def test_after_the_reorg_the_state_is_that_of_a_run_without_it(lived: Run) -> None:
    engine, _ = _again(lived, list(_canonical(lived.frames)))
    assert engine.lines[31337].intake.book.digest() == lived.digest


def test_the_recording_of_the_run_prints_the_same_alerts(lived: Run) -> None:
    engine, alerts = _again(lived, lived.frames)
    assert [encode_alert(a) for a in alerts] == [encode_alert(a) for a in lived.alerts]
    assert engine.lines[31337].intake.book.digest() == lived.digest


def encode_alert(alert: Alert) -> bytes:
    import msgspec

    return msgspec.json.encode(alert)
