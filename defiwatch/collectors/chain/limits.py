"""What was learnt of a chain's endpoints, kept between runs: how much one question may ask for."""

from __future__ import annotations

from collections.abc import MutableMapping

from defiwatch.collectors.chain.history import History
from defiwatch.collectors.chain.ledger import Ledger
from defiwatch.collectors.chain.reads import Reads


class Limits:
    """Keeps `kept` up to date: blocks a range of logs and a batch of headers may have, reads in one call.

    A limit is taken up at twice what was learnt: endpoints change, and one refusal finds out.
    """

    def __init__(self, kept: MutableMapping[str, int], ledger: Ledger, reads: Reads, history: History) -> None:
        self._kept = kept
        self._ledger, self._reads, self._history = ledger, reads, history
        ledger.log_range = self._taken("log_range", ledger.log_range)
        ledger.header_batch = self._taken("header_batch", ledger.header_batch)
        reads.chunk = self._taken("chunk", reads.chunk)
        reads.batch = self._taken("batch", reads.batch)
        history.span = self._taken("span", history.span)

    def note(self) -> None:
        """Write down how it stands now."""
        self._kept.update(
            log_range=self._ledger.log_range,
            header_batch=self._ledger.header_batch,
            chunk=self._reads.chunk,
            batch=self._reads.batch,
            span=self._history.span,
        )

    def _taken(self, name: str, usual: int) -> int:
        return max(1, min(usual, 2 * self._kept.get(name, usual)))
