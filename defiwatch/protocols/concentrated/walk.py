"""A swap across initialised ticks, to the unit: quotes, the depth around a price, and what a size would do to it.

Uniswap/v3-core@d8b1c63 contracts/UniswapV3Pool.sol:596-788 (v4-core 1.0.2 src/libraries/Pool.sol:279-455 walks alike).
A contract looks for the next tick within one word of 256 and stops at the word's edge where there is none; each stop
rounds once, so the walk here stops at the same places.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from defiwatch.domain.units import ratio
from defiwatch.protocols.concentrated.prices import (
    MAX_SQRT_PRICE,
    MAX_TICK,
    MIN_SQRT_PRICE,
    MIN_TICK,
    moved,
    sqrt_price_at,
    tick_at,
)
from defiwatch.protocols.concentrated.steps import amount0_between, amount1_between, fee_on, swap_step
from defiwatch.protocols.ticks import Q192

DEPTH_BPS = 200
"""How far the price is moved where nothing else is said: 2 %."""
_WITHOUT_END = 1 << 255


class Curve(msgspec.Struct, frozen=True):
    """What a walk starts from. `fee_ppm` is the whole fee, the protocol's part included, of its direction."""

    sqrt_price_x96: int
    tick: int
    liquidity: int
    fee_ppm: int
    tick_spacing: int


class TickMap(Protocol):
    """A pool's initialised ticks, as far as they are known."""

    def word(self, index: int) -> int | None:
        """Bits of 256 neighbouring ticks (in units of the spacing); None where they are not known."""

    def net(self, tick: int) -> int | None:
        """The liquidity that enters as the price rises across an initialised tick; None where it is not known."""


class Ticks:
    """Initialised ticks held in memory: {tick: net liquidity}, of a pool known whole."""

    def __init__(self, nets: dict[int, int], spacing: int) -> None:
        self._nets = nets
        self._words: dict[int, int] = {}
        for tick in nets:
            slot = tick // spacing
            self._words[slot >> 8] = self._words.get(slot >> 8, 0) | 1 << (slot & 255)

    def word(self, index: int) -> int:
        """Bits of 256 neighbouring ticks."""
        return self._words.get(index, 0)

    def net(self, tick: int) -> int | None:
        """The liquidity that enters at `tick`."""
        return self._nets.get(tick)


class Quote(msgspec.Struct, frozen=True):
    """What a swap would do. Amounts positive, in units: paid in (fee included) and paid out, and the state after it.

    `filled`: the whole size was traded; else the walk stopped at its limit. `known`: it never left the ticks that are
    known; where it did, everything here is up to that point only.
    """

    amount_in: int
    amount_out: int
    fee: int
    sqrt_price_x96: int
    tick: int
    liquidity: int
    crossed: int
    filled: bool
    known: bool


class Depth(msgspec.Struct, frozen=True):
    """What it takes to move a pool's price, both ways, in units; fee included in what is paid.

    `sell_in` of token 0 for `sell_out` of token 1 lowers the price by the distance asked for; `buy_in` of token 1 for
    `buy_out` of token 0 raises it.
    """

    sell_in: int
    sell_out: int
    buy_in: int
    buy_out: int


def next_tick(curve: Curve, ticks: TickMap, tick: int, *, down: bool) -> tuple[int, bool] | None:
    """Where a walk from `tick` stops next, and whether that tick is initialised; None where the word is not known.

    v3-core contracts/libraries/TickBitmap.sol:42-77.
    """
    spacing = curve.tick_spacing
    slot = tick // spacing if down else tick // spacing + 1
    index, at = slot >> 8, slot & 255
    bits = ticks.word(index)
    if bits is None:
        return None
    if down:
        below = bits & ((2 << at) - 1)
        found = below.bit_length() - 1 if below else 0
        return ((index << 8) + found) * spacing, below != 0
    above = bits >> at
    if above:
        return (slot + (above & -above).bit_length() - 1) * spacing, True
    return ((index << 8) + 255) * spacing, False


