from __future__ import annotations

from defiwatch.config import Config
from defiwatch.domain.frames import HeaderFrame, QuoteFrame
from defiwatch.engine import Engine


def test_each_source_of_a_price_has_its_row_after_the_one_they_agree_on() -> None:
    engine = Engine(Config(), mode="replay")
    engine.feed(HeaderFrame(schema="defiwatch.recording/1"))
    for venue, price in (("coinbase", "2000"), ("kraken", "2010")):
        engine.feed(QuoteFrame(venue=venue, base="ETH", quote="USD", price=price, time="2026-03-10T12:00:00Z"))
    engine.feed(QuoteFrame(venue="kraken", base="BTC", quote="USD", price="90000", time="2026-03-10T12:00:00Z"))
    rows = [(row.symbol, row.price, row.source, row.sources) for row in engine.snapshot().prices]
    assert rows == [
        ("BTC", 90_000.0, "kraken", 0),
        ("ETH", 2005.0, "venue, 2 sources", 2),
        ("ETH", 2000.0, "coinbase", 0),
        ("ETH", 2010.0, "kraken", 0),
    ]
    apart = {row.source: row.deviation for row in engine.snapshot().prices if row.symbol == "ETH"}
    assert apart["coinbase"] == 2000.0 / 2005.0 - 1.0
    assert apart["kraken"] == 2010.0 / 2005.0 - 1.0
