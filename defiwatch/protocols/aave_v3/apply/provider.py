"""Events of the addresses provider and of the oracle: who is who."""

from __future__ import annotations

import msgspec

from defiwatch.domain.events import Event
from defiwatch.protocols.aave_v3.apply.handler import Handler
from defiwatch.protocols.aave_v3.events import provider as e
from defiwatch.protocols.aave_v3.ledger import Ledger
from defiwatch.protocols.aave_v3.state import (
    CONFIGURATOR,
    ORACLE,
    POOL,
    REVISION,
    SENTINEL,
    UPGRADING,
    Market,
)

replace = msgspec.structs.replace


_POOL = "0x" + b"POOL".hex().ljust(64, "0")
_CONFIGURATOR = "0x" + b"POOL_CONFIGURATOR".hex().ljust(64, "0")


def _proxy_created(ledger: Ledger, event: e.ProxyCreated) -> None:
    if event.id == _POOL:
        market = ledger.market
        known = Market(configurator=market.configurator, oracle=market.oracle, sentinel=market.sentinel)
        have = market.have | POOL
        ledger.set_market(replace(known, pool=event.proxy_address, born=True, probed=255, have=have))
    elif event.id == _CONFIGURATOR:
        market = ledger.market
        ledger.set_market(replace(market, configurator=event.proxy_address, have=market.have | CONFIGURATOR))


def pool_updated(ledger: Ledger, _: e.PoolUpdated | e.Upgraded) -> None:
    """Another implementation: its revision must be read again."""
    ledger.set_market(replace(ledger.market, have=ledger.market.have & ~REVISION))
    if ledger.market.revision and ledger.book.get(UPGRADING, ledger.key) is None:
        ledger.book.put(UPGRADING, ledger.key, ())


def _oracle_updated(ledger: Ledger, event: e.PriceOracleUpdated) -> None:
    ledger.set_market(replace(ledger.market, oracle=event.new_address, have=ledger.market.have | ORACLE))
    for reserve in ledger.reserves():
        ledger.set_reserve(replace(reserve, source=""))


def _sentinel_updated(ledger: Ledger, event: e.PriceOracleSentinelUpdated) -> None:
    ledger.set_market(replace(ledger.market, sentinel=event.new_address, have=ledger.market.have | SENTINEL))


def _source_updated(ledger: Ledger, event: e.AssetSourceUpdated) -> None:
    reserve = ledger.reserve(event.asset)
    if reserve is not None:
        ledger.set_reserve(replace(reserve, source=event.source))


ON_PROVIDER: dict[type[Event], Handler] = {
    e.ProxyCreated: _proxy_created,
    e.PoolUpdated: pool_updated,
    e.PriceOracleUpdated: _oracle_updated,
    e.PriceOracleSentinelUpdated: _sentinel_updated,
}

ON_ORACLE: dict[type[Event], Handler] = {e.AssetSourceUpdated: _source_updated}
