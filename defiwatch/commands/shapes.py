"""The JSON shapes of `positions` and `prove`, and how a position becomes one.

Every uint256 is a decimal string in the contract's own units. Objects may gain fields; none is renamed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

import msgspec

from defiwatch.domain.risk import Leg, Position, Trust
from defiwatch.domain.units import sig6
from defiwatch.state.lending.desk import Balance, Probe, bonus_of, close_factor
from defiwatch.state.lending.insight import Insight
from defiwatch.state.lending.oracles import Dual
from defiwatch.state.lending.paths import Path

POSITION_SCHEMA = "defiwatch.position/1"
PROOF_SCHEMA = "defiwatch.proof/1"

Uint: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]*)$")]
"""A uint256 as a decimal string."""

Int: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(0|-?[1-9][0-9]*)$")]
"""An int256 as a decimal string."""

Probability: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class LegLine(msgspec.Struct, frozen=True):
    """One asset of a position: amounts in its units, price and `*_base` in base-currency units, the rest in bps.

    Below `liquidation_bonus`, what the market keeps: Aave's scaled balances, totals and indices (ray; at the block's
    time, `stored_*` as in storage), Morpho's shares, Compound's principals. null where the market has no such thing.
    """

    asset: str
    symbol: str
    decimals: int
    collateral: Uint
    debt: Uint
    price: Uint
    collateral_base: Uint
    debt_base: Uint
    liquidation_threshold: Uint
    liquidation_bonus: Uint
    scaled_collateral: Uint | None = None
    scaled_debt: Uint | None = None
    stable_debt: Uint | None = None
    liquidity_index: Uint | None = None
    debt_index: Uint | None = None
    stored_liquidity_index: Uint | None = None
    stored_debt_index: Uint | None = None
    scaled_total_collateral: Uint | None = None
    scaled_total_debt: Uint | None = None
    deficit: Uint | None = None


class ProbeLine(msgspec.Struct, frozen=True):
    """What the largest liquidation of one pair would do now. `outcome` is ok, or the contract's error by name.

    `covered` and `closable` (the most of it that one call may cover, `close_factor` as a part) in units of the debt,
    `seized` and `fee` in units of the collateral; `bonus` in basis points, 10500 is 5 %. `error`: as the contract
    itself says it; Aave v3 said numbers up to 3.3.
    """

    collateral: str
    debt: str
    collateral_symbol: str
    debt_symbol: str
    outcome: str
    covered: Uint
    seized: Uint
    fee: Uint
    closable: Uint
    close_factor: float | None
    bonus: Uint
    bad_debt: bool
    error: str = ""


class ToxicLine(msgspec.Struct, frozen=True):
    """A collateral whose seizure lowers the health factor now: it does below `below` = threshold·(1 + bonus)."""

    asset: str
    symbol: str
    below: float


class DualLegLine(msgspec.Struct, frozen=True):
    """One asset by both prices, base currency. `oracle` is the kind of the protocol's source; `seen`: whether that
    follows the market's price at all."""

    asset: str
    symbol: str
    oracle: str
    protocol_price: float
    market_price: float | None
    deviation: float | None
    seen: bool


class DualLine(msgspec.Struct, frozen=True):
    """The health factor by the protocol's prices and by the market's; `coming`: once the oracle has caught up."""

    protocol: float
    market: float | None
    coming: float | None
    sentence: str
    legs: tuple[DualLegLine, ...]


class OracleLine(msgspec.Struct, frozen=True):
    """How one asset's price comes: `source` as the market names it, its `kind`, the `feed` behind it ("": not known).

    `age_s`: seconds since its last push, null where no feed of it is followed; `interval_s` between pushes on average,
    `band` (0.005 is 0.5 %) and `heartbeat_s` by which it is pushed; `learnt_from`: feed (its rounds), price (the
    changes of the market's own price) or usual (not learnt yet); `pushes` behind it. `headroom`: how far below its cap
    it stands, 0.01 is 1 %; null where nothing caps it.
    """

    asset: str
    symbol: str
    source: str
    kind: str
    description: str
    feed: str
    age_s: float | None
    interval_s: float
    band: float | None
    heartbeat_s: float | None
    learnt_from: str
    pushes: int
    headroom: float | None
    capped: bool | None


class WhatIfLine(msgspec.Struct, frozen=True):
    """What was supposed: moves of prices (-0.2 is a fall by 20 %), repayments (units), by asset; and how it stood."""

    shocks: dict[str, float]
    repays: dict[str, Uint]
    health_factor_before: Uint
    collateral_base_before: Uint
    debt_base_before: Uint


