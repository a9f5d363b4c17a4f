"""Prices: one book per line, every price with where it comes from."""

from __future__ import annotations

from defiwatch.state.prices.assets import PEGGED, WRAPPED, base_of
from defiwatch.state.prices.book import PriceBook
from defiwatch.state.prices.rates import Consensus, Deviation, Kind, Price

__all__ = ["PEGGED", "WRAPPED", "Consensus", "Deviation", "Kind", "Price", "PriceBook", "base_of"]
