"""The commands. Each body imports what it needs, so that reading the command line stays quick."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from defiwatch.cli import options
from defiwatch.cli.groups import Group, Root
from defiwatch.cli.options import SEVERITIES, Duration, Settings, Since
from defiwatch.errors import DeliveryError, UsageError

if TYPE_CHECKING:
    from defiwatch.config import Config
    from defiwatch.headless import Options, Places

EPILOG = """\b
Without a command: run. Options may stand before or after the command.
\b
Exit codes: 0 fine, 1 a fault of ours, 2 usage or configuration, 3 no source
could be reached, 4 --fail-on met or a difference found.
\b
Shell completion: put one of these where your shell starts
  bash   eval "$(_DEFIWATCH_COMPLETE=bash_source defiwatch)"
  zsh    eval "$(_DEFIWATCH_COMPLETE=zsh_source defiwatch)"
  fish   _DEFIWATCH_COMPLETE=fish_source defiwatch | source
"""

FILES = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
pass_settings = click.make_pass_decorator(Settings, ensure=True)


def _run_options(command: Any) -> Any:
    """The options of `run`, which `defiwatch` alone takes too."""
    for option in reversed(
        (
            click.option("--headless", is_flag=True, help="No screen: one JSON alert a line."),
            options.headless,
            options.lookback,
            click.option("--record", type=click.Path(path_type=Path), metavar="FILE", help="Keep every frame there."),
            options.force,
        )
    ):
        command = option(command)
    return command


@click.group(
    cls=Root,
    name="defiwatch",
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@_run_options
@options.common
@click.pass_context
def cli(ctx: click.Context, /, **asked: Any) -> int | None:
    """Live DeFi risk in a terminal: pools, markets, positions and what is unusual about them."""
    return None if ctx.invoked_subcommand else _run(ctx, **asked)


@cli.command()
@_run_options
@options.common
@click.pass_context
def run(ctx: click.Context, /, **asked: Any) -> int:
    """The dashboard on the configured chains (or --headless)."""
    return _run(ctx, **asked)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@options.headless
@options.lookback
@options.force
@options.common
@pass_settings
def record(settings: Settings, /, file: Path, force: bool, **asked: Any) -> int:
    """Run without a screen and keep every frame in FILE (gzip)."""
    from defiwatch.headless import Places

    config = settings.load()
    return _headless(
        config, _options(settings, **asked), Places(data_dir=settings.data(), record=file, force=force, notify=True)
    )


@cli.command()
@click.argument("files", nargs=-1, required=True, type=FILES, metavar="FILE...")
@click.option("--headless", is_flag=True, help="No screen: one JSON alert a line.")
@options.speed
@options.headless
@options.common
@click.pass_context
def replay(ctx: click.Context, /, files: tuple[Path, ...], **asked: Any) -> int:
    """Run recordings through the same engine. Its alerts are kept only where --data-dir says so."""
    settings = ctx.ensure_object(Settings)
    return _replay(ctx, settings.load(), files, mode="replay", **asked)


@cli.command()
@click.option("--headless", is_flag=True, help="No screen: one JSON alert a line.")
@options.speed
@options.headless
@options.common
@click.pass_context
def demo(ctx: click.Context, /, **asked: Any) -> int:
    """The bundled recording: a calm market, then a crash. No network, no configuration."""
    from defiwatch.commands.demo import bundled, screen_speed
    from defiwatch.config import Config

    settings = ctx.ensure_object(Settings)
    config = settings.load() if settings.config is not None else Config()
    with bundled() as path:
        if not asked["headless"] and asked["speed"] is None:
            asked["speed"] = screen_speed(path)
        return _replay(ctx, config, (path,), mode="demo", **asked)


@cli.command()
@click.argument("files", nargs=-1, required=True, type=FILES, metavar="FILE...")
@click.option("--labels", type=FILES, required=True, help="What really happened: one JSON object a line.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.common
@pass_settings
def evaluate(settings: Settings, /, files: tuple[Path, ...], labels: Path, as_json: bool) -> None:
    """Precision, recall, lead time and false alarms a day of recordings against labels."""
    import msgspec

    from defiwatch.commands.evaluate import evaluate, read_labels, table
    from defiwatch.session import load_parts, replayed

    known = read_labels(labels)
    result = evaluate(replayed(load_parts(), settings.load(), files), known)
    click.echo(msgspec.json.encode(result) if as_json else table(result))


@cli.command()
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--chain", metavar="NAME", help="Only on this chain.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--all", "everyone", is_flag=True, help="Every borrower of the recording.")
@click.option("--shock", "shocks", multiple=True, type=options.Shock(), help="What if: a price moves, as WETH=-20%.")
@click.option("--repay", "repays", multiple=True, type=options.Amount(), help="What if: debt is repaid, as USDC=5000.")
@click.option("--recording", type=FILES, help="From a recording instead of the chain.")
@click.option("--until", type=click.IntRange(min=0), metavar="BLOCK", help="The recording up to this block.")
@click.option("--each-block", is_flag=True, help="At every block of the recording.")
@options.common
@pass_settings
def positions(
    settings: Settings,
    /,
    addresses: tuple[str, ...],
    chain: str | None,
    as_json: bool,
    everyone: bool,
    shocks: tuple[tuple[str, float], ...],
    repays: tuple[tuple[str, str], ...],
    recording: Path | None,
    until: int | None,
    each_block: bool,
) -> int:
    """Health factor, liquidation prices and what would make it safe, of each ADDRESS."""
    if recording is None and (everyone or until is not None or each_block):
        raise click.UsageError("--all, --until and --each-block need --recording")
    if until is not None and each_block:
        raise click.UsageError("--until and --each-block exclude each other")
    if everyone and addresses:
        raise click.UsageError("--all and an ADDRESS exclude each other")
    if recording is None and not addresses:
        raise click.UsageError("an ADDRESS is missing")
    config = settings.load()
    return int(
        _command("positions")(
            config,
            settings.data(),
            addresses,
            chain=chain,
            shocks=dict(shocks),
            repays=dict(repays),
            recording=recording,
            until=until,
            each_block=each_block,
            as_json=as_json,
        )
    )


@cli.command()
@click.argument("address")
@click.option("--chain", metavar="NAME", help="On this chain.")
@click.option("--block", type=click.IntRange(min=0), help="At this block (else the newest).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.common
@pass_settings
def prove(settings: Settings, /, address: str, chain: str | None, block: int | None, as_json: bool) -> int:
    """Every term of ADDRESS's health factor beside the contract's own answer."""
    config = settings.load()
    return int(_command("prove")(config, settings.data(), address, chain=chain, block=block, as_json=as_json))


@cli.group(cls=Group, invoke_without_command=True)
@click.option("--since", type=Since(), help="From so long ago (24h), or from a moment (ISO 8601).")
@click.option("--severity", type=SEVERITIES, help="Of at least this severity.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, as it was printed first.")
@options.common
@click.pass_context
def alerts(ctx: click.Context, since: float | None, severity: Any, as_json: bool) -> None:
    """The alerts that were raised, oldest first; and handling them."""
    if ctx.invoked_subcommand:
        return
    from defiwatch.commands.alerts import show

    settings = ctx.find_root().ensure_object(Settings)
    if not show(settings.data(), since=since, severity=severity, as_json=as_json):
        settings.say("no alerts")


@alerts.command()
@click.argument("key")
@options.common
@pass_settings
def ack(settings: Settings, /, key: str) -> None:
    """Say that the alert KEY was seen."""
    from defiwatch.commands.alerts import ack

    settings.say(f"acknowledged: {ack(settings.data(), key)}")


@alerts.command()
@click.argument("key")
@click.argument("duration", type=Duration())
@options.common
@pass_settings
def snooze(settings: Settings, /, key: str, duration: float) -> None:
    """Keep the alert KEY silent for DURATION (2h)."""
    from defiwatch.commands.alerts import snooze

    whole, until = snooze(settings.data(), key, duration)
    settings.say(f"silent until {until}: {whole}")


@alerts.command()
@click.argument("channel")
@options.common
@pass_settings
def test(settings: Settings, /, channel: str) -> None:
    """Send a test alert through CHANNEL and say what became of it."""
    from defiwatch.commands.alerts import push_test

    try:
        name, answer, seconds = push_test(settings.load().sinks, channel)
    except DeliveryError as error:
        raise DeliveryError(f"{channel}: not delivered: {error}") from error
    click.echo(f"{name}: delivered ({answer}) in {seconds:.2f} s")


@cli.command()
@click.argument("what", metavar="KEY|ADDRESS")
@options.common
@pass_settings
def explain(settings: Settings, /, what: str) -> None:
    """Why there is an alert, or why there is none: thresholds, distance, last read."""
    from defiwatch.commands.explain import explain

    explain(settings.data(), what, settings.load().alerts)


@cli.group(cls=Group, no_args_is_help=False)
@options.common
def journal() -> None:
    """The alert journal."""


@journal.command()
@options.common
@pass_settings
def verify(settings: Settings, /) -> None:
    """Check that the journal is whole and unedited; names the first broken line."""
    from defiwatch.commands.journal import verify

    verify(settings.data())


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.common
@pass_settings
def models(settings: Settings, /, as_json: bool) -> None:
    """Each model's running record."""
    from defiwatch.commands.models import show

    if not show(settings.data(), as_json=as_json):
        settings.say(f"nothing was learnt yet in {settings.data()}")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.common
