"""One chain: what to ask next is decided without I/O (`ledger`, `health`), and done by a thin shell (`collector`)."""

from __future__ import annotations

from defiwatch.collectors.chain.collector import ChainCollector, OnProgress, Progress, collect_chain

__all__ = ["ChainCollector", "OnProgress", "Progress", "collect_chain"]
