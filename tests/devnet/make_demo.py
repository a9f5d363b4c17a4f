"""Make the bundled demo again: play the scenario on a real chain while `defiwatch record` watches it.

    python -m tests.devnet.make_demo [--seed N] [--out FILE]

The chain's own time is fixed, so the recording differs from run to run only in the ticks of the wall clock.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .config import config_toml
from .deploy import deploy
from .node import Anvil
from .scenario import Scenario

BUNDLED = Path(__file__).resolve().parents[2] / "defiwatch" / "demo" / "crash.jsonl.gz"
MAX_BYTES = 3_000_000
AFTER = 12
"""Blocks after the story's end."""


def make(out: Path, *, seed: int, pause: float) -> None:
    """Record the scenario of `seed` to `out`, one block every `pause` seconds. Exits if the recorder fails."""
    with tempfile.TemporaryDirectory() as folder, Anvil() as node:
        devnet = deploy(node)
        story = Scenario(devnet, seed=seed)
        story.prepare()
        settings = Path(folder) / "config.toml"
        settings.write_text(config_toml(devnet))
        command = [sys.executable, "-m", "defiwatch", "record", str(out), "--force", "--lookback", "2"]
        command += ["--config", str(settings), "--data-dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as recorder:
            time.sleep(6)
            for step in story.steps():
                for played in step.run():
                    print(played.number, played.phase, "; ".join(played.what)[:100], file=sys.stderr)
                time.sleep(pause)
            for _ in range(AFTER):
                story.idle()
                time.sleep(pause)
            time.sleep(2)
            recorder.send_signal(signal.SIGINT)
            if recorder.wait(30) != 0:
                raise SystemExit(f"defiwatch record left with {recorder.returncode}")
    size = out.stat().st_size
    print(f"{out}: {size:,} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"larger than {MAX_BYTES:,} bytes")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=BUNDLED)
    parser.add_argument("--pause", type=float, default=0.35, help="seconds between two blocks")
    asked = parser.parse_args()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    make(asked.out, seed=asked.seed, pause=asked.pause)


if __name__ == "__main__":
    main()
