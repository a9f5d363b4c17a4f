"""`journal verify`: whether the alert journal is whole and unedited."""

from __future__ import annotations

from pathlib import Path

import click

from defiwatch.errors import DifferenceError
from defiwatch.sinks.history import FILE_NAME, Store


def verify(data_dir: Path) -> None:
    """Print how many lines stand and their last hash; DifferenceError names the first that does not."""
    path = data_dir / FILE_NAME
    store = Store.existing(path)
    if store is None:
        click.echo("0 lines: nothing was written yet")
        return
    with store:
        verdict = store.verify()
    if verdict.broken is not None:
        raise DifferenceError(
            f"{path}: line {verdict.broken} {verdict.problem}; {verdict.lines} lines before it are whole"
        )
    click.echo(f"{verdict.lines} lines, whole and unedited; last hash 0x{verdict.hash}")
