"""Recordings through the engine: the same frames, the same alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from defiwatch.collectors.recording import RecordingReader
from defiwatch.domain.frames import Frame
from defiwatch.domain.risk import Alert
from defiwatch.engine.core import Engine


def replay(engine: Engine, files: Sequence[Path], *, speed: float | None = None) -> Iterator[tuple[Frame, list[Alert]]]:  # noqa: ARG001 - the session paces
    """Feed the files' frames in order; yields each frame with its alerts. RecordingError for what is no recording.

    Damaged lines are counted, told once a file through the engine's notices, and skipped. `speed` is the caller's
    business: this goes as fast as it is asked for the next frame.
    """
    sizes = [path.stat().st_size for path in files]
    whole, done = max(sum(sizes), 1), 0
    for path, size in zip(files, sizes, strict=True):
        reader = RecordingReader(path, engine.notice)
        for frame in reader:
            engine.progress = min(1.0, (done + reader.read) / whole)
            yield frame, engine.feed(frame)
        done += size
    engine.progress = 1.0
