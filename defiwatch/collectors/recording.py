"""Recordings: read as they are, whatever happened to them, and played as if it happened now.

A recording is lines of JSON, one frame each, gzip-compressed or plain. A line that is damaged, of an unknown kind or
cut off is counted and skipped, as is the rest of a gzip stream from where it is damaged; what came before is kept.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from defiwatch.collectors.seam import Emit
from defiwatch.domain.frames import (
    RECORDING_SCHEMA,
    BlockFrame,
    Frame,
    HeaderFrame,
    HealthFrame,
    InputFrame,
    TickFrame,
    decode,
)
from defiwatch.domain.units import from_hex, from_iso
from defiwatch.errors import RecordingError, UsageError

_CHUNK = 1 << 14
_STEP = 1 << 16
_GZIP = b"\x1f\x8b"
_YIELD_EVERY = 256
_EXPECTED = f'expected lines of JSON, gzip or plain, the first {{"frame":"header","schema":"{RECORDING_SCHEMA}",…}}'


class RecordingReader:
    """Iterates over a recording's frames, its header first. RecordingError if the file is no recording at all.

    `damaged` counts what was skipped; `on_damage` is told once a file, with words for the user. `read` counts the bytes
    of the file behind us, of `size`.
    """

    def __init__(self, path: Path, on_damage: Callable[[str], None] | None = None) -> None:
        self.path = path
        self.damaged = 0
        self.read = 0
        self.lines = 0
        self._on_damage = on_damage
        self._told = False
        try:
            self.size = path.stat().st_size
            self._file = path.open("rb")
        except OSError as error:
            raise RecordingError(f"{path}: cannot be read ({error.strerror or error})") from error
        self._source = self._split()
        self._frames = self._iterate()
        self._header: Frame | None = None
        try:
            self._header = self._first()
        except RecordingError:
            self._file.close()
            raise

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        if self._header is not None:
            header, self._header = self._header, None
            return header
        return next(self._frames)

    def close(self) -> None:
        """Let go of the file; reading to the end does so too."""
        self._frames.close()
        self._file.close()

    def _first(self) -> Frame:
        for line in self._source:
            self.lines += 1
            if not line.strip():
                continue
            try:
                frame = decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise RecordingError(f"{self.path}: is no recording: {_EXPECTED} ({error})") from error
            if not isinstance(frame, HeaderFrame):
                raise RecordingError(f"{self.path}: has no header: {_EXPECTED}")
            if frame.schema != RECORDING_SCHEMA:
                raise RecordingError(f"{self.path}: is a {frame.schema!r}, expected {RECORDING_SCHEMA!r}")
            return frame
        what = "is damaged from the start" if self.damaged else "is empty"
        raise RecordingError(f"{self.path}: {what}: {_EXPECTED}")

    def _iterate(self) -> Generator[Frame]:
        try:
            for line in self._source:
                self.lines += 1
                if not line.strip():
                    continue
                try:
                    frame = decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    self._skip(f"line {self.lines}: {error}")
                    continue
                yield frame
        finally:
            self._file.close()

    def _split(self) -> Iterator[bytes]:
        """The lines of the file, without newlines; the last one also where it has none."""
        rest = b""
        for block in self._blocks():
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            yield from lines
        if rest:
            yield rest

    def _blocks(self) -> Iterator[bytes]:
        """The file's bytes, unpacked."""
        chunk = self._next_chunk()
        if not chunk.startswith(_GZIP):
            while chunk:
                yield chunk
                chunk = self._next_chunk()
            return
        unpacker: zlib._Decompress | None = None
        while chunk or (chunk := self._next_chunk()):
            if unpacker is None:
                # A recording that was gone on with is several gzip members in a row, perhaps padded with zeros.
                chunk = chunk.lstrip(b"\0")
                if not chunk:
                    continue
                unpacker = zlib.decompressobj(wbits=31)
            before = unpacker.copy()
            try:
                block = unpacker.decompress(chunk, _STEP)
            except zlib.error as error:
                yield from _salvage(before, chunk)
                self._skip(f"gzip data damaged within the first {self.read} of {self.size} bytes ({error})")
                return
            if block:
                yield block
            if unpacker.eof:
                chunk, unpacker = unpacker.unused_data, None
            else:
                chunk = unpacker.unconsumed_tail
        if unpacker is not None:
            tail = unpacker.flush()
            if tail:
                yield tail
            self._skip(f"gzip data cut off after {self.size} bytes")

    def _next_chunk(self) -> bytes:
        chunk = self._file.read(_CHUNK)
        self.read += len(chunk)
        return chunk

    def _skip(self, what: str) -> None:
        self.damaged += 1
        if not self._told:
            self._told = True
            if self._on_damage is not None:
                self._on_damage(f"{self.path}: {what}: skipped, what came before is kept")


