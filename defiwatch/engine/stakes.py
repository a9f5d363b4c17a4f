"""The rows of what watched wallets have of pools."""

from __future__ import annotations

import math

from defiwatch.domain.ids import short
from defiwatch.domain.risk import Pool, Stake
from defiwatch.domain.units import ratio, to_float
from defiwatch.domain.view import StakeRow
from defiwatch.engine.line import Line
from defiwatch.protocols.spec import Instance


def stake_rows(line: Line, instance: Instance) -> dict[str, tuple[StakeRow, ...]]:
    """Pool → what watched wallets have of it, by wallet; pools of which they have nothing are left out."""
    found: dict[str, list[StakeRow]] = {}
    for stake in instance.stakes(line.intake.book):
        pool = instance.pool(line.intake.book, stake.pool)
        if pool is not None:
            found.setdefault(stake.pool, []).append(_row(line, pool, stake))
    return {pool: tuple(sorted(rows, key=lambda row: (row.account, row.position))) for pool, rows in found.items()}


def _row(line: Line, pool: Pool, stake: Stake) -> StakeRow:
    whole = len(stake.amounts) == len(pool.tokens) == len(pool.decimals) and not pool.raw
    rows = zip(pool.symbols, stake.amounts, pool.decimals, strict=True) if whole else ()
    worth = [
        None if unit is None else unit * to_float(amount, decimals)
        for unit, amount, decimals in zip(
            (line.judge.prices.usd(token) for token in pool.tokens), stake.amounts, pool.decimals, strict=False
        )
    ]
    known = [part for part in worth if part is not None]
    share = 0.0 if stake.in_range is False else ratio(stake.units, stake.whole) if stake.whole > 0 else None
    return StakeRow(
        account=stake.account,
        label=short(stake.account),
        share=share,
        tokens=tuple((symbol, to_float(amount, decimals), str(amount)) for symbol, amount, decimals in rows),
        value_usd=math.fsum(known) if whole and len(known) == len(worth) else None,
        at_least=not stake.exact,
        since=stake.since,
        position=stake.position,
        prices=stake.prices,
        in_range=stake.in_range,
        unknown=stake.unknown or ("" if whole else "a token's decimals are not known"),
    )
