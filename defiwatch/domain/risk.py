"""What is judged: subjects, reasons, assessments and alerts.

`Alert` is the line that headless prints (schema defiwatch.alert/1); it only gains fields with defaults.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from defiwatch.domain.ids import Address, ChainId, Hash
from defiwatch.domain.rates import RateCurve

ALERT_SCHEMA = "defiwatch.alert/1"

Severity: TypeAlias = Literal["info", "warning", "critical"]
State: TypeAlias = Literal["raised", "worsened", "eased", "cleared", "retracted"]
Finality: TypeAlias = Literal["head", "confirmed", "finalized"]
Trust: TypeAlias = Literal["single", "quorum", "consistent", "proof"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


class Subject(msgspec.Struct, frozen=True):
    """What an alert is about. `type` is position, pool, market, feed, asset, token or source."""

    type: str
    chain_id: ChainId
    protocol: str
    id: str
    label: str


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One named part of a score: its value now, what is usual, and the points it adds (0..100)."""

    name: str
    value: float
    points: float
    text: str
    usual: float | None = None


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the alert rests on. A reorg that removes `block_hash` retracts it."""

    block: int | None = None
    block_hash: Hash | None = None
    tx: Hash | None = None
    log_index: int | None = None


class Assessment(msgspec.Struct, frozen=True):
    """One judgement on one subject, at one moment: what `scoring` hands to `alerts`.

    `severity` None means: nothing to say, whatever stands under this key may clear. `once` marks something that
    happened (a liquidation): it is raised and stands as history, never worsened or cleared.
    """

    key: str
    kind: str
    subject: Subject
    severity: Severity | None
    score: float
    reasons: tuple[Reason, ...]
    title: str
    evidence: Evidence
    once: bool = False
    budgeted: bool = False
    """Whether the alert budget may hold it back (learned scores; never exact or critical ones)."""
    incident: bool = False
    """Whether each occurrence is one of its own: a new one after a calm is raised anew, it does not worsen the old."""
    aspect: str = ""
    """Which side of an incident was looked at ("trade"): its calm ends that side only. "" is the whole of it."""
    rarity: float = 0.0
    """What the budget measures by: powers of ten of the rarity behind a learned score, uncapped; 0.0 where none is."""
    relieved: bool = False
    """Whether somebody ended it or made it better (debt repaid, collateral added): that is told at once. What prices
    make better they may make worse again; it is told when it lasted."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One line of output: a change in the life of an alert. `time` is the frames' time, ISO 8601 UTC."""

    schema: str = ALERT_SCHEMA
    id: str
    key: str
    state: State
    kind: str
    severity: Severity
    score: float
    time: str
    title: str
    subject: Subject
    reasons: tuple[Reason, ...]
    evidence: Evidence
    finality: Finality
    trust: Trust


