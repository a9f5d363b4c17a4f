"""The JSON shapes of `positions` and `prove`, and how a position becomes one.

Every uint256 is a decimal string in the contract's own units. Objects may gain fields; none is renamed or removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

import msgspec

from defiwatch.domain.risk import Leg, Position, Trust

POSITION_SCHEMA = "defiwatch.position/1"
PROOF_SCHEMA = "defiwatch.proof/1"

Uint: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]*)$")]
"""A uint256 as a decimal string."""

Int: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^(0|-?[1-9][0-9]*)$")]
"""An int256 as a decimal string."""

Probability: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class LegLine(msgspec.Struct, frozen=True):
    """One asset of a position: amounts in its units, price and `*_base` in base-currency units, the rest in bps."""

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


class SafeStep(msgspec.Struct, frozen=True):
    """One way to bring the health factor to `target` (wad), by one asset alone.

    `action` is repay or supply; `amount` the smallest that does it, in the asset's units. Where it cannot be done now
    `possible` is false and `why` says what stands against it.
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
    nothing is done.
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


def position_line(
    position: Position,
    *,
    trust: Trust = "single",
    p_liquidation: Mapping[str, float] | None = None,
    safe: Sequence[SafeStep] = (),
) -> PositionLine:
    """A position in its JSON shape."""
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
        p_liquidation=dict(p_liquidation or {}),
        safe=tuple(safe),
        trust=trust,
        time=position.time,
        ltv=str(position.ltv),
        available_borrows_base=str(position.available_borrows_base),
        base=position.base,
        base_decimals=position.base_decimals,
        emode=position.emode,
        legs=tuple(_leg_line(leg) for leg in position.legs),
        label=position.label,
        unknown=position.unknown,
    )


def term(name: str, ours: int, contract: int) -> Term:
    """One compared number."""
    return Term(name, str(ours), str(contract), str(ours - contract))


def _leg_line(leg: Leg) -> LegLine:
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
    )
