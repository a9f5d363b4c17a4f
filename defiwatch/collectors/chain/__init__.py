"""One chain: what to ask next is decided without I/O (`ledger`, `health`), and done by a thin shell.

`follower` goes along the chain for one line; `collector` owns the endpoints and the life of the followers: the line's
own, and while that one goes through a gap a `scout` at the head.
"""

from __future__ import annotations

from defiwatch.collectors.chain.collector import ChainCollector, OnProgress, Progress

__all__ = ["ChainCollector", "OnProgress", "Progress"]
