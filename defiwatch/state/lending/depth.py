"""What the pools that are known would pay for a sale, and what it would do to them: integer quotes, state after state.

A `Venue` is one pool at one moment, frozen: a sale gives another. `Depth` holds the venues of a chain while something
is sold into them; the book itself is never touched. Each pool quotes with its own protocol's code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.units import ratio
from defiwatch.protocols import curve, uniswap_v2
from defiwatch.protocols.balancer_v2 import state as balancer
from defiwatch.protocols.concentrated import table
from defiwatch.protocols.concentrated.prices import moved
from defiwatch.protocols.concentrated.walk import Curve, TickMap, swap
from defiwatch.protocols.curve import state as stableswap
from defiwatch.protocols.spec import Book, Instance
from defiwatch.protocols.ticks import Q192
from defiwatch.protocols.uniswap_v3 import quotes as v3
from defiwatch.protocols.uniswap_v3.state import POOLS as V3_POOLS
from defiwatch.protocols.uniswap_v4 import state as v4

replace = msgspec.structs.replace

HUBS = 6
"""How many tokens, those with most pools first, a sale may go through."""
_ROUTES = 4
"""How many pools a pair is sold into at most, the best at the first sale."""
_PPM = 1_000_000
_WITHOUT_END = 1 << 250


class Venue(ABC):
    """One pool at one moment. Tokens by their place in `tokens`; amounts in units; prices in smallest units."""

    tokens: tuple[Address, ...]

    @abstractmethod
    def sell(self, i: int, j: int, amount: int) -> tuple[int, Venue] | None:
        """What `amount` of token i pays in token j, and the pool after it; None where it cannot be traded whole."""

    @abstractmethod
    def price(self, i: int, j: int) -> float:
        """Units of j for one unit of i at the margin, fee taken off; 0.0 where it cannot be told."""

    @abstractmethod
    def fallen(self, i: int, j: int, fall: float) -> Venue | None:
        """The pool after arbitrage brought token i `fall` lower against j; None where that cannot be told."""


class Pair(Venue):
    """A constant product: Uniswap v2 and forks."""

    def __init__(self, tokens: tuple[Address, ...], reserves: tuple[int, int], fee_ppm: int) -> None:
        self.tokens = tokens
        self.reserves = reserves
        self.fee_ppm = fee_ppm

    def _after(self, i: int, amount: int) -> tuple[int, Pair]:
        got = uniswap_v2.get_amount_out(amount, self.reserves[i], self.reserves[1 - i], self.fee_ppm)
        left, right = self.reserves[i] + amount, self.reserves[1 - i] - got
        return got, Pair(self.tokens, (left, right) if i == 0 else (right, left), self.fee_ppm)

    def sell(self, i: int, j: int, amount: int) -> tuple[int, Venue] | None:  # noqa: ARG002 - two tokens: j is not i
        """By the reserves."""
        return self._after(i, amount) if amount > 0 and min(self.reserves) > 0 else None

    def price(self, i: int, j: int) -> float:
        """The reserves' ratio."""
        return ratio(self.reserves[j], self.reserves[i]) * (1.0 - self.fee_ppm / _PPM) if self.reserves[i] else 0.0

    def fallen(self, i: int, j: int, fall: float) -> Venue | None:
        """By the least sale that does it."""
        if min(self.reserves) <= 0:
            return None
        to = (_PPM - round(fall * _PPM), _PPM)
        size = uniswap_v2.amount_to_move(self.reserves[i], self.reserves[j], self.fee_ppm, falls_to=to)
        return self._after(i, size)[1] if size > 0 else self


class Ranges(Venue):
    """Concentrated liquidity: Uniswap v3 and v4. `fees` of selling token 0 and of selling token 1."""

    def __init__(self, tokens: tuple[Address, ...], curve: Curve, fees: tuple[int, int], ticks: TickMap) -> None:
        self.tokens = tokens
        self.curve = curve
        self.fees = fees
        self.ticks = ticks

    def _walk(self, i: int, amount: int, limit: int = 0) -> tuple[int, Ranges, bool] | None:
        start = replace(self.curve, fee_ppm=self.fees[i])
        done = swap(start, self.ticks, amount, zero_for_one=i == 0, exact_in=True, limit=limit)
        if not done.known:
            return None
        after = replace(start, sqrt_price_x96=done.sqrt_price_x96, tick=done.tick, liquidity=done.liquidity)
        return done.amount_out, Ranges(self.tokens, after, self.fees, self.ticks), done.filled

    def sell(self, i: int, j: int, amount: int) -> tuple[int, Venue] | None:  # noqa: ARG002 - two tokens: j is not i
        """By the ticks that are known."""
        done = self._walk(i, amount) if amount > 0 else None
        return done[:2] if done is not None and done[2] else None

    def price(self, i: int, j: int) -> float:  # noqa: ARG002 - two tokens: j is not i
        """The pool's own price."""
        square = self.curve.sqrt_price_x96**2
        spot = ratio(square, Q192) if i == 0 else ratio(Q192, square)
        return spot * (1.0 - self.fees[i] / _PPM)

    def fallen(self, i: int, j: int, fall: float) -> Venue | None:  # noqa: ARG002 - two tokens: j is not i
        """By a sale that stops at the price."""
        factor = 1.0 - fall
        bps = round((factor - 1.0) * 10_000) if i == 0 else round((1.0 / factor - 1.0) * 10_000)
        done = self._walk(i, _WITHOUT_END, moved(self.curve.sqrt_price_x96, bps))
        return None if done is None else done[1]


