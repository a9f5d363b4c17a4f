"""The blocks that were handed out: a linked chain that grows and shrinks at its top."""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.events import BlockRef
from defiwatch.domain.frames import Header
from defiwatch.domain.ids import Hash


class Stack:
    """`own` are the blocks to begin on (oldest first, linked), `first` the height of the first without any.

    Without both it begins `lookback` blocks below the first head. The newest `depth` blocks are kept.
    """

    def __init__(self, own: Sequence[BlockRef], first: int | None, lookback: int, depth: int) -> None:
        self._hashes: dict[int, Hash] = {}
        for ref in own:
            below = self._hashes.get(ref.number - 1)
            if self._hashes and (below is None or ref.parent not in ("", below)):
                self._hashes.clear()
            self._hashes[ref.number] = ref.hash
        self.tip = max(self._hashes, default=-1)
        """The height of the newest, -1 while there is none."""
        self.base = min(self._hashes, default=0)
        """The height of the oldest that is kept."""
        self._first = first
        self._lookback = lookback
        self._depth = depth
        self._cold = first is None and not self._hashes
        self._began = bool(self._hashes)
        self._doomed_above: int | None = None

    def __bool__(self) -> bool:
        return bool(self._hashes)

    @property
    def top(self) -> Hash:
        """The newest block's hash; there must be one."""
        return self._hashes[self.tip]

    @property
    def full(self) -> bool:
        """Whether older blocks than the oldest that is kept were forgotten."""
        return len(self._hashes) >= self._depth

    @property
    def following(self) -> int | None:
        """The height of the next block, None before any head at a cold start."""
        return self.tip + 1 if self._hashes else self._first

    @property
    def floor(self) -> int:
        """The lowest height that may still come."""
        return self.base if self._hashes else (self._first or 0)

    def hash_at(self, number: int) -> Hash | None:
        """Our block's hash at that height."""
        return self._hashes.get(number)

    def has(self, number: int, block_hash: Hash) -> bool:
        """Whether that block is ours."""
        return self._hashes.get(number) == block_hash

    def stands(self, number: int, block_hash: Hash) -> bool:
        """Whether that block is ours, and is not about to be removed."""
        return self.has(number, block_hash) and (self._doomed_above is None or number <= self._doomed_above)

    def carries(self, header: Header) -> bool:
        """Whether that block can come next. The first of all fits anywhere."""
        return not self._hashes or self.top == header.parent_hash

    # -- where it begins -------------------------------------------------------------------------------------------

    def begin_below(self, head: int) -> None:
        """A head is known: a cold start begins so far below it."""
        if self._cold and not self._hashes:
            self._first = max(0, head - self._lookback)

    def begin_lower(self, head: int) -> bool:
        """Nothing stands, and the head lies below where we began or wanted to begin. Whether that moves the start."""
        if self._cold:
            self._first = max(0, head - self._lookback)
        elif self._began:
            self._first = head
        return self._cold or self._began

    # -- growing and shrinking -------------------------------------------------------------------------------------

    def push(self, number: int, block_hash: Hash) -> None:
        """A block is handed out."""
        if not self._hashes:
            self.base = number
        self._hashes[number] = block_hash
        self.tip = number
        self._cold, self._began = False, True
        while len(self._hashes) > self._depth:
            del self._hashes[self.base]
            self.base += 1

    def doom(self, above: int) -> None:
        """All blocks above that height are to be removed."""
        self._doomed_above = above

    @property
    def shrinking(self) -> bool:
        """Whether blocks are still to be removed."""
        return self._doomed_above is not None

    def done_shrinking(self) -> bool:
        """Whether the last of the blocks that were to be removed just went."""
        if self._doomed_above is None or (self._hashes and self.tip > self._doomed_above):
            return False
        self._doomed_above = None
        return True

    def pop(self) -> tuple[int, Hash]:
        """The newest block is removed."""
        number, block_hash = self.tip, self._hashes.pop(self.tip)
        self.tip -= 1
        if not self._hashes:
            self._first, self.tip, self._cold = self.base, -1, False
        return number, block_hash
