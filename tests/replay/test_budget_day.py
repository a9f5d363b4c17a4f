"""The alert budget over twelve recorded hours: the rate that was asked for is the rate that comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from defiwatch.config import Alerts, Config
from defiwatch.engine.core import Engine
from tests.convert import v3_recording
from tests.replay.test_v3_day import FOLDER

pytestmark = pytest.mark.data


@pytest.mark.parametrize(("budget", "due"), [("240/day", 120), ("400/day", 200)])
def test_the_budget_is_held_over_a_recorded_day(data_folder: Path, budget: str, due: int) -> None:
    """The default cool-down would allow 72 alerts on one pool in twelve hours; a minute allows more than are due."""
    config = Config(alerts=Alerts(budget=budget, cool_down="1m"))
    engine = Engine(config, mode="replay")
    alerts = [alert for frame in v3_recording(data_folder / FOLDER) for alert in engine.feed(frame)]
    raised = [a for a in alerts if (a.kind, a.state) == ("pool.anomaly", "raised") and a.severity != "critical"]
    assert len(raised) == pytest.approx(due, rel=0.25)
    (row,) = [row for row in engine.snapshot().models if row.name == "pool.anomaly budget"]
    assert row.events == len(raised)
    assert row.value == pytest.approx(len(raised) / due, rel=0.02)
