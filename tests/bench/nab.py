"""The Numenta Anomaly Benchmark: its series, its scorer (written from its rules), its result files.

A window's first detection earns a reward that falls from its begin to its end, a missed window costs, a false positive
costs more the further it is behind the last window. One threshold over all series; 0 is the null detector, 100 the
perfect one. The first 15 % of a series (750 rows at most) are probation and are not scored.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec


class Profile(msgspec.Struct, frozen=True):
    """What a false positive and a missed window cost; a detection in time earns 1."""

    false_positive: float = 0.11
    false_negative: float = 1.0


PROFILES = {"standard": Profile(), "reward_low_FP": Profile(0.22, 1.0), "reward_low_FN": Profile(0.11, 2.0)}


class Series(msgspec.Struct, frozen=True):
    """One labelled series. `windows` are (first row, last row) of each anomaly window."""

    group: str
    name: str
    stamps: tuple[str, ...]
    times: tuple[float, ...]
    values: tuple[float, ...]
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """How many rows at the begin are not scored."""
        return min(int(0.15 * len(self.values)), 750)

    @property
    def key(self) -> str:
        """Group and file, as the labels name it."""
        return f"{self.group}/{self.name}"


def read_corpus(folder: Path) -> list[Series]:
    """All series below `folder`: `series/` (or NAB's own `data/`), CSV or gzip, and `labels/combined_windows.json`."""
    labels: dict[str, list[list[str]]] = json.loads((folder / "labels" / "combined_windows.json").read_text())
    root = folder / "series" if (folder / "series").is_dir() else folder / "data"
    found = []
    for path in sorted(root.glob("*/*.csv*")):
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = list(csv.DictReader(io.StringIO(raw.decode())))
        name = path.name.removesuffix(".gz")
        times = tuple(_seconds(row["timestamp"]) for row in rows)
        windows = tuple(_rows(times, window) for window in labels.get(f"{path.parent.name}/{name}", []))
        stamps, values = tuple(row["timestamp"] for row in rows), tuple(float(row["value"]) for row in rows)
        found.append(Series(path.parent.name, name, stamps, times, values, windows))
    return found


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()


def _rows(times: Sequence[float], window: Sequence[str]) -> tuple[int, int]:
    begin, end = _seconds(window[0]), _seconds(window[1])
    inside = [i for i, time in enumerate(times) if begin <= time <= end]
    return inside[0], inside[-1]


def _sigma(position: float) -> float:
    return 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0 if position <= 3.0 else -1.0


def _weights(series: Series) -> list[tuple[int | None, float]]:
    """Of every row: (its window or None, what a detection there earns; below 0: what a false positive costs)."""
    found: list[tuple[int | None, float]] = []
    for i in range(len(series.values)):
        inside = next((w for w, (begin, end) in enumerate(series.windows) if begin <= i <= end), None)
        if inside is not None:
            begin, end = series.windows[inside]
            found.append((inside, _sigma(-(end - i + 1) / (end - begin + 1)) / _sigma(-1.0)))
            continue
        last = max((window for window in series.windows if window[1] < i), key=lambda window: window[1], default=None)
        found.append((None, -1.0 if last is None else _sigma((i - last[1]) / (last[1] - last[0]))))
    return found


class Outcome(msgspec.Struct, frozen=True):
    """A score, 0 null to 100 perfect, and the threshold that gives it."""

    score: float
    threshold: float


def best(corpus: Sequence[Series], scores: Mapping[str, Sequence[float]], profile: Profile) -> Outcome:
    """The best score that any one threshold over all series gives (a row is a detection from the threshold on)."""
    rows: list[tuple[float, str, int | None, float]] = []
    for series in corpus:
        for i, (window, worth) in enumerate(_weights(series)):
            if i >= series.probation:
                rows.append((scores[series.key][i], series.key, window, worth))
    rows.sort(key=lambda row: -row[0])
    windows = sum(len(series.windows) for series in corpus)
    null = -profile.false_negative * windows
    earned: dict[tuple[str, int], float] = {}
    total = null
    found = Outcome(0.0, math.inf)
    for place, (score, key, window, worth) in enumerate(rows):
        if window is None:
            total += profile.false_positive * worth
        elif (key, window) not in earned:
            earned[key, window] = worth
            total += worth + profile.false_negative
        elif worth > earned[key, window]:
            total += worth - earned[key, window]
            earned[key, window] = worth
        if place + 1 == len(rows) or rows[place + 1][0] != score:
            now = 100.0 * (total - null) / (windows - null)
            if now > found.score:
                found = Outcome(now, score)
    return found


def at(corpus: Sequence[Series], scores: Mapping[str, Sequence[float]], profile: Profile, threshold: float) -> float:
    """The score at a threshold that was chosen elsewhere."""
    flat = {key: [1.0 if score >= threshold else 0.0 for score in row] for key, row in scores.items()}
    windows = sum(len(series.windows) for series in corpus)
    total = 0.0
    for series in corpus:
        earned: dict[int, float] = {}
        for i, (window, worth) in enumerate(_weights(series)):
            if i < series.probation or not flat[series.key][i]:
                continue
            if window is None:
                total += profile.false_positive * worth
            else:
                earned[window] = max(earned.get(window, 0.0), worth)
        total += sum(earned.values()) - profile.false_negative * (len(series.windows) - len(earned))
    return 100.0 * (total + profile.false_negative * windows) / (windows + profile.false_negative * windows)


def windowed_gaussian(values: Sequence[float], window: int = 6400, step: int = 100) -> list[float]:
    """The baseline whose score on the subset is known: how far a value is in its window's normal distribution."""
    scores, held, fresh = [0.0], [values[0]], []
    mean, squares = values[0], 0.0
    for value in values[1:]:
        deviation = math.sqrt(max(squares, 0.0) / len(held)) or 1e-6
        scores.append(1.0 - 0.5 * math.erfc(abs(value - mean) / deviation / 1.4142))
        if len(held) < window:
            held.append(value)
            before, mean = mean, mean + (value - mean) / len(held)
            squares += (value - before) * (value - mean)
            continue
        fresh.append(value)
        if len(fresh) == step:
            held, fresh = held[step:] + fresh, []
            mean = math.fsum(held) / len(held)
            squares = math.fsum((v - mean) ** 2 for v in held)
    return scores


def write_results(folder: Path, detector: str, corpus: Sequence[Series], scores: Mapping[str, Sequence[float]]) -> None:
    """NAB's own result files: `<group>/<detector>_<file>.csv` with timestamp, value, anomaly_score, label."""
    for series in corpus:
        path = folder / series.group / f"{detector}_{series.name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        inside = [any(begin <= i <= end for begin, end in series.windows) for i in range(len(series.values))]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("timestamp", "value", "anomaly_score", "label"))
            writer.writerows(zip(series.stamps, series.values, scores[series.key], map(int, inside), strict=True))
