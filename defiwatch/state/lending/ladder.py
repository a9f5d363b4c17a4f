"""All positions of a market at once, in floats: health factors, one asset's tick, and what falls with the prices.

Rows are positions, columns assets; each entry holds what the asset adds to a position's collateral C, to its weighted
collateral K and to its debt D, in value at the prices of the matrix. A position is liquidatable where K < D.

A ladder is closed form: under a fall by δ of all assets, each by its own β (1: the whole fall), a position is at risk
from δ* = (K − D)/Σ β·(k − d) on, so one pass gives every step. It counts who would have been liquidated on the way
down to δ, at today's values, and therefore never decreases. Collateral-at-risk: risk.gauntlet.network/faq.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import BPS

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

STEPS: tuple[float, ...] = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
"""Falls of a ladder."""


class Rung(msgspec.Struct, frozen=True):
    """What would be liquidatable after a fall by `fall`, in value at today's prices."""

    fall: float
    collateral: float
    debt: float
    positions: int


class Column(msgspec.Struct, frozen=True):
    """One asset's entries: the rows that hold it, and what it adds to each."""

    rows: Ints
    collateral: Floats
    weighted: Floats
    debt: Floats


class Matrix:
    """Positions by assets. Mutable: prices tick; `keys` names the rows. Values in the positions' common base
    currency."""

    def __init__(self, assets: Sequence[Address], columns: Sequence[Column], keys: Sequence[tuple[str, str]]) -> None:
        self.assets = tuple(assets)
        self.columns = list(columns)
        self.keys = tuple(keys)
        self._at = {asset: i for i, asset in enumerate(self.assets)}
        size = len(self.keys)
        self.collateral = np.zeros(size)
        self.weighted = np.zeros(size)
        self.debt = np.zeros(size)
        self.refresh()

    @classmethod
    def of(cls, positions: Iterable[Position]) -> Matrix:
        """From exact positions; those that cannot be told are left out. All in one base currency and its decimals."""
        keys: list[tuple[str, str]] = []
        entries: dict[Address, dict[int, tuple[float, float, float]]] = {}
        for position in positions:
            if position.unknown:
                continue
            row = len(keys)
            keys.append((position.market, position.account))
            for leg in position.legs:
                if leg.collateral_base or leg.debt_base:
                    value = float(leg.collateral_base)
                    weighted = leg.collateral_base * leg.liquidation_threshold / BPS
                    column = entries.setdefault(leg.asset, {})
                    before = column.get(row, (0.0, 0.0, 0.0))
                    column[row] = (before[0] + value, before[1] + weighted, before[2] + float(leg.debt_base))
        assets = sorted(entries)
        columns = []
        for asset in assets:
            values = np.array(list(entries[asset].values()))
            rows = np.array(list(entries[asset]), dtype=np.int64)
            columns.append(Column(rows, values[:, 0].copy(), values[:, 1].copy(), values[:, 2].copy()))
        return cls(assets, columns, keys)

    def refresh(self) -> None:
        """Add everything up anew: sums that many ticks moved lose a little of their precision."""
        for total in (self.collateral, self.weighted, self.debt):
            total[:] = 0.0
        for column in self.columns:
            # A position has one entry an asset, so rows do not repeat.
            self.collateral[column.rows] += column.collateral
            self.weighted[column.rows] += column.weighted
            self.debt[column.rows] += column.debt

    def health(self, rows: Ints | None = None) -> Floats:
        """K/D of all positions, or of `rows`; infinity without debt."""
        weighted = self.weighted if rows is None else self.weighted[rows]
        debt = self.debt if rows is None else self.debt[rows]
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = weighted / debt
        factors[debt <= 0.0] = np.inf
        return factors

    def tick(self, asset: Address, factor: float) -> tuple[Ints, Floats]:
        """The price of one asset becomes `factor` times what it is; returns the rows that hold it and their new
        health."""
        at = self._at.get(asset)
        if at is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        column = self.columns[at]
        rows, change = column.rows, factor - 1.0
        self.collateral[rows] += column.collateral * change
        weighted = self.weighted[rows] + column.weighted * change
        debt = self.debt[rows] + column.debt * change
        self.weighted[rows] = weighted
        self.debt[rows] = debt
        self.columns[at] = Column(rows, column.collateral * factor, column.weighted * factor, column.debt * factor)
        owing = debt > 0.0
        return rows, np.divide(weighted, debt, out=np.full(rows.size, np.inf), where=owing)

    def thresholds(self, betas: Mapping[Address, float]) -> Floats:
        """Each position's δ*: the fall from which on it is at risk. 0 where it is already; infinity where no fall
        does it."""
        chosen = [(self._at[asset], beta) for asset, beta in sorted(betas.items()) if asset in self._at and beta]
        if len(chosen) == 1:
            at, beta = chosen[0]
            column = self.columns[at]
            found = np.full(len(self.keys), np.inf)
            gap = self.weighted[column.rows] - self.debt[column.rows]
            found[column.rows] = _crossings(gap, (column.weighted - column.debt) * beta)
            found[self.weighted < self.debt] = 0.0
            found[self.debt <= 0.0] = np.inf
            return found
        slope = np.zeros(len(self.keys))
        for at, beta in chosen:
            column = self.columns[at]
            slope[column.rows] += (column.weighted - column.debt) * beta
        found = _crossings(self.weighted - self.debt, slope)
        found[self.debt <= 0.0] = np.inf
        return found

    def ladder(self, betas: Mapping[Address, float], steps: Sequence[float] = STEPS) -> list[Rung]:
        """Collateral- and debt-at-risk at each fall. `betas`: which assets fall, and by what part of the fall.

        One asset: {asset: 1.0}. Correlated: an LST with its base, both 1.0; a smaller β for what follows in part.
        """
        at_risk_from = self.thresholds(betas)
        edges = np.asarray(steps)
        hit = np.flatnonzero(at_risk_from < edges[-1])
        bins = np.searchsorted(edges, at_risk_from[hit], side="right")
        size = len(steps)
        collateral = np.cumsum(np.bincount(bins, self.collateral[hit], minlength=size)[:size])
        debt = np.cumsum(np.bincount(bins, self.debt[hit], minlength=size)[:size])
        count = np.cumsum(np.bincount(bins, minlength=size)[:size])
        return [Rung(float(step), float(collateral[i]), float(debt[i]), int(count[i])) for i, step in enumerate(steps)]

    def bad_debt(self) -> float:
        """Σ (D − C)⁺: what no collateral covers at these prices."""
        return float(np.maximum(self.debt - self.collateral, 0.0).sum())

    def insolvent(self, betas: Mapping[Address, float], fall: float) -> float:
        """Σ (D − C)⁺ after a fall: what nobody could recover if it came at once."""
        collateral, debt = self.collateral.copy(), self.debt.copy()
        for asset, beta in sorted(betas.items()):
            at = self._at.get(asset)
            if at is not None:
                column = self.columns[at]
                collateral[column.rows] -= column.collateral * (beta * fall)
                debt[column.rows] -= column.debt * (beta * fall)
        return float(np.maximum(debt - collateral, 0.0).sum())


def _crossings(gap: Floats, slope: Floats) -> Floats:
    """δ with K − D = δ·slope; 0 where the gap is negative already, infinity where no fall closes it."""
    found = np.full(gap.size, np.inf)
    with np.errstate(over="ignore"):  # beyond every fall: infinity is the answer
        np.divide(gap, slope, out=found, where=slope > 0.0)
    found[gap < 0.0] = 0.0
    return found
