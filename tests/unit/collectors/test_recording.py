"""Recordings: whole, damaged in every way, and played."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from defiwatch.collectors.recording import Player, RecordingReader, read_recording, span, time_of
from defiwatch.domain.frames import BlockFrame, Frame, Header, HeaderFrame, QuoteFrame, TickFrame, encode
from defiwatch.errors import RecordingError, UsageError

HEADER = b'{"frame":"header","schema":"defiwatch.recording/1","chains":[{"chain_id":1,"name":"one"}]}\n'
COUNT = 2000


def block(number: int) -> bytes:
    return encode(BlockFrame(1, Header(hex(number), hex(1_700_000_000 + 12 * number), "0x" + f"{number:064x}"))) + b"\n"


BODY = HEADER + b"".join(block(number) for number in range(COUNT))


def write(folder: Path, data: bytes, name: str = "a.jsonl.gz") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def numbers(frames: list[Frame]) -> list[int]:
    return [int(frame.header.number, 16) for frame in frames if isinstance(frame, BlockFrame)]


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_a_whole_recording(tmp_path: Path, pack: type[bytes]) -> None:
    reader = read_recording(write(tmp_path, pack(BODY)))
    frames = list(reader)
    assert isinstance(frames[0], HeaderFrame)
    assert numbers(frames) == list(range(COUNT))
    assert (reader.damaged, reader.read) == (0, reader.size)


def test_blank_lines_and_a_missing_last_newline_are_no_damage(tmp_path: Path) -> None:
    reader = read_recording(write(tmp_path, HEADER + b"\n\n" + block(1) + b"\r\n" + block(2).rstrip()))
    assert numbers(list(reader)) == [1, 2]
    assert reader.damaged == 0


def test_a_recording_that_was_gone_on_with(tmp_path: Path) -> None:
    data = gzip.compress(HEADER + block(1)) + gzip.compress(block(2)) + b"\0" * 512 + gzip.compress(block(3))
    reader = read_recording(write(tmp_path, data))
    assert numbers(list(reader)) == [1, 2, 3]
    assert reader.damaged == 0


def test_damaged_lines_are_counted_told_once_and_skipped(tmp_path: Path) -> None:
    told: list[str] = []
    data = HEADER + block(1) + b'{"frame":"block","chain\n' + block(2) + b'{"frame":"news"}\n\xff\xfe\n' + block(3)
    reader = read_recording(write(tmp_path, gzip.compress(data, mtime=0)), told.append)
    assert numbers(list(reader)) == [1, 2, 3]
    assert reader.damaged == 3
    assert len(told) == 1
    assert "line 3" in told[0]
    assert "a.jsonl.gz" in told[0]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_gzip_tail_that_is_cut_off(tmp_path: Path, share: float) -> None:
    packed = gzip.compress(BODY, mtime=0)
    told: list[str] = []
    reader = RecordingReader(write(tmp_path, packed[: int(len(packed) * share)]), told.append)
    kept = numbers(list(reader))
    assert kept == list(range(len(kept)))
    assert len(kept) >= int(COUNT * share * 0.7)
    assert reader.damaged in (1, 2)
    assert len(told) == 1


def test_everything_before_a_damaged_byte_is_kept(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(BODY, compresslevel=0, mtime=0))
    at = len(packed) // 2
    packed[at] ^= 0xFF
    told: list[str] = []
    reader = RecordingReader(write(tmp_path, bytes(packed)), told.append)
    kept = numbers(list(reader))
    assert len(kept) >= COUNT - 2
    assert reader.damaged >= 1
    packed = bytearray(gzip.compress(BODY, mtime=0))
    start = len(packed) // 2
    packed[start : start + 40] = b"\xff" * 40
    reader = RecordingReader(write(tmp_path, bytes(packed)), told.append)
    kept = numbers(list(reader))
    assert kept[: COUNT // 3] == list(range(COUNT // 3))
    assert reader.damaged >= 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"\x7fELF\x02\x01\x01\0\0", "is no recording"),
        (b"time,price\n1,2\n", "is no recording"),
        (gzip.compress(b"PK\x03\x04", mtime=0), "is no recording"),
        (block(1), "has no header"),
        (b'{"frame":"header","schema":"defiwatch.recording/2"}\n', "defiwatch.recording/2"),
        (b"\x1f\x8bnot gzip at all", "is damaged from the start"),
    ],
)
def test_no_recording_at_all(tmp_path: Path, data: bytes, words: str) -> None:
    path = write(tmp_path, data)
    with pytest.raises(RecordingError) as caught:
        read_recording(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "defiwatch.recording/1" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        read_recording(tmp_path / "nothing.gz")
    with pytest.raises(RecordingError, match="cannot be read"):
        read_recording(tmp_path)


async def test_playing_several_files_in_order(tmp_path: Path) -> None:
    first = write(tmp_path, gzip.compress(HEADER + block(1) + b"{\n" + block(2)))
    second = write(tmp_path, HEADER + block(3), "b.jsonl")
    frames: list[Frame] = []
    shares: list[float] = []
    told: list[str] = []

    async def emit(frame: Frame) -> None:
        frames.append(frame)

    player = Player([first, second], emit, on_progress=shares.append, on_damage=told.append)
    await player.run()
    assert numbers(frames) == [1, 2, 3]
    assert [isinstance(frame, HeaderFrame) for frame in frames] == [True, False, False, True, False]
    assert (player.damaged, player.frames, len(told)) == (1, 5, 1)
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert player.name == "a.jsonl.gz, b.jsonl"


async def test_a_bad_second_file_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    async def emit(_: Frame) -> None:
        raise AssertionError

    good, bad = write(tmp_path, HEADER), write(tmp_path, b"nonsense", "b.jsonl")
    with pytest.raises(RecordingError, match=r"b\.jsonl"):
        await Player([good, bad], emit).run()
    with pytest.raises(UsageError):
        Player([good], emit, speed=0.0)


async def test_the_pace_follows_the_frames_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quote = encode(QuoteFrame("v", "A", "B", "1", "2030-01-01T00:00:00Z")) + b"\n"
    tick = encode(TickFrame("2023-11-14T22:14:20Z")) + b"\n"
    path = write(tmp_path, HEADER + block(0) + quote + block(2) + block(1) + tick)
    slept: list[float] = []
    now = 100.0
    loop = asyncio.get_running_loop()

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    async def emit(_: Frame) -> None:
        nonlocal now
        now += 0.25

    monkeypatch.setattr("defiwatch.collectors.recording.asyncio.sleep", sleep)
    monkeypatch.setattr(loop, "time", lambda: now)
    await Player([path], emit, speed=4.0).run()
    # 24 s and then 36 s of the recording's time at speed 4, less what the engine took.
    assert [s for s in slept if s] == pytest.approx([6.0 - 0.5, 9.0 - 0.5])
    slept.clear()
    await Player([path], emit).run()
    assert not any(slept)


def test_times_and_span(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + block(0) + block(5))
    assert span([path]) == (1_700_000_000.0, 1_700_000_060.0)
    assert span([write(tmp_path, HEADER)]) == (0.0, 0.0)
    assert time_of(TickFrame("yesterday")) is None


@pytest.mark.data
def test_a_real_recording_of_another_make(data_folder: Path) -> None:
    path = data_folder / "aave_v3_revisions" / "rev11" / "recording.jsonl.gz"
    reader = read_recording(path)
    frames = list(reader)
    assert reader.damaged == 0
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines() if line.strip()]
    assert len(frames) == len(lines)
    tags = [str(type(frame).__struct_config__.tag) for frame in frames]
    assert tags == [line["frame"] for line in lines]
