"""Off-chain prices: one file a venue, each a collector of its own."""

from __future__ import annotations

import asyncio

from defiwatch.collectors.quotes.base import PollingVenue
from defiwatch.collectors.quotes.coinbase import Coinbase
from defiwatch.collectors.seam import Collector, Emit
from defiwatch.config import Quotes
from defiwatch.errors import ConfigError

VENUES: dict[str, type[PollingVenue]] = {Coinbase.venue: Coinbase}

__all__ = ["VENUES", "Coinbase", "PollingVenue", "collect", "collectors"]


def collectors(quotes: Quotes, emit: Emit) -> list[Collector]:
    """A collector for every venue that is configured. ConfigError for one that this version cannot ask."""
    found: list[Collector] = []
    for name, settings in quotes.enabled().items():
        if name not in VENUES:
            raise ConfigError(f"quotes.{name}: this version asks {', '.join(sorted(VENUES))} only")
        found.append(VENUES[name](settings, emit))
    return found


async def collect(quotes: Quotes, emit: Emit) -> None:
    """Collect from every venue that is configured, until cancelled; returns at once if there is none."""
    async with asyncio.TaskGroup() as group:
        for one in collectors(quotes, emit):
            group.create_task(one.run(), name=one.name)
