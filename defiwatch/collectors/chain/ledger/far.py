"""Blocks far below the head, fetched by height: a segment at a time; where one does not fit, a search for the fork."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from defiwatch.collectors.chain.ledger.asks import Key
from defiwatch.collectors.chain.ledger.doubts import Doubts
from defiwatch.collectors.chain.ledger.fork import ForkSearch
from defiwatch.collectors.chain.ledger.segment import Segment
from defiwatch.collectors.chain.ledger.stack import Stack
from defiwatch.collectors.chain.ledger.target import Target
from defiwatch.domain.frames import Header, RawLog
from defiwatch.domain.ids import Hash


class Far:
    """The segment that is fetched now, or the search for the fork below it. What contradicts itself makes it ask for
    the node's newest block.
    """

    def __init__(self, stack: Stack, target: Target, doubts: Doubts) -> None:
        self._stack, self._target, self._doubts = stack, target, doubts
        self._segment: Segment | None = None
        self._search: ForkSearch | None = None

    @property
    def busy(self) -> bool:
        """Whether a segment is being fetched, or a fork looked for."""
        return self._segment is not None or self._search is not None

    @property
    def fetching(self) -> bool:
        """Whether a segment is being fetched."""
        return self._segment is not None

    @property
    def pause(self) -> float | None:
        """Nothing is asked before this time; None if there is no such time."""
        return None if self._segment is None else self._segment.pause

    def begin(self, first: int, last: int) -> None:
        """Fetch these heights."""
        self._segment = Segment(first, last)

    def drop(self) -> None:
        """Give up what is being done: our chain is another from here on."""
        self._segment = self._search = None

    def find(self, block_hash: Hash) -> Header | None:
        """The header of that hash, if it is one of the segment's."""
        return None if self._segment is None else self._segment.find(block_hash)

    def needs(self, open_keys: Iterable[Key], header_batch: int, log_range: int, now: float) -> Iterable[Key]:
        """What to ask."""
        if self._search is not None:
            yield self._search.need(self._stack, header_batch)
        elif self._segment is not None and self._segment.pause <= now:
            yield from self._segment.needs(open_keys, header_batch, log_range)

    def on_headers(self, found: Sequence[Header], first: int, last: int, now: float) -> int | None:
        """Headers came. The height above which our blocks are not the node's, once a search has found it."""
        segment, search = self._segment, self._search
        if segment is not None:
            if segment.first <= first and last <= segment.last:
                segment.put_headers(found)
                self._examine(segment, now)
        elif search is not None and search.expects(last):
            ancestor = search.compare(found, self._stack)
            if ancestor is not None:
                self._search = None
                return ancestor if ancestor < self._stack.tip else None
        return None

    def put_logs(self, header: Header, logs: tuple[RawLog, ...]) -> bool:
        """The logs of one block came; False if the segment did not ask for them."""
        return self._segment is not None and self._segment.put_logs(header, logs)

    def put_range(self, first: int, last: int, logs: Sequence[RawLog], now: float) -> bool:
        """The logs of many blocks came; False if they cannot be theirs."""
        segment = self._segment
        if segment is None or any(log.removed for log in logs) or not segment.put_range(first, last, logs):
            return False
        self._examine(segment, now)
        return True

    def too_many(self, number: int) -> None:
        """One block has more logs than a range may have: they are asked for by hash."""
        if self._segment is not None:
            self._segment.single.add(number)

    def forget_logs(self) -> None:
        """The filter changed: what was not handed out is asked for again."""
        if self._segment is not None:
            self._segment.forget_logs(self._stack.tip)

    def take(self) -> tuple[Header, tuple[RawLog, ...]] | None:
        """The next block with its logs, None while something is missing."""
        segment = self._segment
        if segment is None or not segment.whole:
            return None
        found = segment.take(self._stack)
        if found is None:
            self._seek_fork()
        return found

    def close(self) -> bool:
        """Whether the segment's last block was just handed out; it is done then."""
        if self._segment is None or self._stack.tip < self._segment.last:
            return False
        self._segment = None
        return True

    def _examine(self, segment: Segment, now: float) -> None:
        """Judge what the segment has so far."""
        fit = segment.examine(self._stack, now)
        if fit == "misfit":
            self._target.wanted = True
        elif fit == "fork":
            self._seek_fork()
        elif fit == "whole":
            for block_hash in segment.doubt(self._stack.tip, self._doubts.judge):
                self._doubts.begin(block_hash)

    def _seek_fork(self) -> None:
        """What was fetched by height does not stand on our tip: find out since when."""
        self._segment = None
        self._search = ForkSearch(self._stack.tip)
