"""What is looked at in every block although nothing happened to it: pegs, pools that should be balanced.

Wiring only: the book's tables remember (`state/`), `scoring/` judges, the judge gives what comes out to the alert book.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from defiwatch.config import Alerts
from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import MARKET, ChainId
from defiwatch.domain.risk import Assessment, Pool
from defiwatch.protocols.spec import Book
from defiwatch.scoring.pegs import assess_imbalance, assess_peg
from defiwatch.state.pegs import PEGS, balance, observe
from defiwatch.state.prices import PEGGED, Consensus, PriceBook, base_of
from defiwatch.state.prices.rates import agree


class Watch:
    """The standing conditions of one line. Every method returns judgements in a fixed order."""

    def __init__(self, chain_id: ChainId, settings: Alerts, prices: PriceBook) -> None:
        self.chain_id = chain_id
        self.settings = settings
        self.prices = prices

    def on_quote(self, book: Book, base: str, now: float) -> list[Assessment]:
        """A venue's price came: the market line's to judge. A chain looks at its own prices, block by block."""
        asset = base_of(base)
        if self.chain_id != MARKET or asset not in PEGGED:
            return []
        agreed = self.prices.consensus(asset)
        return [] if agreed is None else self._peg(book, agreed, now, None, {})

    def on_block(self, book: Book, pools: Sequence[Pool], now: float, at: BlockRef) -> list[Assessment]:
        """A block is whole and its prices are known."""
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
            )
        ]

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
