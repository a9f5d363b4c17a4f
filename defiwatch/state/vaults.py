"""What each vault's share was worth, and how fast it usually grows."""

from __future__ import annotations

import math

import msgspec

from defiwatch.domain.risk import Vault
from defiwatch.protocols.spec import Table

MEMORY_S = 7 * 86_400.0
"""Seconds after which what was counts 1/e."""

FIRST = 100
"""So many readings count alike before the memory begins to fade."""

YEAR_S = 31_536_000.0


class Growth(msgspec.Struct, frozen=True):
    """A share's price at its last reading, its mean growth a year, and the last change that is told.

    `change` is the newest change of the price, relative; `elapsed` the seconds it took. `low` is the change from the
    highest price ever seen: 0.0, or below.
    """

    price: int
    block: int
    time: int
    peak: int
    yearly: float = 0.0
    change: float = 0.0
    elapsed: int = 0
    samples: int = 0

    @property
    def low(self) -> float:
        """How far the price is below its highest, relative: 0.0 or less."""
        return self.price / self.peak - 1.0 if self.peak > 0 else 0.0

    @property
    def due(self) -> float:
        """What the price would have grown by in that time at its usual pace."""
        return self.yearly * self.elapsed / YEAR_S


GROWTHS: Table[tuple[str, str], Growth] = Table("state.growth")
"""(protocol, vault) → how its share price grows."""


def grown(before: Growth | None, vault: Vault) -> Growth:
    """The growth with the vault as it was read last; the same object if it was not read since."""
    if before is None:
        return Growth(vault.share_price, vault.block, vault.time, vault.share_price)
    if (vault.block, vault.share_price) == (before.block, before.price) or before.price <= 0:
        return before
    elapsed = max(vault.time - before.time, 0)
    change = vault.share_price / before.price - 1.0
    part = 1.0 - math.exp(-elapsed / MEMORY_S)
    pace = min(max(change, 0.0) * YEAR_S / elapsed, 10.0) if elapsed else before.yearly
    weight = max(part, 1.0 / (before.samples + 2)) if before.samples < FIRST else part
    usual = min(pace, max(4.0 * before.yearly, 0.5))
    return Growth(
        price=vault.share_price,
        block=vault.block,
        time=vault.time,
        peak=max(before.peak, vault.share_price),
        yearly=before.yearly + weight * (usual - before.yearly),
        change=change,
        elapsed=elapsed,
        samples=before.samples + 1,
    )
