from __future__ import annotations

import itertools
from collections.abc import Sequence

import click
import pytest
from click.shell_completion import BashComplete

from defiwatch import __version__
from defiwatch.cli import cli
from defiwatch.cli.groups import Group, options_of
from tests.unit.cli.conftest import Invoke

COMMANDS = (
    "alerts",
    "check",
    "demo",
    "evaluate",
    "explain",
    "journal",
    "models",
    "positions",
    "prove",
    "record",
    "replay",
    "run",
    "schema",
)


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            found += leaves(below, (*path, name))
    return found


ALL = leaves(cli)


def test_the_commands_of_the_contract() -> None:
    assert tuple(cli.list_commands(click.Context(cli))) == COMMANDS
    alerts = cli.commands["alerts"]
    assert isinstance(alerts, click.Group)
    assert set(alerts.commands) == {"ack", "snooze", "test"}


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) or "defiwatch" for path, _ in ALL])
def test_every_command_takes_the_common_options_and_explains_itself(
    invoke: Invoke, path: Sequence[str], command: click.Command
) -> None:
    own = {name for param in command.params for name in param.opts}
    assert {"--config", "--data-dir", "-v", "-q", "--version"} <= own
    shown = invoke(*path, "--help")
    assert shown.exit_code == 0
    assert "--data-dir" in shown.stdout
    assert (command.help or "").split()[0] in shown.stdout
    assert invoke(*path, "--version").stdout == f"defiwatch {__version__}\n"


def test_an_option_takes_a_value_everywhere_or_nowhere() -> None:
    takes: dict[str, bool] = {}
    for name, takes_value in options_of(cli):
        assert takes.setdefault(name, takes_value) == takes_value, name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["run"], ["run"]),
        (["--config", "c", "run", "-v"], ["run", "--config", "c", "-v"]),
        (["--config", "run", "check"], ["check", "--config", "run"]),
        (["--config=c", "-qv", "check"], ["check", "--config=c", "-qv"]),
        (["--headless", "--speed", "max", "demo"], ["demo", "--headless", "--speed", "max"]),
        (["replay", "a", "b"], ["replay", "a", "b"]),
        (["--headless"], ["--headless"]),
        (["--", "run"], ["--", "run"]),
        (["--unknown", "run"], ["run", "--unknown"]),
        ([], []),
    ],
)
def test_the_command_is_moved_to_the_front(before: list[str], after: list[str]) -> None:
    assert isinstance(cli, Group)
    assert cli.hoisted(before) == after


@pytest.mark.parametrize("order", list(itertools.permutations([("--data-dir", "d"), ("alerts",), ("--json",)])))
def test_options_may_stand_anywhere(invoke: Invoke, order: Sequence[tuple[str, ...]]) -> None:
    outcome = invoke(*itertools.chain.from_iterable(order))
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "defiwatch: no alerts\n")


