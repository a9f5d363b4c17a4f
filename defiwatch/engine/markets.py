"""The rows of lending markets: one a reserve, with what its borrowers owe and what falls with the prices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from defiwatch.domain.ids import Address, short
from defiwatch.domain.risk import Market, Position
from defiwatch.domain.units import WAD, to_float
from defiwatch.domain.view import MarketRow
from defiwatch.engine.lending import Lending, chances_of
from defiwatch.engine.line import Line
from defiwatch.models import Owners
from defiwatch.models.outlook import NEAREST
from defiwatch.scoring.markets import rising, steps_in_words
from defiwatch.state.lending.barrier import HORIZONS
from defiwatch.state.lending.insight import base_usd
from defiwatch.state.lending.ladder import STEPS, Matrix
from defiwatch.state.lending.markets import concentration, debts_in, usage
from defiwatch.state.lending.paths import Origins, phrase
from defiwatch.state.markets import COURSES, RatePath, rate_path
from defiwatch.state.prices import PEGGED, PriceBook

AT_RISK = WAD * 105 // 100
"""Debt of positions below this factor counts as at risk."""

_KEPT = "markets"
_Key = tuple[str, str, Address]


def market_rows(line: Line) -> tuple[MarketRow, ...]:
    """Every lendable asset of a line, by market; worked out once for each look at the positions."""
    standing = line.judge.standing
    kept = line.kept.get(_KEPT)
    if kept is not None and kept[0] is standing:
        rows: tuple[MarketRow, ...] = kept[1]
        return rows
    rows = tuple(_rows(line, [position for position, _ in standing.values()]))
    line.kept[_KEPT] = (standing, rows)
    return rows


def _rows(line: Line, positions: Iterable[Position]) -> Iterable[MarketRow]:
    head = line.intake.head
    if head is None:
        return
    groups: dict[tuple[str, str], list[Position]] = {}
    for position in positions:
        groups.setdefault((position.protocol, position.market), []).append(position)
    lending, chances = Lending.of(line, line.judge.settings.health_factor_safe), chances_of(line)
    books = {key: _Borrowers(found, line.judge.prices, chances) for key, found in groups.items()}
    nobody = _Borrowers([], line.judge.prices, _nothing)
    for instance in line.intake.instances:
        for market in instance.markets(line.intake.book, head):
            if market.unknown and not market.supplied:
                continue
            borrowers = books.get((market.protocol, market.id.split(":")[0]), nobody)
            yield _row(line, market, borrowers, lending.origins if lending is not None else None)


class _Borrowers:
    """What the positions of one lending market add up to, in dollars by debt asset.

    `chances`: a position's P(liquidated, if nothing is done) by horizon, {} where it cannot be told.
    """

    def __init__(
        self,
        positions: list[Position],
        prices: PriceBook,
        chances: Callable[[Position], Mapping[str, float]],
    ) -> None:
        self.positions = [position for position in positions if not position.unknown]
        self.unit = base_usd(self.positions[0], prices) if self.positions else None
        self.decimals = self.positions[0].base_decimals if self.positions else 0
        self.at_risk: dict[Address, list[float]] = {}
        self.bad: dict[Address, list[float]] = {}
        self.count: dict[Address, int] = {}
        self.likely: dict[Address, dict[str, list[float]]] = {}
        """By debt asset and horizon, each position's debt times its chance."""
        self.below: dict[Address, list[float]] = {}
        """By debt asset, the debt of positions that can be liquidated now."""
        self.untold: dict[Address, list[float]] = {}
        """Debt near enough to be liquidated whose chance cannot be told."""
        for position in self.positions:
            self._expect(position, chances)
            lacking = max(0, position.debt_base - position.collateral_base)
            for leg in position.legs:
                if leg.debt_base:
                    self.count[leg.asset] = self.count.get(leg.asset, 0) + 1
                    if position.health_factor < AT_RISK:
                        self.at_risk.setdefault(leg.asset, []).append(self.usd(leg.debt_base))
                    if lacking:
                        part = lacking * leg.debt_base // position.debt_base
                        self.bad.setdefault(leg.asset, []).append(self.usd(part))
        self._matrix: Matrix | None = None

    def _expect(self, position: Position, chances: Callable[[Position], Mapping[str, float]]) -> None:
        if position.debt_base == 0 or position.health_factor >= NEAREST * WAD:
            return
        crossed = position.health_factor < WAD
        by_horizon = {} if crossed else chances(position)
        for leg in position.legs:
            debt = self.usd(leg.debt_base)
            if not debt:
                continue
            if crossed or not by_horizon:
                (self.below if crossed else self.untold).setdefault(leg.asset, []).append(debt)
            for horizon, chance in by_horizon.items():
                self.likely.setdefault(leg.asset, {}).setdefault(horizon, []).append(chance * debt)

    def expected(self, asset: Address, owners: Owners) -> dict[str, float]:
        """Dollars of debt in an asset whose liquidation is to be expected, by horizon; {} where nothing can be told.

        What is below 1 counts whole; the rest by its chance if nothing is done, and how often owners do nothing.
        """
        below, likely = math.fsum(self.below.get(asset, ())), self.likely.get(asset, {})
        if not below and not likely:
            return {}
        idle = owners.expected({horizon: math.fsum(likely.get(horizon, ())) for horizon in HORIZONS})
        return {horizon: below + idle[horizon] for horizon in HORIZONS}

    def usd(self, base: int) -> float:
        """An amount in base currency as dollars; 0.0 where its currency has no price."""
        return to_float(base, self.decimals) * (self.unit or 0.0)

    def falling(self, betas: Mapping[Address, float]) -> list[tuple[float, float]]:
        """(fall, debt at risk in dollars) at each step of the ladder."""
        if self._matrix is None:
            self._matrix = Matrix.of(self.positions)
        scale = (self.unit or 0.0) / 10.0**self.decimals
        return [(rung.fall, rung.debt * scale) for rung in self._matrix.ladder(betas)]

    def held(self, asset: Address) -> int:
        """How much of an asset secures debt, in base currency."""
        return sum(leg.collateral_base for one in self.positions for leg in one.legs if leg.asset == asset)

    def assets(self) -> dict[Address, str]:
        """Every asset used as collateral, with its symbol."""
        found = {leg.asset: leg.symbol for position in self.positions for leg in position.legs if leg.collateral_base}
        return dict(sorted(found.items()))


