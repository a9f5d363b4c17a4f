"""Every event that Aave v3 state follows from, 3.0 to 3.7.

Signatures: aave-v3-core@e0bfed1 contracts/interfaces, aave-v3-origin@fd1fbd9 src/contracts/interfaces. Several share
a first topic with other protocols: the address tells them apart.
"""

from __future__ import annotations

from typing import Any

from defiwatch.protocols.aave_v3.events.configurator import CONFIGURATOR_EVENTS
from defiwatch.protocols.aave_v3.events.pool import POOL_EVENTS
from defiwatch.protocols.aave_v3.events.provider import PROVIDER_EVENTS
from defiwatch.protocols.aave_v3.events.tokens import TOKEN_EVENTS
from defiwatch.protocols.abi import EventSpec
from defiwatch.protocols.erc20 import TRANSFER

EVENTS: tuple[EventSpec[Any], ...] = (*PROVIDER_EVENTS, *POOL_EVENTS, *TOKEN_EVENTS, *CONFIGURATOR_EVENTS)
TRANSFER_TOPIC = TRANSFER.topic0
TOPICS = frozenset(spec.topic0 for spec in EVENTS) - {TRANSFER_TOPIC}
"""What is asked for of every revision; up to 3.0 also TRANSFER_TOPIC."""

__all__ = ["EVENTS", "TOPICS", "TRANSFER_TOPIC"]
