"""Looking for a fork by height: since when does the node's chain leave ours?"""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.collectors.chain.ledger.asks import Key
from defiwatch.collectors.chain.ledger.stack import Stack
from defiwatch.domain.frames import Header
from defiwatch.domain.units import from_hex

_FIRST = 8
_GROWTH = 4


class ForkSearch:
    """Compares our newest blocks with the node's at the same heights, further and further down from `top`."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._size = _FIRST

    def need(self, stack: Stack, header_batch: int) -> Key:
        """The headers to ask for."""
        return ("headers", "", max(stack.base, self._top - min(self._size, header_batch) + 1), self._top)

    def expects(self, last: int) -> bool:
        """Whether headers up to that height are an answer to what it asks for now."""
        return last == self._top

    def compare(self, headers: Sequence[Header], stack: Stack) -> int | None:
        """The height of the newest block that both have, one below our oldest if there is none; None to ask on."""
        for header in reversed(headers):
            number = from_hex(header.number)
            if stack.has(number, header.hash):
                return number
        low = from_hex(headers[0].number)
        if low <= stack.base:
            return stack.base - 1
        self._size, self._top = self._size * _GROWTH, low - 1
        return None
