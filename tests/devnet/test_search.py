"""The search for everyone who has a position, cut in the middle: gone on with after a restart, and complete then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from defiwatch.collectors.chain import logs
from defiwatch.collectors.chain.filters import Query
from defiwatch.collectors.wire import Rpc
from defiwatch.config import Config, parse
from defiwatch.domain.frames import RawLog
from defiwatch.engine import Engine, run_live
from defiwatch.engine.keeping import Keeper
from defiwatch.engine.line import Line
from defiwatch.protocols.spec import Scan
from tests.devnet.config import config_toml
from tests.devnet.model import Devnet
from tests.devnet.runs import CHAIN
from tests.devnet.scenario import Scenario

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(280)]

SPAN = 8
"""Blocks in the first question; it doubles while answers are small."""


def config_of(devnet: Devnet) -> Config:
    text = config_toml(devnet, rpc=[devnet.http_url])
    return parse(text.replace('protocol = "aave_v3"', 'protocol = "aave_v3"\nscan = true'), "devnet")


def known(line: Line) -> dict[str, float]:
    """How much of each token's total is known, 0..1."""
    (aave,) = (instance for instance in line.intake.instances if instance.protocol == "aave_v3")
    head = line.intake.head
    assert head is not None
    return {
        market.symbol: market.debt_known / market.borrowed
        for market in aave.markets(line.intake.book, head)
        if market.borrowed
    }


async def run(engine: Engine, stop: asyncio.Event) -> None:
    await run_live(engine, lookback=4, duration=None, once=True, stop=stop)


async def test_a_search_that_is_cut_goes_on_and_ends_complete(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devnet = scenario.devnet
    steps = scenario.steps()
    for step in steps:
        step.run()
        if step.phase == "crash":
            break
    asked: list[tuple[frozenset[str], int]] = []
    plain = logs.plain

    async def counted(rpc: Rpc, query: Query, first: int, last: int) -> Sequence[RawLog]:
        asked.append((frozenset(query.addresses or ()), last))
        return await plain(rpc, query, first, last)

    monkeypatch.setattr(logs, "plain", counted)
    config = config_of(devnet)
    cut = Engine(config)
    line = cut.lines[CHAIN]
    line.limits["span"] = SPAN // 2
    keeper = Keeper(cut, tmp_path)
    stop, pieces = asyncio.Event(), 0
    note = line.searched

    def until_the_third(scan: Scan, first: int) -> None:
        """Kept after the second piece; what came after it is lost, as when the process is killed."""
        nonlocal pieces
        pieces += 1
        if pieces <= 2:
            note(scan, first)
        if pieces == 2:
            keeper.save()
            keeper.close()
            stop.set()

    monkeypatch.setattr(line, "searched", until_the_third)
    await run(cut, stop)
    half = dict(known(line))
    left = line.searches.dump()
    (cut_off,) = (search for search in left if int(search.key.partition("@")[2]) > search.next)
    assert any(part < 1.0 for part in half.values()), "it was cut too late for this test to tell anything"
    for _, step in zip(range(6), steps, strict=False):
        step.run()

    asked.clear()
    again = Engine(config)
    resumed = Keeper(again, tmp_path)
    resumed.open()
    assert resumed.resumed
    after = again.lines[CHAIN]
    assert after.searches.dump() == left
    await run(again, asyncio.Event())
    resumed.close()
    assert known(after) == dict.fromkeys(known(after), 1.0)
    assert set(known(after)) >= set(half)
    assert after.scans() == []
    again_asked = [last for addresses, last in asked if addresses <= set(cut_off.addresses)]
    assert max(again_asked) == cut_off.next, "it goes on where it was cut, and searches nothing twice"

    whole = Engine(config)
    await run(whole, asyncio.Event())
    theirs = {position.account: position for position in whole.lines[CHAIN].positions()}
    ours = {position.account: position for position in after.positions()}
    assert ours == theirs
    assert len(ours) > 20