@pass_settings
def check(settings: Settings, /, as_json: bool) -> int:
    """Check the configuration and every endpoint."""
    config = settings.load()
    return int(_command("check")(config, settings.data(), as_json=as_json))


@cli.command()
@click.argument(
    "name",
    type=click.Choice(["alert", "position", "proof", "evaluation", "check", "snapshot", "recording", "config"]),
)
@options.common
def schema(name: str) -> None:
    """Print the JSON Schema of NAME."""
    from defiwatch.commands.schema import text

    click.echo(text(name))


def _run(ctx: click.Context, /, headless: bool, record: Path | None, force: bool, lookback: int, **asked: Any) -> int:
    settings = ctx.find_root().ensure_object(Settings)
    config = settings.load()
    if headless:
        from defiwatch.headless import Places

        places = Places(data_dir=settings.data(), record=record, force=force, notify=True)
        return _headless(config, _options(settings, lookback=lookback, **asked), places)
    _need_screen(ctx)
    from defiwatch.cli.wiring import show

    return show(
        config,
        mode="live",
        title="defiwatch",
        lookback=lookback,
        data_dir=settings.data(),
        record=record,
        force=force,
        notify=True,
        tell_fault=_tell_fault(settings),
    )


def _replay(
    ctx: click.Context,
    /,
    config: Config,
    files: Sequence[Path],
    *,
    mode: str,
    headless: bool,
    speed: float | None,
    **asked: Any,
) -> int:
    settings = ctx.find_root().ensure_object(Settings)
    factor = speed if speed is not None else (math.inf if headless else 1.0)
    pace = None if factor == math.inf else factor
    if headless:
        from defiwatch.headless import Places

        return _headless(
            config, _options(settings, speed=pace, **asked), Places(data_dir=settings.data_dir), files=files, mode=mode
        )
    _need_screen(ctx)
    from defiwatch.cli.wiring import show

    return show(
        config,
        mode=mode,
        title=f"defiwatch {mode}",
        files=files,
        speed=pace,
        data_dir=settings.data_dir,
        tell_fault=_tell_fault(settings),
    )


