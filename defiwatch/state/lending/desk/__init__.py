"""One market at one block, asked about its positions: exact what-ifs, balances and indices, what stands in the way of
acting, what a liquidation would do. By protocol; made anew at each block.
"""

from __future__ import annotations

from collections.abc import Sequence

from defiwatch.domain.events import BlockRef
from defiwatch.domain.risk import Position
from defiwatch.protocols.aave_v3 import AaveV3
from defiwatch.protocols.compound_v3.comet import CompoundV3
from defiwatch.protocols.morpho_blue.blue import MorphoBlue
from defiwatch.protocols.spec import Book, Instance
from defiwatch.state.lending.desk.aave import AaveDesk
from defiwatch.state.lending.desk.comet import CometDesk
from defiwatch.state.lending.desk.kinds import Balance, Desk, Probe, bonus_of, close_factor, largest
from defiwatch.state.lending.desk.morpho import MorphoDesk

__all__ = ["Balance", "Desk", "Desks", "Probe", "bonus_of", "close_factor", "desk", "instance_of", "largest"]


def desk(instance: Instance, book: Book, at: BlockRef) -> Desk | None:
    """The desk of a deployment at a block; None where it has no positions."""
    if isinstance(instance, AaveV3):
        return AaveDesk(instance, book, at)
    if isinstance(instance, MorphoBlue):
        return MorphoDesk(instance, book, at)
    if isinstance(instance, CompoundV3):
        return CometDesk(instance, book, at)
    return None


class Desks:
    """The desks of several deployments at one block, each made when it is first needed."""

    def __init__(self, instances: Sequence[Instance], book: Book, at: BlockRef) -> None:
        self._instances = instances
        self._book = book
        self._at = at
        self._made: dict[int, Desk | None] = {}
        self._by_market: dict[tuple[str, str], Desk | None] = {}

    def of(self, position: Position) -> Desk | None:
        """The desk of the position's market."""
        key = (position.protocol, position.market)
        if key not in self._by_market:
            instance = instance_of(self._instances, self._book, position)
            if instance is None:
                self._by_market[key] = None
            else:
                if id(instance) not in self._made:
                    self._made[id(instance)] = desk(instance, self._book, self._at)
                self._by_market[key] = self._made[id(instance)]
        return self._by_market[key]


def instance_of(instances: Sequence[Instance], book: Book, position: Position) -> Instance | None:
    """The deployment that a position is of."""
    mine = (instance for instance in instances if instance.protocol == position.protocol)
    return next((instance for instance in mine if _serves(instance, book, position.market)), None)


def _serves(instance: Instance, book: Book, market: str) -> bool:
    if isinstance(instance, AaveV3):
        return instance.market(book).pool == market
    if isinstance(instance, MorphoBlue):
        return instance.totals(book, _NOWHERE, market) is not None
    return isinstance(instance, CompoundV3) and instance.address == market


_NOWHERE = BlockRef(0, -1, "", 0)
