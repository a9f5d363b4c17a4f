"""What the backtest of P(liquidation) is run on: `python -m tests.backtest_inputs DATA_FOLDER OUT_FOLDER` writes the
snapshot's positions and the recordings of prices that docs/backtest.md names.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from defiwatch.domain.frames import QuoteFrame
from defiwatch.domain.units import from_iso
from tests.convert import (
    candle_quotes,
    header_frame,
    in_time,
    kline_quotes,
    price_quotes,
    snapshot_positions,
    write_recording,
)

SPLIT = "2021-10-01T00:00:00Z"
"""The constants of the product were chosen on the hourly prices before this, and on `btc_2023`."""

ASSETS = ("WETH", "USDC", "USDT", "DAI", "TUSD", "sUSD", "FRAX", "GUSD", "FEI")
"""Of the hourly prices those that the snapshot holds."""


def _hourly(folder: Path, symbols: Iterable[str] = ASSETS) -> Iterator[QuoteFrame]:
    return price_quotes(folder / "coingecko_hourly" / "prices.csv.gz", "coingecko", symbols)


def _early(quote: QuoteFrame) -> bool:
    return from_iso(quote.time) < from_iso(SPLIT)


def ether_before(folder: Path) -> Iterator[QuoteFrame]:
    """January to September 2021, by the hour."""
    return itertools.takewhile(_early, _hourly(folder))


def ether_after(folder: Path) -> Iterator[QuoteFrame]:
    """October 2021 to March 2022, by the hour."""
    return itertools.dropwhile(_early, _hourly(folder))


def bitcoin_after(folder: Path) -> Iterator[QuoteFrame]:
    """The same with wrapped bitcoin in place of ether, and no price of a dollar."""
    return itertools.dropwhile(_early, _hourly(folder, ("WBTC",)))


def _perpetual(coin: str) -> Callable[[Path], Iterator[QuoteFrame]]:
    def found(folder: Path) -> Iterator[QuoteFrame]:
        """Hourly closes of one venue's perpetual, March to August 2025."""
        for quote in candle_quotes(folder / "perp_hourly_2025_26" / "candles.csv.gz"):
            if (quote.venue, quote.base) == ("binance", coin):
                yield quote

    return found


def _minutes(folder: Path, event: str, stable: str) -> Iterator[QuoteFrame]:
    found = folder / "binance_1m_incidents"
    return in_time(
        kline_quotes(found / f"{event}.BTCUSDT.1m.csv.gz", "binance", "BTC", "USDT"),
        kline_quotes(found / f"{event}.{stable}USDT.1m.csv.gz", "binance", stable, "USDT"),
    )


def btc_2022(folder: Path) -> Iterator[QuoteFrame]:
    """Minutes of May 2022, with the fall of the 9th to the 12th."""
    return _minutes(folder, "terra_luna_2022", "USDC")


def btc_2023(folder: Path) -> Iterator[QuoteFrame]:
    """Minutes of the second half of February 2023."""
    return _minutes(folder, "busd_2023", "BUSD")


Make: TypeAlias = Callable[[Path], Iterable[QuoteFrame]]

TUNING: Mapping[str, Make] = {"ether_before": ether_before, "btc_2023": btc_2023}
SCORED: Mapping[str, Make] = {
    "ether_after": ether_after,
    "bitcoin_after": bitcoin_after,
    "btc_2022": btc_2022,
    "ether_2025": _perpetual("ETH"),
    "bitcoin_2025": _perpetual("BTC"),
    "solana_2025": _perpetual("SOL"),
}


def write(folder: Path, out: Path) -> None:
    """Everything into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "positions.jsonl").open("w", encoding="utf-8") as file:
        for line in snapshot_positions(folder / "aave_positions_snapshot"):
            file.write(json.dumps(line) + "\n")
    for name, quotes in {**TUNING, **SCORED}.items():
        write_recording(out / f"{name}.jsonl.gz", itertools.chain([header_frame({})], quotes(folder)))


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
