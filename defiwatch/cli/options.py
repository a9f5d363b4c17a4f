"""Options: those that every command takes, those of a run without a screen, and how their values are read."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from defiwatch import __version__

if TYPE_CHECKING:
    from defiwatch.config import Config

    Seconds = click.ParamType[float]
    Move = click.ParamType[tuple[str, float]]
    Quantity = click.ParamType[tuple[str, str]]
    Numbers = click.ParamType[tuple[float, ...]]
    Words = click.ParamType[tuple[str, ...]]
else:
    Seconds = Move = Quantity = Numbers = Words = click.ParamType  # generic from click 8.4 on only

F = TypeVar("F", bound=Callable[..., Any])

SEVERITIES = click.Choice(["info", "warning", "critical"])
INSERTIONS = ("price_move", "burst", "wash", "drain")
"""What `evaluate --insert` knows; a test holds it against the insertions themselves."""
FILES = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@dataclass
class Settings:
    """What the options of every command say; filled in while the command line is read."""

    config: Path | None = None
    data_dir: Path | None = None
    verbosity: int = 0

    def load(self) -> Config:
        """The configuration; ConfigError if it is refused."""
        from defiwatch.config import find, load

        return load(find(self.config))

    def data(self) -> Path:
        """The data directory."""
        from defiwatch.config import data_directory

        return data_directory(self.data_dir)

    def say(self, text: str, *, at: int = 0) -> None:
        """A line on stderr, if the verbosity is at least `at`."""
        if self.verbosity >= at:
            click.echo(f"defiwatch: {text}", err=True)


pass_settings = click.make_pass_decorator(Settings, ensure=True)

CENTURY_S = 3.2e9


class Duration(Seconds):
    """ "90s", "10m", "2h30m" as seconds; a hundred years at most. `above_zero`: 0 is refused."""

    name = "duration"

    def __init__(self, *, above_zero: bool = False) -> None:
        self._above_zero = above_zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The value in seconds."""
        if isinstance(value, float):
            return value
        from defiwatch.config import duration

        try:
            seconds = duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds > CENTURY_S or (self._above_zero and seconds == 0):
            self.fail(f"expected a duration {'above 0' if seconds == 0 else 'that ends'}, got {value!r}", param, ctx)
        return seconds


class Since(Seconds):
    """ "24h" (ago) or a moment in ISO 8601, as Unix seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The moment in Unix seconds."""
        from defiwatch.config import duration
        from defiwatch.domain.units import from_iso

        try:
            return time.time() - duration(str(value))
        except ValueError:
            try:
                return from_iso(str(value))
            except ValueError:
                self.fail(
                    f"expected a duration such as 24h, or a moment such as 2026-03-10T12:00, got {value!r}", param, ctx
                )


class Speed(Seconds):
    """A factor, or "max"."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The factor; infinity for max."""
        if value == "max":
            return math.inf
        try:
            speed = float(value)
        except ValueError:
            speed = math.nan
        if not 0 < speed < math.inf:
            self.fail(f"expected a number above 0, or max, got {value!r}", param, ctx)
        return speed

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002 - click's own signature
        """What the help shows."""
        return "N|max"


class Shock(Move):
    """ "WETH=-20%" as ("WETH", -0.2)."""

    name = "ASSET=±N%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """The asset's symbol or address, and the relative move of its price."""
        if isinstance(value, tuple):
            return value
        asset, equals, move = str(value).partition("=")
        try:
            share = float(move.removesuffix("%")) / 100
        except ValueError:
            share = math.nan
        if not (asset and equals and move.endswith("%") and -1 <= share < math.inf):
            self.fail(f"expected an asset and a move such as WETH=-20%, got {value!r}", param, ctx)
        return asset, share