def _row(line: Line, market: Market, borrowers: _Borrowers, origins: Origins | None) -> MarketRow:
    used = usage(market)
    price, path = _price(line, market), _path(line, market)
    return MarketRow(
        key=f"{market.chain_id}:{market.protocol}:{market.id}",
        chain=line.settings.name,
        protocol=market.protocol,
        label=market.label or short(market.id),
        supplied_usd=to_float(market.supplied, market.decimals) * price,
        borrowed_usd=to_float(market.borrowed, market.decimals) * price,
        utilisation=used.utilisation,
        positions=borrowers.count.get(market.asset, 0),
        at_risk_usd=math.fsum(borrowers.at_risk.get(market.asset, ())),
        bad_debt_usd=to_float(market.bad_debt, market.decimals) * price
        + math.fsum(borrowers.bad.get(market.asset, ())),
        completeness=None if used.completeness is None else min(1.0, used.completeness),
        block=market.block,
        time=float(market.time),
        source=line.settings.name,
        facts=tuple(_facts(line, market, borrowers, origins, price)),
        borrow_rate=market.borrow_rate,
        borrow_rate_full=None if path is None else path.full,
        borrow_rate_path={} if path is None else {name: step.rate for name, step in path.steps.items()},
        expected_liquidations_usd=borrowers.expected(market.asset, line.judge.outlook.owners),
    )


def _price(line: Line, market: Market) -> float:
    """Dollars for one whole asset by the market's own oracle, else by the price book; 0.0 where there is none."""
    if market.base == "USD" and market.price > 0:
        return to_float(market.price, market.base_decimals)
    return line.judge.prices.usd(market.asset) or 0.0


