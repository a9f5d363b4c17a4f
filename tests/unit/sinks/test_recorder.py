from __future__ import annotations

import gzip
import time
import zlib
from pathlib import Path

import pytest

from defiwatch.domain.frames import Frame, HealthFrame, decode
from defiwatch.errors import StoreError, UsageError
from defiwatch.sinks.recorder import EARLY_FRAMES, Recorder
from tests.unit.sinks.samples import block, frames, header, quote, tick


def silent(_: str) -> None:
    return


def record(path: Path, items: list[Frame], *, pause: float = 0.0, force: bool = False) -> bytes:
    """What the file holds after it, b"" if there is none."""
    recorder = Recorder(path, force=force, tell=silent)
    for item in items:
        recorder.put(item)
        time.sleep(pause)
    recorder.close()
    return path.read_bytes() if path.exists() else b""


def read(path: Path) -> list[Frame]:
    with gzip.open(path) as lines:
        return [decode(line) for line in lines]


def test_every_frame_in_order(tmp_path: Path) -> None:
    items = [*frames(5), quote(70), tick(71)]
    record(tmp_path / "r.gz", items)
    assert read(tmp_path / "r.gz") == items


def test_the_same_frames_make_the_same_bytes_however_they_came(tmp_path: Path) -> None:
    items: list[Frame] = [*frames(3), *(quote(n) for n in range(100)), block(4)]
    first = record(tmp_path / "a.gz", items)
    assert record(tmp_path / "b.gz", items, pause=0.001) == first
    assert first[4:8] == b"\0\0\0\0", "no time of the wall clock in the gzip header"
    assert not first[3], "no file name in the gzip header"


def test_what_was_flushed_is_readable_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "r.gz"
    recorder = Recorder(path, force=False, tell=silent)
    items = frames(20)
    for item in items:
        recorder.put(item)
    deadline = time.monotonic() + 20
    while recorder.frames < len(items) and time.monotonic() < deadline:
        time.sleep(0.01)
    cut = path.read_bytes()
    recorder.close()
    lines = zlib.decompressobj(31).decompress(cut).splitlines()
    assert [decode(line) for line in lines] == items


def test_quotes_alone_are_flushed_too(tmp_path: Path) -> None:
    path = tmp_path / "r.gz"
    recorder = Recorder(path, force=False, tell=silent)
    recorder.put(header())
    for n in range(40):
        recorder.put(quote(n))
    deadline = time.monotonic() + 20
    while recorder.frames < 41 and time.monotonic() < deadline:
        time.sleep(0.01)
    lines = zlib.decompressobj(31).decompress(path.read_bytes()).splitlines()
    recorder.close()
    assert len(lines) == 33


def test_a_second_header_is_left_out(tmp_path: Path) -> None:
    record(tmp_path / "r.gz", [header(), header(), block(1)])
    assert read(tmp_path / "r.gz") == [header(), block(1)]


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "r.gz"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"r\.gz: exists already; --force overwrites it"):
        Recorder(path, force=False, tell=silent)
    assert path.read_bytes() == b"precious"
    record(path, frames(1), force=True)
    assert read(path) == frames(1)


@pytest.mark.parametrize("force", [False, True])
def test_where_no_source_was_reached_no_file_is_left(tmp_path: Path, force: bool) -> None:
    path = tmp_path / "r.gz"
    items: list[Frame] = [header(), tick(1), HealthFrame("one", "down", "2026-01-01T00:00:00Z", chain_id=1), tick(2)]
    record(path, items, force=force)
    assert not path.exists()
    path.write_bytes(b"precious")
    record(path, items, force=True)
    assert path.read_bytes() == b"precious"


def test_what_came_before_the_first_source_is_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "r.gz"
    path.write_bytes(b"longer than what is written" * 1_000)
    down, live = (HealthFrame("one", state, "2026-01-01T00:00:00Z", chain_id=1) for state in ("down", "live"))
    items: list[Frame] = [header(), tick(1), down, tick(2), live]
    record(path, items, force=True)
    assert read(path) == items


def test_silence_without_end_is_kept_in_bounds(tmp_path: Path) -> None:
    items: list[Frame] = [header(), *(tick(n) for n in range(EARLY_FRAMES + 5))]
    record(tmp_path / "r.gz", items)
    assert read(tmp_path / "r.gz") == items


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be written .No such file or directory"):
        Recorder(tmp_path / "no" / "r.gz", force=False, tell=silent)
    with pytest.raises(UsageError, match=r"exists already|Is a directory"):
        Recorder(tmp_path, force=True, tell=silent)


def test_a_full_disk_ends_the_recording_but_not_the_run() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    told: list[str] = []
    recorder = Recorder(full, force=True, tell=told.append)
    for item in frames(50):
        recorder.put(item)
    with pytest.raises(StoreError, match=r"the recording ends after 0 frames .No space left"):
        recorder.close()
    assert told == ["/dev/full: the recording ends after 0 frames (No space left on device)"]
