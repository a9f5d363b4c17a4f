"""What each feature says in a reason, in the words of the field. One entry per feature."""

from __future__ import annotations

import math
from collections.abc import Callable

from defiwatch.domain.learning import FeatureSurprise
from defiwatch.domain.units import span
from defiwatch.scoring.points import number, percent


def _move(clause: str) -> Callable[[float], str]:
    return lambda value: clause.format(percent(abs(math.expm1(value))))


def _share(clause: str) -> Callable[[float], str]:
    return lambda value: clause.format(percent(value))


def _points(clause: str) -> Callable[[float], str]:
    return lambda value: clause.format(f"{100.0 * value:.2g} points")


WORDS: dict[str, tuple[Callable[[float], str], Callable[[float], str]]] = {
    "move": (_move("price moved {} in one trade"), _move("{}")),
    "block_move": (_move("price moved {} in one block"), _move("{}")),
    "close_move": (_move("price closed the block {} away from the one before"), _move("{}")),
    "deviation": (_move("price is {} off its 10-minute mean"), _move("{}")),
    "size": (_share("one trade took {} of the pool's depth"), _share("{}")),
    "volume": (_share("the block's trades add up to {} of the pool's depth"), _share("{}")),
    "flow": (_share("trades went one way for {} of the pool's depth in 10 minutes"), _share("{}")),
    "reserve_change": (_share("a reserve changed by {} in one block"), _share("{}")),
    "pace": (lambda value: f"{value:.0f} trades so far in one block", number),
    "trades": (lambda value: f"{value:.0f} trades in one block", number),
    "gap": (lambda value: f"first trade for {span(value)}", span),
    "push": (_move("the answer moved {} in one push"), _move("{}")),
    "interval": (lambda value: f"{span(value)} between two rounds", span),
    "pushes": (lambda value: f"{value:.0f} pushes within an hour", number),
    "away": (_move("the answer is {} off the market"), _move("{}")),
    "supplied": (_share("{} of all supply came in within one block"), _share("{}")),
    "withdrawn": (_share("{} of all supply was withdrawn in one block"), _share("{}")),
    "borrowed": (_share("{} of all supply was borrowed in one block"), _share("{}")),
    "repaid": (_share("debt of {} of all supply was repaid in one block"), _share("{}")),
    "liquidated": (_share("liquidators repaid {} of all debt within an hour"), _share("{}")),
    "drained": (_share("on balance {} of all supply went one way within an hour"), _share("{}")),
    "step": (_points("utilisation moved by {} in one block"), _points("{}")),
    "strayed": (_points("utilisation is {} off its own mean"), _points("{}")),
    "amount": (
        lambda value: f"one transfer of {number(value)} times the usual",
        lambda value: f"{number(value)} times",
    ),
    "moved": (
        lambda value: f"as much as {number(value)} usual transfers moved in 10 minutes",
        lambda value: f"{number(value)} transfers",
    ),
}
"""Feature → (what is seen, in words; what is usual, in words)."""

LOGARITHMS = frozenset({"move", "block_move", "close_move", "deviation", "push", "away"})
"""Features that are |ln| of a price ratio; reasons show them as a relative change."""


def clause(name: str, value: float) -> str:
    """What one feature says, without what is usual."""
    return WORDS[name][0](value)


def sentence(feature: FeatureSurprise, *, young: bool) -> str:
    """What one feature says, with what is usual."""
    whose = "usual for its kind" if young else "usual"
    return f"{clause(feature.name, feature.value)}; {whose} {WORDS[feature.name][1](feature.usual)}"


def shown(name: str, value: float) -> float:
    """A feature's value as reasons show it."""
    return math.expm1(value) if name in LOGARITHMS else value
