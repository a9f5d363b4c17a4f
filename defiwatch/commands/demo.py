"""The bundled recording: where it is, and how fast it fills the screen."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import msgspec

from defiwatch.clock import time_of
from defiwatch.domain.frames import decode
from defiwatch.errors import StoreError

FILE_NAME = "crash.jsonl.gz"
ON_SCREEN_S = 90.0
"""How long the whole of it lasts on screen."""


@contextlib.contextmanager
def bundled() -> Iterator[Path]:
    """The bundled recording as a file. StoreError if this installation lacks it."""
    held = resources.files("defiwatch") / "demo" / FILE_NAME
    if not held.is_file():
        raise StoreError("the bundled recording is missing from this installation; install defiwatch again")
    with resources.as_file(held) as path:
        yield path


def span(path: Path) -> float:
    """How long a recording lasts by its own time, in seconds; what cannot be read does not count."""
    first = last = None
    try:
        with gzip.open(path) as lines:
            for line in lines:
                try:
                    moment = time_of(decode(line))
                except msgspec.MsgspecError:
                    continue
                if moment is not None:
                    first = moment if first is None else min(first, moment)
                    last = moment if last is None else max(last, moment)
    except (EOFError, OSError, zlib.error):
        return 0.0 if first is None or last is None else last - first
    return 0.0 if first is None or last is None else last - first


def screen_speed(path: Path) -> float:
    """The speed at which a recording lasts `ON_SCREEN_S` seconds; never slower than as it happened."""
    return max(1.0, span(path) / ON_SCREEN_S)
