"""What every handler of events is, and the step that most of the contract's actions begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from defiwatch.domain.events import Fact
from defiwatch.protocols.aave_v3 import indices
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import DATA, Reserve

Handler: TypeAlias = Callable[[Ledger, Any], Iterable[Fact] | None]
"""Applies one event; returns the facts that it makes, None for none."""


def updated(ledger: Ledger, reserve: Reserve) -> Reserve:
    """The reserve as the contract's own state update left it, just before the event at hand."""
    return indices.accrued(ledger.form, reserve, ledger.at.time, ledger.at.number) if reserve.have & DATA else reserve