class Shares(Numbers):
    """ "1%,30%" as (0.01, 0.3)."""

    name = "N%[,N%...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Shares, each once, in the order given."""
        if isinstance(value, tuple):
            return value
        found: dict[float, None] = {}
        for word in str(value).split(","):
            try:
                share = float(word.removesuffix("%")) / 100
            except ValueError:
                share = math.nan
            if not (word.endswith("%") and 0.0 < share < math.inf):
                self.fail(f"expected sizes such as 1%,30%, got {value!r}", param, ctx)
            found[share] = None
        return tuple(found)


class Kinds(Words):
    """ "drain,wash" as ("drain", "wash")."""

    name = "KIND[,KIND...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Kinds of insertions, each once, in the order given."""
        if isinstance(value, tuple):
            return value
        words = tuple(dict.fromkeys(word.strip() for word in str(value).split(",")))
        for word in words:
            if word not in INSERTIONS:
                self.fail(f"expected some of {', '.join(INSERTIONS)}, got {word!r}", param, ctx)
        return words


class Amount(Quantity):
    """ "USDC=5000" as ("USDC", "5000")."""

    name = "ASSET=AMOUNT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The asset's symbol or address, and an amount in whole units, as decimal text."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([^=]+)=(\d+(?:\.\d+)?)", str(value))
        if match is None:
            self.fail(f"expected an asset and an amount such as USDC=5000, got {value!r}", param, ctx)
        return match[1], match[2]


def _settings(ctx: click.Context) -> Settings:
    return ctx.find_root().ensure_object(Settings)


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None and param.name is not None:
        setattr(_settings(ctx), param.name, value)


def _louder(ctx: click.Context, _param: click.Parameter, value: int) -> None:
    _settings(ctx).verbosity += value


def _quieter(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    _settings(ctx).verbosity -= int(value)


def common(command: F) -> F:
    """The options that every command takes, wherever they stand."""
    for option in reversed(
        (
            click.option(
                "--config",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE",
                expose_value=False,
                callback=_keep,
                help="Configuration (else ./config.toml, the user's own, the bundled default).",
            ),
            click.option(
                "--data-dir",
                type=click.Path(file_okay=False, path_type=Path),
                metavar="DIR",
                expose_value=False,
                callback=_keep,
                help="Where history and models are kept.",
            ),
            click.option(
                "-v",
                "--verbose",
                count=True,
                expose_value=False,
                callback=_louder,
                help="Say more; -vv shows tracebacks.",
            ),
            click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_quieter, help="Say errors only."),
            click.version_option(__version__, prog_name="defiwatch", message="%(prog)s %(version)s"),
        )
    ):
        command = option(command)
    return command


def headless(command: F) -> F:
    """The options of a run without a screen."""
    for option in reversed(
        (
            click.option("--duration", type=Duration(), help="Stop after this long (a replay: of its own time)."),
            click.option(
                "--once", is_flag=True, help="Go up to the head (or the end), print what stands there, leave."
            ),
            click.option(
                "--snapshot-every",
                type=Duration(above_zero=True),
                help="Print a snapshot line this often among the alerts.",
            ),
            click.option("--min-severity", type=SEVERITIES, default="info", help="Print alerts from this severity."),
            click.option("--fail-on", type=SEVERITIES, help="Leave with 4 if an alert of at least this was raised."),
            click.option(
                "--format", "form", type=click.Choice(["jsonl", "cloudevents"]), default="jsonl", help="How lines look."
            ),
        )
    ):
        command = option(command)
    return command


def lookback(command: F) -> F:
    """The option of a first start."""
    return click.option(
        "--lookback",
        type=click.IntRange(min=0),
        default=300,
        show_default=True,
        metavar="N",
        help="Blocks to warm up on at a first start.",
    )(command)


def speed(command: F) -> F:
    """The option of a replay."""
    return click.option(
        "--speed", type=Speed(), help="1 is as it happened; max, the default without a screen, as fast as it goes."
    )(command)


def force(command: F) -> F:
    """The option of what writes a file."""
    return click.option("--force", is_flag=True, help="Overwrite the recording if it exists.")(command)