class Stable(Venue):
    """Curve's StableSwap, at one time."""

    def __init__(self, state: curve.CurveState, time: int) -> None:
        self.tokens = state.coins
        self.state = state
        self.time = time

    def sell(self, i: int, j: int, amount: int) -> tuple[int, Venue] | None:
        """By the invariant."""
        try:
            done = stableswap.quote(self.state, i, j, amount, self.time)
        except (ValueError, ZeroDivisionError):  # where the contract would revert
            return None
        balances = list(self.state.balances)
        balances[i] += amount
        balances[j] -= done.dy + done.admin
        if done.dy <= 0 or balances[j] <= 0:
            return None
        return done.dy, Stable(replace(self.state, balances=tuple(balances)), self.time)

    def price(self, i: int, j: int) -> float:
        """The invariant's slope."""
        return stableswap.price(self.state, i, j, self.time) * (1.0 - max(self.state.fee, 0) / 10**10)

    def fallen(self, i: int, j: int, fall: float) -> Venue | None:
        """By the size that does it."""
        size = stableswap.move_cost(self.state, i, j, self.time, fall)
        done = self.sell(i, j, size) if size > 0 else None
        return None if done is None else done[1]


class Weighted(Venue):
    """Balancer v2, weighted or composable stable."""

    def __init__(self, pool: str, state: balancer.BalancerState) -> None:
        self.tokens = state.tokens
        self.pool = pool
        self.state = state

    def sell(self, i: int, j: int, amount: int) -> tuple[int, Venue] | None:
        """By the pool's own rounding."""
        try:
            got = balancer.amount_out(self.state, self.pool, i, j, amount)
        except (ValueError, ZeroDivisionError):  # where the vault would revert
            return None
        balances = list(self.state.balances)
        balances[i] += amount
        balances[j] -= got
        if got <= 0 or balances[j] <= 0:
            return None
        return got, Weighted(self.pool, replace(self.state, balances=tuple(balances)))

    def price(self, i: int, j: int) -> float:
        """The spot price."""
        return balancer.spot(self.state, self.pool, i, j) * (1.0 - self.state.fee / 10**18)

    def fallen(self, i: int, j: int, fall: float) -> Venue | None:
        """By the size that does it."""
        size = balancer.move_cost(self.state, self.pool, i, j, fall)
        done = self.sell(i, j, size) if size > 0 else None
        return None if done is None else done[1]


class Hop(msgspec.Struct, frozen=True):
    """One pool of a sale: what goes in, and the pool after it."""

    key: str
    i: int
    j: int
    amount: int
    got: int
    after: Venue


class Sale(msgspec.Struct, frozen=True):
    """A sale along a route: what it pays in the end, and the price for one more unit after it."""

    got: int
    margin: float
    hops: tuple[Hop, ...]


