"""The command line: commands, options and exit codes; picks a face and wires it to the engine.

Nothing here imports a stage, a face or a command's own code before the command runs, so `--help` is quick.
"""

from __future__ import annotations

from defiwatch.cli import answers
from defiwatch.cli.root import cli

__all__ = ["answers", "cli"]