def _salvage(unpacker: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """What a damaged chunk gives before the damage: less and less at a time, down to single bytes."""
    step = _STEP
    while step:
        before = unpacker.copy()
        try:
            block = unpacker.decompress(chunk, step)
        except zlib.error:
            unpacker = before
            step //= 2
            continue
        if not block:
            return
        yield block
        chunk = unpacker.unconsumed_tail


def read_recording(path: Path, on_damage: Callable[[str], None] | None = None) -> RecordingReader:
    """The frames of one recording, as an iterator: `RecordingReader` as a function."""
    return RecordingReader(path, on_damage)


def time_of(frame: Frame) -> float | None:
    """When a frame happened, Unix seconds: a block's own timestamp, the time of a tick, a health or an input frame.

    None for the others, and where the time is unreadable. A quote's time is its venue's and paces nothing.
    """
    try:
        if isinstance(frame, BlockFrame):
            return float(from_hex(frame.header.timestamp))
        if isinstance(frame, (TickFrame, HealthFrame, InputFrame)) and frame.time:
            return from_iso(frame.time)
    except ValueError:
        return None
    return None


class Player:
    """Plays recordings, one after the other, as a live source would come. Implements `seam.Collector`.

    `speed` is how many times faster than it happened; None as fast as the engine takes it. `on_progress` is told the
    share that is behind, 0..1, whenever it grew by a thousandth. Every file's header is emitted.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        emit: Emit,
        *,
        speed: float | None = None,
        on_progress: Callable[[float], None] | None = None,
        on_damage: Callable[[str], None] | None = None,
    ) -> None:
        if speed is not None and not speed > 0:
            raise UsageError(f"expected a speed above 0, got {speed}")
        self.damaged = 0
        self.frames = 0
        self._paths = tuple(paths)
        self._emit = emit
        self._speed = speed
        self._on_progress = on_progress
        self._on_damage = on_damage
        self._told = -1.0
        self._origin: tuple[float, float] | None = None
        self._reached = float("-inf")

    @property
    def name(self) -> str:
        """The recordings' names."""
        return ", ".join(path.name for path in self._paths)

    async def run(self) -> None:
        """Play to the end. RecordingError before anything is emitted if one of the files is no recording."""
        readers: list[RecordingReader] = []
        try:
            # Opened one by one: those before a bad one are closed again.
            readers.extend(RecordingReader(path, self._on_damage) for path in self._paths)
            total = sum(reader.size for reader in readers)
            for reader in readers:
                for frame in reader:
                    await self._pace(frame)
                    await self._emit(frame)
                    self.frames += 1
                    self._progress(sum(one.read for one in readers), total)
                self.damaged += reader.damaged
            self._progress(total, total)
        finally:
            for reader in readers:
                reader.close()

    async def _pace(self, frame: Frame) -> None:
        """Wait until it is a frame's turn. Its time never goes back, also when a reorg takes the block time back."""
        if self.frames % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        if self._speed is None:
            return
        moment = time_of(frame)
        if moment is None or moment <= self._reached:
            return
        self._reached = moment
        now = asyncio.get_running_loop().time()
        if self._origin is None:
            self._origin = (moment, now)
            return
        delay = self._origin[1] + (moment - self._origin[0]) / self._speed - now
        if delay > 0:
            await asyncio.sleep(delay)

    def _progress(self, done: int, total: int) -> None:
        share = done / total if total else 1.0
        if self._on_progress is not None and (share >= self._told + 0.001 or (share == 1.0 and self._told < 1.0)):
            self._told = share
            self._on_progress(share)


def span(paths: Sequence[Path]) -> tuple[float, float]:
    """The first and the last moment of some recordings, Unix seconds; (0.0, 0.0) if no frame has a time. Reads them."""
    first, last = float("inf"), float("-inf")
    for path in paths:
        for frame in RecordingReader(path):
            moment = time_of(frame)
            if moment is not None:
                first, last = min(first, moment), max(last, moment)
    return (first, last) if first <= last else (0.0, 0.0)
