"""Concentrated liquidity: prices as Q64.96 square roots, and the table of initialised ticks.

Shared by every protocol with Uniswap v3's mathematics. Uniswap/v3-core@d8b1c63 contracts/libraries/Tick.sol:110-158: a
position [lower, upper) of liquidity L adds L to the gross of both ticks, +L to the lower's net and -L to the upper's.
"""

from __future__ import annotations

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.units import ratio
from defiwatch.protocols.spec import Book, Table

Q96 = 1 << 96
Q192 = 1 << 192


class Tick(msgspec.Struct, frozen=True):
    """One initialised tick: `gross` liquidity that refers to it, `net` that enters when the price rises across it."""

    gross: int
    net: int


TICKS: Table[tuple[Address, int], Tick] = Table("ticks.tick")
"""(pool, tick) → its liquidity. Complete only where the pool's state says since when."""


def spot_price(sqrt_price_x96: int, decimals0: int, decimals1: int) -> float:
    """Whole units of token 1 for one of token 0, from the square root of the raw price in Q64.96."""
    return ratio(sqrt_price_x96 * sqrt_price_x96 * 10**decimals0, Q192 * 10**decimals1)


def move_position(book: Book, pool: Address, lower: int, upper: int, liquidity: int) -> None:
    """Apply a position's change to its two ticks: `liquidity` positive added, negative removed."""
    for tick, net in ((lower, liquidity), (upper, -liquidity)):
        before = book.get(TICKS, (pool, tick))
        gross = (before.gross if before else 0) + liquidity
        if gross == 0:
            book.drop(TICKS, (pool, tick))
        else:
            book.put(TICKS, (pool, tick), Tick(gross, (before.net if before else 0) + net))
