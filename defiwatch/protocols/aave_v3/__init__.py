"""Aave v3 by revision (3.0 to 3.7), and its forks. The deployment's `address` is its PoolAddressesProvider."""

from __future__ import annotations

from defiwatch.protocols.aave_v3.events import EVENTS
from defiwatch.protocols.aave_v3.instance import AaveV3
from defiwatch.protocols.spec import ProtocolSpec

AAVE_V3 = ProtocolSpec(
    name=AaveV3.protocol,
    title="Aave v3",
    events=EVENTS,
    create=AaveV3,
    keys=frozenset({"address", "from_block", "label"}),
)
"""`from_block` bounds the search for accounts (the pool's creation block)."""

__all__ = ["AAVE_V3", "AaveV3"]
