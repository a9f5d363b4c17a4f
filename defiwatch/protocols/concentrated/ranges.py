"""A watched account's position between two prices: what is known of it, and what the pool would pay for it now."""

from __future__ import annotations

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Stake
from defiwatch.protocols.concentrated.prices import sqrt_price_at
from defiwatch.protocols.concentrated.steps import amounts_for
from defiwatch.protocols.spec import Instance
from defiwatch.protocols.ticks import spot_price


class Range(msgspec.Struct, frozen=True):
    """A position of a watched account. `pool` is "" where no event told it, or it is none of those followed.

    Where not `exact` its liquidity is the least: what it had before the block `since` is not known.
    """

    owner: Address
    since: int
    pool: str = ""
    lower: int = 0
    upper: int = 0
    liquidity: int = 0
    exact: bool = False


def changed(before: Range, liquidity: int) -> Range:
    """A position whose liquidity changed; it was more before than is known where more is taken out than was there."""
    left = before.liquidity + liquidity
    return msgspec.structs.replace(before, liquidity=max(0, left), exact=before.exact and left >= 0)


def stake_of(
    instance: Instance,
    held: Range,
    position: str,
    *,
    sqrt_price_x96: int,
    tick: int,
    liquidity: int,
    units: tuple[int, int],
) -> Stake:
    """The position as a stake, in a pool at a price (0: not known), with `liquidity` in range (-1: not known).

    `position`: the number of its token. `units`: the decimals of the pool's tokens.
    """
    known = sqrt_price_x96 > 0 and liquidity >= 0
    inside = held.lower <= tick < held.upper
    low, high = sqrt_price_at(held.lower), sqrt_price_at(held.upper)
    return Stake(
        chain_id=instance.chain_id,
        protocol=instance.protocol,
        pool=held.pool,
        account=held.owner,
        units=held.liquidity,
        whole=liquidity if known and inside else 0,
        amounts=amounts_for(sqrt_price_x96, held.lower, held.upper, held.liquidity) if known else (),
        exact=held.exact,
        since=held.since,
        position=position,
        prices=(spot_price(low, *units), spot_price(high, *units)),
        in_range=inside if known else None,
        unknown="" if known else "the pool's price was not read",
    )
