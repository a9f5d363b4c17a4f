"""The registry: every protocol, one line each, and how a log finds its decoder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from defiwatch.config import Deployment
from defiwatch.domain.events import Event
from defiwatch.domain.frames import RawLog
from defiwatch.domain.ids import ChainId
from defiwatch.errors import ConfigError
from defiwatch.protocols.aave_v3 import AAVE_V3
from defiwatch.protocols.abi import EventSpec
from defiwatch.protocols.balancer_v2 import BALANCER_V2
from defiwatch.protocols.chainlink import CHAINLINK
from defiwatch.protocols.compound_v3 import COMPOUND_V3
from defiwatch.protocols.curve import CURVE
from defiwatch.protocols.erc20 import ERC20
from defiwatch.protocols.erc4626 import ERC4626
from defiwatch.protocols.foreign import FOREIGN
from defiwatch.protocols.heard import HEARD
from defiwatch.protocols.morpho_blue import MORPHO_BLUE
from defiwatch.protocols.spec import Instance, ProtocolSpec
from defiwatch.protocols.uniswap_v2 import UNISWAP_V2
from defiwatch.protocols.uniswap_v3 import UNISWAP_V3
from defiwatch.protocols.uniswap_v4 import UNISWAP_V4

PROTOCOLS: tuple[ProtocolSpec, ...] = (
    ERC20,
    AAVE_V3,
    UNISWAP_V2,
    UNISWAP_V3,
    UNISWAP_V4,
    BALANCER_V2,
    CURVE,
    CHAINLINK,
    MORPHO_BLUE,
    COMPOUND_V3,
    ERC4626,
)
"""Where several emit an event of one shape, a log whose owner is not known counts as that of the first of them."""

_BY_NAME = {spec.name: spec for spec in PROTOCOLS}
_EVERYBODYS = frozenset({"chain", "protocol", "scan"})


def create(chain_id: ChainId, deployment: Deployment) -> Instance:
    """The protocol of a deployment, ready for one chain's book.

    ConfigError for a protocol that is not known, and for a key that it does not take.
    """
    spec = _BY_NAME.get(deployment.protocol)
    if spec is None:
        known = ", ".join(sorted(_BY_NAME))
        raise ConfigError(f"deployments: protocol {deployment.protocol!r} is not known (known: {known})")
    plain = Deployment(chain=deployment.chain, protocol=deployment.protocol)
    for key in Deployment.__struct_fields__:
        if key not in _EVERYBODYS and key not in spec.keys and getattr(deployment, key) != getattr(plain, key):
            takes = ", ".join(sorted(spec.keys))
            raise ConfigError(f"deployments: {spec.name} does not take the key {key!r} (it takes: {takes})")
    return spec.create(chain_id, deployment)


@lru_cache(maxsize=1)
def decoders() -> dict[str, tuple[EventSpec[Any], ...]]:
    """Every event that can be decoded, by first topic, one for each shape. Do not write to it."""
    found: dict[str, dict[tuple[int, int, bool], EventSpec[Any]]] = {}
    for events in (*(spec.events for spec in PROTOCOLS), FOREIGN, HEARD):
        for event in events:
            shape = (event.topics, event.data_words, event.dynamic)
            found.setdefault(event.topic0, {}).setdefault(shape, event)
    return {topic0: tuple(specs.values()) for topic0, specs in found.items()}


def decode_any(log: RawLog) -> Event | None:
    """A log whose owner is not known, decoded by its first topic, its number of topics and the size of its data.

    None if no event fits. DecodeError if one fits and its data is malformed.
    """
    if not log.topics:
        return None
    for spec in decoders().get(log.topics[0], ()):
        if spec.fits(log):
            event: Event = spec.decode(log)
            return event
    return None
