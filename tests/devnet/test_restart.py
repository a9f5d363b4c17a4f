"""Killed at random moments and started again: no block left out, no alert lost, repeats with the same id."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.devnet.config import config_toml
from tests.devnet.model import Devnet
from tests.devnet.scenario import Scenario

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(3600 if os.environ.get("DEFIWATCH_SOAK") else 280)]

KILLS = int(os.environ.get("DEFIWATCH_KILLS", "5"))
IGNORED = ("source.silent", "source.gap")
"""Kinds that tell of the process itself: of the time while it was dead, which a clean run does not have."""


REORG = range(66, 128)
"""Steps before the reorg and in it: a run that is down then never sees the blocks that it takes away."""


def started(folder: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "defiwatch", "--headless", "--config", str(folder / "config.toml"), *more]
    with out.open("ab") as stdout, (folder / "words").open("ab") as stderr:
        return subprocess.Popen(command, stdout=stdout, stderr=stderr)


def told(out: Path) -> list[dict[str, Any]]:
    """The alerts of a run that may have been cut in the middle of a line."""
    lines = []
    for line in out.read_bytes().split(b"\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return [alert for alert in lines if alert["kind"] not in IGNORED]


def settled(clean: Path, killed: Path) -> None:
    """Wait until both have told all: equal and still for three seconds; what is missing then is for the test to say."""
    end, since, before = time.monotonic() + 60, time.monotonic(), (0, 0)
    while time.monotonic() < end:
        ids = [{alert["id"] for alert in told(out)} for out in (clean, killed)]
        sizes = (len(ids[0]), len(ids[1]))
        if sizes != before or ids[0] != ids[1]:
            since, before = time.monotonic(), sizes
        if time.monotonic() - since >= 3:
            return
        time.sleep(0.5)


def test_a_run_that_is_killed_tells_what_a_clean_run_tells(devnet: Devnet, scenario: Scenario, tmp_path: Path) -> None:
    rng = random.Random(7)
    (tmp_path / "config.toml").write_text(config_toml(devnet))
    clean = started(tmp_path, tmp_path / "clean", "--data-dir", str(tmp_path / "a"), "--lookback", "2000")
    killed = started(tmp_path, tmp_path / "killed", "--data-dir", str(tmp_path / "b"), "--lookback", "2000")
    length = 172
    moments = sorted(rng.sample([n for n in range(20, length - 5) if n not in REORG], KILLS))
    try:
        time.sleep(6)
        for number, step in enumerate(scenario.steps()):
            step.run()
            time.sleep(rng.uniform(0.02, 0.3))
            if number in moments:
                time.sleep(rng.uniform(0.0, 2.0))
                killed.send_signal(signal.SIGKILL)
                killed.wait()
                killed = started(tmp_path, tmp_path / "killed", "--data-dir", str(tmp_path / "b"))
        settled(tmp_path / "clean", tmp_path / "killed")
    finally:
        for process in (clean, killed):
            process.send_signal(signal.SIGINT)
            process.wait(30)
    expected = [alert["id"] for alert in told(tmp_path / "clean")]
    got = list(dict.fromkeys(alert["id"] for alert in told(tmp_path / "killed")))
    assert len(expected) > 50
    missing = [a for a in told(tmp_path / "clean") if a["id"] not in set(got)]
    extra = [a for a in told(tmp_path / "killed") if a["id"] not in set(expected)]
    brief = [(a["state"], a["kind"], a["evidence"].get("block"), a["title"]) for a in (*missing, *extra)]
    assert not missing and not extra, brief[:10]
    assert b"not in the stream" not in (tmp_path / "words").read_bytes()