class SafeStep(msgspec.Struct, frozen=True):
    """One way to bring the health factor to `target` (wad), by one asset alone.

    `action` is repay, supply or repay_from_supply (with what is supplied of the same asset); `amount` the smallest
    that does it, in the asset's units. Where it cannot be done now `possible` is false and `why` says what stands
    against it.
    """

    action: str
    asset: str
    symbol: str
    amount: Uint
    target: Uint
    possible: bool = True
    why: str = ""


class PositionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One lending position at one block, as `positions --json` prints it.

    For Aave: `health_factor` in wad (2**256-1 without debt), `*_base` in base-currency units, `liquidation_threshold`
    in basis points, `liquidation_prices` by asset in base-currency units. Where the numbers cannot be told
    `health_factor` is null and `unknown` says why. `p_liquidation` maps a horizon (1h, 24h, 7d) to the probability if
    nothing is done; it is empty while the volatility of collateral against debt is not known.

    `common_shock`: the fall of all collateral that brings the factor to 1 (0.05 is 5 %); `carry_s`: seconds until
    interest alone does; `volatility`: of collateral against debt, a year, learnt over `volatility_s` seconds. `probes`
    holds every possible liquidation of a position below 1.05, `take` the one that pays its liquidator most.
    `learnt_from`: where the volatility comes from, or why there is none, in words; "" for a run's own.
    """

    schema: str = POSITION_SCHEMA
    chain_id: int
    protocol: str
    market: str
    account: str
    block: int
    block_hash: str
    health_factor: Uint | None
    collateral_base: Uint
    debt_base: Uint
    liquidation_threshold: Uint
    liquidation_prices: dict[str, Uint]
    p_liquidation: dict[str, Probability]
    safe: tuple[SafeStep, ...]
    trust: Trust
    time: int
    ltv: Uint
    available_borrows_base: Uint
    base: str
    base_decimals: int
    emode: int
    legs: tuple[LegLine, ...]
    label: str = ""
    unknown: str = ""
    common_shock: float | None = None
    carry_s: float | None = None
    volatility: float | None = None
    volatility_s: float | None = None
    probes: tuple[ProbeLine, ...] = ()
    take: ProbeLine | None = None
    toxic: tuple[ToxicLine, ...] = ()
    dual: DualLine | None = None
    what_if: WhatIfLine | None = None
    learnt_from: str = ""
    oracles: tuple[OracleLine, ...] = ()
    prices_block: int | None = None
    """The oldest block whose prices it rests on; null where it rests on none."""
    doubt: str = ""
    """What is missing that may have changed it: blocks that a recording does not have."""


class Term(msgspec.Struct, frozen=True):
    """One number, ours and the contract's own, and ours minus the contract's."""

    name: str
    ours: Int
    contract: Int
    difference: Int


class ProofLine(msgspec.Struct, frozen=True, kw_only=True):
    """What `prove --json` prints: every term of an account's health factor beside the contract's own answer."""

    schema: str = PROOF_SCHEMA
    chain_id: int
    protocol: str
    market: str
    account: str
    block: int
    block_hash: str
    equal: bool
    terms: tuple[Term, ...]
    trust: Trust = "single"
    unknown: str = ""
    """Why the contract itself cannot tell the account's data now, and we neither."""
    since: int | None = None
    """Our state was read at this block, and follows from events from there on."""
    owns: bool = True
    """Whether the account has anything in this market, by either side."""


