"""The line, stage by stage, on one recording: events a second of decode, apply, score and the whole replay.

pytest tests/bench/test_line.py --benchmark-only -s
"""

from __future__ import annotations

from functools import lru_cache

import pytest

from defiwatch.collectors.recording import RecordingReader
from defiwatch.commands.demo import bundled
from defiwatch.config import Config
from defiwatch.domain.frames import BlockFrame, Frame, HeaderFrame, decode, encode
from defiwatch.domain.learning import Observation
from defiwatch.engine import Engine
from defiwatch.engine.intake import Intake
from defiwatch.models import Models
from defiwatch.protocols.registry import decode_any


@lru_cache(maxsize=1)
def frames() -> tuple[Frame, ...]:
    with bundled() as path:
        return tuple(RecordingReader(path))


@lru_cache(maxsize=1)
def lines() -> tuple[bytes, ...]:
    return tuple(encode(frame) for frame in frames())


def engine() -> Engine:
    made = Engine(Config(), mode="replay")
    header = frames()[0]
    assert isinstance(header, HeaderFrame)
    made.feed(header)
    return made


def told(benchmark: pytest.FixtureRequest, name: str, events: int) -> None:
    seconds = benchmark.stats.stats.median  # type: ignore[attr-defined]
    benchmark.extra_info.update({"events": events, "events_per_s": round(events / seconds)})  # type: ignore[attr-defined]
    print(f"\n{name}: {events / seconds:,.0f} events/s ({events} events)")


@lru_cache(maxsize=1)
def whole() -> tuple[int, tuple[Observation, ...]]:
    """(events that the replay applies, the observations that its models score)."""
    made = engine()
    line = made.lines[31337]
    seen: list[Observation] = []
    score = line.judge.models.score

    def kept(observation: Observation) -> object:
        seen.append(observation)
        return score(observation)

    line.judge.models.score = kept  # type: ignore[method-assign,assignment]
    for frame in frames()[1:]:
        made.feed(frame)
    return line.intake.events, tuple(seen)


def test_parse_and_decode(benchmark) -> None:  # type: ignore[no-untyped-def]  # pytest-benchmark ships no types
    def run() -> int:
        count = 0
        for line in lines():
            frame = decode(line)
            if isinstance(frame, BlockFrame):
                for log in frame.logs:
                    count += decode_any(log) is not None
        return count

    events = benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    told(benchmark, "parse and decode", events)


def test_apply(benchmark) -> None:  # type: ignore[no-untyped-def]
    instances = engine().lines[31337].intake.instances

    def run() -> int:
        from defiwatch.domain.frames import ReadsFrame, RemovedFrame

        intake = Intake(31337, instances, journal=256)
        for frame in frames()[1:]:
            if isinstance(frame, BlockFrame):
                intake.on_block(frame)
            elif isinstance(frame, ReadsFrame):
                intake.on_reads(frame)
            elif isinstance(frame, RemovedFrame):
                intake.on_removed(frame)
        return intake.events

    events = benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    told(benchmark, "apply (decode, state, reads, journal)", events)


def test_score_and_learn(benchmark) -> None:  # type: ignore[no-untyped-def]
    observations = whole()[1]

    def run() -> None:
        models = Models(Config().models)
        for observation in observations:
            models.score(observation)
            models.learn(observation)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    told(benchmark, "score and learn", len(observations))


def test_whole_replay(benchmark) -> None:  # type: ignore[no-untyped-def]
    def run() -> None:
        made = engine()
        for frame in frames()[1:]:
            made.feed(frame)

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    told(benchmark, "whole replay, positions and alerts included", whole()[0])
