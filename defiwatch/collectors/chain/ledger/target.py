"""The head that a ledger works towards, how far it is believed, and when the node is asked for its newest block."""

from __future__ import annotations

from defiwatch.domain.frames import Header
from defiwatch.domain.units import from_hex

_SOONEST_AGAIN = 0.2
"""Seconds between two questions for the newest block, however much it is wanted."""


class Target:
    """`block_time` in seconds. A notice aims it; what the node answers, asked for its newest block, confirms it."""

    def __init__(self, block_time: float) -> None:
        self.header: Header | None = None
        self.confirmed = False
        """Whether the node, asked, named it or a block on top of it: only then may blocks be removed for it."""
        self.wanted = True
        """Whether something hints that the node's newest block is another: it is asked as soon as may be."""
        self._news_at = 0.0
        self._asked_at = float("-inf")
        self._question = 0
        self._below_since: float | None = None
        self._below_after = max(3 * block_time, 3.0)
        self._pace = (2.5 * block_time, block_time)

    @property
    def number(self) -> int | None:
        """Its height, None before any head."""
        return None if self.header is None else from_hex(self.header.number)

    def aim(self, header: Header, *, confirmed: bool, now: float) -> bool:
        """Work towards `header` from now on. Whether that is another block than before."""
        other = self.header is None or header.hash != self.header.hash
        if other:
            self._news_at = now
        self.header = header
        self.confirmed = confirmed
        self._below_since = None
        return other

    def confirm(self) -> None:
        """The node, asked, named the target or a block below it that it stands on."""
        self.confirmed = True
        self._below_since = None

    def went_back(self, now: float) -> bool:
        """The node's newest block is one of ours below our tip: it lags, or it went back without a successor.

        True once it has said so for so long that it is no lag.
        """
        if self._below_since is None:
            self._below_since = now
        return now - self._below_since >= self._below_after

    # -- asking for the newest block -------------------------------------------------------------------------------

    def pace(self, first: float, again: float) -> None:
        """Ask `first` seconds after the last new head, and then every `again` seconds."""
        self._pace = (first, again)

    def due(self, floor: float) -> float:
        """When to ask; not before `floor`."""
        if self.header is None:
            return floor
        first, again = self._pace
        if self.wanted:
            return max(floor, self._asked_at + min(_SOONEST_AGAIN, again))
        return max(floor, self._news_at + first, self._asked_at + again)

    def asked(self, question: int, now: float) -> None:
        """It was asked: the answer to this question counts, and none to an earlier one."""
        self._asked_at, self._question = now, question

    def awaits(self, question: int) -> bool:
        """Whether the answer to this question counts."""
        return question == self._question
