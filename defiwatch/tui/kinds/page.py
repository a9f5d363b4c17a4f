"""A page of reasons: lines built top-down for a given width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from defiwatch.domain.ids import short
from defiwatch.domain.risk import Evidence, Reason
from defiwatch.domain.view import AlertRow
from defiwatch.tui import figures
from defiwatch.tui.lines import Line, Piece, fit, meter, plain, width_of, wrap
from defiwatch.tui.marks import TRUST_WORDS, severity_chip, severity_ink, state_mark

_LEAST_ROOM = 6
"""Cells beside a name below which its value begins on a line of its own."""


class Page:
    """Collects lines that are at most `width` cells wide."""

    def __init__(self, width: int) -> None:
        self.width = max(20, width)
        self.lines: list[Line] = []

    def line(self, *pieces: Piece) -> None:
        """One line; what does not fit is cut."""
        shown = tuple((plain(text), ink) for text, ink in pieces)
        self.lines.append(fit(shown, self.width) if width_of(shown) > self.width else shown)

    def blank(self) -> None:
        """A line of air, never two in a row."""
        if self.lines and self.lines[-1]:
            self.lines.append(())

    def head(self, title: str, note: str = "") -> None:
        """The start of a section."""
        self.blank()
        note = f" {note}" if note else ""
        rest = max(0, self.width - width_of(((title, ""), (note, ""))) - 4)
        self.line(("─ ", "track"), (title, "title"), (note, "dim"), (" " + "─" * rest, "track"))

    def text(self, text: str, ink: str = "text", indent: int = 0) -> None:
        """A paragraph."""
        for row in wrap(text, self.width - indent):
            self.line((" " * indent, "text"), (row, ink))

    def facts(self, facts: Iterable[tuple[str, Line]]) -> None:
        """Names with values, in as many columns as the width gives."""
        told = [(name, value) for name, value in facts if value]
        if not told:
            return
        widest = max(width_of(value) for _, value in told)
        name_width = min(22, max(len(name) for name, _ in told)) + 2
        columns = 2 if len(told) > 3 and self.width >= 2 * (name_width + widest + 2) else 1
        if columns == 1:
            for name, value in told:
                self._fact(name, value, name_width)
            return
        cell = self.width // columns
        for start in range(0, len(told), columns):
            pieces: list[Piece] = []
            for place, (name, value) in enumerate(told[start : start + columns]):
                pieces.extend(fit(((name, "dim"),), name_width))
                last = place == columns - 1
                pieces.extend(value if last else fit(value, cell - name_width))
            self.line(*pieces)

    def _fact(self, name: str, value: Line, indent: int) -> None:
        """One fact; a value that is too long goes on below itself, whole."""
        label = fit(((name, "dim"),), indent)
        room = self.width - indent
        if width_of(value) <= room:
            self.line(*label, *value)
            return
        ink = value[0][1]
        if room < _LEAST_ROOM:
            self.line(*label)
            label, indent, room = ((" ", "text"),), 1, self.width - 1
        for row in wrap("".join(text for text, _ in value), room):
            self.line(*label, (row, ink))
            label = ((" " * indent, "text"),)

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[Line]], left: int = 1) -> None:
        """Columns as wide as what they hold; the first `left` to the left, figures to the right."""
        widths = [
            max(len(head), *(width_of(row[at]) for row in rows)) if rows else len(head) for at, head in enumerate(heads)
        ]
        spare = self.width - sum(widths) - 2 * (len(widths) - 1)
        if spare < 0:
            widths[0] = max(6, widths[0] + spare)
        for cells in ([((head, "dim"),) for head in heads], *rows):
            pieces: list[Piece] = []
            for at, cell in enumerate(cells):
                if at:
                    pieces.append(("  ", "text"))
                pieces.extend(fit(tuple((plain(text), ink) for text, ink in cell), widths[at], right=at >= left))
            self.line(*pieces)

    def reasons(self, score: float, reasons: Sequence[Reason], severity: str | None) -> None:
        """The score and the parts it is the sum of, the largest first."""
        self.head("Score", "what it is made of")
        if not reasons:
            self.line((figures.score(score), severity_ink(severity)), ("  of 100: nothing to report", "dim"))
            return
        length = min(40, max(8, self.width - 50))
        self.line(
            (f"{score:5.1f}", severity_ink(severity)),
            ("  ", "text"),
            *meter(score / 100, length),
            (f"  of 100 in {len(reasons)} {'part' if len(reasons) == 1 else 'parts'}", "dim"),
        )
        self.blank()
        for reason in sorted(reasons, key=lambda part: -part.points):
            usual = () if reason.usual is None else ((f"   usual {figures.number(reason.usual)}", "dim"),)
            bar = meter(reason.points / 100, length)
            self.line(
                (f"{reason.points:+5.1f}", "strong"),
                ("  ", "text"),
                *bar,
                ("  ", "text"),
                (reason.name.replace("_", " "), "accent"),
                ("  ", "text"),
                (figures.number(reason.value), "strong"),
                *usual,
            )
            self.text(reason.text, "text", 7)

    def alerts(self, rows: Sequence[AlertRow], now: float) -> None:
        """The alerts that stand on a subject."""
        if not rows:
            return
        self.head("Standing alerts")
        for row in rows:
            mark, chip = state_mark(row.alert.state), severity_chip(row.alert.severity)
            handled = ("acked ", "accent") if row.acked else ("", "text")
            age = (f"{figures.age(now - row.since):>4}  ", "dim")
            self.line(age, mark, (" ", "text"), chip, (" ", "text"), handled, (row.alert.title, "text"))

    def source(self, source: str, block: int, time: float, now: float, stale: bool, trust: str = "") -> None:
        """Where the numbers of this page come from, how old they are, and how far they were checked."""
        self.head("Evidence")
        old = ((figures.age(now - time), "warn" if stale else "text"), (" stale" if stale else "", "warn"))
        self.facts(
            (
                ("block", ((figures.count(block), "text"),) if block else ()),
                ("as of", ((f"{figures.day_clock(time)} UTC", "text"), ("   ", "text"), *old)),
                ("source", ((source or "not told", "text"),)),
                ("trust", trusted(trust) if trust else ()),
            )
        )


def evidence(found: Evidence) -> tuple[tuple[str, Line], ...]:
    """Which block, transaction and log something rests on, as facts."""
    return (
        ("block", ((figures.count(found.block), "text"),) if found.block is not None else ()),
        ("block hash", ((found.block_hash, "text"),) if found.block_hash else ()),
        ("transaction", ((found.tx, "text"),) if found.tx else ()),
        ("log index", ((str(found.log_index), "text"),) if found.log_index is not None else ()),
    )


def trusted(trust: str) -> Line:
    """A grade of trust and what it means."""
    return (trust, "text"), (f"   {TRUST_WORDS.get(trust, '')}", "dim")


def identity(text: str, width: int) -> str:
    """An address in full where it fits, else short."""
    return text if len(text) <= width else short(text)
