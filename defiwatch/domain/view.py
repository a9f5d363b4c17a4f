"""The Snapshot: a frozen picture of the whole, some times a second. The screen draws snapshots and knows nothing else.

Every row carries `time` (Unix seconds, the frames' clock) of what it shows, so that the screen can show its age, and
its `source`. Texts are already harmless: control characters and markup were taken out at the door.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.risk import Alert, Reason, Severity

SNAPSHOT_SCHEMA = "defiwatch.snapshot/1"


UNSEEN = "what a wallet has had here since before it was watched is told once it moves"


class StakeRow(msgspec.Struct, frozen=True):
    """What a watched wallet has of a pool, as it could be taken out now; fees that wait to be collected left out."""

    account: str
    label: str
    share: float | None
    """Of all shares, 0..1; of a position with a range: of the liquidity that is in range. None: cannot be told."""
    tokens: tuple[tuple[str, float, str], ...]
    """(symbol, amount, the same in smallest units), as the contract would pay them."""
    value_usd: float | None
    at_least: bool
    """Whether this is the least that it can be: what the wallet had before the block `since` is not known."""
    since: int
    position: str = ""
    prices: tuple[float, float] | None = None
    """Between which prices a position counts; None: at every price."""
    in_range: bool | None = None
    unknown: str = ""

    @property
    def everywhere(self) -> bool:
        """Whether it counts at any price that can come."""
        return self.prices is None or self.prices[1] > self.prices[0] * 1e30

    @property
    def caveat(self) -> str:
        """What is to be said of how far the numbers can be trusted; "" where they are whole."""
        if self.unknown:
            return self.unknown
        if not self.at_least:
            return ""
        what = "the position" if self.position else "the wallet"
        return f"the least it can be: what {what} had before block {self.since:,} is not known"


class PoolRow(msgspec.Struct, frozen=True):
    """One pool. `score` 0..100; `reasons` add up to it. `price` is token 1 for one token 0."""

    key: str
    chain: str
    protocol: str
    label: str
    price: float
    value_usd: float | None
    volume_usd_1h: float | None
    change_1h: float | None
    """Relative: 0.01 is +1 %."""
    score: float
    reasons: tuple[Reason, ...]
    events: int
    block: int
    time: float
    source: str
    unknown: str = ""
    twap: float | None = None
    """The time-weighted mean price of the last half hour; None where too little of it is known."""
    twap_gap: float | None = None
    """|ln(price / twap)|."""
    share: float = 0.0
    """The largest token's part of a pool that is meant to be balanced, 0..1; 0.0 for others."""
    depth_usd: tuple[float, float] | None = None
    """Dollars that move the price down and up by 2 %; None where it cannot be told."""
    stakes: tuple[StakeRow, ...] = ()
    """What watched wallets have of it."""
    stakes_unseen: bool = False
    """Whether a watched wallet may have more of it, from before the watch: it is told once it moves."""


class AssetRow(msgspec.Struct, frozen=True):
    """One asset inside a position. Prices in USD (or the market's base); None: cannot be told."""

    symbol: str
    address: str
    collateral: float
    debt: float
    price: float
    liquidation_threshold: float
    liquidation_price: float | None
    distance: float | None
    """Relative move of this asset's price that liquidates: -0.12 is a fall by 12 %."""


class PositionRow(msgspec.Struct, frozen=True):
    """One lending position. `health_factor` is None without debt or where it cannot be told (`unknown` says why)."""

    key: str
    chain: str
    protocol: str
    market: str
    account: str
    label: str
    watched: bool
    health_factor: float | None
    collateral_usd: float
    debt_usd: float
    distance: float | None
    """The common fall of all collateral that brings the factor to 1: 0.05 is 5 %; below 0: already beyond."""
    nearest: str
    """The asset whose own move liquidates soonest, in words: "WETH -2.1 %"."""
    score: float
    severity: Severity | None
    reasons: tuple[Reason, ...]
    assets: tuple[AssetRow, ...]
    block: int
    time: float
    source: str
    trust: str
    p_liquidation: dict[str, float] = {}
    unknown: str = ""
    safe: tuple[str, ...] = ()
    """What would make it safe, in words; told of positions near the line and of watched ones."""
    sentence: str = ""
    """How wrong the oracle may be, in words."""
    market_factor: float | None = None
    """The health factor at market prices, where they are known."""
    oracles: tuple[str, ...] = ()
    """How the price of each of its assets comes, in words."""
    remarks: tuple[str, ...] = ()
    """What else is to be said of it: what interest alone does, where a liquidation harms, what P rests on."""


