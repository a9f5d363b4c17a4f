"""A cascade: a price falls, positions are liquidated, what was seized is sold into the pools, the price falls again.

Told as a bracket, because depth on chain alone overstates: the least is the first round only (the oracle follows the
whole market, which the sales do not move), the most is pools only (the oracle follows the pools that were sold into,
until it rests). A sale ends where its price for one more unit no longer pays the liquidator back; what that position
still owes is called bad debt, for good. Both ends share the first round, so the least is never above the most.

Amounts are exact integers in their assets' units; prices are factors of the oracle's price before the shock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Leg
from defiwatch.domain.units import UINT256_MAX, WAD
from defiwatch.state.lending.depth import Depth, Sale
from defiwatch.state.lending.exact import with_prices
from defiwatch.state.lending.strikes import Loan, Strike

FALLS: tuple[float, ...] = (0.05, 0.10, 0.20, 0.30)
"""The quick ladder."""
ROUNDS = 40
"""More rounds than any cascade that ends by itself; one that reaches them is said not to rest."""
_CALLS = 64
"""Liquidations of one position in one round: a half of a half … leaves nothing after these."""
_FINEST = 10
"""A sale that does not fit is halved this often."""
_STILL = 1e-6
"""A move of a price that is none."""

Amounts = tuple[tuple[Address, int], ...]


class Round(msgspec.Struct, frozen=True):
    """What one round did. `factors`: the oracle's prices after it, of their prices before the shock."""

    positions: int
    repaid: Amounts
    sold: Amounts
    bad: Amounts
    factors: tuple[tuple[Address, float], ...]


class End(msgspec.Struct, frozen=True):
    """One end of the bracket, by debt or collateral asset, units; repaid + bad + left is the debt there was.

    `uncovered` is the part of `bad` beyond all the collateral that is left, at the oracle's prices then.
    `unrouted` is the part of `repaid` whose collateral no pool here buys: taken as sold at the oracle's price.
    `price` is the shocked asset's, of its price before the shock; `rests` is false where the rounds ran out.
    """

    rounds: int
    positions: int
    repaid: Amounts
    sold: Amounts
    bad: Amounts
    left: Amounts
    uncovered: Amounts
    unrouted: Amounts
    price: float
    rests: bool


class Cascade(msgspec.Struct, frozen=True):
    """A fall of one asset by `fall` (0.2: 20 %), as a bracket, under what it `assumes`."""

    asset: Address
    fall: float
    debt: Amounts
    first: End
    pools: End
    rounds: tuple[Round, ...]
    assumes: tuple[str, ...]


ASSUMES: tuple[str, ...] = (
    "nobody adds collateral or repays",
    "what is seized is sold into the pools known here alone, each of which followed the fall before",
    "least: one round, the oracle follows the whole market, which the sales do not move",
    "most: the oracle follows the pools that were sold into, until it rests",
    "sales end where slippage exceeds the liquidation bonus, and what is owed then counts as bad debt",
)
RATED = "{names} priced by an exchange rate: sales do not move that price"


class _Sums:
    """Amounts by asset."""

    def __init__(self) -> None:
        self._by: dict[Address, int] = {}

    def add(self, asset: Address, amount: int) -> None:
        self._by[asset] = self._by.get(asset, 0) + amount

    def told(self) -> Amounts:
        return tuple(sorted((asset, amount) for asset, amount in self._by.items() if amount))


