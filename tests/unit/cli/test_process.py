"""The whole program as a process: signals, pipes, closed streams, faults."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from defiwatch import __version__
from defiwatch.__main__ import _Early
from defiwatch.cli.signals import stopping
from defiwatch.sinks.history import FILE_NAME, Store
from tests.unit.cli.fakes import recording

ROOT = Path(__file__).parents[3]
PROGRAM = (sys.executable, "-m", "tests.unit.cli.program")


def start(
    *words: str, folder: Path, module: tuple[str, ...] = PROGRAM, stdout: int = subprocess.PIPE, **settings: str
) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_DATA_HOME": str(folder / "share"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        **settings,
    }
    environment.pop("NO_COLOR", None)
    # Unbuffered: what `readline` took beyond its line, `communicate` would not see.
    return subprocess.Popen(
        [*module, *words],
        bufsize=0,
        cwd=folder,
        env=environment,
        # As from a terminal: what a shell's background job starts is deaf to SIGINT until it says otherwise.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    try:
        stdout, stderr = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, (stdout or b"").decode(), stderr.decode()


def first_line(process: subprocess.Popen[bytes]) -> dict[str, object]:
    assert process.stdout is not None
    found = json.loads(process.stdout.readline())
    assert isinstance(found, dict)
    return found


def test_python_dash_m(tmp_path: Path) -> None:
    module = (sys.executable, "-m", "defiwatch")
    assert finish(start("--version", folder=tmp_path, module=module)) == (0, f"defiwatch {__version__}\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_leaves_with_0(tmp_path: Path, number: signal.Signals) -> None:
    process = start(
        "--headless", "--record", "r.gz", "--data-dir", "d", folder=tmp_path, FAKE_BLOCKS="1000000", FAKE_PAUSE="0.001"
    )
    first = first_line(process)
    process.send_signal(number)
    code, rest, words = finish(process)
    assert (code, "Traceback" in words) == (0, False)
    printed = [str(first["id"]), *(json.loads(line)["id"] for line in rest.splitlines())]
    with Store(tmp_path / "d" / FILE_NAME) as store:
        assert [a.id for a in store.alerts()] == printed, "all that was printed is kept, and the other way round"
    replayed = start("replay", "r.gz", "--headless", folder=tmp_path)
    code, lines, _ = finish(replayed)
    assert [json.loads(line)["id"] for line in lines.splitlines()][:-1] == printed
    assert code == 0


def test_a_signal_ends_a_paced_replay(tmp_path: Path) -> None:
    recording(tmp_path / "r.gz", 100)
    process = start("replay", "r.gz", "--headless", "--speed", "20", folder=tmp_path)
    first_line(process)
    process.send_signal(signal.SIGTERM)
    code, rest, _ = finish(process)
    assert code == 0
    assert len(rest.splitlines()) < 90


def test_a_signal_before_anything_runs(tmp_path: Path) -> None:
    process = start("--headless", folder=tmp_path, FAKE_BLOCKS="2", FAKE_HELLO="1")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    finish(process)
    assert process.returncode in (0, -signal.SIGINT), "the second only where not even `main` was called yet"


def test_a_signal_that_was_lost_while_the_program_loaded_still_stops_it() -> None:
    early = _Early()
    before = signal.signal(signal.SIGINT, early)
    try:
        early.asked = True
        with stopping() as stop:
            assert stop.is_set()
        assert signal.getsignal(signal.SIGINT) is early
    finally:
        signal.signal(signal.SIGINT, before)
    with stopping() as stop:
        assert not stop.is_set()


def test_fail_on_is_told_also_after_a_signal(tmp_path: Path) -> None:
    process = start("--headless", "--fail-on", "warning", folder=tmp_path)
    first_line(process)
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == 4


def test_a_pipe_that_closes_early(tmp_path: Path) -> None:
    recording(tmp_path / "r.gz", 20_000)
    process = start("replay", "r.gz", "--headless", folder=tmp_path)
    first_line(process)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    words = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 0
    assert "Broken" not in words
    assert "Traceback" not in words


def test_a_pipe_that_closes_early_on_a_plain_command(tmp_path: Path) -> None:
    for words in (["schema", "config"], ["--help"], ["alerts", "--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        process = start(*words, folder=tmp_path, stdout=writer)
        os.close(writer)
        assert finish(process) == (0, "", ""), words


def test_a_full_disk_behind_stdout(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    recording(tmp_path / "r.gz", 4)
    for words in (["replay", "r.gz", "--headless"], ["schema", "alert"]):
        with Path("/dev/full").open("wb") as full:
            code, _, said = finish(start(*words, folder=tmp_path, stdout=full.fileno()))
        assert code == 1
        assert said == "defiwatch: standard output: No space left on device\n"


def test_a_closed_stdout(tmp_path: Path) -> None:
    recording(tmp_path / "r.gz", 4)
    shell = ("sh", "-c", f'exec "{sys.executable}" -m tests.unit.cli.program "$@" >&-', "sh")
    code, _, said = finish(start("replay", "r.gz", "--headless", folder=tmp_path, module=shell))
    assert (code, said) == (2, "defiwatch: standard output is closed, and alerts go there\n")


def test_no_source(tmp_path: Path) -> None:
    code, out, words = finish(start("--headless", folder=tmp_path, FAKE_WHAT="unreachable"))
    assert (code, out) == (3, "")
    assert words == "defiwatch: no source could be reached: wss://node.example/v2/*** refused\n"


def test_a_fault_of_ours_is_one_line_and_more_when_asked_for(tmp_path: Path) -> None:
    code, _, words = finish(start("--headless", folder=tmp_path, FAKE_WHAT="fault"))
    assert code == 1
    assert words == (
        "defiwatch: a fault of ours: ZeroDivisionError: division by zero at https://node.example/v2/***;"
        " -vv shows where\n"
    )
    code, _, words = finish(start("--headless", "-vv", folder=tmp_path, FAKE_WHAT="fault"))
    assert code == 1
    assert "Traceback" in words
    assert "0123456789abcdef" not in words, "no secret, in a traceback neither"


def on_screen(folder: Path, *words: str, keys: bytes = b"", **settings: str) -> tuple[int, str]:
    """Run on a terminal; `keys` are pressed once the chain was drawn. The exit code and all that was drawn."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(folder), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=folder,
        env={**environment, **settings},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    drawn = b""
    deadline = time.monotonic() + 60
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([controller], [], [], 0.1)[0]:
                try:
                    drawn += os.read(controller, 65536)
                except OSError:
                    break
            if keys and (b"WETH" in drawn or b"no source" in drawn):
                os.write(controller, keys)
                keys = b""
        return process.wait(20), drawn.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(controller)


