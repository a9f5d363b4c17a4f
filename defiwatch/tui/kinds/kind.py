"""What a table and a page need to know about a kind of row, as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from defiwatch.tui import figures
from defiwatch.tui.kinds.page import Page
from defiwatch.tui.lines import Line
from defiwatch.tui.picture import Picture

R = TypeVar("R")

_PAGE_WIDTH = 112
"""Lines longer than this are hard to read."""


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column. `width` in cells; `grow` shares out what is left over.

    Where it is narrow, columns of the highest `rank` go first, then those that grow shrink, down to `least`. `order`
    gives the value to sort by (no `order`: not sortable; a value of None sorts last both ways); `falling`: the first
    press sorts downwards.
    """

    title: str
    width: int
    draw: Callable[[R, Picture], Line]
    order: Callable[[R], Any] | None = None
    right: bool = False
    grow: int = 0
    rank: int = 0
    falling: bool = False
    hint: str = ""
    least: int = 8


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """A kind of row. `rows` come in the kind's own order, the most pressing first."""

    name: str
    title: str
    columns: tuple[Column[R], ...]
    rows: Callable[[Picture], Sequence[R]]
    key: Callable[[R], str]
    words: Callable[[R], str]
    awaited: Callable[[Picture], str]
    page: Callable[[R, Picture, Page], None]
    ordered: str
    """How `rows` is ordered, for the table's title."""
    time: Callable[[R], float] | None = None
    stale_after: float = float("inf")
    """Seconds after which a row is shown as stale: dimmed, its age marked with "!"."""
    summary: Callable[[Picture], str] | None = None
    alerts: Callable[[R, Picture], list[str]] | None = None
    """The keys of the standing alerts that a key press on the row would acknowledge."""

    def find(self, picture: Picture, key: str) -> R | None:
        """The row with this key as it stands now; None if it is gone."""
        return next((row for row in self.rows(picture) if self.key(row) == key), None)

    def is_stale(self, row: R, now: float) -> bool:
        """Whether the row is older than its kind should ever be."""
        return self.time is not None and now - self.time(row) > self.stale_after


def age(time: float, now: float, stale_after: float) -> Line:
    """How old a number is; stale ones are marked."""
    text = figures.age(now - time)
    return ((f"{text}!", "warn"),) if now - time > stale_after else ((text, "dim"),)


def age_column(time: Callable[[R], float], stale_after: float) -> Column[R]:
    """The age at the end of every row."""
    return Column(
        "age",
        4,
        lambda row, picture: age(time(row), picture.snapshot.time, stale_after),
        order=lambda row: -time(row),
        right=True,
    )


def money_column(title: str, value: Callable[[R], float | None], rank: int = 0, width: int = 8) -> Column[R]:
    """An amount of dollars, sorted downwards first."""
    return Column(
        title, width, lambda row, _: number(figures.money(value(row))), order=value, right=True, falling=True, rank=rank
    )


def count_column(title: str, value: Callable[[R], int], rank: int = 0) -> Column[R]:
    """How many there are, sorted downwards first."""
    return Column(
        title,
        max(len(title), 7),
        lambda row, _: ((figures.count(value(row)), "dim"),),
        order=value,
        right=True,
        falling=True,
        rank=rank,
    )


def venue_column(protocol: Callable[[R], str], chain: Callable[[R], str], title: str = "protocol") -> Column[R]:
    """The protocol and its chain."""
    return Column(
        title,
        20,
        lambda row, _: ((protocol(row), "dim"), (" ", "dim"), (chain(row), "faint")),
        order=lambda row: (protocol(row), chain(row)),
        rank=5,
    )


def number(text: str, ink: str = "text") -> Line:
    """A figure; one that is not known is faint."""
    return ((text, "warn" if text == figures.UNKNOWN else ink),)


def standing(key: str, picture: Picture) -> list[str]:
    """The keys of the standing alerts on the subject `key`."""
    return [row.alert.key for row in picture.standing_on(key)]


def reasons(kind: Kind[R], row: R, picture: Picture, width: int) -> list[Line]:
    """The page of one row."""
    page = Page(min(width, _PAGE_WIDTH))
    kind.page(row, picture, page)
    return page.lines
