"""From rates to dollars: what each asset is worth as a measure of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from defiwatch.state.prices.assets import PEGGED, USD, rank
from defiwatch.state.prices.rates import NO_DEPTH, Rate, weighted_median


class Anchors:
    """What each asset is worth in dollars for the purpose of turning other rates into dollars.

    Oracles and venues come first. Then pools, each pricing its lesser asset (dollars before the native coin before the
    rest): a fall of the lesser is no news of the greater, unless nothing else prices that. A pegged asset without an
    oracle, a venue or a pool against another pegged one is assumed to hold its peg, one asset at a time.
    """

    def __init__(self, by_base: Mapping[str, Sequence[Rate]]) -> None:
        self.usd: dict[str, float] = {USD: 1.0}
        self.assumed: set[str] = set()
        self._by_dex: set[str] = set()
        self._spread(by_base, dex=False)
        self._spread(by_base, dex=True)
        quoted = {rate.quote for rates in by_base.values() for rate in rates if rate.kind == "venue"}
        for asset, peg in PEGGED.items():  # what venues count in, and nobody prices
            if asset in quoted and asset not in by_base and asset not in self.usd and peg in self.usd:
                self.usd[asset] = self.usd[peg]
                self.assumed.add(asset)
                self._spread(by_base, dex=False)
                self._spread(by_base, dex=True)
        for asset, peg in PEGGED.items():
            if asset in by_base and asset not in self.usd and peg in self.usd:
                self.usd[asset] = self.usd[peg]
                self.assumed.add(asset)
                self._spread(by_base, dex=True)

    def _spread(self, by_base: Mapping[str, Sequence[Rate]], *, dex: bool) -> None:
        """Price what the known assets price, and what these price in turn, until nothing is added."""
        while True:
            found: dict[str, list[Rate]] = {}
            for asset, rates in by_base.items():
                if asset not in self.usd:
                    groups = self._groups(asset, rates)
                    best = next((group for group in groups[: 3 if dex else 1] if group), None)
                    if best:
                        found[asset] = best
            if not found:
                return
            worth = {asset: self._middle(rates) for asset, rates in found.items()}
            self._by_dex.update(asset for asset, rates in found.items() if rates[0].kind == "dex")
            self.usd.update(worth)

    def _groups(self, asset: str, rates: Sequence[Rate]) -> tuple[list[Rate], list[Rate], list[Rate]]:
        """The rates that lead to dollars: oracles and venues, pools against a greater or equal asset, other pools."""
        known = [rate for rate in rates if rate.quote in self.usd]
        firm = [rate for rate in known if rate.kind != "dex"]
        down = [rate for rate in known if rate.kind == "dex" and rank(rate.quote) <= rank(asset)]
        up = [rate for rate in known if rate.kind == "dex" and rank(rate.quote) > rank(asset)]
        return firm, down, [] if asset in PEGGED else up

    def _middle(self, rates: Sequence[Rate]) -> float:
        fresh = [rate for rate in rates if rate.fresh] or rates
        weighed = [
            (rate.rate * self.usd[rate.quote], max(rate.depth * self.usd[rate.quote], NO_DEPTH)) for rate in fresh
        ]
        return weighted_median(weighed)

    def telling(self, asset: str, rates: Sequence[Rate]) -> list[Rate]:
        """The rates that say something of the asset. A pool whose other side is priced by pools only repeats them."""
        firm, down, up = self._groups(asset, rates)
        if firm:
            return [*firm, *(rate for rate in down if rate.quote not in self._by_dex)]
        return down or up
