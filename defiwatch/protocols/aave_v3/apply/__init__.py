"""Events to state: one function an event, found by the contract that emitted it. Each writes through the `Ledger`."""

from __future__ import annotations

from collections.abc import Iterable

from defiwatch.domain.events import Event, Fact
from defiwatch.protocols.aave_v3.apply.configurator import ON_CONFIGURATOR
from defiwatch.protocols.aave_v3.apply.handler import Handler
from defiwatch.protocols.aave_v3.apply.pool import ON_POOL
from defiwatch.protocols.aave_v3.apply.provider import ON_ORACLE, ON_PROVIDER, pool_updated
from defiwatch.protocols.aave_v3.apply.tokens import ON_TOKEN
from defiwatch.protocols.aave_v3.events.provider import Upgraded
from defiwatch.protocols.aave_v3.ledger import Ledger

_ON_POOL: dict[type[Event], Handler] = {**ON_POOL, Upgraded: pool_updated}


def apply(ledger: Ledger, event: Event) -> Iterable[Fact]:
    """Apply one event. Events from contracts that are not this market's change nothing."""
    market = ledger.market
    if event.address == market.pool:
        handlers = _ON_POOL
    elif ledger.token(event.address) is not None:
        handlers = ON_TOKEN
    elif event.address == market.configurator:
        handlers = ON_CONFIGURATOR
    elif event.address == ledger.key:
        handlers = ON_PROVIDER
    elif event.address == market.oracle:
        handlers = ON_ORACLE
    else:
        return ()
    handler = handlers.get(type(event))
    return () if handler is None else handler(ledger, event) or ()


__all__ = ["apply"]
