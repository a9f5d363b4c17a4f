"""The price book: every price with its source, time and kind, and one robust price per asset.

A price is a rate between two assets: an oracle feed, a venue's quote, a pool's spot price. The book turns the rates
into dollars. What an asset *is* stays explicit: a token is its address; it stands for a quoted symbol (USDC, and ETH
for wrapped ether) only if it is the first token of this chain, in the order of the configuration, to bear that symbol,
or the one that `canonical` names. Any other token of the same name has only the prices of its own address.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from defiwatch.domain.frames import QuoteFrame
from defiwatch.domain.ids import NATIVE, Address, ChainId, is_address, short
from defiwatch.domain.risk import Feed, Pool, Position
from defiwatch.domain.text import harmless
from defiwatch.domain.units import from_iso, ratio
from defiwatch.state.prices.anchors import Anchors
from defiwatch.state.prices.assets import FIAT, PEGGED, USD, base_of
from defiwatch.state.prices.rates import ORDER, Consensus, Deviation, Price, Rate, agree, votes_of

VENUE_AGE_S = 120.0
"""A venue's quote counts this long, or four of its own usual intervals if that is longer."""

ORACLE_AGE_S = 90_000.0
"""An oracle's answer counts this long in the consensus: the longest usual heartbeat, a day, and some."""

FAR = 0.2
"""|ln| of a jump between two quotes of a venue that is not believed at once..."""

VERY_FAR = 0.5
"""...and of one for which the venue must say so twice more."""


class _Quote(msgspec.Struct, frozen=True):
    """A venue's last quote of a pair, and its usual interval in seconds (0.0: not known yet)."""

    rate: float
    time: float
    every: float
    confidence: float | None