def swap(curve: Curve, ticks: TickMap, amount: int, *, zero_for_one: bool, exact_in: bool, limit: int = 0) -> Quote:
    """Walk a swap of `amount` units (in, fee included, if `exact_in`, else out) as far as `limit` (0: the scale's end).

    ValueError for a size that is not positive, a limit on the wrong side or a pool without a price.
    """
    if not limit:
        limit = MIN_SQRT_PRICE + 1 if zero_for_one else MAX_SQRT_PRICE - 1
    if amount <= 0 or curve.sqrt_price_x96 <= 0:
        raise ValueError("a swap needs a positive size and a pool with a price")
    if not (limit <= curve.sqrt_price_x96 if zero_for_one else limit >= curve.sqrt_price_x96):
        raise ValueError("the price is beyond the limit already")
    price, tick, liquidity = curve.sqrt_price_x96, curve.tick, curve.liquidity
    remaining, paid, got, fees, crossed, known = amount, 0, 0, 0, 0, True
    while remaining and price != limit:
        stop = next_tick(curve, ticks, tick, down=zero_for_one)
        if stop is None:
            known = False
            break
        following, initialised = max(min(stop[0], MAX_TICK), MIN_TICK), stop[1]
        edge = sqrt_price_at(following)
        target = max(edge, limit) if zero_for_one else min(edge, limit)
        start = price
        price, amount_in, amount_out, fee = swap_step(
            price, target, liquidity, remaining, curve.fee_ppm, exact_in=exact_in
        )
        remaining -= amount_in + fee if exact_in else amount_out
        paid += amount_in + fee
        got += amount_out
        fees += fee
        if price == edge:
            if initialised:
                net = ticks.net(following)
                if net is None:
                    known = False
                    break
                liquidity += -net if zero_for_one else net
                crossed += 1
            tick = following - 1 if zero_for_one else following
        elif price != start:
            tick = tick_at(price)
    return Quote(paid, got, fees, price, tick, liquidity, crossed, remaining == 0, known)


def quote(
    curve: Curve,
    ticks: TickMap,
    *,
    zero_for_one: bool,
    amount_in: int | None = None,
    amount_out: int | None = None,
    limit: int = 0,
) -> Quote:
    """What a swap of `amount_in` (fee included) pays, or what `amount_out` costs; give one of the two.

    Equals QuoterV2's answer (v3-periphery 1.4.4 contracts/lens/QuoterV2.sol) where `filled` and `known`.
    """
    if (amount_in is None) == (amount_out is None):
        raise ValueError("give an amount in or an amount out")
    amount = amount_in if amount_in is not None else amount_out
    assert amount is not None
    return swap(curve, ticks, amount, zero_for_one=zero_for_one, exact_in=amount_in is not None, limit=limit)


def cost_to(curve: Curve, ticks: TickMap, target: int) -> tuple[int, int] | None:
    """(in, out) that bring the price to `target`, fee included in what is paid; None where not all ticks are known.

    The same stops as `swap` with no end to its size, without the state in between. Where no liquidity is left before
    `target`, one unit more is counted: without it the swap would be over before it runs through the gap.
    """
    price, tick, liquidity, fee_ppm = curve.sqrt_price_x96, curve.tick, curve.liquidity, curve.fee_ppm
    down = target < price
    paid = got = gap = 0
    while price != target:
        stop = next_tick(curve, ticks, tick, down=down)
        if stop is None:
            return None
        following = max(min(stop[0], MAX_TICK), MIN_TICK)
        edge = sqrt_price_at(following)
        after = max(edge, target) if down else min(edge, target)
        if liquidity:
            if down:
                amount_in = amount0_between(after, price, liquidity, up=True)
                got += amount1_between(after, price, liquidity, up=False)
            else:
                amount_in = amount1_between(price, after, liquidity, up=True)
                got += amount0_between(price, after, liquidity, up=False)
            paid += amount_in + fee_on(amount_in, fee_ppm)
        if after != price:
            gap = 0 if liquidity else 1
        price = after
        if price == edge:
            if stop[1]:
                net = ticks.net(following)
                if net is None:
                    return None
                liquidity += -net if down else net
            tick = following - 1 if down else following
    return paid + gap, got


def depth(curve: Curve, ticks: TickMap, bps: int = DEPTH_BPS, *, buy_fee_ppm: int | None = None) -> Depth | None:
    """What moves the price by `bps` basis points either way; None where a tick on the way is not known.

    `buy_fee_ppm` where the fee of buying token 0 differs from `curve`'s. ValueError for a pool without a price.
    """
    if curve.sqrt_price_x96 <= 0:
        raise ValueError("a pool without a price has no depth")
    sell = cost_to(curve, ticks, moved(curve.sqrt_price_x96, -bps))
    if buy_fee_ppm is not None and buy_fee_ppm != curve.fee_ppm:
        curve = msgspec.structs.replace(curve, fee_ppm=buy_fee_ppm)
    buy = cost_to(curve, ticks, moved(curve.sqrt_price_x96, bps))
    return Depth(*sell, *buy) if sell is not None and buy is not None else None


def impact(curve: Curve, swapped: Quote, *, zero_for_one: bool) -> tuple[float, float]:
    """(by what part the price moves, by what part the trade pays worse than the price before it, fee included).

    Both positive, 0..: a sale of token 0 that moves the price by 0.02 leaves it 2 % lower.
    """
    before, after = curve.sqrt_price_x96**2, swapped.sqrt_price_x96**2
    change = abs(ratio(after, before) - 1.0)
    if swapped.amount_in == 0 or swapped.amount_out == 0:
        return change, 0.0
    up, down = swapped.amount_out, swapped.amount_in
    fair = (up * Q192, down * before) if zero_for_one else (up * before, down * Q192)
    return change, 1.0 - ratio(*fair)