class PriceRow(msgspec.Struct, frozen=True):
    """One price with where it comes from."""

    symbol: str
    price: float
    source: str
    time: float
    deviation: float | None = None
    """Of one source: against what they agree on. Of what they agree on: the highest over the lowest, less 1."""
    chain: str = ""
    sources: int = 0
    """How many sources agree on it; 0 for the price of one source."""


class MarketRow(msgspec.Struct, frozen=True):
    """One lending market (or one reserve of it)."""

    key: str
    chain: str
    protocol: str
    label: str
    supplied_usd: float
    borrowed_usd: float
    utilisation: float
    positions: int
    at_risk_usd: float
    bad_debt_usd: float
    completeness: float | None
    """Known debt divided by the contract's total, 0..1; None where it was not measured."""
    block: int
    time: float
    source: str
    facts: tuple[tuple[str, str], ...] = ()
    borrow_rate: float = 0.0
    """What borrowers pay now, simple a year: 0.05 is 5 %."""
    borrow_rate_full: float | None = None
    """What they would pay with everything lent out, by the market's own curve; None where it is not known."""
    borrow_rate_path: dict[str, float] = {}
    """What they will pay in 1d and 7d if utilisation goes on rising like this; {} where it does not, or no curve is
    known."""
    expected_liquidations_usd: dict[str, float] = {}
    """Dollars of debt whose liquidation is to be expected within each horizon (1h, 24h, 7d): the probability if nothing
    is done, times the share of owners who do nothing."""


class SourceRow(msgspec.Struct, frozen=True):
    """One source of frames and how it fares."""

    name: str
    chain: str
    state: str
    detail: str
    height: int | None
    latency_ms: float | None
    frames: int
    time: float
    """When its last frame came, by the clock of arrival."""


class ModelRow(msgspec.Struct, frozen=True):
    """One model's running record."""

    name: str
    kind: str
    events: int
    metric: str
    value: float | None
    note: str = ""
    cost_us: float | None = None


class ChainRow(msgspec.Struct, frozen=True):
    """One chain's line."""

    name: str
    chain_id: int
    head: int
    confirmed: int
    time: float
    trust: str
    events: int
    reorgs: int
    warming: float | None = None
    """How much of the warm-up is done, 0..1; None once it is over."""
    gap: int = 0
    """Blocks below the head that are still missing, while the head is followed beside them (`head_first`)."""


class AlertRow(msgspec.Struct, frozen=True):
    """One alert as it stands now, newest change last told."""

    alert: Alert
    since: float
    acked: bool = False
    snoozed_until: float | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """The whole, at `time` (Unix seconds by the frames' clock; replay shows the recording's time)."""

    schema: str
    sequence: int
    time: float
    mode: str
    """live, replay or demo."""
    progress: float | None
    """Replay: how much of the recording is behind us, 0..1."""
    chains: tuple[ChainRow, ...]
    pools: tuple[PoolRow, ...]
    positions: tuple[PositionRow, ...]
    markets: tuple[MarketRow, ...]
    prices: tuple[PriceRow, ...]
    alerts: tuple[AlertRow, ...]
    """Standing alerts, most severe and then newest first."""
    feed: tuple[Alert, ...]
    """The last changes, newest first."""
    sources: tuple[SourceRow, ...]
    models: tuple[ModelRow, ...]
    events_per_s: float = 0.0
    notices: tuple[str, ...] = ()
    """What the user should know and is no alert: reads that a recording lacks, damaged lines."""
