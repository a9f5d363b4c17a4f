"""The configuration: one frozen struct in sections. A stage is handed its own section, never the whole."""

from __future__ import annotations

from typing import Literal

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Severity
from defiwatch.errors import ConfigError


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the configuration; unknown keys are refused."""


class Endpoint(Section, frozen=True, forbid_unknown_fields=True):
    """One RPC endpoint with its own settings; in the file either a plain URL or a table."""

    url: str
    private: bool = False
    """Whether watched wallets may be sent to it (the user's own node)."""
    budget: str = ""


class ChainPreset(msgspec.Struct, frozen=True):
    """What is known of a chain by its id. `block_time` in seconds."""

    chain_id: int
    native: str
    block_time: float
    confirmations: int


PRESETS: dict[str, ChainPreset] = {
    "ethereum": ChainPreset(1, "ETH", 12.0, 12),
    "optimism": ChainPreset(10, "ETH", 2.0, 30),
    "bsc": ChainPreset(56, "BNB", 0.75, 40),
    "gnosis": ChainPreset(100, "xDAI", 5.0, 24),
    "polygon": ChainPreset(137, "POL", 2.0, 64),
    "base": ChainPreset(8453, "ETH", 2.0, 30),
    "arbitrum": ChainPreset(42161, "ETH", 0.25, 120),
    "avalanche": ChainPreset(43114, "AVAX", 1.5, 12),
    "scroll": ChainPreset(534352, "ETH", 3.0, 30),
}


class Chain(Section, frozen=True, forbid_unknown_fields=True):
    """One chain. Zero or "" where the preset of that name fills in."""

    name: str
    chain_id: int = 0
    rpc: tuple[str | Endpoint, ...] = ()
    confirmations: int = 0
    block_time: float = 0.0
    native: str = ""
    trust: Literal["single", "quorum", "consistent", "proof"] = "single"
    quorum: int = 2
    reads: str = ""
    """How often contract reads are made, as a duration; "" is every block."""
    budget: str = ""
    catch_up: Literal["in_order", "head_first"] = "in_order"
    """After downtime: every block before the head is shown, or the head at once and the gap closed beside it."""
    subscribe_logs: bool = False
    """Whether websockets are asked to tell of logs that a reorg removed: a hint beside the heads; providers bill it."""
    journal: int = 256
    """How many blocks can be undone."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints, plain URLs made whole."""
        return tuple(e if isinstance(e, Endpoint) else Endpoint(url=e) for e in self.rpc)


class Deployment(Section, frozen=True, forbid_unknown_fields=True):
    """One deployment of a protocol on one chain. Which keys count is the protocol's own business."""

    chain: str
    protocol: str
    address: Address = ""
    pools: tuple[str, ...] = ()
    feeds: tuple[Address, ...] = ()
    tokens: tuple[Address, ...] = ()
    factory: Address = ""
    fee_ppm: int = 0
    label: str = ""
    from_block: int = 0
    positions: Address = ""
    """The contract that gives the positions of a pool as tokens, where watched wallets' positions are to be told."""
    scan: bool = True
    """Whether to search the past for everyone who has a position; else accounts are met as they act."""


class Watch(Section, frozen=True, forbid_unknown_fields=True):
    """What the user cares about most."""

    wallets: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()


class Venue(Section, frozen=True, forbid_unknown_fields=True):
    """One off-chain price venue: pairs as "ETH-USD". `url` overrides its address (a mirror, a test)."""

    pairs: tuple[str, ...] = ()
    every: str = "5s"
    url: str = ""
    enabled: bool = True
    key: str = ""
    """Sent as a bearer token, where the venue wants one; from the environment, as in "${PYTH_API_KEY}"."""


class Quotes(Section, frozen=True, forbid_unknown_fields=True):
    """Off-chain prices, a venue each."""

    coinbase: Venue = Venue(enabled=False)
    kraken: Venue = Venue(enabled=False)
    pyth: Venue = Venue(enabled=False)
    defillama: Venue = Venue(enabled=False)

    def enabled(self) -> dict[str, Venue]:
        """The venues that are asked, by name."""
        venues = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: venue for name, venue in venues.items() if venue.enabled and venue.pairs}


class Models(Section, frozen=True, forbid_unknown_fields=True):
    """How the models learn. `seed` makes every forest the same."""

    seed: int = 7
    warm_up: int = 60
    """Events a subject must have shown before its own statistics count in full."""


class Alerts(Section, frozen=True, forbid_unknown_fields=True):
    """Thresholds of alerts, and how long they stand. Scores are 0..100, health factors plain numbers."""

    health_factor_warning: float = 1.10
    health_factor_critical: float = 1.03
    p_liquidation_warning: float = 0.05
    p_liquidation_critical: float = 0.30
    health_factor_safe: float = 1.5
    """What counts as safe: the factor that a proposed repayment or top-up reaches."""
    min_debt_usd: float = 50.0
    anomaly_score: float = 70.0
    drain_share: float = 0.20
    """Part of a pool's value that leaves within `drain_window`."""
    drain_window: str = "10m"
    deviation: float = 0.02
    """Relative difference between two prices of one asset."""
    depeg: float = 0.005
    imbalance_share: float = 0.75
    utilisation: float = 0.95
    silent_after: str = "60s"
    cool_down: str = "10m"
    budget: str = "3/week"
    min_severity: Severity = "info"


class ExecSink(Section, frozen=True, forbid_unknown_fields=True):
    """A program that gets each alert as one JSON line on stdin."""

    command: tuple[str, ...]
    min_severity: Severity = "warning"
    timeout: str = "10s"


class WebhookSink(Section, frozen=True, forbid_unknown_fields=True):
    """A URL that gets each alert as a JSON POST."""

    url: str
    min_severity: Severity = "warning"
    timeout: str = "10s"
    headers: dict[str, str] = {}


class Sinks(Section, frozen=True, forbid_unknown_fields=True):
    """Where alerts go beside stdout and the screen; each by a name of the user's own."""

    exec: dict[str, ExecSink] = {}
    webhook: dict[str, WebhookSink] = {}


class Config(Section, frozen=True, forbid_unknown_fields=True):
    """The whole configuration. A stage is handed its own section, never this."""

    chains: tuple[Chain, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    watch: Watch = Watch()
    quotes: Quotes = Quotes()
    models: Models = Models()
    alerts: Alerts = Alerts()
    sinks: Sinks = Sinks()
    actions: dict[str, ExecSink] = {}

    def chain(self, name: str) -> Chain:
        """The chain of that name; ConfigError if there is none."""
        for chain in self.chains:
            if chain.name == name:
                return chain
        known = ", ".join(chain.name for chain in self.chains) or "none"
        raise ConfigError(f"no chain is called {name!r} (configured: {known})")
