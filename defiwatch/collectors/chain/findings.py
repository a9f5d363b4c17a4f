"""What the check of a block found, and what witnesses said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from defiwatch.collectors.verify import Receipt, same_logs
from defiwatch.domain.frames import BlockFrame, RawLog
from defiwatch.domain.units import from_hex


class Finding(msgspec.Struct, frozen=True):
    """What became of a block's check.

    `trust` is a grade, "untrusted" or "unsupported". Where the block was not what its hash stands for, `correct` is
    what it should have been. `again`: not all could be asked, so it is worth another try.
    """

    frame: BlockFrame
    trust: str
    detail: str = ""
    correct: BlockFrame | None = None
    again: bool = False


class Witness(msgspec.Struct, frozen=True):
    """What one endpoint said."""

    index: int
    said: Any
    detail: str


def contents(receipts: Sequence[Receipt]) -> Any:
    """What two endpoints would both say if they told the same."""
    return tuple((r.type, r.status, r.root, r.cumulative_gas_used, r.logs) for r in receipts)


def unbroken(every: Sequence[RawLog]) -> bool:
    """Whether the logs of a block are numbered without a gap."""
    return all(log.log_index is None or from_hex(log.log_index) == place for place, log in enumerate(every))


def shared(proved: Sequence[RawLog], given: Sequence[RawLog]) -> int:
    """How many of the logs that are proved were given just so."""
    return sum(1 for log in proved if any(same_logs((log,), (other,)) for other in given))
