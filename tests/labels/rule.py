"""The label rule of docs/labels.md, applied to recorded prices. It knows nothing of the engine that it measures.

`python -m tests.labels.rule DATA_FOLDER` writes the label files anew.
"""

from __future__ import annotations

import collections
import csv
import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from defiwatch.domain.frames import BlockFrame, QuoteFrame
from defiwatch.domain.units import from_iso, iso
from tests.convert import kline_quotes, price_quotes, read_recording

HOURLY_BAND = 0.05
MINUTE_BAND = 0.02
SAMPLES = 3
LASTING_S = 7200.0
PAUSE_S = 3600.0
MERGE_S = 86_400.0

WAVE = 10
"""Liquidations of one market within an hour that make it a wave."""

ASSETS = ("USDC", "USDT", "DAI", "FRAX", "UST", "TUSD", "BUSD", "GUSD", "sUSD", "FEI")
APART = ("USDP", "LUSD")
"""Off their peg so often, by this one source, that a label would say little."""

CONFIRMED = {("FEI", "2021-04")}
"""Incidents that more than the one recorded source tells of: FEI's launch."""

HERE = Path(__file__).parent


def incidents(samples: Iterable[tuple[float, float]], band: float) -> Iterator[tuple[float, float, int, float]]:
    """(from, to, samples, furthest price) of each incident in (time, price relative to the peg) samples."""
    stretches: list[list[tuple[float, float]]] = []
    adjacent = False
    for time, price in samples:
        if abs(price - 1.0) > band:
            if stretches and (adjacent or time - stretches[-1][-1][0] <= PAUSE_S):
                stretches[-1].append((time, price))
            else:
                stretches.append([(time, price)])
        adjacent = abs(price - 1.0) > band
    merged: list[list[tuple[float, float]]] = []
    for stretch in stretches:
        if len(stretch) < SAMPLES or stretch[-1][0] - stretch[0][0] < LASTING_S:
            continue
        if merged and stretch[0][0] - merged[-1][-1][0] <= MERGE_S:
            merged[-1] = merged[-1] + stretch
        else:
            merged.append(stretch)
    for found in merged:
        furthest = max(found, key=lambda sample: abs(sample[1] - 1.0))
        yield found[0][0], found[-1][0], len(found), furthest[1]


def labels(symbol: str, quotes: Iterable[QuoteFrame], band: float) -> list[dict[str, str]]:
    """The labels of one asset, as `defiwatch evaluate` reads them."""
    found = []
    for start, end, count, furthest in incidents(((from_iso(q.time), float(q.price)) for q in quotes), band):
        label = {"kind": "price.depeg", "subject": symbol, "from": iso(start), "to": iso(end)}
        label["status"] = "confirmed" if (symbol, label["from"][:7]) in CONFIRMED else "unconfirmed"
        label["note"] = f"{count} samples, furthest {furthest:.4g}"
        found.append(label)
    return found


def cascades(path: Path) -> list[dict[str, str]]:
    """The liquidation cascades of a list of liquidations: hours with `WAVE` or more, less than a day apart one."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        hours = collections.Counter(int(row["timestamp"]) // 3600 for row in csv.DictReader(file))
    merged: list[list[int]] = []
    for hour in sorted(hour for hour, count in hours.items() if count >= WAVE):
        if merged and (hour - merged[-1][-1]) * 3600 < MERGE_S:
            merged[-1].append(hour)
        else:
            merged.append([hour])
    return [
        {
            "kind": "feed.anomaly",
            "from": iso(wave[0] * 3600),
            "to": iso(wave[-1] * 3600 + 3600),
            "note": f"{sum(hours[hour] for hour in range(wave[0], wave[-1] + 1))} liquidations",
        }
        for wave in merged
    ]


def liquidated(folder: Path) -> list[dict[str, str]]:
    """Who was liquidated in a recording of `aave_v3_revisions`, from the first to the last time, reorgs left out."""
    headers = [frame.header for frame in read_recording(folder / "recording.jsonl.gz") if isinstance(frame, BlockFrame)]
    times = {int(header.number, 16): int(header.timestamp, 16) for header in headers}
    spans: dict[str, list[int]] = {}
    for line in (folder / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] == "liquidation" and not row["orphaned"]:
            spans.setdefault(row["user"], []).append(times[row["block"]])
    return [
        {"kind": "liquidation.warning", "subject": user, "from": iso(min(found)), "to": iso(max(found))}
        for user, found in sorted(spans.items(), key=lambda item: (item[1], item[0]))
    ]


def files(data: Path) -> dict[str, list[dict[str, str]]]:
    """Every label file by name."""
    hourly = data / "coingecko_hourly" / "prices.csv.gz"
    minutes = data / "binance_1m_incidents"

    def of(symbols: Iterable[str]) -> list[dict[str, str]]:
        each = (labels(symbol, price_quotes(hourly, "coingecko", [symbol]), HOURLY_BAND) for symbol in symbols)
        return sorted((label for group in each for label in group), key=lambda label: (label["from"], label["subject"]))

    incidents_1m = [
        label
        for event, symbol in (("terra_luna_2022", "USDC"), ("busd_2023", "BUSD"))
        for label in labels(
            symbol, kline_quotes(minutes / f"{event}.{symbol}USDT.1m.csv.gz", "binance", symbol, "USDT"), MINUTE_BAND
        )
    ]
    return {
        "coingecko_hourly": of(ASSETS),
        "coingecko_hourly_apart": of(APART),
        "binance_1m_incidents": incidents_1m,
        "aave_v3_rev11": liquidated(data / "aave_v3_revisions" / "rev11"),
        "aave_v3_rev8to9": liquidated(data / "aave_v3_revisions" / "rev8to9"),
        "aave_v2_cascades": cascades(data / "aave_v2_liquidations" / "liquidations.csv.gz"),
    }


def text(found: Iterable[dict[str, str]]) -> str:
    """Labels as a file's text."""
    return "".join(json.dumps(label) + "\n" for label in found)


if __name__ == "__main__":
    for name, found in files(Path(sys.argv[1])).items():
        (HERE / f"{name}.jsonl").write_text(text(found), encoding="utf-8")