class PriceBook:
    """The prices of one line. Chain prices are replaced whole at each `refresh`, so a reorg needs nothing more."""

    def __init__(
        self, chain_id: ChainId, *, native: str = "ETH", canonical: Mapping[str, Address] | None = None
    ) -> None:
        self.chain_id = chain_id
        self.rejected = 0
        """Quotes that were no price: not a number, not positive, no time."""
        self.bad_ticks = 0
        """Quotes far off that were soon back: they moved nothing."""
        self._native = native
        self._canonical = {base_of(symbol): token.lower() for symbol, token in (canonical or {}).items()}
        self._quotes: dict[tuple[str, str, str], _Quote] = {}
        self._chain: list[Rate] = []
        self._claims: dict[str, Address] = {}
        self._tokens: dict[Address, str] = {}
        self._names: dict[str, str] = {}
        self._quoted: dict[str, str] = {}
        self._now = 0.0
        self._seen: set[tuple[str, str]] = set()
        self._solved: dict[str, tuple[Price, ...]] | None = None
        self._agreed: dict[str, Consensus] = {}
        self._held: dict[tuple[str, str, str], tuple[float, ...]] = {}
        self._chain_of: dict[str, list[Rate]] = {}
        self._pairs_of: dict[str, list[tuple[str, str, str]]] = {}
        self._measures: frozenset[str] = frozenset()
        self._anchors = Anchors({})
        self._valid_until = 0.0

    # What comes in.

    def on_quote(self, frame: QuoteFrame, now: float) -> bool:
        """Take a venue's quote. False, and nothing changes, if it is no price, older than the last of its pair, or so
        far off that it is held back until the venue says it again, or another venue does.
        """
        self._set_now(now)
        try:
            rate, time = float(frame.price), from_iso(frame.time)
            confidence = float(frame.confidence) if frame.confidence else None
        except ValueError:
            self.rejected += 1
            return False
        if not (0.0 < rate < math.inf) or (confidence is not None and not 0.0 <= confidence < math.inf):
            self.rejected += 1
            return False
        key = (frame.venue, base_of(frame.base), base_of(frame.quote))
        before = self._quotes.get(key)
        every = 0.0
        if before is not None:
            if time < before.time:
                return False
            if not self._believed(key, rate, before):
                return False
            gap = time - before.time
            every = 0.8 * before.every + 0.2 * gap if before.every else gap
        else:
            self._quoted[key[1]] = harmless(frame.base, 24)
        self._quotes[key] = _Quote(rate, time, every, None if confidence is None else confidence / rate)
        if before is None or self._solved is None or key[1] in self._measures or self._solved.get(key[1]) is None:
            self._solved = None
        else:
            self._reprice(key[1])
        return True

    def _believed(self, key: tuple[str, str, str], rate: float, before: _Quote) -> bool:
        """Whether a quote counts at once. A far jump is held back: if the next ones are back, it was a bad tick."""
        jump = abs(math.log(rate / before.rate))
        held = self._held.pop(key, ())
        if jump <= FAR or not self._fresh(before):
            self.bad_ticks += len(held)
            return True
        if held and abs(math.log(rate / held[-1])) <= FAR:
            held = (*held, rate)
        else:
            self.bad_ticks += len(held)
            held = (rate,)
        if len(held) > (2 if jump > VERY_FAR else 1) or self._backed(key, rate):
            return True
        self._held[key] = held
        return False

    def _backed(self, key: tuple[str, str, str], rate: float) -> bool:
        """Whether another venue's fresh quote of the same pair is near `rate`."""
        return any(
            pair[0] != key[0] and abs(math.log(last.rate / rate)) <= FAR / 2.0 and self._fresh(last)
            for pair, last in self._quotes.items()
            if pair[1:] == key[1:]
        )

    def _fresh(self, last: _Quote) -> bool:
        return self._now <= _expiry(last)

    def refresh(
        self, feeds: Iterable[Feed], pools: Iterable[Pool], now: float, positions: Iterable[Position] = ()
    ) -> None:
        """Replace all chain prices: of oracle feeds, of lending markets' oracles (as positions saw them), of pools.

        The order decides which token a symbol stands for: positions' assets first, then pools, each in their order.
        """
        self._set_now(now)
        self._claims = dict(self._canonical)
        self._tokens = {}
        self._names = {}
        self._chain = []
        self._seen = set()
        for position in positions:
            self._take_position(position)
        for feed in feeds:
            self._take_feed(feed)
        for pool in pools:
            self._take_pool(pool)
        self._solved = None

    def _set_now(self, now: float) -> None:
        if now > self._now:
            self._now = now
            if now > self._valid_until:
                self._solved = None

    def _take_feed(self, feed: Feed) -> None:
        if feed.answer <= 0 or not feed.base or not feed.quote:
            return
        base, quote = base_of(feed.base), base_of(feed.quote)
        self._names.setdefault(base, feed.base)
        self._chain.append(
            Rate(
                base=base,
                quote=quote,
                rate=ratio(feed.answer, 10**feed.decimals),
                source=f"{feed.protocol} {feed.base}/{feed.quote}",
                kind="oracle",
                time=feed.updated_at,
                fresh=self._now - feed.updated_at <= ORACLE_AGE_S,
            )
        )

    def _take_position(self, position: Position) -> None:
        if position.base != USD:
            return  # counted in a token, whose symbol alone does not say which
        source = f"{position.protocol} oracle {short(position.market)}"
        for leg in position.legs:
            base = self._node(leg.asset, leg.symbol)
            if leg.price <= 0 or (base, source) in self._seen:
                continue
            self._seen.add((base, source))
            rate = ratio(leg.price, 10**position.base_decimals)
            self._chain.append(Rate(base, USD, rate, source, "oracle", position.time))

    def _take_pool(self, pool: Pool) -> None:
        if pool.raw or len(pool.tokens) != 2 or not 0.0 < pool.price < math.inf:
            return
        base, quote = (self._node(token, symbol) for token, symbol in zip(pool.tokens, pool.symbols, strict=True))
        if base == quote:
            return
        source = f"{pool.protocol} {pool.label}"
        depth0, depth1 = (ratio(units, 10**digits) for units, digits in zip(pool.reserves, pool.decimals, strict=True))
        self._chain.append(Rate(base, quote, pool.price, source, "dex", pool.time, depth=depth1))
        self._chain.append(Rate(quote, base, 1.0 / pool.price, source, "dex", pool.time, depth=depth0))

    def _node(self, token: Address, symbol: str) -> str:
        """The asset that a token is: the one its symbol names if it may bear it, else its own address."""
        known = self._tokens.get(token)
        if known is not None:
            return known
        base = base_of(symbol)
        nameless = not symbol or symbol == short(token) or base in FIAT
        node = token if nameless or self._claims.setdefault(base, token) != token else base
        self._tokens[token] = node
        self._names[node] = symbol
        return node

    # What goes out.

    def usd(self, what: str) -> float | None:
        """Dollars for one whole unit of a token (address) or asset (symbol); None where no price leads to it."""
        agreed = self.consensus(what)
        return None if agreed is None else agreed.price

    def consensus(self, what: str) -> Consensus | None:
        """The price of a token or asset, with what it rests on."""
        self._solve()
        return self._agreed.get(self._asset(what))

    def measure(self, what: str) -> float | None:
        """Dollars for one unit where other prices are counted in it: what turned those into dollars."""
        self._solve()
        return self._anchors.usd.get(self._asset(what))

    def sources(self, what: str) -> tuple[Price, ...]:
        """Every source's price of a token or asset: oracles, venues, pools, in this order and then by name."""
        return self._solve().get(self._asset(what), ())

    def prices(self) -> tuple[Consensus, ...]:
        """The price of every asset, by symbol and then by id."""
        self._solve()
        return tuple(sorted(self._agreed.values(), key=lambda agreed: (agreed.symbol, agreed.asset)))

    def deviations(self, of: str | None = None) -> tuple[Deviation, ...]:
        """Each asset's two fresh sources that are furthest apart, all its pools as one; by symbol and then by id.

        With `of`, of that token or asset alone.
        """
        found: list[Deviation] = []
        solved = self._solve()
        chosen = solved if of is None else {self._asset(of): solved.get(self._asset(of), ())}
        for asset, prices in chosen.items():
            votes = [price for price in votes_of(prices) if price.fresh and price.kind != "assumed"]
            if len(votes) < 2:
                continue
            low = min(votes, key=lambda price: (price.price, price.source))
            high = max(votes, key=lambda price: (price.price, price.source))
            found.append(Deviation(asset, low.symbol, high.price / low.price - 1.0, high, low))
        return tuple(sorted(found, key=lambda deviation: (deviation.symbol, deviation.asset)))

    def asset_of(self, token: Address) -> str:
        """The asset that a token of this chain stands for: a symbol's, or its own address."""
        return self._asset(token)

    def _asset(self, what: str) -> str:
        if is_address(what):
            address = what.lower()
            return base_of(self._native) if address == NATIVE else self._tokens.get(address, address)
        return base_of(what)

    # From rates to dollars.

    def _solve(self) -> dict[str, tuple[Price, ...]]:
        if self._solved is not None:
            return self._solved
        by_base: dict[str, list[Rate]] = {}
        rates = [*self._chain, *(self._rate(key, last) for key, last in self._quotes.items())]
        for rate in sorted(rates, key=_order):
            by_base.setdefault(rate.base, []).append(rate)
        self._anchors = Anchors(by_base)
        solved = {asset: self._priced(asset, by_base[asset], self._anchors) for asset in sorted(by_base)}
        self._solved = {asset: prices for asset, prices in solved.items() if prices}
        self._agreed = {asset: agree(prices) for asset, prices in self._solved.items()}
        self._measures = frozenset(rate.quote for rate in rates)
        self._chain_of, self._pairs_of = {}, {}
        for rate in self._chain:
            self._chain_of.setdefault(rate.base, []).append(rate)
        for key in self._quotes:
            self._pairs_of.setdefault(key[1], []).append(key)
        self._valid_until = min(
            (_expiry(last) for last in self._quotes.values() if self._fresh(last)), default=math.inf
        )
        return self._solved

    def _reprice(self, asset: str) -> None:
        """Price one asset anew that measures no other: what a whole solution would give, at a part of its cost.

        (But that assumed prices of other assets keep the time at which they were assumed.)
        """
        if self._solved is None:
            return
        quotes = [(key, self._quotes[key]) for key in self._pairs_of.get(asset, ())]
        rates = [*self._chain_of.get(asset, ()), *(self._rate(key, last) for key, last in quotes)]
        prices = self._priced(asset, sorted(rates, key=_order), self._anchors)
        self._solved[asset] = prices
        self._agreed[asset] = agree(prices)
        self._valid_until = min(
            self._valid_until, *(_expiry(last) for _, last in quotes if self._fresh(last)), math.inf
        )

    def _rate(self, key: tuple[str, str, str], last: _Quote) -> Rate:
        venue, base, quote = key
        return Rate(base, quote, last.rate, venue, "venue", last.time, self._fresh(last), last.confidence)

    def _priced(self, asset: str, rates: Sequence[Rate], anchors: Anchors) -> tuple[Price, ...]:
        """The asset's price by each of its sources."""
        symbol = self._names.get(asset) or self._quoted.get(asset) or asset
        if asset in anchors.assumed:
            source = f"assumed 1 {PEGGED[asset]}"
            return (Price(asset, symbol, anchors.usd[asset], source, "assumed", self._now, True),)
        prices = [
            Price(
                asset=asset,
                symbol=symbol,
                price=rate.rate * anchors.usd[rate.quote],
                source=rate.source,
                kind=rate.kind,
                time=rate.time,
                fresh=rate.fresh,
                confidence=rate.confidence,
                depth=rate.depth * anchors.usd[rate.quote],
            )
            for rate in anchors.telling(asset, rates)
        ]
        return tuple(sorted(prices, key=lambda price: (ORDER[price.kind], price.source, price.price)))


def _expiry(last: _Quote) -> float:
    """Until when a venue's quote counts, Unix seconds."""
    return last.time + max(VENUE_AGE_S, 4.0 * last.every)


def _order(rate: Rate) -> tuple[str, str, str, str, float]:
    return (rate.base, rate.kind, rate.source, rate.quote, rate.rate)
