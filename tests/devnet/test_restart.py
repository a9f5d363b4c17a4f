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
from tests.devnet.proxy import Proxy
from tests.devnet.scenario import Scenario

SOAK = bool(os.environ.get("DEFIWATCH_SOAK"))

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(3600 if SOAK else 420)]

KILLS = int(os.environ.get("DEFIWATCH_KILLS", "5"))
IGNORED = ("source.silent", "source.gap")
"""Kinds that tell of the process itself: of the time while it was dead, which a clean run does not have."""

ALERT, SNAPSHOT = b'{"schema":"defiwatch.alert/1"', b'{"schema":"defiwatch.snapshot/1"'
MANY = 2_000_000
LENGTH = 172
PACED = range(116, 123)
"""Steps around the reorg: each waits until both runs have judged the one before, so that neither is late for it."""


Alerts = dict[str, dict[str, Any]]


def started(folder: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    config = str(folder / "config.toml")
    command = [sys.executable, "-m", "defiwatch", "--headless", "--config", config, "--snapshot-every", "1", *more]
    with out.open("ab") as stdout, (folder / "words").open("ab") as stderr:
        return subprocess.Popen(command, stdout=stdout, stderr=stderr)


def lines(text: bytes) -> list[dict[str, Any]]:
    """What a run printed, which may have been cut in the middle of a line."""
    found = []
    for line in text.split(b"\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def told(out: Path) -> list[dict[str, Any]]:
    """The alerts of a run."""
    text = b"\n".join(line for line in out.read_bytes().split(b"\n") if line.startswith(ALERT))
    return [alert for alert in lines(text) if alert["kind"] not in IGNORED]


def judged(out: Path) -> int:
    """The block at which a run last judged every position, from the newest picture that it printed."""
    with out.open("rb") as text:
        text.seek(max(0, out.stat().st_size - MANY))
        tail = text.read()
    pictures = [line for line in tail.split(b"\n")[1:] if line.startswith(SNAPSHOT)]
    for picture in reversed(lines(b"\n".join(pictures))):
        return min((row["block"] for row in picture["positions"]), default=0)
    return 0


def abreast(devnet: Devnet, *outs: Path) -> None:
    """Wait until the runs have judged the chain's newest block."""
    height = devnet.chain.node.height()
    end = time.monotonic() + 60
    while any(judged(out) < height for out in outs):
        assert time.monotonic() < end, f"block {height} was not judged: {[judged(out) for out in outs]}"
        time.sleep(0.2)


def kept(out: Path, orphaned: set[str]) -> Alerts:
    """The alerts of a run by id, repeats dropped, without those of blocks that are gone: a run that was dead then never
    heard of those."""
    return {alert["id"]: alert for alert in told(out) if alert["evidence"].get("block_hash") not in orphaned}


def settled(clean: Path, killed: Path, orphaned: set[str]) -> None:
    """Wait until both have told all: equal and still for three seconds; what is missing then is for the test to say."""
    end, since, before = time.monotonic() + 60, time.monotonic(), 0
    while time.monotonic() < end:
        names = [set(kept(out, orphaned)) for out in (clean, killed)]
        if len(names[0]) != before or names[0] != names[1]:
            since, before = time.monotonic(), len(names[0])
        if time.monotonic() - since >= 3:
            return
        time.sleep(0.5)


def both(devnet: Devnet, scenario: Scenario, tmp_path: Path) -> tuple[Alerts, Alerts]:
    """What a clean run told of the story, and a killed one, by id."""
    rng = random.Random(7)
    clean = started(tmp_path, tmp_path / "clean", "--data-dir", str(tmp_path / "a"), "--lookback", "2000")
    killed = started(tmp_path, tmp_path / "killed", "--data-dir", str(tmp_path / "b"), "--lookback", "2000")
    moments = sorted(rng.sample(range(20, LENGTH - 5), KILLS))
    try:
        abreast(devnet, tmp_path / "clean", tmp_path / "killed")
        for number, step in enumerate(scenario.steps()):
            if number in PACED:
                abreast(devnet, tmp_path / "clean", tmp_path / "killed")
            step.run()
            time.sleep(rng.uniform(0.02, 0.2))
            if number in moments:
                time.sleep(rng.uniform(0.0, 2.0))
                killed.send_signal(signal.SIGKILL)
                killed.wait()
                killed = started(tmp_path, tmp_path / "killed", "--data-dir", str(tmp_path / "b"))
        orphaned = {block.hash for block in scenario.orphans}
        assert orphaned
        settled(tmp_path / "clean", tmp_path / "killed", orphaned)
    finally:
        for process in (clean, killed):
            process.send_signal(signal.SIGINT)
            process.wait(30)
    return kept(tmp_path / "clean", orphaned), kept(tmp_path / "killed", orphaned)


def test_a_run_that_is_killed_tells_what_a_clean_run_tells(devnet: Devnet, scenario: Scenario, tmp_path: Path) -> None:
    with Proxy(devnet.http_url, devnet.ws_url) as fair:
        (tmp_path / "config.toml").write_text(config_toml(devnet, rpc=[fair.ws_url, fair.http_url]))
        expected, got = both(devnet, scenario, tmp_path)
    assert len(expected) > 50
    missing = [alert for name, alert in expected.items() if name not in got]
    extra = [alert for name, alert in got.items() if name not in expected]
    brief = [(a["state"], a["kind"], a["evidence"].get("block"), a["title"]) for a in (*missing, *extra)]
    assert not missing and not extra, (len(missing), brief[:10])
    assert list(got) == list(expected)
    assert b"not in the stream" not in (tmp_path / "words").read_bytes()
