"""Events of protocols that are not followed, decoded so that a log of theirs is known for what it is, by family."""

from __future__ import annotations

from typing import Any

from defiwatch.protocols.abi import EventSpec
from defiwatch.protocols.heard import exchanges, lenders, vaults

HEARD: tuple[EventSpec[Any], ...] = (*exchanges.EVENTS, *lenders.EVENTS, *vaults.EVENTS)
