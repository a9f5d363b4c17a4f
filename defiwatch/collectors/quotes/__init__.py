"""Off-chain prices: one file a venue, each a collector of its own."""

from __future__ import annotations

import asyncio

from defiwatch.collectors.quotes.base import PollingVenue
from defiwatch.collectors.quotes.coinbase import Coinbase
from defiwatch.collectors.quotes.defillama import DefiLlama
from defiwatch.collectors.quotes.kraken import Kraken
from defiwatch.collectors.quotes.pyth import Pyth
from defiwatch.collectors.seam import Collector, Emit
from defiwatch.config import Quotes

VENUES: dict[str, type[PollingVenue]] = {one.venue: one for one in (Coinbase, Kraken, Pyth, DefiLlama)}

__all__ = ["VENUES", "Coinbase", "DefiLlama", "Kraken", "PollingVenue", "Pyth", "collect_quotes", "collectors"]


def collectors(quotes: Quotes, emit: Emit) -> list[Collector]:
    """A collector for every venue that is configured."""
    return [VENUES[name](settings, emit) for name, settings in quotes.enabled().items()]


async def collect_quotes(quotes: Quotes, emit: Emit) -> None:
    """Collect from every venue that is configured, until cancelled; returns at once if there is none.

    A venue that cannot be reached is told as a health frame and asked again; it raises nothing.
    """
    async with asyncio.TaskGroup() as group:
        for one in collectors(quotes, emit):
            group.create_task(one.run(), name=one.name)