def _command(name: str) -> Any:
    """The function `run` of the command's own module: `(config, data_dir, …) -> ExitCode`."""
    return import_module(f"defiwatch.commands.{name}").run


def _options(settings: Settings, **asked: Any) -> Options:
    from defiwatch.headless import Options

    return Options(verbosity=settings.verbosity, **asked)


def _headless(
    config: Config, asked: Options, places: Places, *, files: Sequence[Path] | None = None, mode: str = "live"
) -> int:
    from defiwatch import headless
    from defiwatch.cli.signals import stopping

    with stopping() as stop:
        return headless.run(config, asked, places, stop=stop, files=files, mode=mode)


def _need_screen(ctx: click.Context) -> None:
    """UsageError unless there is a terminal to draw on, and nothing was asked for that only makes sense without."""
    for name in ("duration", "once", "snapshot_every", "min_severity", "fail_on", "form"):
        if ctx.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            option = next(param.opts[0] for param in ctx.command.params if param.name == name)
            raise click.UsageError(f"{option} needs --headless", ctx)
    for stream, name in ((sys.stdin, "standard input"), (sys.stdout, "standard output")):
        if stream is None or not stream.isatty():
            raise UsageError(
                f"{name} is no terminal, and the dashboard needs one; --headless prints JSON lines instead"
            )
    if os.environ.get("TERM") == "dumb":
        raise UsageError("this terminal (TERM=dumb) cannot draw the dashboard; --headless prints JSON lines instead")


def _tell_fault(settings: Settings) -> Any:
    """What the screen already said in a line, with its traceback if that was asked for."""

    def tell(error: BaseException) -> None:
        from defiwatch.cli.ending import trace

        if settings.verbosity >= 2:
            click.echo(trace(error), err=True, nl=False)

    return tell
