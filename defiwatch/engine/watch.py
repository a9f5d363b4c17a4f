"""What is looked at in every block although nothing happened to it: pegs, pools that should be balanced, oracle feeds,
lending markets, vaults.

Wiring only: the book's tables remember (`state/`), `scoring/` judges, the judge gives what comes out to the alert book.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from defiwatch.config import Alerts
from defiwatch.domain.events import BadDebt, BlockRef
from defiwatch.domain.ids import MARKET, ChainId
from defiwatch.domain.risk import Assessment, Feed, Market, Pool, Vault
from defiwatch.domain.units import ratio
from defiwatch.protocols.spec import Book
from defiwatch.scoring.markets import assess_bad_debt, assess_utilisation, bad_debt_written_off
from defiwatch.scoring.oracles import assess_feed_deviation, assess_sequencer, assess_stale, deviation_limit
from defiwatch.scoring.pegs import assess_imbalance, assess_peg
from defiwatch.scoring.vaults import assess_vault
from defiwatch.state.markets import COURSES, follow
from defiwatch.state.oracles import PUSHES, apart, habit, pushed
from defiwatch.state.pegs import PEGS, Peg, balance, observe
from defiwatch.state.prices import PEGGED, Consensus, PriceBook, base_of
from defiwatch.state.prices.assets import REBASING, STAKED
from defiwatch.state.prices.rates import Price, agree
from defiwatch.state.ratios import RATIOS, learn
from defiwatch.state.vaults import GROWTHS, grown


class Watch:
    """The standing conditions of one line. Every method returns judgements in a fixed order."""

    def __init__(self, chain_id: ChainId, settings: Alerts, prices: PriceBook) -> None:
        self.chain_id = chain_id
        self.settings = settings
        self.prices = prices

    def on_quote(self, book: Book, base: str, now: float) -> list[Assessment]:
        """A venue's price came: the market line's to judge. A chain looks at its own prices, block by block."""
        asset = base_of(base)
        if self.chain_id == MARKET and asset in STAKED:
            sources = [price for price in self.prices.sources(asset) if price.kind == "venue" and price.fresh]
            return self._staked(book, asset, sources, None, now, None)
        if self.chain_id != MARKET or asset not in PEGGED:
            return []
        agreed = self.prices.consensus(asset)
        return [] if agreed is None else self._peg(book, agreed, now, None, {})

    def on_block(
        self,
        book: Book,
        pools: Sequence[Pool],
        feeds: Sequence[Feed],
        markets: Sequence[Market],
        vaults: Sequence[Vault],
        now: float,
        at: BlockRef,
    ) -> list[Assessment]:
        """A block is whole and its prices are known."""
        found = self._balances(book, pools, now, at)
        told = self._own_ratios(pools, vaults)
        for asset in STAKED:
            sources = [price for price in self.prices.sources(asset) if price.kind == "dex" and price.fresh]
            found += self._staked(book, asset, sources, told.get(asset), now, at)
        for feed in feeds:
            found += self._feed(book, feed, now, at)
        for market in markets:
            found += self._market(book, market, at)
        for vault in vaults:
            found += self._vault(book, vault, at)
        return found

    def written_off(self, fact: BadDebt, markets: Iterable[Market], at: BlockRef) -> Assessment:
        """Debt was written off."""
        owed = [m for m in markets if m.protocol == fact.protocol and m.asset == fact.asset]
        own = [m for m in owed if fact.market in (m.id, *m.id.split(":"))] or owed
        market = own[0] if own else None
        return bad_debt_written_off(fact, market, usd=self.prices.usd(fact.asset), at=at)

    def _feed(self, book: Book, feed: Feed, now: float, at: BlockRef) -> list[Assessment]:
        if feed.round_id == 0:
            return []
        if feed.sequencer:
            return [assess_sequencer(feed, now, at=at)]
        key = (feed.protocol, feed.address)
        before = book.get(PUSHES, key)
        pushes = pushed(before, feed)
        held_to = habit(feed, pushes)
        gap: float | None = None
        found: list[Assessment] = []
        compared = self._others(feed)
        if compared is not None:
            agreed, gap, firm = compared
            beyond = gap > deviation_limit(feed, held_to, firm=firm)
            since = (pushes.off_since or now) if beyond else 0.0
            pushes = msgspec.structs.replace(pushes, off_since=since)
            lasting = now - since if beyond else 0.0
            found.append(assess_feed_deviation(feed, held_to, agreed.price, gap, lasting, firm=firm, at=at))
        if pushes != before:
            book.put(PUSHES, key, pushes)
        return [assess_stale(feed, held_to, now, moved=gap, at=at), *found]

    def away(self, feed: Feed) -> float | None:
        """How far a feed is from what venues and exchanges say (|ln|); None where nobody does."""
        compared = self._others(feed)
        return None if compared is None else math.log1p(compared[1])

    def _others(self, feed: Feed) -> tuple[Consensus, float, bool] | None:
        """(what venues and exchanges agree on, how far the feed is from it, whether a venue is among them)."""
        others = [price for price in self.prices.sources(feed.base) if price.kind in ("venue", "dex") and price.fresh]
        counted = 1.0 if base_of(feed.quote) == "USD" else self.prices.usd(feed.quote)
        own = ratio(feed.answer, 10**feed.decimals) * counted if counted and feed.answer > 0 else 0.0
        if not others or own <= 0.0 or feed.unknown:
            return None
        agreed = agree(others)
        return agreed, apart(own, agreed.price), any(price.kind == "venue" for price in others)

    def _market(self, book: Book, market: Market, at: BlockRef) -> list[Assessment]:
        key = (market.protocol, market.id)
        before = book.get(COURSES, key)
        course = follow(before, market, float(at.time))
        if course != before:
            book.put(COURSES, key, course)
        usd = self.prices.usd(market.asset)
        both = (
            assess_utilisation(market, course, self.settings, usd=usd, at=at),
            assess_bad_debt(market, usd=usd, at=at),
        )
        return [assessment for assessment in both if assessment is not None]

    def _vault(self, book: Book, vault: Vault, at: BlockRef) -> list[Assessment]:
        if vault.unknown:
            return []
        key = (vault.protocol, vault.id)
        before = book.get(GROWTHS, key)
        growth = grown(before, vault)
        if growth != before:
            book.put(GROWTHS, key, growth)
        judged = assess_vault(vault, growth, usd=self.prices.usd(vault.asset), at=at)
        return [] if judged is None else [judged]

    def _balances(self, book: Book, pools: Sequence[Pool], now: float, at: BlockRef) -> list[Assessment]:
        """Pools of pegged assets by what is inside, then the assets by what they cost."""
        found: list[Assessment] = []
        meant = [pool for pool in pools if pool.share > 0.0 and not pool.unknown and self._pegged(pool)]
        for pool in sorted(meant, key=lambda pool: (pool.protocol, pool.id)):
            judged = assess_imbalance(pool, self.settings, at=at)
            if judged is not None:
                found.append(judged)
        shares = self._shares(meant)
        for asset in PEGGED:
            own = [price for price in self.prices.sources(asset) if price.kind in ("oracle", "dex")]
            if own:
                found += self._peg(book, agree(own), now, at, shares)
        return found

    def _peg(
        self,
        book: Book,
        agreed: Consensus,
        now: float,
        at: BlockRef | None,
        shares: dict[str, tuple[float, str]],
    ) -> list[Assessment]:
        target = PEGGED[agreed.asset]
        worth = 1.0 if target == "USD" else self.prices.usd(target)
        if worth is None or worth <= 0.0 or agreed.kind == "assumed" or not agreed.fresh:
            return []
        before = book.get(PEGS, agreed.asset)
        if before is not None and agreed.asset in shares:
            before = balance(before, *shares[agreed.asset], now)
        peg = observe(before, agreed.price / worth - 1.0, now, self.settings.depeg)
        return self._held(book, agreed, peg, target, at)

    def _staked(
        self, book: Book, asset: str, sources: Sequence[Price], told: float | None, now: float, at: BlockRef | None
    ) -> list[Assessment]:
        """A staked asset against what it is worth in the asset behind it: its contract's rate, else the learnt one.

        Its oracles tell that same rate, as a rule; so only exchanges and venues (`sources`) are held against it.
        """
        target = STAKED[asset]
        worth = self.prices.measure(target)
        if not sources or not worth:
            return []
        agreed = agree(sources)
        market = agreed.price / worth
        value, par = told or 1.0, "what its contract gives"
        if asset in REBASING:
            value, par = 1.0, "its peg"
        elif told is None:
            before = book.get(RATIOS, asset)
            learnt = learn(before, market, now)
            if learnt != before:
                book.put(RATIOS, asset, learnt)
            if not learnt.learnt:
                return []
            value, par = learnt.value, "its usual ratio (learnt)"
        peg = observe(book.get(PEGS, asset), market / value - 1.0, now, self.settings.depeg)
        return self._held(book, agreed, peg, target, at, ratio=value, par=par)

    def _held(
        self,
        book: Book,
        agreed: Consensus,
        peg: Peg,
        target: str,
        at: BlockRef | None,
        *,
        ratio: float = 1.0,
        par: str = "its peg",
    ) -> list[Assessment]:
        """Keep how an asset stands to what it is meant to be worth, and judge it; nothing where nothing changed."""
        if peg == book.get(PEGS, agreed.asset):
            return []
        book.put(PEGS, agreed.asset, peg)
        return [
            assess_peg(
                agreed.asset,
                agreed.symbol,
                peg,
                self.settings,
                chain_id=self.chain_id,
                target=target,
                sources=agreed.sources,
                at=at,
                ratio=ratio,
                par=par,
            )
        ]

    def _own_ratios(self, pools: Sequence[Pool], vaults: Sequence[Vault]) -> dict[str, float]:
        """staked asset → its worth in the asset behind it, by its own contract: as a vault, or as a pool reads it."""
        found: dict[str, float] = {}
        for pool in pools:
            assets = [self.prices.asset_of(token) for token in pool.tokens]
            for i, asset in enumerate(assets if pool.rates else ()):
                target = STAKED.get(asset)
                if target in assets and pool.rates[i] > 0 and (base := pool.rates[assets.index(target)]) > 0:
                    found.setdefault(asset, ratio(pool.rates[i], base))
        for vault in vaults:
            asset = self.prices.asset_of(vault.id)
            if not vault.unknown and vault.share_price > 0 and STAKED.get(asset) == self.prices.asset_of(vault.asset):
                found[asset] = ratio(vault.share_price, 10**vault.decimals)
        return found

    def _pegged(self, pool: Pool) -> bool:
        """Whether all of a pool's assets have one and the same peg."""
        assets = [self.prices.asset_of(token) for token in pool.tokens]
        pegs = {PEGGED.get(asset) or asset for asset in assets}
        return len(pegs) == 1 and any(asset in PEGGED for asset in assets)

    def _shares(self, pools: Iterable[Pool]) -> dict[str, tuple[float, str]]:
        """asset → (its share, the pool): of the deepest pool that holds it, each token counted at par."""
        found: dict[str, tuple[float, str]] = {}
        depths: dict[str, float] = {}
        for pool in pools:
            held = [units / 10**digits for units, digits in zip(pool.reserves, pool.decimals, strict=True)]
            depth = sum(held)
            for token, amount in zip(pool.tokens, held, strict=True):
                asset = self.prices.asset_of(token)
                if depth > depths.get(asset, 0.0):
                    depths[asset], found[asset] = depth, (amount / depth, pool.label)
        return found