class Depth:
    """Venues by key, as sales leave them. Mutable; `copy` before a scenario."""

    def __init__(self, venues: Mapping[str, Venue]) -> None:
        self.venues = dict(sorted(venues.items()))
        self._pairs: dict[tuple[Address, Address], list[tuple[str, int, int]]] = {}
        for key, venue in self.venues.items():
            for i, a in enumerate(venue.tokens):
                for j, b in enumerate(venue.tokens):
                    if a != b:
                        self._pairs.setdefault((a, b), []).append((key, i, j))
        count: dict[Address, int] = {}
        for (a, _), ways in self._pairs.items():
            count[a] = count.get(a, 0) + len(ways)
        self._hubs = sorted(count, key=lambda token: (-count[token], token))[:HUBS]
        self._chosen: dict[tuple[Address, Address], list[tuple[str, int, int]]] = {}

    def copy(self) -> Depth:
        """The same venues, to be sold into apart from these."""
        return Depth(self.venues)

    def shock(self, fallen: Iterable[Address], fall: float) -> None:
        """Every pool of one of these with another token follows the fall, by arbitrage; what cannot is left out."""
        low = frozenset(fallen)
        for key, venue in list(self.venues.items()):
            i = next((n for n, token in enumerate(venue.tokens) if token in low), None)
            j = next((n for n, token in enumerate(venue.tokens) if token not in low), None)
            if i is None or j is None or fall <= 0.0:
                continue
            after = venue.fallen(i, j, fall)
            if after is not None:
                self.venues[key] = after
            else:
                self._leave_out(key)

    def _leave_out(self, key: str) -> None:
        del self.venues[key]
        for pair, ways in self._pairs.items():
            self._pairs[pair] = [way for way in ways if way[0] != key]

    def routed(self, sold: Address, bought: Address) -> bool:
        """Whether a pool, or two in a row, lead from one to the other."""
        if self._pairs.get((sold, bought)):
            return True
        return any(self._pairs.get((sold, hub)) and self._pairs.get((hub, bought)) for hub in self._hubs)

    def quote(self, sold: Address, bought: Address, amount: int) -> Sale | None:
        """The best of the direct routes and of those through one hub; None where none can take it whole."""
        found = [sale for sale in [self._best(sold, bought, amount)] if sale is not None]
        for hub in self._hubs:
            if hub in (sold, bought) or not self._pairs.get((hub, bought)):
                continue
            first = self._best(sold, hub, amount)
            second = self._best(hub, bought, first.got, {first.hops[0].key}) if first is not None else None
            if first is not None and second is not None:
                found.append(Sale(second.got, first.margin * second.margin, first.hops + second.hops))
        return max(found, key=lambda sale: (sale.got, -len(sale.hops)), default=None)

    def _best(self, sold: Address, bought: Address, amount: int, without: Iterable[str] = ()) -> Sale | None:
        pair = (sold, bought)
        ways = self._chosen.get(pair) or self._pairs.get(pair, [])
        sales = []
        for key, i, j in ways:
            done = self.venues[key].sell(i, j, amount) if key not in without and amount > 0 else None
            if done is not None:
                sales.append(Sale(done[0], done[1].price(i, j), (Hop(key, i, j, amount, *done),)))
        sales.sort(key=lambda sale: (-sale.got, sale.hops[0].key))
        if pair not in self._chosen and len(sales) > _ROUTES:
            self._chosen[pair] = [(hop.key, hop.i, hop.j) for hop in (sale.hops[0] for sale in sales[:_ROUTES])]
        return sales[0] if sales else None

    def take(self, sale: Sale) -> None:
        """The sale is made."""
        for hop in sale.hops:
            self.venues[hop.key] = hop.after


def venues(instances: Iterable[Instance], book: Book, at: BlockRef) -> dict[str, Venue]:
    """Every pool whose amounts can be told, by protocol and id. Pools with a hook or a moving fee are left out."""
    found: dict[str, Venue] = {}
    for instance in instances:
        for pool in instance.pools(book):
            venue = _venue(book, at, instance.protocol, pool.id, pool.fee_ppm)
            if venue is not None and all(venue.tokens):
                found[f"{pool.protocol}:{pool.id}"] = venue
    return found


def _venue(book: Book, at: BlockRef, protocol: str, key: str, fee_ppm: int) -> Venue | None:
    if protocol == "uniswap_v2":
        pair = book.get(uniswap_v2.PAIRS, key)
        if pair is None or min(pair.reserve0, pair.reserve1) <= 0:
            return None
        return Pair((pair.token0, pair.token1), (pair.reserve0, pair.reserve1), fee_ppm)
    if protocol == "uniswap_v3":
        state = book.get(V3_POOLS, key)
        walk = v3.curve_of(state) if state is not None else None
        if state is None or walk is None:
            return None
        return Ranges((state.token0, state.token1), walk, (walk.fee_ppm,) * 2, table.BookTicks(book, key))
    if protocol == "uniswap_v4":
        name, held = book.get(v4.KEYS, key), book.get(v4.POOLS, key)
        down = v4.curve_of(name, held, zero_for_one=True) if held is not None else None
        up = v4.curve_of(name, held, zero_for_one=False) if held is not None else None
        if name is None or down is None or up is None or name.hooked or name.dynamic:
            return None
        fees = (down.fee_ppm, up.fee_ppm)
        return Ranges((name.currency0, name.currency1), down, fees, table.BookTicks(book, key))
    if protocol == "curve":
        coins = book.get(stableswap.POOLS, key)
        return Stable(coins, at.time) if coins is not None and stableswap.ready(coins) and min(coins.balances) else None
    if protocol == "balancer_v2":
        vault = book.get(balancer.POOLS, key)
        return Weighted(key, vault) if vault is not None and balancer.ready(vault) else None
    return None
