"""`defiwatch` itself and the commands that run an engine. Bodies import what they need: reading options stays quick."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from defiwatch.cli import options
from defiwatch.cli.groups import Root
from defiwatch.cli.options import FILES, Settings, pass_settings
from defiwatch.errors import UsageError

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
    streams = ((sys.stdin, "standard input"), (sys.stdout, "standard output"), (sys.stderr, "standard error"))
    for stream, name in streams:
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
