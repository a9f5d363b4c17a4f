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
from defiwatch.engine import Engine, replay

WARNING_LINE = Config().alerts.health_factor_warning


@lru_cache(maxsize=1)
def printed() -> tuple[Alert, ...]:
    with bundled() as path:
        return alerts_of(path)


def alerts_of(path: Path) -> tuple[Alert, ...]:
    engine = Engine(Config(), mode="demo")
    return (*(alert for _, alerts in replay(engine, [path]) for alert in alerts), *engine.finish())


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


def test_two_runs_print_the_same_bytes() -> None:
    with bundled() as path:
        again = alerts_of(path)
    assert msgspec.json.encode(again) == msgspec.json.encode(printed())


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
