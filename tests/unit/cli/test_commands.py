from __future__ import annotations

import json
from pathlib import Path

import pytest

from defiwatch.commands.alerts import sample_alert
from defiwatch.domain.frames import Frame, QuoteFrame
from defiwatch.domain.units import iso
from defiwatch.errors import ExitCode
from defiwatch.sinks.history import FILE_NAME, Store
from tests.convert import header_frame, write_recording
from tests.unit.cli.conftest import Invoke
from tests.unit.cli.fakes import FakeEngine, recording
from tests.unit.sinks.samples import USER, alert

CONFIG = """
[[chains]]
name = "ethereum"
rpc = ["https://node.example/v2/${KEY}"]
"""


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A data directory with three alerts."""
    folder = tmp_path / "data"
    with Store(folder / FILE_NAME) as store:
        store.append(
            [
                alert(1, severity="info"),
                alert(2, severity="critical", key=f"1:aave_v3:0xpool:{USER}:liquidation"),
                alert(3, severity="warning"),
            ]
        )
    return folder


# Runs.


def test_headless_run(invoke: Invoke, tmp_path: Path) -> None:
    outcome = invoke("--headless", "--once", "--lookback", 5)
    assert outcome.exit_code == 0
    assert [json.loads(line)["id"] for line in outcome.stdout.splitlines()] == ["id-4"]
    assert "defiwatch: lookback 5\n" in outcome.stderr
    assert FakeEngine.made[0].mode == "live"
    assert (tmp_path / "share" / "defiwatch" / FILE_NAME).exists()


def test_record_and_replay(invoke: Invoke, tmp_path: Path) -> None:
    lived = invoke("record", "r.gz", "--duration", "50ms", "--data-dir", "d")
    assert lived.exit_code == 0
    played = invoke("replay", "r.gz", "--headless")
    assert played.stdout.splitlines()[:-1] == lived.stdout.splitlines()
    assert FakeEngine.made[1].mode == "replay"
    again = invoke("record", "r.gz", "--duration", "50ms", "--data-dir", "d")
    assert again.exit_code == 2
    assert again.stderr == "defiwatch: r.gz: exists already; --force overwrites it\n"
    assert invoke("record", "r.gz", "--duration", "50ms", "--data-dir", "d", "--force").exit_code == 0
    assert invoke("run", "--headless", "--once", "--record", "s.gz").exit_code == 0
    assert Path("s.gz").exists()


def test_a_replay_keeps_its_alerts_only_where_it_is_told(invoke: Invoke, tmp_path: Path) -> None:
    recording(tmp_path / "r.gz", 4)
    assert invoke("replay", "r.gz", "--headless").exit_code == 0
    assert not (tmp_path / "share").exists()
    assert invoke("replay", "r.gz", "--headless", "--data-dir", "d").exit_code == 0
    listed = invoke("alerts", "--json", "--data-dir", "d")
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == ["id-2", "id-3", "id-4", "id-999"]


def test_fail_on(invoke: Invoke, tmp_path: Path) -> None:
    recording(tmp_path / "r.gz", 4)
    assert invoke("replay", "r.gz", "--headless", "--fail-on", "warning").exit_code == ExitCode.FOUND
    assert invoke("replay", "r.gz", "--headless", "--fail-on", "critical").exit_code == ExitCode.OK


def test_the_demo_needs_no_configuration(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text("this is not TOML")
    (tmp_path / "defiwatch" / "demo").mkdir(parents=True)
    recording(tmp_path / "defiwatch" / "demo" / "crash.jsonl.gz", 4)
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path / package)
    outcome = invoke("demo", "--headless")
    assert outcome.exit_code == 0, outcome.stderr
    assert len(outcome.stdout.splitlines()) == 4
    assert FakeEngine.made[0].mode == "demo"
    assert not (tmp_path / "share").exists()


def test_a_missing_demo_is_said(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path / package)
    outcome = invoke("demo", "--headless")
    assert outcome.exit_code == 1
    assert outcome.stderr == (
        "defiwatch: the bundled recording is missing from this installation; install defiwatch again\n"
    )


# Bad input.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chains = 1", "config.toml: chains: expected `array`, got `int`"),
        ("[[chains]]\nname = 'x'\nchain_id = 5\ncolour = 'red'", "config.toml: chains[0].colour: unknown key"),
        ("[alerts]\ndepeg = 'much'", "config.toml: alerts.depeg: expected `float`, got `str`"),
        ("[[deployments]]\nchain = 'moon'\nprotocol = 'aave_v3'", "config.toml: deployments[0].chain: 'moon'"),
        ("nonsense", "config.toml: not valid TOML"),
        ("[[chains]]\nname = 'ethereum'\nrpc = ['${NO_SUCH_KEY}']", "environment variable NO_SUCH_KEY is not set"),
    ],
)
def test_a_bad_configuration(invoke: Invoke, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    outcome = invoke("--headless")
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("defiwatch: ")
    assert said in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_files_that_cannot_be_read(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "text.gz").write_text("hello")
    (tmp_path / "folder").mkdir()
    for words, said in (
        (["--config", "none.toml", "--headless"], "none.toml: cannot be read (No such file or directory)"),
        (["--config", "folder", "--headless"], "is a directory"),
        (["replay", "none.gz", "--headless"], "'none.gz' does not exist"),
        (["replay", "folder", "--headless"], "'folder' is a directory"),
        (["replay", "text.gz", "--headless"], "text.gz: is no recording"),
        (["record", "no/such/r.gz"], "no/such/r.gz: cannot be written (No such file or directory)"),
        (["record", "folder"], "folder: exists already"),
    ):
        outcome = invoke(*words)
        assert outcome.exit_code == 2, words
        assert said in outcome.stderr, words
        assert "Traceback" not in outcome.stderr


def test_a_data_directory_that_is_a_file(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for words in (["alerts"], ["--headless", "--once"]):
        outcome = invoke(*words, "--data-dir", "file")
        assert outcome.exit_code in (1, 2)
        assert "file" in outcome.stderr
        assert "Traceback" not in outcome.stderr


def test_a_damaged_history(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / FILE_NAME).write_bytes(b"garbage" * 1000)
    outcome = invoke("alerts", "--data-dir", "d")
    assert outcome.exit_code == 1
    assert outcome.stderr == f"defiwatch: d/{FILE_NAME}: file is not a database\n"


def test_a_traceback_only_when_asked_for(invoke: Invoke) -> None:
    assert "Traceback" not in invoke("--config", "none.toml", "check", "-v").stderr
    assert "Traceback" in invoke("--config", "none.toml", "check", "-v", "-v").stderr


# History.


def test_alerts_for_people(invoke: Invoke, filled: Path) -> None:
    outcome = invoke("alerts", "--data-dir", filled)
    assert outcome.exit_code == 0
    lines = outcome.stdout.splitlines()
    assert lines[2] == "2026-03-10 12:00:02  critical  raised     alert 2"
    assert lines[3] == f"  pool.anomaly, score 71.5, 1:aave_v3:0xpool:{USER}:liquidation"
    assert len(lines) == 6


def test_alerts_selected(invoke: Invoke, filled: Path) -> None:
    def ids(*words: str) -> list[str]:
        out = invoke("alerts", "--json", "--data-dir", filled, *words).stdout
        return [json.loads(line)["id"] for line in out.splitlines()]

    assert ids() == ["id-1", "id-2", "id-3"]
    assert ids("--severity", "warning") == ["id-2", "id-3"]
    assert ids("--since", "2026-03-10T12:00:03Z") == ["id-3"]
    assert ids("--since", "1s") == []


def test_ack_and_snooze(invoke: Invoke, filled: Path) -> None:
    key = f"1:aave_v3:0xpool:{USER}:liquidation"
    acked = invoke("alerts", "ack", key, "--data-dir", filled)
    assert (acked.exit_code, acked.stdout, acked.stderr) == (0, "", f"defiwatch: acknowledged: {key}\n")
    assert invoke("alerts", "snooze", USER.upper(), "2h", "--data-dir", filled).exit_code == 0
    assert invoke("alerts", "ack", "id-3", "--data-dir", filled).exit_code == 0
    with Store(filled / FILE_NAME) as store:
        inputs = [frame for _, frame in store.inputs()]
    assert [(f.action, f.key) for f in inputs] == [("ack", key), ("snooze", key), ("ack", alert(3).key)]
    assert inputs[1].until is not None
    assert inputs[1].until > inputs[1].time


def test_a_key_that_is_none_or_many(invoke: Invoke, filled: Path) -> None:
    none = invoke("alerts", "ack", "typo", "--data-dir", filled)
    assert (none.exit_code, none.stderr) == (
        2,
        "defiwatch: no alert has the key 'typo'; `defiwatch alerts` lists them\n",
    )
    many = invoke("alerts", "ack", "uniswap", "--data-dir", filled)
    assert many.exit_code == 2
    assert many.stderr.startswith("defiwatch: 'uniswap' may be any of 2 alerts:\n  1:uniswap_v3:")


def test_a_channel_is_tested(invoke: Invoke, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "config.toml").write_text(
        f"[sinks.exec.file]\ncommand = ['sh', '-c', 'cat > {out}']\nmin_severity = 'critical'\n"
        "[sinks.exec.broken]\ncommand = ['sh', '-c', 'echo no route >&2; exit 7']\n"
    )
    sent = invoke("alerts", "test", "file")
    assert sent.exit_code == 0
    assert sent.stdout.startswith("exec.file: delivered (exit 0) in ")
    got = json.loads(out.read_text())
    assert (got["kind"], got["title"]) == ("test", sample_alert("exec.file").title)
    assert "TEST" in got["title"]
    failed = invoke("alerts", "test", "broken")
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == "defiwatch: broken: not delivered: sh: exit 7: no route\n"
    unknown = invoke("alerts", "test", "mail")
    assert unknown.exit_code == 2
    assert unknown.stderr == "defiwatch: no channel is called 'mail' (configured: exec.broken, exec.file)\n"


def test_the_journal(invoke: Invoke, filled: Path) -> None:
    whole = invoke("journal", "verify", "--data-dir", filled)
    assert whole.exit_code == 0
    assert whole.stdout.startswith("3 lines, whole and unedited; last hash 0x")
    import sqlite3

    db = sqlite3.connect(filled / FILE_NAME)
    db.execute("UPDATE alerts SET line = replace(line, 'critical', 'info') WHERE n = 2")
    db.commit()
    db.close()
    broken = invoke("journal", "verify", "--data-dir", filled)
    assert (broken.exit_code, broken.stdout) == (4, "")
    assert "line 2 does not fit its hash and the line before it; 1 lines before it are whole" in broken.stderr


def test_explain_and_models_after_a_run(invoke: Invoke) -> None:
    assert invoke("--headless", "--once", "--data-dir", "d").exit_code == 0
    explained = invoke("explain", USER, "--data-dir", "d")
    assert explained.exit_code == 0
    assert f"No alert was ever raised for {USER}." in explained.stdout
    assert "health factor 1.6" in explained.stdout
    models = invoke("models", "--data-dir", "d")
    assert models.stdout.splitlines()[1].split() == ["forest", "pool", "1,234", "AUC", "0.91", "21.5", "young"]
    report = json.loads(invoke("models", "--json", "--data-dir", "d").stdout)
    assert report["models"][0]["name"] == "forest"


def test_models_before_any_run(invoke: Invoke) -> None:
    outcome = invoke("models", "--data-dir", "d")
    assert (outcome.exit_code, outcome.stdout) == (0, "")
    assert outcome.stderr == "defiwatch: nothing was learnt yet in d\n"


def test_no_colour(invoke: Invoke, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from defiwatch.cli import cli

    words = ["alerts", "--data-dir", str(filled)]
    assert "\x1b[" in CliRunner().invoke(cli, words, color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in CliRunner().invoke(cli, words).stdout


# Evaluation.


def test_evaluate_prints_a_table_or_json_and_refuses_what_it_cannot_read(invoke: Invoke, tmp_path: Path) -> None:
    frames: list[Frame] = [header_frame({})]
    for i in range(300):
        price = 0.9 if 200 <= i < 212 else 1.0 + 0.0003 * (-1) ** i
        frames.append(QuoteFrame("venue", "USDC", "USD", f"{price}", iso(1_700_000_000 + 3600 * i)))
    write_recording(tmp_path / "r.gz", frames)
    label = {"kind": "price.depeg", "subject": "USDC", "from": "2023-11-22T22:00:00Z", "to": "2023-11-23T12:00:00Z"}
    (tmp_path / "l.jsonl").write_text(json.dumps(label))
    words = ("evaluate", tmp_path / "r.gz", "--labels", tmp_path / "l.jsonl", "--baselines", "--ablate")
    shown = invoke(*words)
    assert shown.exit_code == 0
    assert "price.depeg" in shown.stdout
    assert "plain half-space trees" in shown.stdout
    found = json.loads(invoke(*words, "--json").stdout)
    assert (found["kinds"]["price.depeg"]["found"], found["schema"]) == (1, "defiwatch.evaluation/1")
    assert {"without band", "without lasting", "weighted z-score"} < set(found["others"])
    (tmp_path / "l.jsonl").write_text("no label")
    for bad, said in (
        (words, "l.jsonl:1: expected one JSON object a line"),
        (("evaluate", tmp_path / "l.jsonl", "--calibration"), "expected lines of JSON, gzip or plain"),
        (("evaluate", tmp_path / "r.gz", "--insert", "wash"), "nothing in these recordings that it could go into"),
    ):
        outcome = invoke(*bad)
        assert outcome.exit_code == 2
        assert outcome.stdout == ""
        assert said in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
