"""Which rules a pool follows, by its POOL_REVISION: 1 to 3 are 3.0.x, 4 is 3.1, 5 and 6 are 3.2, 7 to 11 3.3 to 3.7.

Sources: aave-v3-core@e0bfed1 (3.0.2), aave-v3-origin tags v3.1.0 … v3.6.0, fd1fbd9 (3.7). What the rules of each
revision are held against: docs/DESIGN.md, Tests.
"""

from __future__ import annotations

import msgspec

NEWEST = 11


class Form(msgspec.Struct, frozen=True):
    """The rules of one revision. Every flag names what is true of it."""

    revision: int
    name: str
    stable_debt: bool
    """A third token beside aToken and variable debt; its balance counts as debt (up to 3.1)."""
    plain_transfers: bool
    """BalanceTransfer may carry the plain amount (before 3.0.2); only the ERC-20 event beside it tells."""
    liquid_emode: bool
    """eMode is per asset, by bitmaps (from 3.2); before, an asset has one category, which may have a price source."""
    virtual_balance: bool
    """The pool accounts for its own underlying, and knows a grace period after a pause (from 3.1)."""
    deficit: bool
    """Bad debt becomes a deficit, no dust is left, the close factor looks at the whole position (from 3.3)."""
    taylor: bool
    """Variable debt compounds by the exponential's terms (from 3.4), not the binomial's."""
    premium_to_treasury: bool
    """Flash loan premiums go to the treasury whole (from 3.4)."""
    directional: bool
    """Balances round in the pool's favour, the health factor is a weighted sum (from 3.5); before, all is half up."""
    silent_update: bool
    """A liquidation that receives aTokens updates the collateral's indices without an event (from 3.5)."""
    doubled_accrual: bool
    """A same-asset liquidation that touches a reserve first in its block accrues to the treasury twice (3.5, 3.6)."""
    zero_threshold_counts: bool
    """Collateral with threshold 0 counts in the total, and eMode has its own LTV rule (from 3.6)."""
    isolated_emode: bool
    """An isolated category takes the LTV of assets outside it; bonus and fee round in the pool's favour (from 3.7)."""
    sentinel: bool
    """A price oracle sentinel may stop liquidations (up to 3.6)."""


def form(revision: int) -> Form:
    """The rules of `revision`; of the newest known one where it is newer."""
    n = min(revision, NEWEST)
    minor = {4: 1, 5: 2, 6: 2}.get(n, 0 if n <= 3 else n - 4)
    return Form(
        revision=n,
        name=f"3.{minor}",
        stable_debt=n <= 4,
        plain_transfers=n <= 3,
        liquid_emode=n >= 5,
        virtual_balance=n >= 4,
        deficit=n >= 7,
        taylor=n >= 8,
        premium_to_treasury=n >= 8,
        directional=n >= 9,
        silent_update=n >= 9,
        doubled_accrual=n in (9, 10),
        zero_threshold_counts=n >= 10,
        isolated_emode=n >= 11,
        sentinel=n <= 10,
    )


FORMS: tuple[Form, ...] = tuple(form(revision) for revision in range(NEWEST + 1))
"""By revision; the entry 0 is that of revision 1."""
