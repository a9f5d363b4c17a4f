"""What must not load is tested at run time: lazy imports would hide it from a reader of the source."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HEAVY = ("web3", "river", "textual", "numpy")

PROBE = """
import json, sys
from defiwatch.__main__ import main
sys.argv = ["defiwatch", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    code = ended.code
print(json.dumps({"code": code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


def loaded(folder: Path, *words: str) -> tuple[int, set[str]]:
    """The exit code, and the top packages that a process of `defiwatch words…` had imported when it ended."""
    outcome = subprocess.run(
        [sys.executable, "-c", PROBE, *words], capture_output=True, text=True, timeout=120, cwd=folder, check=True
    )
    report = json.loads(outcome.stderr.splitlines()[-1])
    return report["code"], {name.split(".")[0] for name in report["modules"]}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["demo", "--help"],
        ["alerts", "--help"],
        ["schema", "alert"],
        ["schema", "snapshot"],
        ["alerts", "--data-dir", "d"],
        ["journal", "verify", "--data-dir", "d"],
        ["models", "--data-dir", "d"],
    ],
    ids=" ".join,
)
def test_what_reads_and_tells_is_light(tmp_path: Path, words: list[str]) -> None:
    code, packages = loaded(tmp_path, *words)
    assert code == 0
    assert packages.isdisjoint(HEAVY), sorted(packages & set(HEAVY))


@pytest.mark.parametrize("words", [["--help"], ["--version"]], ids=" ".join)
def test_help_loads_neither_network_nor_database(tmp_path: Path, words: list[str]) -> None:
    _, packages = loaded(tmp_path, *words)
    assert packages.isdisjoint({"httpx", "websockets", "sqlite3", "asyncio", "rich", "msgspec"})


def test_check_loads_no_model_and_no_screen(tmp_path: Path) -> None:
    if find_spec("defiwatch.commands.check") is None:
        pytest.skip("the command check is not there yet")
    (tmp_path / "config.toml").write_text("")
    code, packages = loaded(tmp_path, "check", "--data-dir", "d")
    assert code in (0, 3)
    assert packages.isdisjoint({"river", "textual"}), sorted(packages & {"river", "textual"})
