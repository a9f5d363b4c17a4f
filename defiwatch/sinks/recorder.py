"""The recorder: every frame, in order, to a recording (gzip, one JSON object a line)."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path

from defiwatch.domain.frames import (
    BlockFrame,
    Frame,
    HeaderFrame,
    HealthFrame,
    InputFrame,
    ReadsFrame,
    TickFrame,
    encode,
)
from defiwatch.errors import StoreError, UsageError
from defiwatch.sinks.worker import Worker

FLUSH_FRAMES = 32
"""Small frames (quotes, ticks) between two flushes at most; a block or a batch of reads flushes at once."""

EARLY_FRAMES = 1_000
"""As many frames that no source gave are kept in memory at most before the file is begun all the same."""


class Recorder:
    """Writes frames as they come; the first must be the header.

    The file is begun with the first frame that a source gave: where none is ever reached, no file is left behind, and
    one that `force` would overwrite stays as it is.

    What was flushed can be read after a kill. Where it flushes follows from the frames alone, so the same frames make
    the same bytes. If the file cannot be written any more the recording ends there, the user is told, and the run goes
    on.
    """

    def __init__(self, path: Path, *, force: bool, tell: Callable[[str], None], size: int = 2_000) -> None:
        self.path = path
        self.frames = 0
        self._tell = tell
        self._problem: OSError | None = None
        self._started = False
        self._since_flush = 0
        self._early: list[Frame] = []
        self._file: gzip.GzipFile | None = None
        self._is_new = not path.exists()
        try:
            self._raw = open(path, "wb" if force else "xb", opener=_kept)  # noqa: SIM115 - closed by close
        except FileExistsError:
            raise UsageError(f"{path}: exists already; --force overwrites it") from None
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror or error})") from error
        self._worker: Worker[Frame] = Worker("recorder", self._write, size=size)

    def put(self, frame: Frame) -> None:
        """Queue a frame; waits while the queue is full. A second header (the recording is of a replay) is left out."""
        if isinstance(frame, HeaderFrame):
            if self._started:
                return
            self._started = True
        if self._problem is None:
            self._worker.put(frame)

    def close(self) -> None:
        """Write what is queued and end the file. StoreError if the recording is not whole."""
        self._worker.close()
        try:
            if self._file is not None:
                self._file.close()
            self._raw.close()
            if self._file is None and self._is_new:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            self._problem = self._problem or error
        if self._problem is not None:
            raise StoreError(self._ended(self._problem)) from self._problem

    def _write(self, frames: list[Frame]) -> None:
        for frame in frames:
            if self._problem is not None:
                return
            if self._file is None:
                self._early.append(frame)
                if not _is_of_a_source(frame) and len(self._early) < EARLY_FRAMES:
                    continue
            try:
                file = self._file or self._begun()
                for each in self._early or (frame,):
                    self._write_one(file, each)
                self._early.clear()
            except OSError as error:
                self._problem = error
                self._tell(self._ended(error))

    def _begun(self) -> gzip.GzipFile:
        """The file, empty."""
        if stat.S_ISREG(os.fstat(self._raw.fileno()).st_mode):
            self._raw.truncate(0)
        self._file = gzip.GzipFile(filename="", fileobj=self._raw, mode="wb", mtime=0, compresslevel=6)
        return self._file

    def _write_one(self, file: gzip.GzipFile, frame: Frame) -> None:
        file.write(encode(frame) + b"\n")
        self._since_flush += 1
        if isinstance(frame, BlockFrame | ReadsFrame | HeaderFrame) or self._since_flush >= FLUSH_FRAMES:
            file.flush(zlib.Z_SYNC_FLUSH)
            self._since_flush = 0
        self.frames += 1

    def _ended(self, error: OSError) -> str:
        return f"{self.path}: the recording ends after {self.frames} frames ({error.strerror or error})"


def _kept(path: str, flags: int) -> int:
    """Opens a file without emptying it."""
    return os.open(path, flags & ~os.O_TRUNC, 0o666)


def _is_of_a_source(frame: Frame) -> bool:
    """Whether a frame shows that a source was reached."""
    if isinstance(frame, HealthFrame):
        return frame.state not in ("unknown", "down", "untrusted")
    return not isinstance(frame, HeaderFrame | TickFrame | InputFrame)
