"""How a command ends: exit codes, one clear line for what went wrong, and a quiet end where nobody reads on."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

import click
from click.shell_completion import shell_complete

from defiwatch.cli.options import Settings
from defiwatch.errors import DefiwatchError, ExitCode

PROGRAM = "defiwatch"
COMPLETE = "_DEFIWATCH_COMPLETE"

_URL = re.compile(r"\b(?:https?|wss?)://[^\s'\"<>]*[\w/]")


def leave(root: click.Command, args: list[str], complete_var: str | None = None, **extra: Any) -> int:
    """Run `root` and return the exit code. Faults of ours (anything but `DefiwatchError`) are not caught here."""
    settings = extra.setdefault("obj", Settings())
    variable = complete_var or COMPLETE
    if instruction := os.environ.get(variable):
        return shell_complete(root, {}, PROGRAM, variable, instruction)
    try:
        with root.make_context(PROGRAM, args, **extra) as ctx:
            outcome = root.invoke(ctx)
        if sys.stdout is not None:
            sys.stdout.flush()
        return int(outcome) if isinstance(outcome, int) else ExitCode.OK
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.OK
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else PROGRAM
        message = " ".join(error.format_message().split())
        say(f"{message[:1].lower()}{message[1:].removesuffix('.')}\nTry '{where} --help'.")
        return ExitCode.USAGE
    except click.ClickException as error:
        say(error.format_message())
        return error.exit_code
    except DefiwatchError as error:
        if settings.verbosity >= 2:
            sys.stderr.write(trace(error))
        say(str(error))
        return error.exit_code
    except BrokenPipeError:
        return ExitCode.OK
    except OSError as error:
        if settings.verbosity >= 2:
            sys.stderr.write(trace(error))
        say(f"{error.filename or 'standard output'}: {error.strerror or error}")
        return ExitCode.FAULT
    finally:
        _let_go()


def say(text: str) -> None:
    """One line on stderr; URLs in it are masked."""
    click.echo(f"{PROGRAM}: {masked(text)}", err=True)


def trace(error: BaseException) -> str:
    """The traceback, URLs masked."""
    return masked("".join(traceback.format_exception(error)))


def masked(text: str) -> str:
    """`text` with what may be a secret in its URLs masked."""
    if "://" not in text:
        return text
    from defiwatch.config import mask

    return _URL.sub(lambda match: mask(match[0]), text)


def on_fault(settings: Settings) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """What the interpreter calls for an error that nothing expected: one line, and with -vv the traceback."""

    def tell(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            return
        if settings.verbosity >= 2:
            sys.stderr.write(trace(error))
        text = " ".join(str(error).split())
        more = "" if settings.verbosity >= 2 else "; -vv shows where"
        say(f"a fault of ours: {type(error).__name__}: {text}{more}")

    return tell


def _let_go() -> None:
    """If the reader of stdout is gone, let the interpreter's last flush go nowhere."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
