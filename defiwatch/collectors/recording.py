"""Playing back a recording: gzip (or plain) JSON lines as frames, in order.

A damaged or truncated line is counted, described once, and skipped; what came before it is kept. Only a file that is no
recording at all is refused.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from defiwatch.domain.frames import RECORDING_SCHEMA, Frame, HeaderFrame, decode
from defiwatch.errors import RecordingError

_GZIP = b"\x1f\x8b"
MAX_LINE = 256 * 1024 * 1024
"""Bytes of one line at most; a longer one is damage, not a frame."""


class Recording:
    """One file. Iterate it for its frames; afterwards `damage` says what was skipped ("" if nothing)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.consumed = 0
        """Bytes of the file read so far."""
        self.frames = 0
        self.damaged = 0
        self.first_damage = ""
        self._cut = ""

    @property
    def damage(self) -> str:
        """What was wrong with the file, in one sentence; "" if nothing was."""
        parts = []
        if self.damaged:
            lines = "1 damaged line was" if self.damaged == 1 else f"{self.damaged} damaged lines were"
            parts.append(f"{lines} skipped, the first {self.first_damage}")
        if self._cut:
            parts.append(self._cut)
        return "; ".join(parts)

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order. RecordingError if the file cannot be opened or is no recording."""
        try:
            with self.path.open("rb") as file:
                yield from self._read(file)
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be read ({error.strerror or error})") from error

    def _read(self, file: BinaryIO) -> Iterator[Frame]:
        number = 0
        for line in self._lines(file):
            number += 1
            if not line.strip():
                continue
            try:
                frame = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if self.frames == 0 and number == 1:
                    raise RecordingError(
                        f"{self.path}: no recording: expected JSON lines, plain or gzip, of schema {RECORDING_SCHEMA} "
                        f"(line 1: {error})"
                    ) from error
                self.damaged += 1
                self.first_damage = self.first_damage or f"line {number} ({error})"
                continue
            if isinstance(frame, HeaderFrame) and frame.schema != RECORDING_SCHEMA:
                raise RecordingError(
                    f"{self.path}: line {number}: a recording of schema {frame.schema!r}; this version reads "
                    f"{RECORDING_SCHEMA}"
                )
            if self.frames == 0 and not isinstance(frame, HeaderFrame):
                self.first_damage = f"line {number} (no header before it)"
                raise RecordingError(
                    f"{self.path}: line {number}: expected the header first, got a {_kind(frame)} frame"
                )
            self.frames += 1
            yield frame
        if self.frames == 0:
            raise RecordingError(f"{self.path}: no recording: the file holds no frame ({self._cut or 'it is empty'})")

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        start = file.read(2)
        file.seek(0)
        counted = _Counted(file, self)
        if start == _GZIP:
            with gzip.GzipFile(fileobj=io.BufferedReader(counted, 1 << 16)) as packed:
                yield from self._split(packed)
        else:
            yield from self._split(io.BufferedReader(counted, 1 << 16))

    def _split(self, stream: gzip.GzipFile | io.BufferedReader) -> Iterator[bytes]:
        while True:
            try:
                line = stream.readline(MAX_LINE)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                self._cut = f"the file ends early ({error})"
                return
            if not line:
                return
            yield line


class _Counted(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, owner: Recording) -> None:
        self._file = file
        self._owner = owner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # any writable buffer
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._owner.consumed += len(data)
        return len(data)


def _kind(frame: Frame) -> str:
    return str(frame.__struct_config__.tag)


def read_recording(path: Path) -> Iterator[Frame]:
    """The frames of one recording, damage skipped."""
    return iter(Recording(path))
