"""Groups of commands whose options may stand before or after the command, as in other good tools."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import click

from defiwatch.cli.ending import leave


class Group(click.Group):
    """A group that moves the command's name to the front, so that the command reads all options wherever they stand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the group's own arguments."""
        if not ctx.resilient_parsing or self._command_in(args):
            args = self.hoisted(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; an unknown one is refused with what it may have meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and not name.startswith("-"):
            close = get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(self.list_commands(ctx))}"
            raise click.UsageError(f"no command is called {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def hoisted(self, args: Sequence[str]) -> list[str]:
        """The arguments with the first that is no option (nor an option's value) in front."""
        at = self._first_word(args)
        return list(args) if at is None else [args[at], *args[:at], *args[at + 1 :]]

    def _command_in(self, args: Sequence[str]) -> bool:
        at = self._first_word(args)
        return at is not None and args[at] in self.commands

    def _first_word(self, args: Sequence[str]) -> int | None:
        valued = {name for name, takes_value in options_of(self) if takes_value}
        at = 0
        while at < len(args):
            word = args[at]
            if word == "--":
                return None
            if not word.startswith("-") or word == "-":
                return at
            name = word if word.startswith("--") else f"-{word[-1]}"
            at += 2 if name in valued and "=" not in word else 1
        return None


class Root(Group):
    """The command `defiwatch`: reads the command line, runs a command, and leaves with its exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run; ends the process unless `standalone_mode` is off."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        words = list(sys.argv[1:] if args is None else args)
        if os.environ.get("NO_COLOR"):
            extra.setdefault("color", False)
        sys.exit(leave(self, words, complete_var, **extra))


def options_of(command: click.Command) -> Iterator[tuple[str, bool]]:
    """Every option's name of a command and of all below it, with whether it takes a value."""
    for param in command.params:
        if isinstance(param, click.Option):
            takes_value = not (param.is_flag or param.count)
            for name in (*param.opts, *param.secondary_opts):
                yield name, takes_value
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from options_of(below)
