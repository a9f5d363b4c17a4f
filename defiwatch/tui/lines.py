"""Lines made of pieces: text with the name of its ink. No markup is parsed: a label can draw nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from defiwatch.domain.text import harmless
from defiwatch.tui.theme import Inks, ramp

Piece: TypeAlias = tuple[str, str]
"""Text and the name of its ink."""

Line: TypeAlias = tuple[Piece, ...]

_LONGEST = 600
"""Characters of one text that are ever shown."""


def plain(text: str) -> str:
    """`text` safe to draw. The door has cleaned what strangers wrote; this holds for any other way in too."""
    return text if len(text) <= _LONGEST and text.isprintable() else harmless(text, _LONGEST)


def width_of(line: Iterable[Piece]) -> int:
    """How many cells the pieces take."""
    return sum(cell_len(text) for text, _ in line)


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells; what was cut ends in "…"."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 1 else "…"[:width]


def fit(line: Line, width: int, right: bool = False) -> Line:
    """The pieces in exactly `width` cells: padded, or cut with "…"."""
    taken = width_of(line)
    if taken == width:
        return line
    if taken < width:
        blank: Piece = (" " * (width - taken), "text")
        return (blank, *line) if right else (*line, blank)
    kept: list[Piece] = []
    left = width
    for text, ink in line:
        size = cell_len(text)
        if size < left:
            kept.append((text, ink))
            left -= size
            continue
        # What follows is cut away, so this piece ends in the sign of it, also where it would just fit.
        shown = cut(text, left) if size > left else cut(text + " ", left)
        kept.append((shown, ink))
        left -= cell_len(shown)
        break
    if left > 0:
        kept.append((" " * left, "text"))
    return tuple(kept)


def wrap(text: str, width: int) -> list[str]:
    """`text` broken at spaces into lines of at most `width` cells; a word that is longer is broken where it must."""
    width = max(1, width)
    rows: list[str] = []
    row = ""
    for word in plain(text).split():
        while cell_len(word) > width:
            if row:
                rows.append(row)
                row = ""
            head = set_cell_size(word, width).rstrip()
            rows.append(head)
            word = word[len(head) :] if head else ""
        if not word:
            continue
        if not row:
            row = word
        elif cell_len(row) + 1 + cell_len(word) <= width:
            row = f"{row} {word}"
        else:
            rows.append(row)
            row = word
    if row:
        rows.append(row)
    return rows


def meter(part: float, width: int) -> Line:
    """A horizontal meter from calm to critical: as many cells heavy as `part` (0..1) of `width`, the rest light."""
    share = min(1.0, max(0.0, part))
    halves = round(share * width * 2)
    full, half = divmod(halves, 2)
    pieces: list[Piece] = []
    for cell in range(full):
        ink = ramp(cell / width)
        if pieces and pieces[-1][1] == ink:
            pieces[-1] = (pieces[-1][0] + "━", ink)
        else:
            pieces.append(("━", ink))
    if half:
        pieces.append(("╸", ramp(full / width)))
    if full + half < width:
        pieces.append(("─" * (width - full - half), "track"))
    return tuple(pieces)


def strip(line: Iterable[Piece], inks: Inks, base: Style, over: Style | None = None) -> Strip:
    """The pieces as a Strip on `base`, with `over` (the cursor) laid on top of all but the chips."""
    segments = []
    for text, ink in line:
        style = base + inks[ink]
        if over is not None and not ink.startswith("chip-"):
            style += over
        segments.append(Segment(text, style))
    return Strip(segments)
