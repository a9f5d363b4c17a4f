"""Half a year of recorded prices as a feed would push them: the waves of liquidations of 2021, the budget, and what is
told after a crash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from defiwatch.commands.evaluate import read_labels
from defiwatch.commands.evaluate.altered import Ears, played
from defiwatch.commands.evaluate.command import within
from defiwatch.commands.evaluate.match import by_kind, listen
from defiwatch.commands.evaluate.rivals import BASELINES, rivals
from defiwatch.config import Alerts, Config
from defiwatch.domain.frames import BlockFrame, Frame
from defiwatch.domain.units import from_iso
from defiwatch.engine.core import Engine
from tests.convert import FEEDS, feed_recording
from tests.labels import rule

pytestmark = pytest.mark.data

KIND = "feed.anomaly"
PATH = Path("coingecko_hourly") / "prices.csv.gz"
SOAK = bool(os.environ.get("DEFIWATCH_SOAK"))


@pytest.mark.parametrize(("since", "labels", "least"), [("2021-01-01", 17, 6)] if SOAK else [("2021-05-01", 6, 1)])
def test_the_waves_of_2021_are_found_and_no_fewer_than_by_the_baselines(
    data_folder: Path, since: str, labels: int, least: int
) -> None:
    """An hourly price is late for a wave of liquidations: half of seventeen are found in half a year."""
    frames = feed_recording(data_folder / PATH, since=since, until="2021-06-01")
    known = within(frames, read_labels(rule.HERE / "aave_v2_cascades.jsonl"))
    ears = Ears(Config())
    heard = listen(ears.play(frames))
    kinds = by_kind(heard.raised, known, heard.span_days)
    ours = kinds[KIND]
    assert ours.labels == labels
    assert ours.found >= least
    assert ours.false_per_day is not None
    assert ours.false_per_day < 0.5
    others = rivals(ears.steps, kinds, known, heard.span_days, 7)
    assert set(others) == set(BASELINES)
    for other in others.values():
        assert other[KIND].false <= ours.false
        assert other[KIND].found <= ours.found - SOAK


@pytest.mark.parametrize(
    ("budget", "since"), [("5/week", "2021-01-01"), ("2/day", "2021-01-01")] if SOAK else [("2/day", "2021-04-01")]
)
def test_the_budget_is_held_over_a_crash(data_folder: Path, budget: str, since: str) -> None:
    engine = Engine(Config(alerts=Alerts(budget=budget)), mode="replay")
    frames = feed_recording(data_folder / PATH, since=since, until="2021-06-01")
    alerts = [alert for _, told in played(engine, frames) for alert in told]
    raised = sum((alert.kind, alert.state) == (KIND, "raised") for alert in alerts)
    due = engine.budget.tracker(KIND).due
    assert due >= 100.0
    assert raised == pytest.approx(due, rel=0.25)


def pushed(frames: Sequence[Frame], since: str, symbol: str, size: float) -> tuple[list[Frame], int]:
    """The frames with the feed's first push from `since` on moved by `size`, and the number of its block. The feed's
    next push is its own again."""
    feed, _ = FEEDS[symbol]
    for index, frame in enumerate(frames):
        if not isinstance(frame, BlockFrame) or int(frame.header.timestamp, 16) < from_iso(since):
            continue
        (log,) = frame.logs
        if log.address == feed:
            answer = int(int(log.topics[1], 16) * (1.0 + size))
            moved = msgspec.structs.replace(log, topics=(log.topics[0], f"0x{answer:064x}", log.topics[2]))
            changed = [*frames[:index], msgspec.structs.replace(frame, logs=(moved,)), *frames[index + 1 :]]
            return changed, int(frame.header.number, 16)
    raise AssertionError(f"{symbol} pushes nothing from {since} on")


@pytest.mark.parametrize(
    ("symbol", "size"),
    [("WETH", -0.2), *([("WBTC", -0.2), *((symbol, 0.3) for symbol in FEEDS)] if SOAK else [])],
)
def test_the_crash_of_may_2021_does_not_silence_what_is_put_in_after_it(
    data_folder: Path, symbol: str, size: float
) -> None:
    """A push the day after the crash, as large as the crash's own, is told in its block, and is no critical one that no
    budget would hold back. (-20 % of LINK or AAVE is not told: of these the crash made it usual.)"""
    since = "2021-04-01" if SOAK else "2021-05-01"
    frames = feed_recording(data_folder / PATH, since=since, until="2021-05-25T00:00:00Z")
    after, block = pushed(frames, "2021-05-24T12:00:00Z", symbol, size)
    alerts = [
        alert for _, told in played(Engine(Config(), mode="replay"), after) for alert in told if alert.kind == KIND
    ]
    during = [a for a in alerts if a.state == "raised" and "2021-05-19" <= a.time < "2021-05-24"]
    assert len(during) >= 3, "the crash spent a week's budget and more in five days"
    (told,) = [a for a in alerts if a.evidence.block == block and a.state == "raised"]
    assert told.severity in ("info", "warning")
