"""The path of each price into a lending market: its source, what that is, the feed behind it, its age and rhythm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from defiwatch.domain.ids import Address, short
from defiwatch.domain.risk import Feed, Position
from defiwatch.domain.units import span
from defiwatch.protocols.sources import Kind, Source, known
from defiwatch.protocols.spec import Book, Instance
from defiwatch.state import oracles
from defiwatch.state.lending.pushes import PUSHES, Rhythm, fixed, of_feed, of_price, usual

WORDS: Mapping[Kind, str] = {
    "feed": "feed",
    "svr": "feed by SVR, which shows a round to searchers first",
    "ratio_cap": "capped ratio",
    "price_cap": "feed with a capped price",
    "rate": "exchange rate",
    "fixed": "fixed price",
    "quotient": "feeds divided",
    "unknown": "source",
}


class Path(msgspec.Struct, frozen=True):
    """How one asset's price comes. `age`: seconds since the feed's last round, None where no feed of it is followed;
    `headroom` as `Source.headroom`. `source` and `feed` are "" where they are not known."""

    asset: Address
    symbol: str
    rhythm: Rhythm
    source: Address = ""
    kind: Kind = "unknown"
    description: str = ""
    feed: Address = ""
    age: float | None = None
    headroom: float | None = None
    capped: bool | None = None


class Origins:
    """The sources and feeds of a chain's markets at one moment (Unix seconds). `feeds` are those that are followed."""

    def __init__(self, book: Book, instances: Iterable[Instance], feeds: Iterable[Feed], now: float) -> None:
        self.now = now
        self._book = book
        self._feeds = {feed.address: feed for feed in feeds}
        self._addresses: dict[tuple[str, str, Address], Address] = {}
        for instance in instances:
            for (market, asset), source in sorted(instance.price_sources(book).items()):
                self._addresses[instance.protocol, market, asset] = source
        self._sources: dict[tuple[Address, Address], Source | None] = {}

    def source(self, protocol: str, market: str, asset: Address) -> Source | None:
        """What is known of the source of an asset's price; None where it is not named or was not asked."""
        address = self._addresses.get((protocol, market, asset))
        if address is None:
            return None
        if (asset, address) not in self._sources:
            self._sources[asset, address] = known(self._book, asset, address)
        return self._sources[asset, address]

    def feed(self, protocol: str, market: str, asset: Address) -> Feed | None:
        """The one feed behind a price, if it is followed."""
        source = self.source(protocol, market, asset)
        address = self._addresses.get((protocol, market, asset), "")
        behind = source.feeds if source is not None and source.feeds else (address,)
        return self._feeds.get(behind[0]) if len(behind) == 1 else None

    def rhythm(self, protocol: str, market: str, asset: Address, symbol: str) -> Rhythm:
        """How a price moves: by its feed's rounds, else by its own changes, else as is usual."""
        feed = self.feed(protocol, market, asset)
        rounds = None if feed is None else self._book.get(oracles.PUSHES, (feed.protocol, feed.address))
        found = of_feed(feed, rounds) if feed is not None and rounds is not None else None
        if found is None:
            own = self._book.get(PUSHES, (protocol, market, asset))
            found = None if own is None else of_price(own)
        return found or usual(symbol)

    def assets(self, protocol: str, market: str) -> list[Address]:
        """The assets whose price sources are known by name, of one market."""
        return [asset for one, where, asset in self._addresses if (one, where) == (protocol, market)]

    def path(self, protocol: str, market: str, asset: Address, symbol: str, price: int = 0) -> Path:
        """The whole path of one asset of a market. `price` in the market's units, for a cap on it."""
        where = (protocol, market, asset)
        source, feed = self.source(*where), self.feed(*where)
        return path_of(
            asset,
            symbol,
            self._addresses.get(where, ""),
            source,
            self.rhythm(*where, symbol),
            now=self.now,
            price=price,
            age=None if feed is None or not feed.updated_at else max(0.0, self.now - feed.updated_at),
        )


def path_of(
    asset: Address,
    symbol: str,
    address: Address,
    source: Source | None,
    rhythm: Rhythm,
    *,
    now: float,
    price: int = 0,
    age: float | None = None,
) -> Path:
    """One asset's path from its parts."""
    if source is None:
        return Path(asset, symbol, rhythm, address, age=age)
    return Path(
        asset=asset,
        symbol=symbol,
        rhythm=rhythm,
        source=address,
        kind=source.kind,
        description=source.description,
        feed=source.feed,
        age=age,
        headroom=source.headroom(now, price),
        capped=source.capped,
    )


def paths_of(position: Position, origins: Origins) -> tuple[Path, ...]:
    """Those of everything that a position holds, but of what the market itself counts in."""
    return tuple(
        origins.path(position.protocol, position.market, leg.asset, leg.symbol, leg.price)
        for leg in position.legs
        if not fixed(position, leg.asset)
    )


def phrase(path: Path) -> str:
    """A path in words."""
    name = path.symbol or short(path.asset)
    via = WORDS[path.kind] + (f" {short(path.source)}" if path.source else "")
    if path.description:
        via += f" ({path.description})"
    parts = [f"{name}: {via if path.source else 'its source is not known'}"]
    if path.feed and path.feed != path.source:
        parts.append(f"behind it feed {short(path.feed)}")
    if path.age is not None:
        parts.append(f"pushed {span(path.age)} ago")
    parts.append(beats(path.rhythm))
    if path.capped:
        parts.append("CAPPED now")
    elif path.headroom is not None:
        parts.append(f"{path.headroom:.2%} below its cap")
    return ", ".join(parts)


def beats(rhythm: Rhythm) -> str:
    """A rhythm in words, with what it was learnt from."""
    band = "" if rhythm.band is None else f", band {rhythm.band * 100:.2g} %"
    band += "" if rhythm.band is None or rhythm.band_learnt or rhythm.origin == "usual" else " (usual)"
    beat = "" if rhythm.heartbeat is None else f", heartbeat {span(rhythm.heartbeat)}"
    text = f"pushes every ~{span(rhythm.interval)}{band}{beat}"
    if rhythm.origin == "usual":
        return f"{text} (usual; not learnt yet)"
    learnt = f"{rhythm.count} pushes" if rhythm.origin == "feed" else f"{rhythm.count} changes of its price"
    return f"{text} (learnt from {learnt})"
