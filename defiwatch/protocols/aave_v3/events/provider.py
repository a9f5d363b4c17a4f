"""Events of the addresses provider, of the proxies that it owns, and of the oracle."""

from __future__ import annotations

from typing import Any

from defiwatch.domain.events import Event
from defiwatch.domain.ids import Address
from defiwatch.protocols.abi import EventSpec, event


class ProxyCreated(Event, frozen=True, tag="aave_v3.ProxyCreated"):
    """The provider created a proxy; `id` is its name as bytes32 ("POOL", "POOL_CONFIGURATOR")."""

    id: str
    proxy_address: Address
    implementation_address: Address


class PoolUpdated(Event, frozen=True, tag="aave_v3.PoolUpdated"):
    """The pool's implementation changed: its revision must be read again."""

    old_address: Address
    new_address: Address


class PriceOracleUpdated(Event, frozen=True, tag="aave_v3.PriceOracleUpdated"):
    """Another oracle answers from now on."""

    old_address: Address
    new_address: Address


class PriceOracleSentinelUpdated(Event, frozen=True, tag="aave_v3.PriceOracleSentinelUpdated"):
    """Another sentinel (zero: none)."""

    old_address: Address
    new_address: Address


class Upgraded(Event, frozen=True, tag="aave_v3.Upgraded"):
    """A proxy got another implementation (EIP-1967)."""

    implementation: Address


class AssetSourceUpdated(Event, frozen=True, tag="aave_v3.AssetSourceUpdated"):
    """An asset's price comes from another source."""

    asset: Address
    source: Address


PROVIDER_EVENTS: tuple[EventSpec[Any], ...] = (
    event(
        "ProxyCreated(bytes32 indexed id, address indexed proxyAddress, address indexed implementationAddress)",
        ProxyCreated,
    ),
    event("PoolUpdated(address indexed oldAddress, address indexed newAddress)", PoolUpdated),
    event("PriceOracleUpdated(address indexed oldAddress, address indexed newAddress)", PriceOracleUpdated),
    event(
        "PriceOracleSentinelUpdated(address indexed oldAddress, address indexed newAddress)",
        PriceOracleSentinelUpdated,
    ),
    event("Upgraded(address indexed implementation)", Upgraded),
    event("AssetSourceUpdated(address indexed asset, address indexed source)", AssetSourceUpdated),
)
