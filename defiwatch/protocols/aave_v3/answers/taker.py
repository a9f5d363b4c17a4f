"""What takes an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from defiwatch.domain.frames import CallResult
from defiwatch.protocols.aave_v3.ledger import Ledger

Taker: TypeAlias = Callable[[Ledger, CallResult, tuple[Any, ...]], None]
"""Writes one answer to the book: the call, and its decoded values."""