def test_options_of_a_subcommand_may_stand_anywhere(invoke: Invoke) -> None:
    words = ["--data-dir", "d", "alerts", "ack", "k"]
    expected = "defiwatch: no alert was kept yet in d\n"
    assert invoke(*words).stderr == expected
    assert invoke("alerts", "ack", "k", "--data-dir", "d").stderr == expected
    assert invoke("alerts", "--data-dir", "d", "ack", "k").stderr == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "no command is called 'nonsense'; there are alerts, check"),
        (["repaly"], "no command is called 'repaly'; did you mean replay?"),
        (["alerts", "akc", "k"], "no command is called 'akc'; did you mean ack?"),
        (["--nonsense"], "no such option"),
        (["check", "--nonsense"], "no such option"),
        (["replay"], "missing argument 'FILE...'"),
        (["record"], "missing argument 'FILE'"),
        (["journal"], "missing command"),
        (["schema", "nonsense"], "invalid value for 'NAME'"),
        (["demo", "--speed", "0"], "expected a number above 0, or max, got '0'"),
        (["demo", "--speed", "nan"], "expected a number above 0, or max, got 'nan'"),
        (["demo", "--speed", "fast"], "expected a number above 0, or max, got 'fast'"),
        (["--headless", "--duration", "soon"], "expected a duration such as 90s"),
        (["--headless", "--duration", "-5"], "expected a duration"),
        (["--headless", "--duration", "inf"], "expected a duration that ends, got 'inf'"),
        (["--headless", "--snapshot-every", "0"], "expected a duration above 0, got '0'"),
        (["alerts", "snooze", "k", "1e18"], "expected a duration that ends"),
        (["--headless", "--lookback", "-1"], "invalid value for '--lookback'"),
        (["--headless", "--fail-on", "fatal"], "invalid value for '--fail-on'"),
        (["--headless", "--format", "xml"], "invalid value for '--format'"),
        (["alerts", "--since", "yesterday"], "expected a duration such as 24h, or a moment"),
        (["alerts", "snooze", "k", "long"], "expected a duration"),
        (["positions"], "an ADDRESS is missing"),
        (["positions", "--all"], "--all, --until and --each-block need --recording"),
        (["positions", "x", "--shock", "WETH"], "expected an asset and a move such as WETH=-20%"),
        (["positions", "x", "--shock", "WETH=-120%"], "expected an asset and a move such as WETH=-20%"),
        (["positions", "x", "--repay", "USDC=-5"], "expected an asset and an amount such as USDC=5000"),
        (["evaluate", "/no/such", "--labels", "/no/such"], "'/no/such' does not exist"),
        (["evaluate", __file__], "one of --labels, --insert, --calibration and --positions is needed"),
        (["evaluate", __file__, "--insert", "flood"], "expected some of price_move, burst, wash, drain, got 'flood'"),
        (["evaluate", __file__, "--insert", "drain", "--size", "5"], "expected sizes such as 1%,30%, got '5'"),
        (["evaluate", __file__, "--calibration", "--size", "5%"], "--size and --seed need --insert"),
        (["evaluate", __file__, "--calibration", "--ablate"], "--ablate and --baselines need --labels or --insert"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(invoke: Invoke, words: list[str], said: str) -> None:
    outcome = invoke(*words)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    first, *rest = outcome.stderr.splitlines()
    assert first.startswith("defiwatch: ")
    assert said.lower() in first.lower()
    assert len(rest) == 1
    assert rest[0].startswith("Try 'defiwatch")


@pytest.mark.parametrize("name", ["--once", "--duration=5s", "--fail-on=info", "--snapshot-every=1", "--format=jsonl"])
@pytest.mark.parametrize("command", [(), ("run",), ("demo",)])
def test_what_needs_headless_says_so(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, name: str, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("defiwatch.commands.demo.screen_speed", lambda _: 1.0)
    monkeypatch.setattr("defiwatch.commands.demo.bundled", _nothing)
    outcome = invoke(*command, name)
    assert outcome.exit_code == 2
    assert f"defiwatch: {name.split('=')[0]} needs --headless\n" in outcome.stderr


class _nothing:  # noqa: N801 - stands for a function
    def __enter__(self) -> str:
        return "nowhere"

    def __exit__(self, *_: object) -> None:
        return


@pytest.mark.parametrize("words", [[], ["run"]])
def test_without_a_terminal_the_dashboard_says_what_to_do(invoke: Invoke, words: list[str]) -> None:
    outcome = invoke(*words)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr == (
        "defiwatch: standard input is no terminal, and the dashboard needs one; --headless prints JSON lines instead\n"
    )


def complete(*words: str) -> set[str]:
    *args, incomplete = words
    found = BashComplete(cli, {}, "defiwatch", "_DEFIWATCH_COMPLETE").get_completions(list(args), incomplete)
    return {item.value for item in found}


def test_shell_completion() -> None:
    assert {"replay", "record", "run"} == complete("r")
    assert "--min-severity" in complete("--min")
    assert {"ack", "alerts"} - complete("alerts", "a") == {"alerts"}
    assert complete("run", "--fail-on", "") == {"info", "warning", "critical"}
    assert "--speed" in complete("--data-dir", "d", "demo", "--s")
    assert complete("schema", "po") == {"position"}


def test_shell_completion_scripts(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    for shell in ("zsh", "fish"):
        monkeypatch.setenv("_DEFIWATCH_COMPLETE", f"{shell}_source")
        outcome = invoke()
        assert outcome.exit_code == 0
        assert "_DEFIWATCH_COMPLETE" in outcome.stdout
