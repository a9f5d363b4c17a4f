"""The bundled demo: what it prints is valid, repeatable, cut where the recording is cut, and warns in time."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import jsonschema
import msgspec
import pytest

from defiwatch.commands.demo import bundled
from defiwatch.commands.positions import from_recording
from defiwatch.commands.schema import text
from defiwatch.config import Config
from defiwatch.domain.risk import Alert
from defiwatch.domain.units import WAD
from defiwatch.domain.view import Snapshot
from defiwatch.engine import Engine, replay
from defiwatch.protocols.aave_v3 import views
from defiwatch.protocols.morpho_blue.adaptive import RATE_AT_TARGET

WARNING_LINE = Config().alerts.health_factor_warning


@lru_cache(maxsize=1)
def printed() -> tuple[Alert, ...]:
    with bundled() as path:
        return alerts_of(path)


def alerts_of(path: Path, engine: Engine | None = None) -> tuple[Alert, ...]:
    engine = engine or Engine(Config(), mode="demo")
    return (*(alert for _, alerts in replay(engine, [path]) for alert in alerts), *engine.finish())


def older(path: Path, into: Path) -> Path:
    """The recording as a version would have made it that did not read what tells more of what is known."""
    extras = {
        function.selector
        for function in (views.OPTIMAL_USAGE, views.BASE_RATE, views.SLOPE_1, views.SLOPE_2, RATE_AT_TARGET)
    }
    dropped = 0
    with gzip.open(path, "rt") as lines, gzip.open(into, "wt") as out:
        for line in lines:
            frame = json.loads(line)
            if frame["frame"] == "reads":
                kept = [call for call in frame["calls"] if call["data"][:10] not in extras]
                dropped += len(frame["calls"]) - len(kept)
                frame["calls"] = kept
            out.write(json.dumps(frame) + "\n")
    assert dropped > 20
    return into


@lru_cache(maxsize=1)
def factors() -> dict[str, dict[str, float]]:
    """Account → block hash → health factor, of every Aave borrower at every block."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    with bundled() as path:
        for position in from_recording(Config(), path, frozenset(), each_block=True):
            if position.protocol == "aave_v3" and not position.unknown and position.debt_base:
                found[position.account][position.block_hash] = position.health_factor / WAD
    return found


def account(alert: Alert) -> str:
    return alert.subject.id.split(":")[1]


def aave(kind: str) -> dict[str, list[Alert]]:
    found: dict[str, list[Alert]] = defaultdict(list)
    for alert in printed():
        if alert.kind == kind and alert.subject.protocol == "aave_v3" and alert.state in ("raised", "worsened"):
            found[account(alert)].append(alert)
    return found


def test_every_line_validates_against_the_schema() -> None:
    schema = json.loads(text("alert"))
    validator = jsonschema.Draft202012Validator(schema)
    for alert in printed():
        validator.validate(json.loads(msgspec.json.encode(alert)))
    assert len(printed()) > 60


def test_points_add_up_to_the_score() -> None:
    for alert in printed():
        if alert.state in ("raised", "worsened"):
            total = min(100.0, sum(reason.points for reason in alert.reasons))
            assert total == pytest.approx(alert.score, abs=0.5), alert.title


def test_every_liquidated_position_was_warned_of_in_time() -> None:
    """Above 1 and at least a block earlier, or one price update took it from above the warning line to below 1."""
    warned, executed = aave("liquidation.warning"), aave("liquidation.executed")
    assert len(executed) >= 10
    jumps, late = [], []
    for user, alerts in sorted(executed.items()):
        block = alerts[0].evidence.block or 0
        in_time = [
            w
            for w in warned[user]
            if (w.evidence.block or 0) < block and factors()[user].get(w.evidence.block_hash or "", 0.0) > 1.0
        ]
        if in_time:
            continue
        if any(reason.name == "jump" for w in (*alerts, *warned[user]) for reason in w.reasons):
            jumps.append(user)
        else:
            late.append(user)
    assert late == []
    for user in jumps:
        before = [f for f in factors()[user].values() if f > 1.0]
        assert before and max(before) > WARNING_LINE, user


def test_those_who_were_never_close_are_hardly_warned_of() -> None:
    warned = aave("liquidation.warning")
    calm = [user for user, by_block in factors().items() if min(by_block.values()) >= 1.15]
    assert len(calm) >= 5
    assert sum(1 for user in calm if warned[user]) <= 0.05 * len(calm)


@lru_cache(maxsize=1)
def again() -> tuple[tuple[Alert, ...], Snapshot]:
    """A second run, and how everything stands at its end."""
    engine = Engine(Config(), mode="demo")
    with bundled() as path:
        return alerts_of(path, engine), engine.snapshot()


def test_two_runs_print_the_same_bytes() -> None:
    assert msgspec.json.encode(again()[0]) == msgspec.json.encode(printed())


def test_a_recording_without_the_reads_of_a_newer_version_tells_the_same_alerts(tmp_path: Path) -> None:
    """What rests on such a read is unknown, and said to be; with them every borrowed Aave reserve has its rate path."""
    plain = Engine(Config(), mode="demo")
    with bundled() as path:
        before = alerts_of(older(path, tmp_path / "older.jsonl.gz"), plain)
    assert msgspec.json.encode(before) == msgspec.json.encode(printed())
    for picture, known in ((again()[1], True), (plain.snapshot(), False)):
        rows = [row for row in picture.markets if row.protocol == "aave_v3" and row.borrowed_usd > 0]
        assert len(rows) > 3
        assert {row.borrow_rate_full is not None for row in rows} == {known}
        told = {dict(row.facts)["rate at 100 % used"] for row in rows}
        assert known or told == {"unknown: its rate strategy was not read"}
    usdc = next(row for row in again()[1].markets if (row.protocol, row.label) == ("aave_v3", "USDC"))
    assert usdc.borrow_rate_full == 1.28, "the steeper strategy that it was given: 1 % + 7 % + 120 %"


@pytest.mark.parametrize("share", [0.35, 0.8])
def test_a_truncated_copy_gives_the_same_alerts_up_to_the_cut(tmp_path: Path, share: float) -> None:
    with bundled() as path:
        packed = path.read_bytes()
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(packed[: int(len(packed) * share)])
    alerts = alerts_of(cut)
    assert 0 < len(alerts) < len(printed())
    assert msgspec.json.encode(alerts) == msgspec.json.encode(printed()[: len(alerts)])


def test_the_story_has_its_parts_and_its_reorg_retracts() -> None:
    kinds = {alert.kind for alert in printed()}
    assert {"liquidation.warning", "liquidation.executed", "pool.anomaly", "pool.drain", "price.deviation"} <= kinds
    assert any(alert.state == "retracted" and alert.kind == "liquidation.executed" for alert in printed())


def test_it_is_small_enough_to_bundle() -> None:
    with bundled() as path:
        assert path.stat().st_size <= 3_000_000
        with gzip.open(path) as lines:
            assert json.loads(next(iter(lines)))["schema"] == "defiwatch.recording/1"
