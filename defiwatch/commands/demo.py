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
from defiwatch.domain.frames import BlockFrame, decode
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
    """How long a recording lasts in seconds, by its blocks or by the wall; what cannot be read does not count."""
    times: dict[bool, tuple[float, float]] = {}
    try:
        with gzip.open(path) as lines:
            for line in lines:
                try:
                    frame = decode(line)
                except msgspec.MsgspecError:
                    continue
                moment, of_chain = time_of(frame), isinstance(frame, BlockFrame)
                if moment is not None:
                    first, last = times.get(of_chain, (moment, moment))
                    times[of_chain] = (min(first, moment), max(last, moment))
    except (EOFError, OSError, zlib.error):
        return _longest(times)
    return _longest(times)


def _longest(times: dict[bool, tuple[float, float]]) -> float:
    return max((last - first for first, last in times.values()), default=0.0)


def screen_speed(path: Path) -> float:
    """The speed at which a recording lasts `ON_SCREEN_S` seconds; never slower than as it happened."""
    return max(1.0, span(path) / ON_SCREEN_S)
