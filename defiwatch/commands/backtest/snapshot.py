"""The positions of a backtest: lines as `positions --json` prints them, and what their assets become where a recording
has no price of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

import msgspec
import numpy as np

from defiwatch.config.files import read_text
from defiwatch.domain.units import BPS
from defiwatch.errors import UsageError
from defiwatch.models.liquidations import Floats
from defiwatch.models.outlook import NEAREST
from defiwatch.state.prices.assets import PEGGED, STAKED, USD, base_of, rank


class Part(msgspec.Struct, frozen=True):
    """One asset of a position, in its base currency: collateral times its liquidation threshold, and debt."""

    symbol: str
    weighted: float
    debt: float


class Stand(msgspec.Struct, frozen=True):
    """A position of the snapshot."""

    account: str
    parts: tuple[Part, ...]


class _LegLine(msgspec.Struct, frozen=True):
    symbol: str
    collateral_base: str | float = 0.0
    debt_base: str | float = 0.0
    liquidation_threshold: str | float = 0.0


class _Line(msgspec.Struct, frozen=True):
    account: str
    legs: tuple[_LegLine, ...]


def read_snapshot(path: Path) -> tuple[Stand, ...]:
    """The positions of a file, one JSON object a line; UsageError names file and line."""
    return parse_snapshot(read_text(path), str(path))


def parse_snapshot(text: str, source: str) -> tuple[Stand, ...]:
    """The positions of a text; `source` names it in errors."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            raw = msgspec.json.decode(line, type=_Line)
            parts = tuple(
                Part(
                    leg.symbol,
                    _number(leg.collateral_base) * _number(leg.liquidation_threshold) / BPS,
                    _number(leg.debt_base),
                )
                for leg in raw.legs
            )
        except (msgspec.DecodeError, ValueError) as error:
            raise UsageError(f"{source}:{number}: expected a position as `positions --json` prints it ({error})") from (
                error
            )
        found.append(Stand(raw.account, parts))
    if not found:
        raise UsageError(f"{source}: holds no position")
    return tuple(found)


def _number(told: str | float) -> float:
    value = float(told)
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{told!r} is no amount")
    return value


class Rebased:
    """The snapshot's positions as arrays over the assets of one recording (`assets`, USD last).

    `weighted` and `debt` are in the base currency, positions by assets; `accounts` names the rows. `moved` counts legs
    by "from → to"; `left_out` positions by why.
    """

    def __init__(self, stands: Collection[Stand], priced: Collection[str]) -> None:
        self.assets = (*sorted(set(priced) - {USD}), USD)
        self.moved: dict[str, int] = {}
        self.left_out: dict[str, int] = {}
        at = {asset: i for i, asset in enumerate(self.assets)}
        rows: list[tuple[str, Floats, Floats]] = []
        for stand in stands:
            weighted, debt = np.zeros(len(self.assets)), np.zeros(len(self.assets))
            renamed: list[str] = []
            for part in stand.parts:
                if part.weighted or part.debt:
                    asset = stands_for(part.symbol, self.assets)
                    weighted[at[asset]] += part.weighted
                    debt[at[asset]] += part.debt
                    if asset != base_of(part.symbol):
                        renamed.append(f"{part.symbol} → {asset}")
            why = _unfit(weighted, debt)
            if why:
                self.left_out[why] = self.left_out.get(why, 0) + 1
                continue
            for name in renamed:
                self.moved[name] = self.moved.get(name, 0) + 1
            rows.append((stand.account, weighted, debt))
        self.accounts = tuple(account for account, _, _ in rows)
        empty = np.zeros((0, len(self.assets)))
        self.weighted: Floats = np.array([row[1] for row in rows]) if rows else empty
        self.debt: Floats = np.array([row[2] for row in rows]) if rows else empty


def _unfit(weighted: Floats, debt: Floats) -> str:
    backed, owed = float(weighted.sum()), float(debt.sum())
    if owed <= 0.0 or backed <= 0.0:
        return "no debt or no collateral that counts"
    if backed <= owed:
        return "liquidatable as it stands"
    if backed / owed >= NEAREST:
        return f"health factor of {NEAREST:g} or more"
    if float(np.abs(weighted / backed - debt / owed).sum()) < 1e-9:
        return "same asset on both sides: prices alone do not liquidate it"
    return ""


def stands_for(symbol: str, priced: Collection[str]) -> str:
    """What an asset of the snapshot is in a recording that prices `priced`.

    An asset that lending markets price by an exchange rate follows its base, as it does in their oracles; one that is
    priced is itself; a dollar without a price is a dollar; anything else is the first coin that is priced.
    """
    asset = base_of(symbol)
    asset = base_of(STAKED.get(asset, asset))
    if asset in priced:
        return asset
    peg = PEGGED.get(asset)
    if peg == USD or asset == USD:
        return USD
    if peg is not None and peg in priced:
        return peg
    coins = [one for one in ("ETH", "BTC") if one in priced]
    others = sorted(one for one in priced if rank(one) > 0 and one not in coins)
    if not coins and not others:
        raise UsageError(f"no recording prices {symbol}, nor any other asset that moves against the dollar")
    return (coins + others)[0]
