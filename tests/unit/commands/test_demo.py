from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from defiwatch.commands.demo import ON_SCREEN_S, screen_speed, span
from defiwatch.domain.frames import Frame, encode
from tests.unit.sinks.samples import block, header, quote


def written(path: Path, items: list[Frame], *, more: bytes = b"") -> Path:
    path.write_bytes(gzip.compress(b"".join(encode(item) + b"\n" for item in items) + more))
    return path


def test_span_is_by_the_frames_own_time(tmp_path: Path) -> None:
    items: list[Frame] = [header(), block(1), quote(1000), block(11)]
    assert span(written(tmp_path / "r.gz", items)) == 120.0
    apart: list[Frame] = [header(), block(1), quote(10_000_000), block(11), quote(10_000_300)]
    assert span(written(tmp_path / "apart.gz", apart)) == 300.0
    assert span(written(tmp_path / "empty.gz", [header()])) == 0.0


def test_a_damaged_line_and_a_cut_end_do_not_matter(tmp_path: Path) -> None:
    path = written(tmp_path / "r.gz", [header(), *(block(n) for n in range(1, 400))], more=b"garbage\n")
    whole = span(path)
    assert whole == 12.0 * 398
    path.write_bytes(path.read_bytes()[:-200])
    assert 0 < span(path) <= whole


def test_the_whole_of_it_fills_the_time_on_screen(tmp_path: Path) -> None:
    path = written(tmp_path / "r.gz", [header(), block(1), block(601)])
    assert span(path) / screen_speed(path) == pytest.approx(ON_SCREEN_S)
    short = written(tmp_path / "short.gz", [header(), block(1), block(2)])
    assert screen_speed(short) == 1.0
