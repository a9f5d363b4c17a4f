"""Answers without logs, held against the header's bloom: asked again, and in the end taken with a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from defiwatch.domain.frames import Header, RawLog
from defiwatch.domain.ids import Hash

Weight: TypeAlias = Literal["believed", "again", "given up"]

_MAX = 2
"""How often a doubted block is asked again."""


class Doubts:
    """`judge(header, logs)` says that an answer cannot be whole."""

    def __init__(self, judge: Callable[[Header, Sequence[RawLog]], bool]) -> None:
        self.judge = judge
        self.settled: list[Header] = []
        """Blocks whose logs came after an answer had none."""
        self._counts: dict[Hash, int] = {}

    def begin(self, block_hash: Hash) -> None:
        """A range had no logs of that block, and should have."""
        self._counts.setdefault(block_hash, 0)

    def weigh(self, header: Header, logs: Sequence[RawLog]) -> Weight:
        """What to make of an answer to the question for that block's logs."""
        if not self.judge(header, logs):
            if logs and header.hash in self._counts:
                self.settled.append(header)
            return "believed"
        count = self._counts.get(header.hash, 0)
        self._counts[header.hash] = count + 1
        return "again" if count < _MAX else "given up"

    def forget(self, block_hash: Hash) -> None:
        """That block was handed out."""
        self._counts.pop(block_hash, None)

    def clear(self) -> None:
        """The filter changed: all answers are asked for anew."""
        self._counts.clear()
