"""What if a major asset fell: the cascade of each lending market in words, worked out when a picture is asked for and
at most once in some blocks. Wiring only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from defiwatch.domain.ids import Address, short
from defiwatch.domain.risk import Position
from defiwatch.domain.units import to_float
from defiwatch.engine.intake import Intake
from defiwatch.state.lending.cascade import FALLS, Amounts, Cascade, End, cascade
from defiwatch.state.lending.depth import Depth, venues
from defiwatch.state.lending.desk import instance_of
from defiwatch.state.lending.strikes import Loan, loans
from defiwatch.state.prices.assets import STAKED, base_of, rank

EVERY = 50
"""Blocks that an answer is kept."""
WORK = 5_000
"""Positions times cases that one picture may cost."""
MAJORS = 3
"""Assets that are let fall, those with most collateral behind debt first."""

Facts = tuple[tuple[str, str], ...]
Ladder = tuple[tuple[Address, str, str, tuple[str, ...]], ...]
"""What falls, by how much in words, what happens then, and what that assumes."""
Usd = Callable[[Address], float | None]


class _Answer:
    """One market's ladder: what is done, what is still to do, and the rows shown."""

    def __init__(self, block: int, todo: list[tuple[Address, float]], facts: Ladder) -> None:
        self.block = block
        self.todo = todo
        self.found: list[Cascade] = []
        self.facts = facts


class Falls:
    """The last answers of one line, by market. Mutable: a cache, and nothing rests on it."""

    def __init__(self) -> None:
        self._at = ""
        self._depth = Depth({})
        self._answers: dict[tuple[str, str], _Answer] = {}

    def facts(self, intake: Intake, positions: Sequence[Position], usd: Usd, asset: Address | None = None) -> Facts:
        """Rows for a market's page, from its positions; () where there is no debt. With `asset`, for the page of one
        reserve: its own falls, and where those of others are told.

        A market of many positions is worked out over several pictures; the rows that it had stay until then.
        """
        found = self._ladder(intake, positions, usd)
        mine = [row for row in found if asset in (None, row[0])]
        rows = [(name, text) for _, name, text, _ in mine]
        if mine:
            rows.append(("this assumes", "; ".join(dict.fromkeys(part for row in mine for part in row[3]))))
        elif found:
            names = {leg.asset: leg.symbol or short(leg.asset) for position in positions for leg in position.legs}
            falling = ", ".join(dict.fromkeys(names.get(row[0], short(row[0])) for row in found))
            rows.append(("what if prices fall", f"on the pages of what falls: {falling}"))
        return tuple(rows)

    def _ladder(self, intake: Intake, positions: Sequence[Position], usd: Usd) -> Ladder:
        head = intake.head
        if head is None or not positions:
            return ()
        key = (positions[0].protocol, positions[0].market)
        answer = self._answers.get(key)
        if answer is not None and not answer.todo and answer.block <= head.number < answer.block + EVERY:
            return answer.facts
        market = Falling(intake, positions)
        if answer is None or not answer.todo or head.number < answer.block:
            answer = _Answer(head.number, market.cases(), answer.facts if answer is not None else ())
            self._answers[key] = answer
        if self._at != head.hash:
            self._at, self._depth = head.hash, Depth(venues(intake.instances, intake.book, head))
        size = max(1, WORK // max(1, len(market.owing)))
        now, answer.todo = answer.todo[:size], answer.todo[size:]
        answer.found += [market.cascade(self._depth, asset, fall) for asset, fall in now]
        if not answer.todo or not answer.facts:
            answer.facts = words(answer.found, positions, usd)
        return answer.facts


class Falling:
    """One market at the head, ready for what-ifs."""

    def __init__(self, intake: Intake, positions: Sequence[Position]) -> None:
        head = intake.head
        instance = instance_of(intake.instances, intake.book, positions[0]) if positions else None
        self.owing: list[Loan] = []
        if head is not None and instance is not None:
            self.owing = loans(instance, intake.book, head, positions)
        tokens = {leg.asset: base_of(leg.symbol) for loan in self.owing for leg in loan.legs}
        by_name = {name: token for token, name in sorted(tokens.items(), reverse=True)}
        self.follows = {token: by_name[STAKED[name]] for token, name in tokens.items() if STAKED.get(name) in by_name}
        self.still = [token for token, name in tokens.items() if rank(name) == 0]

    def cases(self) -> list[tuple[Address, float]]:
        """Which asset falls by how much."""
        return [(asset, fall) for asset in majors(self.owing, self.follows, self.still) for fall in FALLS]

    def cascade(self, depth: Depth, asset: Address, fall: float) -> Cascade:
        """One case."""
        return cascade(self.owing, depth, asset, fall, follows=self.follows, still=self.still)


def ladder(intake: Intake, positions: Sequence[Position], depth: Depth) -> list[Cascade]:
    """Each major asset's cascades, one a fall."""
    market = Falling(intake, positions)
    return [market.cascade(depth, asset, fall) for asset, fall in market.cases()]


def majors(owing: Sequence[Loan], follows: dict[Address, Address], still: Sequence[Address]) -> list[Address]:
    """The assets with most collateral behind debt, what follows another counted with it; none that stands still."""
    held: dict[Address, int] = {}
    for loan in owing:
        for leg in loan.legs:
            asset = follows.get(leg.asset, leg.asset)
            if leg.collateral_base and asset not in still:
                held[asset] = held.get(asset, 0) + leg.collateral_base
    return sorted(held, key=lambda asset: (-held[asset], asset))[:MAJORS]


def words(found: Sequence[Cascade], positions: Sequence[Position], usd: Usd) -> Ladder:
    """The ladder in words."""
    names = {leg.asset: (leg.symbol, leg.decimals) for position in positions for leg in position.legs}

    def worth(amounts: Amounts) -> float | None:
        parts = [(usd(asset), amount, names[asset][1]) for asset, amount in amounts]
        known = [price * to_float(amount, decimals) for price, amount, decimals in parts if price is not None]
        return math.fsum(known) if len(known) == len(parts) else None

    rows: list[tuple[Address, str, str, tuple[str, ...]]] = []
    for item in found:
        ends = (item.first, item.pools)
        text = f"{_span([worth(end.repaid) for end in ends])} liquidated"
        if not any(end.repaid or end.bad for end in ends):
            text = "nothing liquidated"
        else:
            text += f", bad debt {_span([worth(end.bad) for end in ends])}"
            if item.pools.bad:
                text += f" ({_span([worth(end.uncovered) for end in ends])} of it without collateral)"
            text += _more(item.pools, item, worth)
        rows.append((item.asset, f"if {names[item.asset][0]} falls {item.fall:.0%}", text, tuple(item.assumes)))
    return tuple(rows)


def _more(end: End, item: Cascade, worth: Callable[[Amounts], float | None]) -> str:
    text = ""
    start = 1.0 - item.fall
    if end.price < start * 0.9995:
        text += f", the price {end.price - 1.0:.1%} in the end"
    if end.unrouted:
        text += f"; for {_money(worth(end.unrouted))} no pool here buys the collateral"
    if not end.rests:
        text += "; it had not come to rest"
    return text


def _span(ends: Sequence[float | None]) -> str:
    least, most = (_money(end) for end in ends)
    return least if least == most else f"{least} to {most}"


def _money(value: float | None) -> str:
    """Dollars in three figures."""
    if value is None:
        return "$?"
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"${value / unit:.3g}{name}"
    return f"${value:.0f}"
