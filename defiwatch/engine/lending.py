"""Lending positions looked at from all sides, at one block: desk, prices and outlook brought together. Wiring only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from defiwatch.domain.events import BlockRef
from defiwatch.domain.ids import Address
from defiwatch.domain.risk import Position
from defiwatch.domain.units import WAD
from defiwatch.engine.line import Line
from defiwatch.models import Outlook, by_asset
from defiwatch.models.outlook import KNOWN_S
from defiwatch.protocols.spec import Book, Instance
from defiwatch.state.lending.desk import Desks, instance_of
from defiwatch.state.lending.insight import Insight, insight, market_prices
from defiwatch.state.lending.paths import Origins, Path, paths_of
from defiwatch.state.lending.paths import phrase as path_phrase
from defiwatch.state.lending.pushes import Rhythm, beat
from defiwatch.state.lending.remedies import phrase
from defiwatch.state.lending.suppose import suppose
from defiwatch.state.lending.words import movement, remarks
from defiwatch.state.prices import PriceBook


class Lending:
    """What can be said of the positions of some deployments at one block. `target`: the factor that counts as safe."""

    def __init__(
        self,
        instances: Sequence[Instance],
        book: Book,
        at: BlockRef,
        *,
        target: float,
        prices: PriceBook | None = None,
        outlook: Outlook | None = None,
        rhythms: Mapping[str, Rhythm] | None = None,
        origins: Origins | None = None,
    ) -> None:
        self.at = at
        self.target = target
        self.desks = Desks(instances, book, at)
        self._instances = instances
        self._book = book
        self._prices = prices
        self._outlook = outlook
        self._rhythms = rhythms or {}
        self.origins = origins
        """Where prices come from; None for a look that no line has."""

    @classmethod
    def of(cls, line: Line, target: float) -> Lending | None:
        """That of a line at its head; None before the first block."""
        head = line.intake.head
        if head is None:
            return None
        judge, book = line.judge, line.intake.book
        feeds = [feed for instance in line.intake.instances for feed in instance.feeds(book)]
        return cls(
            line.intake.instances,
            book,
            head,
            target=target,
            prices=judge.prices,
            outlook=judge.outlook,
            rhythms=judge.rhythms,
            origins=Origins(book, line.intake.instances, feeds, float(head.time)),
        )

    def insight(
        self,
        position: Position,
        *,
        wallet: Mapping[Address, int] | None = None,
        paths: Sequence[Path] = (),
    ) -> Insight | None:
        """The position from all sides; None for one of a deployment that is not here."""
        desk = self.desks.of(position)
        if desk is None:
            return None
        told = market_prices(position, self._prices) if self._prices is not None else {}
        ways = tuple(paths) or (paths_of(position, self.origins) if self.origins is not None else ())
        return insight(position, desk, target=self.target, market_prices=told, paths=ways, wallet=wallet)

    def volatility(self, position: Position) -> tuple[float, float] | None:
        """Of the collateral-to-debt ratio: (a year, watched seconds behind it); None while nothing was learnt of it."""
        if self._outlook is None or position.unknown or position.debt_base == 0:
            return None
        known = self._outlook.slow.known(position)
        return (self._outlook.slow.of_position(position), min(known, 1e12)) if known > 0.0 else None

    def chances(self, position: Position) -> dict[str, float]:
        """P(liquidated, if nothing is done) by horizon; {} while the volatility is not known."""
        if self._outlook is None or self.volatility(position) is None:
            return {}
        return self._outlook.chances(position, by=beat(position, by_asset(position, self._rhythms)))

    def suppose(
        self, position: Position, shocks: Mapping[Address, float], repays: Mapping[Address, int]
    ) -> tuple[Position, Lending]:
        """The position as it would stand after moves of prices and repayments, and the view that belongs to it."""
        instance = instance_of(self._instances, self._book, position)
        if instance is None:
            return position, self
        after, book = suppose(instance, self._book, self.at, position, shocks, repays)
        view = Lending(
            self._instances,
            book,
            self.at,
            target=self.target,
            prices=self._prices,
            outlook=self._outlook,
            rhythms=self._rhythms,
            origins=self.origins,
        )
        return after, view


def chances_of(line: Line) -> Callable[[Position], Mapping[str, float]]:
    """P(liquidated, if nothing is done) of a line's positions; each worked out once for each look at them."""
    standing = line.judge.standing
    kept = line.kept.get(_CHANCES)
    if kept is not None and kept[0] is standing:
        told: Callable[[Position], Mapping[str, float]] = kept[1]
        return told
    lending = Lending.of(line, line.judge.settings.health_factor_safe)
    found: dict[tuple[str, str, str], Mapping[str, float]] = {}

    def chances(position: Position) -> Mapping[str, float]:
        key = (position.protocol, position.market, position.account)
        if key not in found:
            found[key] = lending.chances(position) if lending is not None else {}
        return found[key]

    line.kept[_CHANCES] = (standing, chances)
    return chances


class Advice(msgspec.Struct, frozen=True):
    """What a picture tells of a position beside its numbers."""

    safe: tuple[str, ...] = ()
    sentence: str = ""
    market_factor: float | None = None
    oracles: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


ADVISED = WAD * 125 // 100
"""Below this factor (wad), and for watched wallets, it is worked out what would help."""
MOST = 100
"""Positions that are advised at most, those nearest to their liquidation first, and watched ones before all."""

_KEPT, _CHANCES = "advice", "chances"


def _remarks(lending: Lending, position: Position, insight: Insight) -> Iterator[str]:
    yield from remarks(insight)
    if position.debt_base and not position.unknown and position.health_factor >= WAD:
        yield from movement(lending.chances(position), lending.volatility(position), "", KNOWN_S)


def advice(line: Line, target: float) -> dict[tuple[str, str, str], Advice]:
    """By (protocol, market, account): for watched and for near positions; once for each look at the positions."""
    standing = line.judge.standing
    kept = line.kept.get(_KEPT)
    if kept is not None and kept[0] is standing:
        found: dict[tuple[str, str, str], Advice] = kept[1]
        return found
    lending = Lending.of(line, target)
    watched = line.judge.watched
    near = [
        (key[2] not in watched, position.health_factor, key, position)
        for key, (position, _) in standing.items()
        if position.debt_base and not position.unknown and (position.health_factor < ADVISED or key[2] in watched)
    ]
    found = {}
    for _, _, key, position in sorted(near, key=lambda item: item[:3])[:MOST]:
        insight = lending.insight(position) if lending is not None else None
        if insight is not None and lending is not None:
            decimals = {leg.asset: leg.decimals for leg in insight.legs}
            found[key] = Advice(
                safe=tuple(phrase(one, decimals[one.asset]) for one in insight.remedies),
                sentence=insight.dual.sentence if insight.dual else "",
                market_factor=insight.dual.market if insight.dual else None,
                oracles=tuple(path_phrase(one) for one in insight.paths),
                remarks=tuple(_remarks(lending, position, insight)),
            )
    line.kept[_KEPT] = (standing, found)
    return found
