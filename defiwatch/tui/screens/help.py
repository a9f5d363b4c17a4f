"""Keys, signs and words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from defiwatch.tui.kinds.page import Page
from defiwatch.tui.lines import Line, wrap
from defiwatch.tui.marks import STATE_WORDS, severity_chip, source_mark, state_mark
from defiwatch.tui.widgets.sheet import Sheet

_KEYS = (
    ("1 … 7", "overview, positions, pools, markets, prices, alerts, sources and models"),
    ("tab", "the next table; shift+tab the one before"),
    ("↑ ↓ j k", "move; pgup pgdn or ctrl+u ctrl+d, g or home first (and stay there), G or end last"),
    ("enter", "the reasons of a row: parts of its score, assets, evidence"),
    ("esc h ←", "back from a page"),
    ("/", "filter: words that a row must have; esc shows all"),
    ("s  S", "sort by the next column; the other way round"),
    ("a  z", "acknowledge, snooze the alerts of a row"),
    ("n  r", "call them noise, or real: the models learn from it"),
    ("space", "pause the screen (the engine runs on)"),
    ("v y c", "on a page: raw JSON, copy it, copy the address or transaction"),
    ("o", "on an alert's page: what it is about, as it stands now"),
    ("t", "dark or light; ctrl+p or : all commands, themes, a screenshot"),
    ("?  q", "this page; quit (ctrl+c too)"),
)

_WORDS = (
    "age: how old a number is, by the clock of the frames. “!” after it: stale, and the row is dimmed.",
    "positions: by severity, yours (★) first in each, then the closest; dust that nobody liquidates has no severity.",
    "falls by: the common fall of all collateral that liquidates; below 0: it can be liquidated now.",
    "nearest alone: the one asset whose own move liquidates first.",
    "P 24h: the probability of liquidation within a day if nothing is done.",
    "2% depth: dollars that move a pool's price by 2 %, the smaller way.",
    "score: 0 to 100, the sum of the parts that enter shows. A pool's is how unusual it is for itself; no probability.",
    "“?”: unknown; the row or its page says why. “–”: there is none.",
    "trust: single (one source), quorum (several agree), consistent (logs fit a recomputed header), proof.",
)

_MOUSE = "Mouse: a click chooses a row, a second opens it; a click on a column's head sorts; the wheel scrolls."


class Help(ModalScreen[None]):
    """One page; any of the keys that opened or close it takes it away."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "back")]

    def compose(self) -> ComposeResult:
        """The page."""
        sheet = Sheet(_write, id="help")
        sheet.entitle("Help")
        sheet.border_subtitle = "↓ more · esc closes"
        yield sheet


def _write(width: int) -> Sequence[Line]:
    page = Page(width)
    for key, told in _KEYS:
        for at, row in enumerate(wrap(told, width - 9)):
            page.line((f"{'' if at else key:<9}", "accent"), (row, "text"))
    page.blank()
    page.text(_MOUSE, "dim")
    page.head("Signs")
    for state, told in STATE_WORDS.items():
        page.line(state_mark(state), (f" {state:<10}", "strong"), (told, "dim"))
    page.blank()
    page.line(
        severity_chip("critical"), (" critical  ", "text"), severity_chip("warning"), (" warning  ", "text"),
        severity_chip("info"), (" info    ", "text"), ("★", "accent"), (" a watched wallet", "text"),
    )  # fmt: skip
    pieces = []
    for state in ("live", "behind", "limited", "silent", "untrusted", "down"):
        pieces += [source_mark(state), (f" {state}   ", "text")]
    page.line(*pieces)
    page.head("Words")
    for told in _WORDS:
        page.text(told)
    return page.lines
