"""What the sparklines remember: the last values of each pool and price, as the snapshots brought them."""

from __future__ import annotations

from array import array

from defiwatch.domain.view import Snapshot

LENGTH = 48
"""Samples kept a trail; 4 bytes each, so 10,000 pools cost some 6 MB."""


class _Trail:
    __slots__ = ("stamp", "values")

    def __init__(self) -> None:
        self.stamp = float("-inf")
        self.values = array("f")


class Trails:
    """Values by name; a sample counts once, when its row's time or block moved on."""

    def __init__(self) -> None:
        self._trails: dict[str, _Trail] = {}

    def take(self, snapshot: Snapshot) -> None:
        """Remember the rows that are news. Names that left the snapshot are forgotten when they are the many."""
        for pool in snapshot.pools:
            self._note(f"pool price {pool.key}", pool.time, pool.price)
            self._note(f"pool score {pool.key}", pool.time, pool.score)
        for price in snapshot.prices:
            self._note(price_trail(price.chain, price.symbol, price.source), price.time, price.price)
        if len(self._trails) > 2 * (2 * len(snapshot.pools) + len(snapshot.prices)) + 64:
            kept = {f"pool price {pool.key}" for pool in snapshot.pools}
            kept |= {f"pool score {pool.key}" for pool in snapshot.pools}
            kept |= {price_trail(price.chain, price.symbol, price.source) for price in snapshot.prices}
            self._trails = {name: trail for name, trail in self._trails.items() if name in kept}

    def values(self, name: str) -> list[float]:
        """Oldest first; empty for a name never seen."""
        trail = self._trails.get(name)
        return list(trail.values) if trail else []

    def _note(self, name: str, stamp: float, value: float) -> None:
        trail = self._trails.get(name)
        if trail is None:
            trail = self._trails[name] = _Trail()
        if stamp <= trail.stamp:
            return
        trail.stamp = stamp
        trail.values.append(value)
        if len(trail.values) > LENGTH:
            del trail.values[0]


def price_trail(chain: str, symbol: str, source: str) -> str:
    """The name of a price's trail."""
    return f"price {chain}/{symbol}/{source}"