def _facts(
    line: Line, market: Market, borrowers: _Borrowers, origins: Origins | None, price: float
) -> Iterable[tuple[str, str]]:
    used = usage(market)

    def amount(units: int) -> str:
        worth = to_float(units, market.decimals)
        return f"{worth:,.6g} {market.symbol}" + (f" (${worth * price:,.0f})" if price else "")

    if used.completeness is not None:
        yield "completeness", f"{known_share(used.completeness)} of debt known"
    share = "" if used.withdrawable_share is None else f", {used.withdrawable_share:.0%} of the supply"
    yield "can be withdrawn now", amount(used.withdrawable) + share
    for name, part, left in (
        ("supply cap", used.supply_cap_used, used.supply_left),
        ("borrow cap", used.borrow_cap_used, used.borrow_left),
    ):
        if part is not None and left is not None:
            yield name, f"{part:.0%} used, {amount(left)} left"
    yield "rates", f"borrowing {market.borrow_rate:.2%}, supplying {market.supply_rate:.2%} a year"
    yield from _rate_path(line, market)
    if market.bad_debt:
        yield "deficit", amount(market.bad_debt)
    flags = [name for name, is_set in (("paused", market.paused), ("frozen", market.frozen)) if is_set]
    if flags:
        yield "state", ", ".join(flags)
    if market.unknown:
        yield "unknown", market.unknown
    yield from _oracle(market, borrowers, origins)
    if borrowers.unit is None or not borrowers.positions:
        return
    reserve = market.asset if ":" in market.id else None
    yield from line.falls.facts(line.intake, borrowers.positions, line.judge.prices.usd, reserve)
    if borrowers.count.get(market.asset):
        owed = concentration(debts_in(borrowers.positions, market.asset))
        yield "borrowers", f"{owed.borrowers}, the largest {len(owed.top)} owe {owed.top_share:.0%}"
    yield from _expected(line, market, borrowers)
    collateral = borrowers.assets()
    if market.asset in collateral:
        yield f"debt at risk if {market.symbol} falls", _ladder(borrowers, {market.asset: 1.0})
    volatile = {asset: 1.0 for asset in collateral if line.judge.prices.asset_of(asset) not in _PEGGED_USD}
    first = min(volatile, key=lambda asset: (-borrowers.held(asset), asset), default=None)
    if len(volatile) > 1 and reserve in (None, first):
        yield "debt at risk if all but stables fall", _ladder(borrowers, volatile)


def _path(line: Line, market: Market) -> RatePath | None:
    return rate_path(market, line.intake.book.get(COURSES, (market.protocol, market.id)))


def _rate_path(line: Line, market: Market) -> Iterable[tuple[str, str]]:
    """What borrowers pay once everything is lent out, and on the way there."""
    if not market.borrowed:
        return
    path = _path(line, market)
    if path is None:
        yield "rate at 100 % used", f"unknown: {market.curve_unknown}"
        return
    yield "rate at 100 % used", f"borrowing {path.full:.2%} a year{rising(path)}"
    if path.steps:
        yield "rate path", f"if it goes on like this {steps_in_words(path)}"


def known_share(share: float) -> str:
    """How much is known, in words: 100 % only where nothing is missing."""
    return "100 %" if share >= 1.0 else f"{math.floor(share * 1000.0) / 10.0:.1f} %"


def _oracle(market: Market, borrowers: _Borrowers, origins: Origins | None) -> Iterable[tuple[str, str]]:
    """How the prices come that the market uses: a reserve's own, or all that a market of one loan takes."""
    if origins is None:
        return
    where, _, reserve = market.id.partition(":")
    names = {**borrowers.assets(), market.asset: market.symbol}
    for asset in origins.assets(market.protocol, where):
        if reserve in ("", asset):
            price = market.price if reserve else 0
            path = origins.path(market.protocol, where, asset, names.get(asset, ""), price)
            yield "oracle", phrase(path)


def _expected(line: Line, market: Market, borrowers: _Borrowers) -> Iterable[tuple[str, str]]:
    """What is to be expected of liquidations, and what that rests on."""
    owners = line.judge.outlook.owners
    expected = borrowers.expected(market.asset, owners)
    if not expected:
        return
    share = owners.share
    seen = f"{share.n} crossing{'s' if share.n != 1 else ''} seen" if share.n else "a guess, no crossing was seen yet"
    told = ", ".join(f"{horizon} ${amount:,.0f}" for horizon, amount in expected.items())
    yield "expected liquidations", f"{told} of debt, if {share.get():.0%} of owners do nothing ({seen})"
    untold = math.fsum(borrowers.untold.get(market.asset, ()))
    if untold:
        yield "not in that", f"${untold:,.0f} of debt whose prices were not watched for long enough"


def _nothing(_: Position) -> Mapping[str, float]:
    return {}


_PEGGED_USD = frozenset(asset for asset, target in PEGGED.items() if target == "USD")
_SHOWN = (0.05, 0.1, 0.2, 0.3, 0.5)


def _ladder(borrowers: _Borrowers, betas: Mapping[Address, float]) -> str:
    shown = [(fall, debt) for fall, debt in borrowers.falling(betas) if fall in _SHOWN and fall in STEPS]
    return ", ".join(f"-{fall:.0%} ${debt:,.0f}" for fall, debt in shown)
