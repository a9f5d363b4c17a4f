"""Exchanges whose pools have an address each: those that a deployment names, and those that its factory makes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from defiwatch.config import Deployment
from defiwatch.domain.ids import Address, ChainId
from defiwatch.domain.risk import Pool
from defiwatch.errors import ConfigError
from defiwatch.protocols.erc20 import watch
from defiwatch.protocols.pools import pool_addresses
from defiwatch.protocols.spec import Book, Instance, LogFilter, Table


class FactoryPools(Instance):
    """Pools named one by one, made by the deployment's factory while it is watched, or both; the named ones first."""

    made: ClassVar[Table[Address, tuple[Address, ...]]]
    """factory → the pools it made while it was watched, oldest first."""

    def __init__(self, chain_id: ChainId, deployment: Deployment) -> None:
        super().__init__(chain_id, deployment)
        if not deployment.pools and not deployment.factory:
            raise ConfigError(f"{self.protocol}: expected pools = [addresses] or factory = an address")
        self._named = pool_addresses(deployment)
        self._topics = frozenset(spec.topic0 for spec in self.events)
        self._follow(())

    def _follow(self, made: tuple[Address, ...]) -> None:
        self._made = made
        self._pools = tuple(dict.fromkeys((*self._named, *made)))
        self._pool_set = frozenset(self._pools)
        factory = {self.deployment.factory} - {""}
        self._filter = LogFilter(self._pool_set | factory | self._others(), self._topics)

    def _others(self) -> frozenset[Address]:
        """Further contracts whose events are needed."""
        return frozenset()

    def _known(self, book: Book) -> tuple[Address, ...]:
        made = book.get(self.made, self.deployment.factory) or ()
        if made != self._made:
            self._follow(made)
        return self._pools

    def filter(self, book: Book) -> LogFilter:
        """Every event of its pools, and of the factory that makes them."""
        self._known(book)
        return self._filter

    def _is_ours(self, book: Book, pool: Address) -> bool:
        self._known(book)
        return pool in self._pool_set

    def _created(self, book: Book, pool: Address, tokens: tuple[Address, ...]) -> None:
        """Follow a pool that the factory has made, and learn its tokens."""
        factory = self.deployment.factory
        made = book.get(self.made, factory) or ()
        if pool not in made:
            book.put(self.made, factory, (*made, pool))
        for token in tokens:
            watch(book, token)

    @abstractmethod
    def _pool(self, book: Book, address: Address) -> Pool:
        """One pool as it stands."""

    def pools(self, book: Book) -> Iterable[Pool]:
        """Its pools as they stand, the named ones first."""
        return [self._pool(book, address) for address in self._known(book)]

    def pool(self, book: Book, pool_id: str) -> Pool | None:
        """One of its pools by address."""
        return self._pool(book, pool_id) if self._is_ours(book, pool_id) else None