def position_line(
    position: Position,
    *,
    trust: Trust = "single",
    p_liquidation: Mapping[str, float] | None = None,
    safe: Sequence[SafeStep] = (),
    insight: Insight | None = None,
    volatility: tuple[float, float] | None = None,
    learnt_from: str = "",
    what_if: WhatIfLine | None = None,
    doubt: str = "",
) -> PositionLine:
    """A position in its JSON shape. `volatility`: (a year, learnt over so many seconds)."""
    legs = insight.legs if insight is not None else position.legs
    by_asset = {leg.asset: leg for leg in legs}
    return PositionLine(
        chain_id=position.chain_id,
        protocol=position.protocol,
        market=position.market,
        account=position.account,
        block=position.block,
        block_hash=position.block_hash,
        health_factor=None if position.unknown else str(position.health_factor),
        collateral_base=str(position.collateral_base),
        debt_base=str(position.debt_base),
        liquidation_threshold=str(position.liquidation_threshold),
        liquidation_prices={asset: str(price) for asset, price in sorted(position.liquidation_prices.items())},
        p_liquidation={horizon: sig6(chance) for horizon, chance in (p_liquidation or {}).items()},
        safe=tuple(safe) or (safe_steps(insight) if insight is not None else ()),
        trust=trust,
        time=position.time,
        ltv=str(position.ltv),
        available_borrows_base=str(position.available_borrows_base),
        base=position.base,
        base_decimals=position.base_decimals,
        emode=position.emode,
        legs=tuple(_leg_line(leg, insight.balances.get(leg.asset) if insight else None) for leg in legs),
        label=position.label,
        unknown=position.unknown,
        common_shock=_number(insight.common_shock) if insight else None,
        carry_s=_number(insight.carry_s) if insight else None,
        volatility=sig6(volatility[0]) if volatility else None,
        volatility_s=sig6(volatility[1]) if volatility else None,
        probes=tuple(_probe_line(probe, by_asset) for probe in insight.probes) if insight else (),
        take=_probe_line(insight.take, by_asset) if insight and insight.take else None,
        toxic=tuple(ToxicLine(one.asset, one.symbol, sig6(one.below)) for one in insight.toxic) if insight else (),
        dual=_dual_line(insight.dual) if insight and insight.dual else None,
        what_if=what_if,
        learnt_from=learnt_from,
        oracles=tuple(_oracle_line(path) for path in insight.paths) if insight else (),
        prices_block=None if position.prices_block < 0 else position.prices_block,
        doubt=doubt,
    )


def safe_steps(insight: Insight) -> tuple[SafeStep, ...]:
    """The remedies of a position in their JSON shape."""
    return tuple(
        SafeStep(one.action, one.asset, one.symbol, str(one.amount), str(one.target), one.possible, one.why)
        for one in insight.remedies
    )


def term(name: str, ours: int, contract: int) -> Term:
    """One compared number."""
    return Term(name, str(ours), str(contract), str(ours - contract))


def _number(value: float | None) -> float | None:
    return None if value is None else sig6(value)


def _leg_line(leg: Leg, balance: Balance | None = None) -> LegLine:
    kept = {} if balance is None else msgspec.structs.asdict(balance)
    kept.pop("asset", None)
    return LegLine(
        asset=leg.asset,
        symbol=leg.symbol,
        decimals=leg.decimals,
        collateral=str(leg.collateral),
        debt=str(leg.debt),
        price=str(leg.price),
        collateral_base=str(leg.collateral_base),
        debt_base=str(leg.debt_base),
        liquidation_threshold=str(leg.liquidation_threshold),
        liquidation_bonus=str(leg.liquidation_bonus),
        **{name: None if value is None else str(value) for name, value in kept.items()},
    )


def _probe_line(probe: Probe, legs: Mapping[str, Leg]) -> ProbeLine:
    share = close_factor(probe, tuple(legs.values()))
    collateral, debt = legs.get(probe.collateral), legs.get(probe.debt)
    return ProbeLine(
        collateral=probe.collateral,
        debt=probe.debt,
        collateral_symbol=collateral.symbol if collateral else "",
        debt_symbol=debt.symbol if debt else "",
        outcome=probe.outcome,
        covered=str(probe.covered),
        seized=str(probe.seized),
        fee=str(probe.fee),
        closable=str(probe.closable),
        close_factor=None if share is None else sig6(share),
        bonus=str(bonus_of(probe, legs)),
        bad_debt=probe.bad_debt,
        error=probe.error or ("" if probe.outcome == "ok" else probe.outcome),
    )


def _oracle_line(path: Path) -> OracleLine:
    rhythm = path.rhythm
    return OracleLine(
        asset=path.asset,
        symbol=path.symbol,
        source=path.source,
        kind=path.kind,
        description=path.description,
        feed=path.feed,
        age_s=_number(path.age),
        interval_s=sig6(rhythm.interval),
        band=_number(rhythm.band),
        heartbeat_s=_number(rhythm.heartbeat),
        learnt_from=rhythm.origin,
        pushes=rhythm.count,
        headroom=_number(path.headroom),
        capped=path.capped,
    )


def _dual_line(dual: Dual) -> DualLine:
    return DualLine(
        protocol=sig6(dual.protocol),
        market=_number(dual.market),
        coming=_number(dual.coming),
        sentence=dual.sentence,
        legs=tuple(
            DualLegLine(
                leg.asset,
                leg.symbol,
                leg.kind,
                sig6(leg.protocol_price),
                _number(leg.market_price),
                _number(leg.deviation),
                leg.seen,
            )
            for leg in dual.legs
        ),
    )
