"""The command `defiwatch evaluate FILE… --positions SNAPSHOT`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from defiwatch.collectors.recording import RecordingReader
from defiwatch.commands.backtest.market import Prices, read_prices
from defiwatch.commands.backtest.snapshot import read_snapshot
from defiwatch.commands.backtest.trial import Trial
from defiwatch.commands.backtest.words import lines
from defiwatch.commands.evaluate.results import EVALUATION_SCHEMA, Evaluation
from defiwatch.config import Config


def run(
    config: Config,
    files: Sequence[Path],
    positions: Path,
    tuning: Sequence[Path],
    *,
    as_json: bool = False,
    say: Callable[[str], None] | None = None,
) -> str:
    """What the command prints. UsageError for positions that cannot be read and recordings without prices,
    RecordingError for what is no recording; a damaged line is told through `say` and left out."""
    trial = Trial(read_snapshot(positions), config.alerts)
    events, elapsed, days = 0, 0.0, 0.0
    for path, part in [*((path, "tuning") for path in tuning), *((path, "") for path in files)]:
        begun = time.perf_counter()
        prices = prices_of(path, say)
        trial.run(prices, part or ("scored" if tuning else "halves"))
        elapsed += time.perf_counter() - begun
        events += prices.events
        days += prices.days
    found = Evaluation(
        schema=EVALUATION_SCHEMA,
        events=events,
        events_per_s=events / elapsed if elapsed > 0.0 else None,
        span_days=days,
        kinds={},
        liquidation=trial.result(),
    )
    if as_json:
        return msgspec.json.encode(found).decode()
    assert found.liquidation is not None
    return "\n".join(lines(found.liquidation))


def prices_of(path: Path, say: Callable[[str], None] | None = None) -> Prices:
    """The prices that a recording holds; it is named by its file."""
    return read_prices(path.name.removesuffix(".gz").removesuffix(".jsonl"), RecordingReader(path, say))
