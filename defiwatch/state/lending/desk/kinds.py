"""What a desk is, and what it tells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg, Position
from defiwatch.domain.units import BPS
from defiwatch.protocols.spec import Book
from defiwatch.state.lending.exact import HealthOf
from defiwatch.state.lending.remedies import Room


class Balance(msgspec.Struct, frozen=True):
    """One asset of an account as its market keeps it. Indices in ray at the block's time, `stored_*` as in storage.

    Aave: scaled balances and totals. Morpho: shares (no index). Compound: principals, indices in 1e15. None where a
    market has no such thing.
    """

    asset: Address
    scaled_collateral: int = 0
    scaled_debt: int = 0
    stable_debt: int | None = None
    liquidity_index: int | None = None
    debt_index: int | None = None
    stored_liquidity_index: int | None = None
    stored_debt_index: int | None = None
    scaled_total_collateral: int | None = None
    scaled_total_debt: int | None = None
    deficit: int | None = None


class Probe(msgspec.Struct, frozen=True):
    """What the largest liquidation of one pair would do now. `outcome` is "ok" or the contract's error.

    Amounts in the assets' units; `closable` is the most of the debt that one call may cover. `error` is what the
    contract itself says where that is no name.
    """

    collateral: Address
    debt: Address
    outcome: str
    covered: int = 0
    seized: int = 0
    fee: int = 0
    closable: int = 0
    bad_debt: bool = False
    error: str = ""


class Desk(ABC):
    """One deployment at one block."""

    def __init__(self, book: Book, at: BlockRef) -> None:
        self.book = book
        self.at = at

    @abstractmethod
    def health_of(self, position: Position) -> HealthOf:
        """The position's health factor as a function of its legs, in the contract's own integers."""

    @abstractmethod
    def balances(self, position: Position) -> dict[Address, Balance]:
        """By asset, also where the position itself cannot be told."""

    @abstractmethod
    def probes(self, position: Position) -> list[Probe]:
        """A liquidation of every pair of collateral and debt."""

    def legs(self, position: Position) -> tuple[Leg, ...]:
        """Its legs; amounts alone where the position cannot be told."""
        return position.legs

    def rooms(self, position: Position) -> dict[Address, Room]:  # noqa: ARG002 - nothing stands in the way
        """What stands in the way of acting, by asset."""
        return {}

    @abstractmethod
    def rates(self, position: Position) -> dict[Address, tuple[float, float]]:
        """(supply, borrow) a year by asset: what it earns, what it costs."""

    def sources(self, position: Position) -> dict[Address, Address]:  # noqa: ARG002 - not every market tells
        """Where the market takes each asset's price from."""
        return {}


def close_factor(probe: Probe, legs: Sequence[Leg]) -> float | None:
    """The part of its debt that one call may cover; None where the pair cannot be liquidated."""
    owed = next((leg.debt for leg in legs if leg.asset == probe.debt), 0)
    return min(1.0, probe.closable / owed) if owed and probe.closable else None


def largest(probes: Sequence[Probe], legs: Mapping[Address, Leg]) -> Probe | None:
    """The liquidation that pays its liquidator most; None where none succeeds."""
    paying = [(-_gain(probe, legs), probe.collateral, probe.debt, probe) for probe in probes if probe.outcome == "ok"]
    return min(paying, key=lambda item: item[:3])[3] if paying else None


def _gain(probe: Probe, legs: Mapping[Address, Leg]) -> int:
    taken, paid = legs[probe.collateral], legs[probe.debt]
    gained: int = probe.seized * taken.price // 10**taken.decimals
    spent: int = probe.covered * paid.price // 10**paid.decimals
    return gained - spent


def bonus_of(probe: Probe, legs: Mapping[Address, Leg]) -> int:
    """The collateral's liquidation bonus, basis points; 10000 is none."""
    leg = legs.get(probe.collateral)
    return leg.liquidation_bonus if leg is not None and leg.liquidation_bonus else BPS
