"""River's half-space trees, seeing earlier: for one forest per kind of subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from river import anomaly

from defiwatch.errors import StoreError


class KeptForest(msgspec.Struct, frozen=True):
    """A forest as a checkpoint holds it: the features it was built over, and each tree's masses, depth first.

    The trees themselves follow from the seed and the features.
    """

    features: tuple[str, ...]
    counter: int
    first: bool
    next: int
    mass: int
    reference: tuple[tuple[int, ...], ...]
    latest: tuple[tuple[int, ...], ...]


class EarlyHalfSpaceTrees(anomaly.HalfSpaceTrees):
    """Half-space trees (Tan, Ting and Liu 2011) whose first windows are shorter, doubling up to `window_size`.

    River's are blind (score 0) until a whole window was seen, and `learn_one({})` raises; these see after
    `first_window` observations, and an empty observation teaches nothing. Features are expected in [0, 1]; the trees
    are built over the features of the first observation.

    Parameters
    ----------
    n_trees, height, window_size, limits, seed
        As river has them.
    first_window
        How many observations are enough for the first sight.
    """

    def __init__(
        self,
        n_trees: int = 10,
        height: int = 8,
        window_size: int = 250,
        limits: dict[Any, tuple[float, float]] | None = None,
        seed: int | None = None,
        first_window: int = 64,
    ) -> None:
        super().__init__(n_trees=n_trees, height=height, window_size=window_size, limits=limits, seed=seed)
        self.first_window = first_window
        self._next = min(first_window, window_size)
        self._mass = window_size
        self._names: tuple[str, ...] = ()

    @property
    def blind(self) -> bool:
        """Whether it has seen too little to say anything."""
        return bool(self._first_window)

    def learn_one(self, x: Mapping[Any, float]) -> None:
        """Take one observation; nothing is learnt from an empty one."""
        if not x:
            return
        if not self._names:
            self._names = tuple(sorted(str(name) for name in x))
        super().learn_one(x)  # type: ignore[no-untyped-call]  # river types its estimators in part
        if self.counter == 0:
            self._mass, self._next = self.window_size, self.window_size
        elif self.counter >= self._next:
            for nodes in self._tree_nodes:
                for node in nodes:
                    node.r_mass, node.l_mass = node.l_mass, 0
            self._first_window = False
            self._mass, self.counter = self.counter, 0
            self._next = min(2 * self._next, self.window_size)

    def score_one(self, x: Mapping[Any, float]) -> float:
        """How unusual the features are together, 0..1; 0.0 while blind."""
        if self._first_window:
            return 0.0
        score: float = super().score_one(x)  # type: ignore[no-untyped-call]  # as above
        likeness = (1.0 - score) * self.window_size / self._mass
        return float(min(1.0, max(0.0, 1.0 - likeness)))

    def kept(self) -> KeptForest:
        """Everything that was learnt."""
        return KeptForest(
            features=self._names,
            counter=self.counter,
            first=self._first_window,
            next=self._next,
            mass=self._mass,
            reference=tuple(tuple(node.r_mass for node in nodes) for nodes in self._tree_nodes) if self.trees else (),
            latest=tuple(tuple(node.l_mass for node in nodes) for nodes in self._tree_nodes) if self.trees else (),
        )

    def take(self, kept: KeptForest) -> None:
        """Take up, in a forest that has learnt nothing, what `kept` gave; StoreError if it had other trees."""
        if kept.features:
            self.learn_one(dict.fromkeys(kept.features, 0.0))
            sizes = [len(nodes) for nodes in self._tree_nodes]
            if [len(tree) for tree in kept.reference] != sizes or [len(tree) for tree in kept.latest] != sizes:
                raise StoreError(f"a forest of other trees: {len(kept.reference)}, this version has {len(sizes)}")
            for nodes, reference, latest in zip(self._tree_nodes, kept.reference, kept.latest, strict=True):
                for node, before, now in zip(nodes, reference, latest, strict=True):
                    node.r_mass, node.l_mass = before, now
        self.counter, self._first_window = kept.counter, kept.first
        self._next, self._mass = kept.next, kept.mass