class Leg(msgspec.Struct, frozen=True):
    """One asset inside a position. Amounts in the asset's units, `price` in the market's base-currency units."""

    asset: Address
    symbol: str
    decimals: int
    collateral: int
    debt: int
    price: int
    liquidation_threshold: int
    """Basis points that count for this position (eMode included); 0 where it is no collateral."""
    collateral_base: int = 0
    debt_base: int = 0
    liquidation_bonus: int = 0
    """Basis points, 10500 = the liquidator takes 5 % more than it repays."""


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lending position at one block, exact, in its contract's own units.

    For Aave: `health_factor` in wad (2**256-1 without debt), `*_base` in base-currency units (1e-8 USD as a rule).
    `unknown` says why the numbers cannot be told (a price that reverts, a read that is missing); they are 0 then.
    `liquidation_prices` maps an asset to the price (base-currency units) at which the factor crosses 1, all else equal.
    """

    chain_id: ChainId
    protocol: str
    market: Address
    account: Address
    block: int
    block_hash: Hash
    time: int
    health_factor: int
    collateral_base: int
    debt_base: int
    liquidation_threshold: int
    legs: tuple[Leg, ...] = ()
    liquidation_prices: dict[Address, int] = {}
    available_borrows_base: int = 0
    ltv: int = 0
    emode: int = 0
    base_decimals: int = 8
    unknown: str = ""
    label: str = ""
    base: str = "USD"
    """What the base currency is: USD, or the symbol of the loan token in which a market counts."""
    prices_block: int = -1
    """The oldest block whose prices it rests on; -1 where it rests on none. Older than `block`: they were not read."""


class Market(msgspec.Struct, frozen=True, omit_defaults=True):
    """One lendable asset of a lending market at one block. Amounts in the asset's units, rates a year (0.05: 5 %).

    `cash` is what suppliers could withdraw now. Caps are 0 where there is none. `debt_known` is the part of `borrowed`
    that belongs to accounts on the book, in the same units. `price` is for one whole asset, in base-currency units.
    """

    chain_id: ChainId
    protocol: str
    id: str
    label: str
    asset: Address
    symbol: str
    decimals: int
    supplied: int
    borrowed: int
    cash: int
    debt_known: int
    price: int = 0
    base_decimals: int = 8
    base: str = "USD"
    bad_debt: int = 0
    supply_cap: int = 0
    borrow_cap: int = 0
    borrow_rate: float = 0.0
    supply_rate: float = 0.0
    paused: bool = False
    frozen: bool = False
    block: int = 0
    time: int = 0
    unknown: str = ""
    curve: RateCurve | None = None
    """What `borrow_rate` becomes at another utilisation; None where that is not known (`curve_unknown` says why)."""
    curve_unknown: str = "its rate model is not one that is known"


class Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exchange pool as it stands at one block. Lists run in the pool's own token order."""

    chain_id: ChainId
    protocol: str
    id: str
    label: str
    tokens: tuple[Address, ...]
    symbols: tuple[str, ...]
    decimals: tuple[int, ...]
    reserves: tuple[int, ...]
    fee_ppm: int
    price: float
    """Units of token 1 for one token 0, decimals applied; 0.0 where it cannot be told."""
    liquidity: int = 0
    block: int = 0
    time: int = 0
    unknown: str = ""
    raw: bool = False
    """Whether a token's decimals are not known: price and reserves are in smallest units then (`unknown` says it)."""
    depth: tuple[int, int] = (0, 0)
    """What moves the price by 2 %, fee included: paid in token 0 it falls, in token 1 it rises; 0 where not known."""
    share: float = 0.0
    """The largest token's part of what is inside, 0..1, each counted at par; 0.0 for pools not meant to be balanced."""
    checks: int = 0
    """How often its state was compared with the contract's."""
    mismatches: int = 0
    """How often that, or an event, showed that it had been wrong; it was read anew each time."""
    rates: tuple[int, ...] = ()
    """What each token is worth by its own contract, as the pool reads it, 10**18 for one; () where all are one."""


class Stake(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a watched account has of a pool: `amounts` (by the pool's tokens, smallest units) are what the contract
    would pay for it now, fees that wait to be collected left out.

    `units` of `whole`: shares of all shares; for a position in a range its liquidity, of what is in range. Where not
    `exact` it is the least: what the account had before the block `since` is not known.
    """

    chain_id: ChainId
    protocol: str
    pool: str
    account: Address
    units: int
    whole: int
    amounts: tuple[int, ...]
    exact: bool
    since: int
    position: str = ""
    """Which of the account's positions: the number of its token; "" where a pool knows no positions."""
    prices: tuple[float, float] | None = None
    """Between which prices (as the pool's `price`) a position counts; None: at every price."""
    in_range: bool | None = None
    unknown: str = ""
    """Why amounts and share cannot be told; `amounts` is () and `whole` 0 then."""


class Vault(msgspec.Struct, frozen=True, omit_defaults=True):
    """A vault that gives shares for an asset, as it was read last. Amounts in the asset's units,
    `shares` in the share's.

    `share_price` is what one whole share is worth; `idle` what the vault holds itself and could pay out at once.
    """

    chain_id: ChainId
    protocol: str
    id: str
    label: str
    asset: Address
    symbol: str
    decimals: int
    share_price: int
    assets: int
    shares: int
    idle: int
    block: int = 0
    time: int = 0
    unknown: str = ""


class Feed(msgspec.Struct, frozen=True, omit_defaults=True):
    """An oracle feed as it stands: the last answer, in 10**-decimals of `quote`."""

    chain_id: ChainId
    protocol: str
    address: Address
    base: str
    quote: str
    answer: int
    decimals: int
    updated_at: int
    round_id: int = 0
    block: int = 0
    unknown: str = ""
    answered_in_round: int = 0
    """The round in which the answer was found; 0 where not read. Less than `round_id`: it was carried over."""
    started_at: int = 0
    min_answer: int = 0
    """The least and the greatest answer that it can give; 0 where not read."""
    max_answer: int = 0
    sequencer: bool = False
    """Whether it tells no price but whether its chain's sequencer is up (0) or down (1)."""