def test_the_screen_shows_the_engine_and_leaves_with_a_key(tmp_path: Path) -> None:
    code, drawn = on_screen(tmp_path, "run", "--data-dir", "d", "--record", "r.gz", keys=b"q")
    assert code == 0, drawn[-500:]
    with Store(tmp_path / "d" / FILE_NAME) as store:
        assert [a.id for a in store.alerts()] == ["id-2", "id-3", "id-4"]
    assert gzip.decompress((tmp_path / "r.gz").read_bytes()).count(b"\n") == 5


def test_the_screen_leaves_with_the_engines_own_exit_code(tmp_path: Path) -> None:
    code, drawn = on_screen(tmp_path, "run", "--record", "r.gz", keys=b"q", FAKE_WHAT="unreachable")
    assert code == 3
    assert not (tmp_path / "r.gz").exists()
    assert "defiwatch: no source could be reached: wss://node.example/v2/*** refused" in drawn


def test_the_screen_ends_with_its_terminal(tmp_path: Path) -> None:
    """A window that is closed, a connection that drops: what came is kept, and no process stays behind."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
    process = subprocess.Popen(
        [*PROGRAM, "run", "--data-dir", "d"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(tmp_path), "TERM": "xterm-256color"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    drawn = b""
    deadline = time.monotonic() + 60
    try:
        while b"WETH" not in drawn and time.monotonic() < deadline:
            if select.select([controller], [], [], 0.1)[0]:
                drawn += os.read(controller, 65536)
        assert b"WETH" in drawn
        os.close(controller)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    with Store(tmp_path / "d" / FILE_NAME) as store:
        assert [a.id for a in store.alerts()] == ["id-2", "id-3", "id-4"]


def test_a_screen_is_not_drawn_into_a_pipe(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(tmp_path)}
    outcome = subprocess.run(
        [*PROGRAM, "run"], cwd=tmp_path, env=environment, stdin=terminal, capture_output=True, timeout=60, check=False
    )
    os.close(controller)
    os.close(terminal)
    assert (outcome.returncode, outcome.stdout) == (2, b"")
    assert b"standard output is no terminal, and the dashboard needs one; --headless prints" in outcome.stderr