class _Run:
    """One scenario under way."""

    def __init__(self, loans: Sequence[Loan], depth: Depth, follows: Mapping[Address, Address], still: frozenset[str]):
        self.depth = depth
        self.follows = follows
        self.still = still
        self.loans = [(loan.health(loan.legs), loan) for loan in loans if any(leg.debt for leg in loan.legs)]
        self.loans.sort(key=lambda item: (item[0], item[1].account))
        self.legs = [loan.legs for _, loan in self.loans]
        self.closed = [False] * len(self.loans)
        self.factors: dict[Address, float] = {}
        self.hit: set[int] = set()
        self.repaid, self.sold, self.bad = _Sums(), _Sums(), _Sums()
        self.uncovered, self.unrouted = _Sums(), _Sums()

    def price(self, asset: Address) -> float:
        return self.factors.get(self.follows.get(asset, asset), 1.0)

    def round(self) -> Round:
        """Liquidate what is due at the prices now, sell it, and let the pools' prices be the oracle's."""
        totals = (self.repaid, self.sold, self.bad)
        self.repaid, self.sold, self.bad = _Sums(), _Sums(), _Sums()
        before = dict(self.depth.venues)
        flows: dict[tuple[str, int, int], int] = {}
        lowest = min([1.0, *self.factors.values()])
        count = 0
        for at, (health, loan) in enumerate(self.loans):
            # No price falls by more than the lowest factor, none rises: the loans after this one are safe.
            if health < UINT256_MAX and health * lowest > WAD * 1.001:
                break
            if not self.closed[at] and self._liquidate(at, loan, flows):
                self.hit.add(at)
                count += 1
        self._follow(before, flows)
        done = Round(count, self.repaid.told(), self.sold.told(), self.bad.told(), tuple(sorted(self.factors.items())))
        for total, part in zip(totals, (done.repaid, done.sold, done.bad), strict=True):
            for asset, amount in part:
                total.add(asset, amount)
        self.repaid, self.sold, self.bad = totals
        return done

    def _liquidate(self, at: int, loan: Loan, flows: dict[tuple[str, int, int], int]) -> bool:
        unit = self.price(loan.base) if loan.base else 1.0
        legs = with_prices(self.legs[at], {leg.asset: self._quoted(leg, unit) for leg in self.legs[at]})
        for call in range(_CALLS):
            factor = loan.health(legs)
            if factor >= WAD:
                self._keep(at, legs)
                return call > 0
            strikes = loan.rule(legs, factor)
            stuck = not strikes
            for strike in strikes:
                part = self._sell(strike, flows)
                legs = _struck(legs, strike, part)
                stuck = stuck or part < strike.seize
            if stuck:
                break
        self._keep(at, legs)
        self.closed[at] = True
        held = sum(leg.collateral * leg.price // 10**leg.decimals for leg in legs)
        owed = sum(leg.debt * leg.price // 10**leg.decimals for leg in legs)
        for leg in legs:
            self.bad.add(leg.asset, leg.debt)
            if owed > held:
                self.uncovered.add(leg.asset, leg.debt * (owed - held) // owed)
        return True

    def _quoted(self, leg: Leg, unit: float) -> int:
        factor = self.price(leg.asset) / unit
        return leg.price if factor == 1.0 else max(0, round(leg.price * factor))

    def _keep(self, at: int, legs: tuple[Leg, ...]) -> None:
        """The amounts as they are now, at the prices before the shock."""
        self.legs[at] = with_prices(legs, {leg.asset: leg.price for leg in self.legs[at]})

    def _sell(self, strike: Strike, flows: dict[tuple[str, int, int], int]) -> int:
        """Sell what is seized as far as it pays; returns how much of it was, and notes what that repaid."""
        done = 0
        if strike.collateral == strike.debt or not self.depth.routed(strike.collateral, strike.debt):
            done = strike.seize
            if strike.collateral != strike.debt:
                self.unrouted.add(strike.debt, strike.repay)
        floor = strike.pay / strike.seize
        size, least = strike.seize, max(1, strike.seize >> _FINEST)
        while done < strike.seize:
            size = min(size, strike.seize - done)
            sale = self.depth.quote(strike.collateral, strike.debt, size)
            if sale is not None and sale.margin >= floor and sale.got * strike.seize >= strike.pay * size:
                self._made(sale, flows)
                done += size
            elif size <= least:
                break
            else:
                size = max(least, size >> 1)
        self.sold.add(strike.collateral, done)
        self.repaid.add(strike.debt, _part(strike.repay, done, strike.seize))
        return done

    def _made(self, sale: Sale, flows: dict[tuple[str, int, int], int]) -> None:
        self.depth.take(sale)
        for hop in sale.hops:
            way = (hop.key, hop.i, hop.j)
            flows[way] = flows.get(way, 0) + hop.amount

    def _follow(self, before: Mapping[str, object], flows: Mapping[tuple[str, int, int], int]) -> None:
        """The oracle's price of what was sold moves as the pools' did, by volume; through a hub, with the hub's."""
        ways: dict[Address, list[tuple[int, float, Address]]] = {}
        for (key, i, j), amount in sorted(flows.items()):
            old, now = before[key], self.depth.venues[key]
            start = old.price(i, j) if isinstance(old, type(now)) else 0.0
            moved = now.price(i, j) / start if start > 0.0 else 1.0
            ways.setdefault(now.tokens[i], []).append((amount, min(1.0, moved), now.tokens[j]))

        def factor(asset: Address, seen: frozenset[Address]) -> float:
            if asset in seen or asset in self.still or asset not in ways:
                return 1.0
            total = sum(amount for amount, _, _ in ways[asset])
            return sum(amount / total * moved * factor(to, seen | {asset}) for amount, moved, to in ways[asset])

        for asset in sorted(ways):
            moved = factor(asset, frozenset())
            if asset not in self.follows and moved < 1.0:
                self.factors[asset] = self.factors.get(asset, 1.0) * moved

    def end(self, rounds: int, asset: Address, *, rests: bool, prices: Mapping[Address, float]) -> End:
        left = _Sums()
        for closed, legs in zip(self.closed, self.legs, strict=True):
            for leg in legs:
                left.add(leg.asset, 0 if closed else leg.debt)
        return End(
            rounds=rounds,
            positions=len(self.hit),
            repaid=self.repaid.told(),
            sold=self.sold.told(),
            bad=self.bad.told(),
            left=left.told(),
            uncovered=self.uncovered.told(),
            unrouted=self.unrouted.told(),
            price=prices.get(asset, 1.0),
            rests=rests,
        )


def _part(amount: int, done: int, whole: int) -> int:
    return amount if done == whole else amount * done // whole


def _struck(legs: tuple[Leg, ...], strike: Strike, done: int) -> tuple[Leg, ...]:
    """The legs after a part of a liquidation."""
    taken = done + _part(strike.fee, done, strike.seize)
    repaid = _part(strike.repay, done, strike.seize)
    return tuple(
        msgspec.structs.replace(
            leg,
            collateral=leg.collateral - (taken if leg.asset == strike.collateral else 0),
            debt=leg.debt - (repaid if leg.asset == strike.debt else 0),
        )
        for leg in legs
    )


def cascade(
    loans: Sequence[Loan],
    depth: Depth,
    asset: Address,
    fall: float,
    *,
    follows: Mapping[Address, Address] | None = None,
    still: Iterable[Address] = (),
) -> Cascade:
    """What a fall of `asset` by `fall` (0..1) brings about, as a bracket.

    `follows`: assets whose oracle prices them by an exchange rate to another asset; they fall with it, and sales of
    their own do not move them. `still`: assets whose price the sales do not move (what others are counted in).
    `depth` itself is not changed. ValueError for a fall that is not within 0..1.
    """
    if not 0.0 <= fall < 1.0:
        raise ValueError("a fall is a part, from 0 to below 1")
    rated = dict(follows or {})
    run = _Run(loans, depth.copy(), rated, frozenset(still))
    debt = _Sums()
    for legs in run.legs:
        for leg in legs:
            debt.add(leg.asset, leg.debt)
    run.factors[asset] = 1.0 - fall
    run.depth.shock({asset, *(token for token, base in rated.items() if base == asset)}, fall)
    shocked = dict(run.factors)
    rounds = [run.round()]
    first = run.end(1, asset, rests=True, prices=shocked)
    before, rests = shocked, False
    while len(rounds) < ROUNDS:
        if all(abs(factor - before.get(token, 1.0)) <= _STILL for token, factor in run.factors.items()):
            rests = True
            break
        before = dict(run.factors)
        rounds.append(run.round())
    names = sorted({leg.symbol or leg.asset for legs in run.legs for leg in legs if leg.asset in rated})
    assumes = (*ASSUMES, RATED.format(names=", ".join(names))) if names else ASSUMES
    last = run.end(len(rounds), asset, rests=rests, prices=run.factors)
    return Cascade(asset, fall, debt.told(), first, last, tuple(rounds), assumes)
