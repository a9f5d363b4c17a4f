"""What was learnt of a chain's endpoints, kept between runs: how much one question may ask for, and how often."""

from __future__ import annotations

from collections.abc import MutableMapping

from defiwatch.collectors.chain.history import History
from defiwatch.collectors.chain.ledger import Ledger
from defiwatch.collectors.chain.reads import Reads


class Limits:
    """Keeps `kept` up to date: blocks a range of logs and a batch of headers may have, reads in one call, what rate
    each endpoint takes, and how long it lets one wait between two heads.

    What was learnt is taken up as it was; where a whole run met no refusal, at twice that: endpoints change, and one
    refusal finds out.
    """

    def __init__(self, kept: MutableMapping[str, int], ledger: Ledger, reads: Reads, history: History) -> None:
        self._kept = kept
        self._ledger, self._reads, self._history = ledger, reads, history
        self._began: dict[str, int] = {}
        self._noted = False
        ledger.log_range = self._taken("log_range", ledger.log_range)
        ledger.header_batch = self._taken("header_batch", ledger.header_batch)
        reads.chunk = self._taken("chunk", reads.chunk)
        reads.batch = self._taken("batch", reads.batch)
        history.span = self._taken("span", history.span)
        reads.endpoints.recall(kept)

    def note(self) -> None:
        """Write down how it stands now."""
        now = {
            "log_range": self._ledger.log_range,
            "header_batch": self._ledger.header_batch,
            "chunk": self._reads.chunk,
            "batch": self._reads.batch,
            "span": self._history.span,
        }
        self._kept.update(now)
        self._kept.update(self._reads.endpoints.learnt())
        for name, value in now.items():
            if value < self._began[name]:
                self._kept[f"{name} refused"] = 1
            elif not self._noted:
                self._kept.pop(f"{name} refused", None)
        self._noted = True

    def _taken(self, name: str, usual: int) -> int:
        refused = f"{name} refused" in self._kept
        self._began[name] = max(1, min(usual, self._kept.get(name, usual) * (1 if refused else 2)))
        return self._began[name]
